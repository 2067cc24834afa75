"""Save a video clip of each event, cut from the newest pictures of its source.

    DIR/20261121T130405.123Z_camera_0_swipe_left.mp4
    DIR/clips.csv      path,label: `seqvision train DIR` reads it

The clip of a region's event shows the region alone, as the model saw it; its name has the region's,
and so has the column `view` of the list.

The frames before an event are buffered as JPEG, bounded in seconds and in bytes.
"""

import contextlib
import csv
import io
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqvision_edge.csv_cells import dict_reader, read_rows, write_rows
from seqvision_edge.errors import SinkError
from seqvision_edge.files import sweep
from seqvision_edge.frame import Image, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.sampling import Sampler
from seqvision_edge.sanitize import file_part
from seqvision_edge.sinks.jsonl import LineFile
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import Event, utc
from seqvision_edge.video_writer import VideoWriter

LIST_NAME = "clips.csv"
# An activity may last for hours.
_LONGEST_SECONDS = 60.0
# The prediction for a frame, and with it an event, is reported a little after the frame.
_SLACK_SECONDS = 1.0
# Times are sums of frame periods.
_HAIR = 1e-6

Picture = tuple[float, bytes]

# Maximum bytes buffered per source; beyond it the buffer holds fewer seconds.
MOST_BYTES = 64 << 20
_QUALITY = 95
_LONGEST_STILL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Margins:
    """Seconds of a clip before and after its event; `late` is the reporting delay of an event."""

    before: float
    after: float
    late: float


class EventClips:
    """An outlet that records each event with the seconds around it, without an overlay."""

    def __init__(
        self, folder: Path, sources: Sequence[Source], margins: Margins, regions: bool = False
    ) -> None:
        """Record into `folder`, which is created if its parent exists.

        `regions`: whether any source has regions; a new list then has the column `view`.
        """
        self.name = f"--clips {folder}"
        self.trouble = ""
        self._folder = folder
        self._list: _List | None = None
        self._sources = {source.name: source for source in sources}
        self._margins = margins
        self._regions = regions
        self._recorders: dict[tuple[str, str], _Recorder] = {}

    def open(self) -> None:
        """Create the folder and its list.  Raises SinkError when they cannot be written."""
        try:
            self._folder.mkdir(exist_ok=True)
            sweep(self._folder)
            self._list = _List(self._folder, self._regions)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"{self.name}: cannot be written ({why})") from None

    def pick(self, step: Step) -> Iterable[Step]:
        """Return the step."""
        return (step,)

    def send(self, step: Step) -> None:
        """Buffer the frame, and add it to the clips of running events.

        Raises:
            SinkError: a clip could not be written whole.
        """
        errors = []
        for part in step.parts:
            try:
                self._recorder(part.source, part.view).take(part)
            except SinkError as error:
                errors.append(str(error))
        if errors:
            raise SinkError("; ".join(errors))

    def _recorder(self, source: str, view: str) -> "_Recorder":
        key = source, view
        if key not in self._recorders:
            self._recorders[key] = _Recorder(
                self._sources[source], self._folder, self._margins, self._keep, view
            )
        return self._recorders[key]

    def stop(self) -> None:
        """Do nothing: no call here blocks."""

    def close(self) -> None:
        """Finish the clips of ended events; clips of running ones would be incomplete."""
        for recorder in self._recorders.values():
            recorder.close()
        if self._list is not None:
            self._list.close()

    def _keep(self, path: Path, label: str, view: str) -> None:
        assert self._list is not None, "an outlet is open before anything is sent"
        self._list.add(path, label, view)


class _Recorder:
    """The frame buffer of one view of a source, and the clips being recorded from it."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        margins: Margins,
        keep: Callable[[Path, str, str], None],
        view: str = "",
    ) -> None:
        self._view = view
        self._source = source
        self._folder = folder
        self._margins = margins
        self._keep = keep
        self._buffer = FrameBuffer(margins.before + margins.late + _SLACK_SECONDS)
        self._clips: list[_Clip] = []
        self._now = 0.0

    def take(self, step: Step) -> None:
        if step.frame is not None:
            self._now = step.frame.time
            picture = jpeg(step.frame.bgr)
            self._buffer.add(self._now, picture)
            for clip in self._clips:
                clip.add(self._now, picture)
        if step.active is not None:
            self._clip_of(step.active)
        for event in step.events:
            self._clip_of(event).until = event.end + self._margins.after
        self._finish([clip for clip in self._clips if clip.until <= self._now + _HAIR])

    def close(self) -> None:
        self._finish([clip for clip in self._clips if clip.is_over])
        for clip in self._clips:
            clip.film.discard()

    def _finish(self, clips: Sequence["_Clip"]) -> None:
        """Move clips to their final names; all are tried before the first error is raised."""
        errors = []
        for clip in clips:
            self._clips.remove(clip)
            try:
                if clip.film.close():
                    self._keep(clip.film.path, clip.label, self._view)
            except (SinkError, OSError) as error:
                errors.append(str(error))
        if errors:
            raise SinkError("; ".join(errors))

    def _clip_of(self, event: Event) -> "_Clip":
        """Return the clip of an event; a new one starts with the buffered frames."""
        for clip in self._clips:
            if (clip.label, clip.start) == (event.label, event.start):
                return clip
        film = VideoWriter(self._path(event), "--clips", self._source.fps)
        film.open()
        clip = _Clip(event, film, self._source.fps)
        for at, picture in self._buffer.since(event.start - self._margins.before):
            clip.add(at, picture)
        self._clips.append(clip)
        return clip

    def _path(self, event: Event) -> Path:
        """Return an unused path made of the event's start, the source and the label."""
        when = timestamp_name(self._source, event.start, self._now)
        view = f"_{file_part(self._view)}" if self._view else ""
        stem = f"{when}_{file_part(self._source.name)}{view}_{file_part(event.label)}"
        return free_path(self._folder, stem)


class _Clip:
    """The clip of one event; `until` is the end time, once that is known."""

    def __init__(self, event: Event, film: VideoWriter, fps: float) -> None:
        self.label = event.label
        self.start = event.start
        self.until = float("inf")
        self.film = film
        self._filming = ConstantRateWriter(film, fps)

    @property
    def is_over(self) -> bool:
        return self.until < float("inf")

    def add(self, at: float, picture: bytes) -> None:
        # The rest of a very long event is left out.
        if at > min(self.until, self.start + _LONGEST_SECONDS) + _HAIR:
            return
        self._filming.add(at, picture)


class _List:
    """The list of clips; the columns of an existing list are kept."""

    def __init__(self, folder: Path, regions: bool = False) -> None:
        path = folder / LIST_NAME
        self._folder = folder
        self._columns = _columns(path) if path.exists() else []
        self._file = LineFile(path, self._is_torn)
        if self._file.is_empty:
            self._file.append("path,label,view" if regions else "path,label")
        self._columns = _columns(path)
        if not {"path", "label"} <= set(self._columns):
            raise csv.Error(f"{LIST_NAME} exists without the columns path,label")

    def add(self, path: Path, label: str, view: str) -> None:
        row = io.StringIO()
        cells = {"path": path.name, "label": label, "view": view}
        write_rows(row, [[cells.get(name, "") for name in self._columns]], "")
        self._file.append(row.getvalue())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _is_torn(self, line: bytes) -> bool:
        """Return whether the line is an incomplete row: no such clip, or no label."""
        cells = next(read_rows([line.decode(errors="replace")]), [])
        row = dict(zip(self._columns, cells, strict=False))
        there = bool(row.get("path")) and (self._folder / row["path"]).exists()
        return not (there and row.get("label"))


def _columns(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(dict_reader(file).fieldnames or ())


class FrameBuffer:
    """Ring buffer of the newest pictures, bounded in seconds and in bytes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pictures: deque[Picture] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, at: float, picture: bytes) -> None:
        """Add a picture; a time before the newest one clears the buffer."""
        if self._pictures and at < self._pictures[-1][0]:
            self._pictures.clear()
            self.bytes = 0
        self._pictures.append((at, picture))
        self.bytes += len(picture)
        oldest = at - self._seconds
        while self._pictures[0][0] < oldest or self.bytes > MOST_BYTES:
            self.bytes -= len(self._pictures.popleft()[1])

    def since(self, at: float, until: float = float("inf")) -> list[Picture]:
        """Return the pictures between two times, both included."""
        return [picture for picture in self._pictures if at - _HAIR <= picture[0] <= until + _HAIR]


class ConstantRateWriter:
    """Write timestamped pictures into a video of constant frame rate."""

    def __init__(self, film: VideoWriter, fps: float) -> None:
        self._film = film
        self._clock = Sampler(fps, fps)
        self._longest = int(_LONGEST_STILL_SECONDS * fps) + 1

    def add(self, at: float, picture: bytes) -> None:
        """Add a picture, repeated as its time requires; a long gap is not filled completely."""
        ticks = self._clock.take(at)
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        for _ in range(min(ticks, self._longest)):
            self._film.write(image)

    def add_all(self, pictures: Iterable[Picture]) -> None:
        """Add pictures in the order of their times."""
        for at, picture in pictures:
            self.add(at, picture)


def jpeg(bgr: Image) -> bytes:
    """Return a picture encoded as JPEG, as the buffer holds it."""
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def timestamp_name(source: Source, at: float, now: float) -> str:
    """Return a time of a source as used in file names.

    That is the wall clock, or the position in a recording; `now` is the time of its newest picture.
    """
    if not source.live:
        return f"{at:010.3f}s"
    return utc(time.time() - (now - at)).replace("-", "").replace(":", "")


def free_path(folder: Path, stem: str) -> Path:
    """Return the path of a clip that does not exist yet."""
    path, number = folder / f"{stem}.mp4", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.mp4"
    return path
