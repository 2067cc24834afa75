"""A video clip of each event, from the newest pictures of its source.

    DIR/20261121T130405.123Z_camera_0_swipe_left.mp4
    DIR/clips.csv      path,label: `seqvision train DIR` reads it

The frames before an event are remembered as JPEG, up to a number of seconds and of bytes.
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
from seqvision_edge.video_writer import Film

LIST_NAME = "clips.csv"
# An activity may go on for hours.
_LONGEST_SECONDS = 60.0
# The answer for a frame, and with it an event, is known a little after the frame.
_SLACK_SECONDS = 1.0
# Times are sums of periods.
_HAIR = 1e-6

Picture = tuple[float, bytes]

# What is remembered of one source at most; beyond it the pictures before a moment are fewer.
MOST_BYTES = 64 << 20
_QUALITY = 95
_LONGEST_STILL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Margins:
    """Seconds of a clip before and after its event; `late` is how late an event is known."""

    before: float
    after: float
    late: float


class EventClips:
    """An outlet that records each event with the seconds around it, without any drawing."""

    def __init__(self, folder: Path, sources: Sequence[Source], margins: Margins) -> None:
        """Record into `folder`, which is made where its parent is there."""
        self.name = f"--clips {folder}"
        self.trouble = ""
        self._folder = folder
        self._list: _List | None = None
        self._recorders = {
            source.name: _Recorder(source, folder, margins, self._keep) for source in sources
        }

    def open(self) -> None:
        """Make the folder and its list.  Raises SinkError when they cannot be written."""
        try:
            self._folder.mkdir(exist_ok=True)
            sweep(self._folder)
            self._list = _List(self._folder)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"{self.name}: cannot be written ({why})") from None

    def pick(self, step: Step) -> Iterable[Step]:
        """Return the step."""
        return (step,)

    def send(self, step: Step) -> None:
        """Remember the frame, and record it where an event goes on.

        Raises:
            SinkError: a clip could not be written whole.
        """
        self._recorders[step.source].take(step)

    def stop(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Finish the clips of events that are over; others would lack their end."""
        for recorder in self._recorders.values():
            recorder.close()
        if self._list is not None:
            self._list.close()

    def _keep(self, path: Path, label: str) -> None:
        assert self._list is not None, "an outlet is open before anything is sent"
        self._list.add(path, label)


class _Recorder:
    """The past of one source, and the clips that are being recorded of it."""

    def __init__(
        self, source: Source, folder: Path, margins: Margins, keep: Callable[[Path, str], None]
    ) -> None:
        self._source = source
        self._folder = folder
        self._margins = margins
        self._keep = keep
        self._past = FrameBuffer(margins.before + margins.late + _SLACK_SECONDS)
        self._clips: list[_Clip] = []
        self._now = 0.0

    def take(self, step: Step) -> None:
        if step.frame is not None:
            self._now = step.frame.time
            picture = jpeg(step.frame.bgr)
            self._past.add(self._now, picture)
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
        """Give clips their names; all are tried before the first error is told."""
        errors = []
        for clip in clips:
            self._clips.remove(clip)
            try:
                if clip.film.close():
                    self._keep(clip.film.path, clip.label)
            except (SinkError, OSError) as error:
                errors.append(str(error))
        if errors:
            raise SinkError("; ".join(errors))

    def _clip_of(self, event: Event) -> "_Clip":
        """Return the clip of an event, begun with what is remembered where it is new."""
        for clip in self._clips:
            if (clip.label, clip.start) == (event.label, event.start):
                return clip
        film = Film(self._path(event), "--clips", self._source.fps)
        film.open()
        clip = _Clip(event, film, self._source.fps)
        for at, picture in self._past.since(event.start - self._margins.before):
            clip.add(at, picture)
        self._clips.append(clip)
        return clip

    def _path(self, event: Event) -> Path:
        """Return a new path, named by when the event began, the source and the label."""
        when = timestamp_name(self._source, event.start, self._now)
        stem = f"{when}_{file_part(self._source.name)}_{file_part(event.label)}"
        return free_path(self._folder, stem)


class _Clip:
    """One event that is being recorded; `until` is when the clip ends, once that is known."""

    def __init__(self, event: Event, film: Film, fps: float) -> None:
        self.label = event.label
        self.start = event.start
        self.until = float("inf")
        self.film = film
        self._filming = ConstantRateWriter(film, fps)

    @property
    def is_over(self) -> bool:
        return self.until < float("inf")

    def add(self, at: float, picture: bytes) -> None:
        # The rest of a long event is left out.
        if at > min(self.until, self.start + _LONGEST_SECONDS) + _HAIR:
            return
        self._filming.add(at, picture)


class _List:
    """The list of clips, with the columns that it has already."""

    def __init__(self, folder: Path) -> None:
        path = folder / LIST_NAME
        self._folder = folder
        self._columns = _columns(path) if path.exists() else []
        self._file = LineFile(path, self._is_torn)
        if self._file.is_empty:
            self._file.append("path,label")
        self._columns = _columns(path)
        if not {"path", "label"} <= set(self._columns):
            raise csv.Error(f"{LIST_NAME} exists without the columns path,label")

    def add(self, path: Path, label: str) -> None:
        row = io.StringIO()
        cells = {"path": path.name, "label": label}
        write_rows(row, [[cells.get(name, "") for name in self._columns]], "")
        self._file.append(row.getvalue())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _is_torn(self, line: bytes) -> bool:
        """Whether it is a piece of a row: no such clip, or no label."""
        cells = next(read_rows([line.decode(errors="replace")]), [])
        row = dict(zip(self._columns, cells, strict=False))
        there = bool(row.get("path")) and (self._folder / row["path"]).exists()
        return not (there and row.get("label"))


def _columns(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(dict_reader(file).fieldnames or ())


class FrameBuffer:
    """The pictures of the last seconds, bounded in seconds and in bytes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pictures: deque[Picture] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, at: float, picture: bytes) -> None:
        """Remember a picture; one of a time before the newest one begins anew."""
        if self._pictures and at < self._pictures[-1][0]:
            self._pictures.clear()
            self.bytes = 0
        self._pictures.append((at, picture))
        self.bytes += len(picture)
        oldest = at - self._seconds
        while self._pictures[0][0] < oldest or self.bytes > MOST_BYTES:
            self.bytes -= len(self._pictures.popleft()[1])

    def since(self, at: float, until: float = float("inf")) -> list[Picture]:
        """Return what is remembered of the pictures from one time to another, both included."""
        return [picture for picture in self._pictures if at - _HAIR <= picture[0] <= until + _HAIR]


class ConstantRateWriter:
    """Put pictures into a film of constant rate at their times."""

    def __init__(self, film: Film, fps: float) -> None:
        self._film = film
        self._clock = Sampler(fps, fps)
        self._longest = int(_LONGEST_STILL_SECONDS * fps) + 1

    def add(self, at: float, picture: bytes) -> None:
        """Add a picture as often as its time wants it; a silence is not filled for long."""
        ticks = self._clock.take(at)
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        for _ in range(min(ticks, self._longest)):
            self._film.write(image)

    def add_all(self, pictures: Iterable[Picture]) -> None:
        """Add pictures in the order of their times."""
        for at, picture in pictures:
            self.add(at, picture)


def jpeg(bgr: Image) -> bytes:
    """Return a picture as it is remembered."""
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def timestamp_name(source: Source, at: float, now: float) -> str:
    """Return a moment of a source, as names of files have it.

    That is the wall clock, or the place in a recording; `now` is the time of its newest picture.
    """
    if not source.live:
        return f"{at:010.3f}s"
    return utc(time.time() - (now - at)).replace("-", "").replace(":", "")


def free_path(folder: Path, stem: str) -> Path:
    """Return the path of a clip that is not there yet."""
    path, number = folder / f"{stem}.mp4", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.mp4"
    return path
