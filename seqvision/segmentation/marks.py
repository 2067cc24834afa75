"""What a person marked in a video: a CSV of moments or frames, or the JSON of a truth.

start,end,label          seconds (2.7) or a clock (1:02:07.35); the end is not a part
start_frame,end_frame,label     numbers from 0; both frames are a part
{"events": [{"label": …, "start": seconds, "end": seconds}, …]}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from seqvision.console import print_note
from seqvision.data.labels import normal
from seqvision.data.readers.clip_list import COLUMNS, PARTS_OF_A_VIDEO, times_of
from seqvision.data.readers.table import read_table, unused_note
from seqvision.errors import DataError
from seqvision_edge.card import Label
from seqvision_edge.errors import SourceError
from seqvision_edge.score import read_truth
from seqvision_edge.wording import first_problem

_LABEL: Final = TypeAdapter(Label)
_COLUMNS = {name: COLUMNS[name] for name in ("label", *PARTS_OF_A_VIDEO)}


@dataclass(frozen=True)
class Mark:
    """A labelled part of a video.

    Attributes:
        start, end: seconds, or numbers of frames where `in_frames`; the end is not a part.
        where: its place in the file, for messages.
    """

    label: str
    start: float
    end: float
    where: str
    in_frames: bool = False


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
        Mark(normal(event.label), event.start, event.end, f"{path}, event {number}")
        for number, event in enumerate(events, start=1)
    ]


def _csv(path: Path) -> list[Mark]:
    table = read_table(path, _COLUMNS)
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
        marks.append(Mark(normal(row["label"]), cut.start, cut.end, row.where, in_frames))
    return marks
