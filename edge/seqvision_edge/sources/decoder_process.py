"""Decode untrusted videos and pictures in child processes with limits.

    decoders = Decoders(max_pixels)
    with decoders.video(path, value_range, check) as source:
        for frame in source:
            ...

A decoder is a million lines of C that parse untrusted input: what crashes, hangs or exhausts it
ends a child, and is reported in one line.  Children are reused for the next clip, and replaced when
they die or have grown.  Frames are passed in shared memory; the child decodes one frame ahead.

    parent → a JSON line: what to open, then "next" for each frame (with the bytes of a picture),
             then "close"
    child  → "opened", "frame", …, "end"; or "refused" and the reason; then "closed"
"""

import contextlib
import json
import mmap
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge import child_process
from seqvision_edge.child_process import (
    LOOK,
    Child,
    Died,
    Kind,
    can_start,
    could_not_start,
    fields,
    start_child,
)
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, FrameTooLarge, Image
from seqvision_edge.preprocess import ValueRange

# Memory limit of a decoder in bytes: the 17 reference pictures of 8 Mpx video with 10 bits are
# 430 MB.
MEMORY: Final = 768 << 20
# A child that uses more after a clip is replaced; a new one uses 60 MB.
_GROWN: Final = 256 << 20
# The reader holds one frame and may keep the previous one, while the next is decoded.
_SLOTS: Final = 3
_AHEAD: Final = 2
# Seconds in all for a child to close a clip.
_CLOSE: Final = 5.0
# A child's possible further replies, and the types of their values.
_REFUSALS: Final[dict[str, tuple[Kind, ...]]] = {
    "refused": (str,), "large": (str,), "memory": ()
}  # fmt: skip

Check = Callable[[], None]


class TooMuchMemory(SourceError):  # noqa: N818
    """A clip needs more memory than a decoder may use."""


class NoDecoder(SourceError):  # noqa: N818
    """A child could not be started, so nothing can be decoded."""


class Isolated:
    """A source: the frames of a clip decoded by a child, each valid until the second next one.

    Attributes:
        fps: nominal frames per second, of a video.
        size: coded width and height of a video.
        incomplete: after the last frame, why some are missing; None if none is.
    """

    def __init__(self, decoder: "_Decoder", check: Check, pictures: Iterator[bytes] | None) -> None:
        self._decoder, self._check, self._pictures = decoder, check, pictures
        self.incomplete: str | None = None
        self.fps, self.size = 0.0, (0, 0)
        if pictures is None:
            _, self.fps, width, height = decoder.receive(check, opened=(float, int, int))
            self.size = width, height

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            SourceError: a frame is refused, or the child dies of it.
        """
        given, requested = 0, 0
        while True:
            while requested < given + _AHEAD and self._request_next():
                requested += 1
            if given == requested:
                return
            kind, *about = self._decoder.receive(
                self._check, frame=(int, int, float, float, int), end=(str | None,)
            )
            if kind == "end":
                (self.incomplete,) = about
                return
            height, width, time, duration, index = about
            pixels = self._decoder.pixels(given, height, width)
            yield Frame(pixels, time, index, duration=duration)
            given += 1

    def _request_next(self) -> bool:
        """Request the next frame; return False if there is no further picture."""
        picture = b"" if self._pictures is None else next(self._pictures, None)
        if picture is not None:
            self._decoder.send(["next", len(picture)], picture, self._check)
        return picture is not None


class Decoders:
    """Decoding child processes, reused for the next clip; thread-safe."""

    def __init__(self, max_pixels: int, memory: int = MEMORY) -> None:
        """Start with no child.

        Args:
            max_pixels: of a frame.
            memory: memory limit of a child in bytes.
        """
        self._max_pixels, self._memory = max_pixels, memory
        self._free: list[_Decoder] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def video(
        self, path: Path, value_range: ValueRange | None, check: Check, seconds: float
    ) -> "Iterator[Isolated | None]":
        """Yield the decoder of a video; None if there can be no child.

        Args:
            path: of the file.
            value_range: the black and white values of deep grey frames.
            check: called while the child works; if it raises, the child's work ends.
            seconds: time limit of the child's work, should this process be stopped.

        Raises:
            NoDecoder: the child could not be started.
            SourceError: it is not a video, or the child dies of it.
        """
        task = {"path": str(path), "value_range": value_range, "seconds": seconds}
        with self._decoder(task) as decoder:
            yield None if decoder is None else Isolated(decoder, check, None)

    @contextmanager
    def pictures(
        self,
        pictures: Iterable[bytes],
        value_range: ValueRange | None,
        check: Check,
        seconds: float,
    ) -> "Iterator[Isolated | None]":
        """Yield a decoder of pictures, all at time 0; the rest is as in `video`."""
        task = {"path": None, "value_range": value_range, "seconds": seconds}
        with self._decoder(task) as decoder:
            yield None if decoder is None else Isolated(decoder, check, iter(pictures))

    def start(self) -> None:
        """Have a child ready for the next clip; starting one takes a moment.

        Raises:
            NoDecoder: it could not be started.
        """
        with self._lock:
            is_there = bool(self._free) or self._closed
        decoder = None if is_there else _start(self._max_pixels, self._memory)
        if decoder is not None:
            self._keep(decoder)

    def close(self) -> None:
        """End all children; a busy one ends after its clip."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for decoder in free:
            decoder.end()

    @contextmanager
    def _decoder(self, task: dict[str, Any]) -> "Iterator[_Decoder | None]":
        decoder = self._take()
        if decoder is None:
            decoder = _start(self._max_pixels, self._memory)
        if decoder is None:
            yield None
            return
        is_good = True
        try:
            decoder.send(["open", task])
            yield decoder
        except TooMuchMemory:
            is_good = False
            raise
        finally:
            # An unfinished clip is not a fault of the child.
            is_kept = False
            try:
                is_kept = decoder.close() and is_good
            finally:
                if is_kept:
                    self._keep(decoder)
                else:
                    decoder.end()

    def _take(self) -> "_Decoder | None":
        """Return an idle child; None if none is alive."""
        while True:
            with self._lock:
                decoder = self._free.pop() if self._free else None
            if decoder is None or decoder.is_alive:
                return decoder
            decoder.end()

    def _keep(self, decoder: "_Decoder") -> None:
        with self._lock:
            if not self._closed:
                self._free.append(decoder)
                return
        decoder.end()


class _Decoder:
    """A child, and the memory that holds its frames."""

    def __init__(self, child: Child, memory: mmap.mmap, max_pixels: int) -> None:
        self._child = child
        self._memory: NDArray[np.uint8] = np.frombuffer(memory, np.uint8)
        self._slot = 3 * max_pixels

    @property
    def is_alive(self) -> bool:
        return self._child.is_alive

    def send(self, request: list[Any], content: bytes = b"", check: Check = lambda: None) -> None:
        self._child.send(json.dumps(request).encode() + b"\n" + content, check)

    def receive(self, check: Check, **expected: tuple[Kind, ...]) -> list[Any]:
        """Return the next reply.

        Args:
            check: called while the child works.
            expected: the allowed replies, with the types of their values.

        Raises:
            SourceError: the child refuses the clip, or dies of it.
        """
        while True:
            try:
                answer = self._child.receive(LOOK)
                kinds = (_REFUSALS | expected).get(answer[0])
                if kinds is None:
                    raise Died("nonsense")
                fields(answer, *kinds)
            except TimeoutError:
                check()
                continue
            except Died as ending:
                check()  # it may have been ended by its deadline
                raise SourceError(f"the decoder crashes on it ({ending})") from None
            if answer[0] == "refused":
                raise SourceError(answer[1])
            if answer[0] == "large":
                raise FrameTooLarge(answer[1])
            if answer[0] == "memory":
                raise TooMuchMemory("it takes too much memory to decode")
            return answer

    def pixels(self, number: int, height: int, width: int) -> Image:
        """Return the frame of this number as a view of the memory."""
        size, begin = 3 * height * width, number % _SLOTS * self._slot
        if not 0 < size <= self._slot or height < 0:
            raise SourceError("the decoder crashes on it (nonsense)")
        return self._memory[begin : begin + size].reshape(height, width, 3)

    def close(self) -> bool:
        """Close the clip in the child; return whether the child can be reused."""
        until = time.monotonic() + _CLOSE

        def check() -> None:
            if time.monotonic() > until:
                raise TimeoutError

        with contextlib.suppress(TimeoutError, Died):
            self.send(["close"], check=check)
            while (answer := self._child.receive(until - time.monotonic()))[0] != "closed":
                check()
            (grown,) = fields(answer, int)
            return bool(grown < _GROWN)
        return False

    def end(self) -> None:
        self._child.end()


def _start(max_pixels: int, memory: int) -> _Decoder | None:
    """Start a child; None if there can be none.

    Raises:
        NoDecoder: it could not be started.
    """
    if not can_start():
        return None
    size = _SLOTS * 3 * max_pixels
    try:
        with contextlib.ExitStack() as opened:
            file = _memory_file()
            opened.callback(os.close, file)
            os.truncate(file, size)
            # Before the child: a failure here leaves no child behind.
            frames = mmap.mmap(file, size)
            task = {"file": file, "max_pixels": max_pixels, "memory": memory}
            return _Decoder(start_child(__name__, task, [file]), frames, max_pixels)
    except OSError as error:
        ending = could_not_start(error.strerror or str(error))
    except Died as error:
        ending = error
    raise NoDecoder(f"the decoder process {ending}")


def _memory_file() -> int:
    """Return a descriptor of anonymous memory; if unsupported, of a deleted file."""
    make: Callable[[str], int] | None = getattr(os, "memfd_create", None)
    if make is not None:
        return make("seqvision-frames")
    with tempfile.TemporaryFile(prefix="seqvision-") as file:
        return os.dup(file.fileno())


# ---- the child's side ----


def main() -> None:
    """Serve the parent's requests until it closes the connection."""
    task = child_process.task()
    # All decoders are loaded before the memory is limited.
    from seqvision_edge.sources import image_files, video_decoding, video_file  # noqa: F401

    slot = 3 * task["max_pixels"]
    memory = np.frombuffer(mmap.mmap(task["file"], _SLOTS * slot), np.uint8)
    slots = [memory[number * slot : (number + 1) * slot] for number in range(_SLOTS)]
    child_process.begin(task["memory"])
    while request := _request():
        if request[0] == "open":
            child_process.live_for(request[1]["seconds"])
            with contextlib.ExitStack() as opened:
                _serve(_Clip(request[1], task["max_pixels"], slots, opened))
            child_process.live_for(0)
            child_process.reply("closed", child_process.memory_of("RssAnon"))


def _request() -> list[Any]:
    """Return the next request; an empty one if the parent has closed the connection."""
    line = sys.stdin.buffer.readline()
    request: list[Any] = json.loads(line) if line else []
    return request


def _serve(clip: "_Clip") -> None:
    """Serve one clip until the parent closes it."""

    def answer(make: Callable[[], list[Any]]) -> None:
        try:
            found = make()
        except FrameTooLarge as error:
            found = ["large", str(error)]
        except SourceError as error:
            found = ["refused", str(error)]
        except MemoryError:
            found = ["memory"]
        child_process.reply(*found)

    if clip.path is not None:
        answer(clip.open)
    while (request := _request()) and request[0] == "next":
        picture = sys.stdin.buffer.read(request[1])
        answer(clip.next_frame if clip.path is not None else partial(clip.decode, picture))


class _Clip:
    """A clip in the child; the methods return replies."""

    def __init__(
        self,
        about: dict[str, Any],
        max_pixels: int,
        slots: list[NDArray[np.uint8]],
        opened: contextlib.ExitStack,
    ) -> None:
        self.path: str | None = about["path"]
        low_high = about["value_range"]
        self._value_range: ValueRange | None = (low_high[0], low_high[1]) if low_high else None
        self._max_pixels, self._slots, self._opened = max_pixels, slots, opened
        self._frames: Iterator[Frame] = iter(())
        self._incomplete: Callable[[], str | None] = lambda: None
        self._number = 0

    def open(self) -> list[Any]:
        from seqvision_edge.sources.video_file import VideoFile

        video = VideoFile(Path(self.path or ""), self._value_range, self._max_pixels)
        self._opened.enter_context(video)
        self._frames, self._incomplete = iter(video), lambda: video.incomplete
        return ["opened", video.fps, *video.size]

    def next_frame(self) -> list[Any]:
        frame = next(self._frames, None)
        return ["end", self._incomplete()] if frame is None else self._put(frame)

    def decode(self, picture: bytes) -> list[Any]:
        from seqvision_edge.sources.image_files import decode_image

        bgr = decode_image(np.frombuffer(picture, np.uint8), self._value_range)
        if bgr is None:
            raise SourceError("the picture is damaged")
        return self._put(Frame(bgr, 0.0, self._number))

    def _put(self, frame: Frame) -> list[Any]:
        height, width = frame.bgr.shape[:2]
        slot = self._slots[self._number % _SLOTS]
        if frame.bgr.size > slot.size:
            raise FrameTooLarge("a picture is larger than its header states")
        slot[: frame.bgr.size] = frame.bgr.reshape(-1)
        self._number += 1
        return ["frame", height, width, frame.time, frame.duration, frame.index]
