"""Write a take: a source read by a thread → a video file of constant rate."""

import contextlib
import itertools
import math
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from seqvision_edge.errors import RecordingError, SinkError
from seqvision_edge.frame import Frame, Image
from seqvision_edge.sampling import Sampler
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import SourceState
from seqvision_edge.video_writer import VideoWriter

if TYPE_CHECKING:
    from seqvision_edge.recording.take_list import Take

LONGEST_SECONDS = 120.0
# A longer gap ends a take: the camera was away.
LONGEST_GAP = 1.0
# So many frames determine the rate; cameras declare a wrong one in the dark.
_FIRST = 12
_USUAL_FPS = 30.0
_SLOWEST, _FASTEST = 1.0, 240.0
# The declared rate is used if the frames agree.
_AGREES = 0.05
_FULL_BYTES = 1 << 20
# Chroma subsampling and a bit rate by area spoil a picture as small as the model's input.  Up to
# this size every pixel is kept: about 40 kB a picture.
_SMALL_PIXELS = 160 * 120

# Two seconds of a camera, while a take is being finished; a file is only read a little ahead.
_LIVE, _RECORDED = 60, 8


class NewTake:
    """Frames, placed on a clock of constant rate by their times.

    The rate is measured on the first frames: a camera that declares 30 and delivers 12 makes a file
    of 12 a second.  If one is late, the previous picture is repeated.  As a context manager it
    discards what was not kept.
    """

    def __init__(
        self,
        unfinished: Callable[[str], AbstractContextManager[Path]],
        keep: Callable[[Path], "Take"],
        fps: float | None = None,
    ) -> None:
        """Begin a take.

        Args:
            unfinished: creates an empty file with an ending, to record into; it is removed at the
                end of the block, unless it was renamed.
            keep: gives the finished file its name.
            fps: the source's declared rate.
        """
        self._unfinished = unfinished
        self._keep = keep
        self._claimed = fps
        self._waiting: list[tuple[float, Image]] = []
        self._film: VideoWriter | None = None
        self._path: Path | None = None
        self._opened = contextlib.ExitStack()
        self._clock = Sampler(_USUAL_FPS)
        self._before: Image | None = None
        self._start: float | None = None
        self._last = 0.0
        self.frames = 0
        self.fps = 0.0

    @property
    def seconds(self) -> float:
        """Seconds from the first frame to the last one."""
        return 0.0 if self._start is None else self._last - self._start

    def write(self, bgr: Image, time: float) -> None:
        """Add a frame `(height, width, 3)`; its time in seconds must rise, otherwise it is
        dropped.

        Raises:
            RecordingError: a gap of more than a second, a take of more than two minutes, or the
                file cannot be written.
        """
        if not math.isfinite(time):
            raise RecordingError(f"a frame's time is {time}, must be a number of seconds")
        if self._start is None:
            self._start = time
        elif time <= self._last:
            return
        elif time - self._last > LONGEST_GAP:
            raise RecordingError(f"no frame for {time - self._last:.1f} s in the middle of a take")
        elif time - self._start > LONGEST_SECONDS:
            raise RecordingError(f"a take has at most {LONGEST_SECONDS:g} s")
        self._last = time
        self.frames += 1
        if self._film is not None:
            self._put(bgr, time)
            return
        self._waiting.append((time, bgr))
        if len(self._waiting) >= _FIRST:
            self._begin()

    def keep(self) -> "Take":
        """Finish the file and return the take.

        Raises:
            RecordingError: there is no frame, or writing failed; nothing stays.
        """
        try:
            if self._film is None:
                if not self._waiting:
                    raise RecordingError("a take without a frame")
                self._begin()
            assert self._film is not None
            assert self._path is not None
            film, self._film = self._film, None
            with self._errors():
                film.close()
            return self._keep(self._path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Discard the take, unless it was kept."""
        self._waiting.clear()
        if self._film is not None:
            self._film.discard()
            self._film = None
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _begin(self) -> None:
        """Open the file, now that rate and size are known."""
        self.fps = rate([time for time, _ in self._waiting], self._claimed)
        height, width = self._waiting[0][1].shape[:2]
        is_small = height * width <= _SMALL_PIXELS
        self._path = self._opened.enter_context(self._unfinished(".mkv" if is_small else ".mp4"))
        self._film = VideoWriter(self._path, "a take", self.fps, lossless=is_small)
        self._clock = Sampler(self.fps, self.fps)
        with self._errors():
            self._film.open()
        for time, bgr in self._waiting:
            self._put(bgr, time)
        self._waiting.clear()

    def _put(self, bgr: Image, time: float) -> None:
        assert self._film is not None
        ticks = self._clock.take(time)
        self._hold(ticks - 1)
        self._before = bgr
        if ticks:
            with self._errors():
                self._film.write(bgr)

    def _hold(self, ticks: int) -> None:
        """Repeat the previous picture."""
        assert self._film is not None
        if self._before is not None:
            for _ in range(ticks):
                self._film.write(self._before)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SinkError as error:
            assert self._path is not None
            folder = self._path.parent
            why = "the disk is full" if _is_full(folder) else str(error)
            raise RecordingError(f"{folder}: the take could not be written; {why}") from None


def rate(times: list[float], claimed: float | None = None) -> float:
    """Return the frame rate measured from times in seconds; the declared one if they agree."""
    gaps = [after - before for before, after in itertools.pairwise(times)]
    if not gaps:
        return claimed or _USUAL_FPS
    seen = min(max(1 / max(median(gaps), 1e-6), _SLOWEST), _FASTEST)
    return claimed if claimed and abs(seen - claimed) <= _AGREES * claimed else seen


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < _FULL_BYTES


class RecordingFeed:
    """All frames and states of a source, in order; None at the end.

    A recorded source waits for its reader.  Of a live one the oldest frames are dropped if the
    reader is late for long.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._items: deque[Frame | SourceState] = deque()
        self._most = _LIVE if source.live else _RECORDED
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._read, name="read", daemon=True)

    def take(self, seconds: float) -> list[Frame | SourceState] | None:
        """Return the received items, waiting up to so many seconds; None after the last.

        Raises:
            BaseException: the source failed with it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, seconds)
            if self._items:
                items = list(self._items)
                self._items.clear()
                self._changed.notify_all()
                return items
            if self._error is not None:
                raise self._error
            return None if self._ended else []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._source)
            self._thread.start()
            opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._source.stop()
        self._thread.join()
        self._source.__exit__(kind, error, trace)

    def _read(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Frame | SourceState) -> bool:
        with self._changed:
            if self._source.live:
                if len(self._items) >= self._most:
                    self._lose()
            else:
                self._changed.wait_for(lambda: len(self._items) < self._most or self._closed)
            self._items.append(item)
            self._changed.notify_all()
            return not self._closed

    def _lose(self) -> None:
        """Drop the oldest frame; states are few, and all are kept."""
        for index, item in enumerate(self._items):
            if isinstance(item, Frame):
                del self._items[index]
                return
