"""Annotations of a video → labelled parts of it, and the list of clips.

start,end,label          seconds (2.7) or a clock (1:02:07.35); the end is not a part
start_frame,end_frame,label     numbers from 0; both frames are a part
{"events": [{"label": …, "start": seconds, "end": seconds}, …]}
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from seqvision.console import print_note
from seqvision.data.clips import normal
from seqvision.data.datasets.clip_list import (
    COLUMNS,
    LIST_NAME,
    PARTS_OF_A_VIDEO,
    columns_of,
)
from seqvision.data.datasets.list_times import times_of
from seqvision.data.datasets.table import read_table, unused_note
from seqvision.errors import DataError
from seqvision_edge.card import Label
from seqvision_edge.csv_cells import write_dicts
from seqvision_edge.errors import SourceError
from seqvision_edge.event_metrics import read_truth
from seqvision_edge.files import alone_in, atomic_write, is_held
from seqvision_edge.option_fields import first_problem
from seqvision_edge.recording.take_list import NAME, locked
from seqvision_edge.regions import Region, named, parse_region

_LABEL: Final = TypeAdapter(Label)
_MARK_COLUMNS = {
    **{name: COLUMNS[name] for name in ("label", *PARTS_OF_A_VIDEO)},
    "view": ("region",),
}

_SEED = 0

_LIST_COLUMNS = ("path", "label", "group")


@dataclass(frozen=True)
class Mark:
    """A labelled part of a video.

    Attributes:
        start, end: seconds, or numbers of frames where `in_frames`; the end is not a part.
        where: its position in the file, for messages.
        view: the name of the region that it is about; "" if none is given.
    """

    label: str
    start: float
    end: float
    where: str
    in_frames: bool = False
    view: str = ""


def read_marks(path: Path) -> list[Mark]:
    """Read the marks of a video, by their start.

    Raises:
        DataError: the file cannot be read, marks nothing, or a row makes no sense; with its line.
    """
    marks = _json(path) if path.suffix.lower() == ".json" else _csv(path)
    if not marks:
        raise DataError(f"{path}: nothing is marked in it")
    for mark in marks:
        check_label(mark.where, mark.label)
        if not 0 <= mark.start < mark.end:
            last = mark.end - 1 if mark.in_frames else mark.end
            raise DataError(f"{mark.where}: from {mark.start:g} to {last:g} is no part of a video")
    return sorted(marks, key=lambda mark: (mark.start, mark.end))


def regions_of(texts: Sequence[str]) -> tuple[Region, ...]:
    """Return the regions of --region; none: the whole picture.

    Raises:
        SourceError: a text is no region, or two have one name.
    """
    return named(map(parse_region, texts))


def check_views(marks: Sequence[Mark], texts: Sequence[str]) -> None:
    """Refuse marks of which is not known in which region of --region they are.

    Raises:
        DataError: there are such.
        SourceError: a text is no region.
    """
    names = [region.name for region in regions_of(texts)]
    for mark in marks if names else ():
        if mark.view not in names and (mark.view or len(names) > 1):
            given = f"view is {mark.view!r}" if mark.view else "view is missing"
            raise DataError(f"{mark.where}: {given}; the regions are {', '.join(names)}")


def check_label(where: str, label: str) -> None:
    """Refuse a label that no model could have.

    Raises:
        DataError: it is such a label.
    """
    try:
        _LABEL.validate_python(label)
    except ValidationError as error:
        raise DataError(f"{where}: label {label!r}: {first_problem(error)[1]}") from None


def _json(path: Path) -> list[Mark]:
    try:
        events = read_truth(path)
    except SourceError as error:
        raise DataError(str(error).removeprefix("--truth ")) from None
    return [
        Mark(
            normal(event.label),
            event.start,
            event.end,
            f"{path}, event {number}",
            view=event.view,
        )
        for number, event in enumerate(events, start=1)
    ]


def _csv(path: Path) -> list[Mark]:
    table = read_table(path, _MARK_COLUMNS)
    for note in (*table.notes, *unused_note(table)):
        print_note(note)
    times = times_of(table)
    in_frames = times.in_frames
    table.require(*(("start_frame", "end_frame") if in_frames else ("start",)), "label")
    if not in_frames and not times.end and not times.duration:
        table.require("end")
    marks = []
    for row in table.rows:
        for column in (times.start, times.end or times.duration):
            if not row[column]:
                raise DataError(f"{row.where}: {column} is empty")
        cut = times.cut(row)
        assert cut is not None, "it has a start"
        assert cut.end is not None, "it has an end"
        label, view = normal(row["label"]), row["view"]
        marks.append(Mark(label, cut.start, cut.end, row.where, in_frames, view))
    return marks


@dataclass(frozen=True)
class Segment:
    """Frames from `first` up to, but without, `last`, that become a clip, maybe of a region."""

    label: str
    first: int
    last: int
    where: str = ""
    region: Region | None = None

    @property
    def frames(self) -> int:
        """How many they are."""
        return self.last - self.first


def parts_of(marks: Sequence[Mark], times: Sequence[float]) -> list[Segment]:
    """Return the frames of each mark, those nearest to its moments; at least one.

    A mark that goes on after the last frame ends with it.

    Args:
        marks: what was marked.
        times: of every frame of the video, in seconds, rising.
    """
    # The frame nearest to a moment begins half a frame before it.
    middles = [(one + two) / 2 for one, two in pairwise(times)]
    parts = []
    for mark in marks:
        first, last = int(mark.start), int(mark.end)
        if not mark.in_frames:
            first, last = (int(np.searchsorted(middles, m, "left")) for m in (mark.start, mark.end))
            period = (times[-1] - times[0]) / max(1, len(times) - 1)
            if mark.end > times[-1] + period / 2:
                last = len(times)
        parts.append(Segment(mark.label, first, min(max(last, first + 1), len(times)), mark.where))
    return parts


def between(
    parts: Sequence[Segment], frames: int, margin: int, most: int, label: str
) -> list[Segment]:
    """Return parts in which nothing is marked, as long as the marked ones, spread over the video.

    Their lengths are those of the marked parts in a drawn order (always the same one), so that a
    length does not depend on the label.

    Args:
        parts: the marked ones.
        frames: how many the video has.
        margin: frames that stay free before and after each marked part.
        most: maximum count.
        label: of what is returned.
    """
    lengths = sorted(part.frames for part in parts)
    drawn = np.random.default_rng(_SEED).permutation(lengths).tolist()
    found: list[Segment] = []
    for begin, end in _gaps(parts, frames, margin):
        while end - begin >= lengths[0]:
            index = drawn[len(found) % len(drawn)]
            length = index if index <= end - begin else lengths[0]
            found.append(Segment(label, begin, begin + length))
            begin += length
    if len(found) <= most:
        return found
    return [
        found[position] for position in np.linspace(0, len(found) - 1, most).round().astype(int)
    ]


def _gaps(parts: Sequence[Segment], frames: int, margin: int) -> Iterator[tuple[int, int]]:
    """Yield where nothing is marked: the first frame, and the one after the last."""
    free = 0
    for part in sorted(parts, key=lambda part: part.first):
        if part.first - margin > free:
            yield free, part.first - margin
        free = max(free, part.last + margin)
    if frames > free:
        yield free, frames


def read_clip_rows(folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a folder's list; those of a new one where there is none.

    Raises:
        DataError: it cannot be read, or is no such list.
    """
    path = folder / LIST_NAME
    if not path.exists():
        return list(_LIST_COLUMNS), []
    table = read_table(path, dict.fromkeys(_LIST_COLUMNS, ()))
    columns = list(table.columns)
    if not {"path", "label"} <= set(columns):
        raise DataError(f"{path}: exists without the columns path,label")
    return columns, [{name: row[name] for name in columns} for row in table.rows]


@contextmanager
def lock_list(folder: Path) -> Iterator[None]:
    """Hold a folder and its list: two that add clips at once would lose each other's rows.

    The folder is made where there is none.

    Raises:
        DataError: it cannot be written to, or another process adds clips to it.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            is_free = held.enter_context(alone_in(folder))
            # A live run with --clips holds the list itself.
            with suppress(FileNotFoundError):
                listed = held.enter_context((folder / LIST_NAME).open("rb"))
                is_free = is_free and not is_held(listed.fileno())
        except OSError as error:
            raise DataError(f"--output {folder}: cannot be written ({error.strerror})") from None
        if not is_free:
            raise DataError(
                f"--output {folder}: another process adds clips to it; wait for it to end, "
                "or name another folder"
            )
        yield


def list_parts(video: Path, folder: Path, parts: Sequence[Segment], group: str) -> Path:
    """Add parts of a video to a folder's list, by their frames, and return the list.

    Raises:
        DataError: a part is listed already, or the list names parts in seconds.
    """
    try:
        name = Path(os.path.relpath(video.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        name = video.resolve().as_posix()
    path = folder / LIST_NAME
    if path.exists() and {"start", "end"} & set(columns_of(path)):
        raise DataError(
            f"{path}: names parts of videos in seconds (start,end), --list-only in frames; "
            "another --output"
        )
    rows = [
        {
            "path": name,
            "label": part.label,
            "group": group,
            "start_frame": str(part.first),
            "end_frame": str(part.last - 1),
            **({} if part.region is None else {"region": part.region.numbers}),
        }
        for part in parts
    ]
    keys = ("path", "label", "start_frame", "end_frame", "region")
    there = {tuple(row.get(key, "") for key in keys) for row in read_clip_rows(folder)[1]}
    for row in rows:
        if tuple(row.get(key, "") for key in keys) in there:
            raise DataError(
                f"{path}: has frames {row['start_frame']} to {row['end_frame']} of {name} already"
            )
    return add_rows(folder, rows)


def add_rows(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write the list with more rows, in one step.

    Raises:
        OSError: it cannot be written.
        DataError: the one that is there cannot be read.
    """
    path = folder / LIST_NAME
    # Takes may be recorded into the same folder.
    with locked(folder) if (folder / NAME).exists() else nullcontext():
        columns, kept = read_clip_rows(folder)
        needed = dict.fromkeys((*_LIST_COLUMNS, *(name for row in rows for name in row)))
        columns += [name for name in needed if name not in columns]
        with (
            atomic_write(path) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            write_dicts(file, columns, [*kept, *rows])
    return path
