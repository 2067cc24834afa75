"""What a person marked in a video: a CSV of moments or frames, or the JSON of a truth.

start,end,label          seconds (2.7) or a clock (1:02:07.35); the end is not a part
start_frame,end_frame,label     numbers from 0; both frames are a part
{"events": [{"label": …, "start": seconds, "end": seconds}, …]}
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from seqvision.errors import DataError
from seqvision_edge.card import Label
from seqvision_edge.errors import SourceError
from seqvision_edge.score import read_truth
from seqvision_edge.wording import first_problem

_LABEL: Final = TypeAdapter(Label)
_MOMENTS, _FRAMES = ("start", "end"), ("start_frame", "end_frame")


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
        Mark(event.label, event.start, event.end, f"{path}, event {number}")
        for number, event in enumerate(events, start=1)
    ]


def _csv(path: Path) -> list[Mark]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            there = set(reader.fieldnames or ())
            pair = _FRAMES if set(_FRAMES) <= there else _MOMENTS
            missing = [name for name in (*pair, "label") if name not in there]
            if missing:
                raise DataError(f"{path}: the first line lacks the column {missing[0]}")
            return [_row(row, pair, f"{path}, line {reader.line_num}") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _row(row: dict[str, str | None], pair: tuple[str, str], where: str) -> Mark:
    label, *texts = ((row[name] or "").strip() for name in ("label", *pair))
    in_frames = pair == _FRAMES
    moments = []
    for name, text in zip(pair, texts, strict=True):
        value = _number(text) if in_frames else _seconds(text)
        if value is None:
            kind = "the number of a frame" if in_frames else "seconds, or a clock such as 1:02.5"
            raise DataError(f"{where}: {name} is {text!r}, must be {kind}")
        moments.append(value)
    start, end = moments
    return Mark(label, start, end + 1 if in_frames else end, where, in_frames)


def _number(text: str) -> float | None:
    return int(text) if text.isdecimal() else None


def _seconds(text: str) -> float | None:
    """Read 7.35, 2:07.35 or 1:02:07.35."""
    total = 0.0
    parts = text.split(":")
    try:
        for place, part in enumerate(parts):
            value = float(part)
            is_last = place == len(parts) - 1
            if not math.isfinite(value) or value < 0 or (place and value >= 60):
                return None
            if not is_last and not part.isdecimal():
                return None
            total = 60 * total + value
    except ValueError:
        return None
    return total if len(parts) <= 3 else None
