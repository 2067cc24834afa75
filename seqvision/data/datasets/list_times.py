"""The columns of a list that name a part of a video, and how times are written."""

import re
from dataclasses import dataclass

from seqvision.data.clips import Cut
from seqvision.data.datasets.table import Row, Table, bare
from seqvision.errors import DataError
from seqvision_edge.number_parsing import parse_number

_WEAK = frozenset(("in", "from", "out", "to", "until", "offset", "stop", "t_0", "t_1"))
_UNIT = re.compile(r"(?i)\s*(ms|msec|s|sec|secs|seconds?)$")
_SPOKEN = re.compile(r"(?i)(?:(\d+)\s*h)?\s*(?:(\d+)\s*m(?:in)?)?\s*(?:(\d+(?:[.,]\d+)?)\s*s)?")


@dataclass(frozen=True)
class Times:
    """The columns with the part of a video that a clip is, and their unit."""

    start: str = ""
    end: str = ""
    duration: str = ""
    in_frames: bool = False
    scale: float = 1.0

    def cut(self, row: Row) -> Cut | None:
        """Return the part of a row's video.

        Raises:
            DataError: it is no part of a video.
        """
        start, end, duration = (
            self._value(row, column) for column in (self.start, self.end, self.duration)
        )
        if start is None and end is None and duration is None:
            return None
        start = start or 0.0
        if end is None and duration is not None:
            end = start + duration
        elif end is not None and self.in_frames:
            end += 1  # the last frame is a part
        if end is not None and end <= start:
            texts = [row[column] for column in (self.start, self.end or self.duration)]
            raise DataError(
                f"{row.where}: from {texts[0] or 0} to {texts[1]} is no part of a video: "
                "the end must come after the start"
            )
        return Cut(start, end, self.in_frames, row.where)

    def _value(self, row: Row, column: str) -> float | None:
        text = row[column] if column else ""
        if not text:
            return None
        value = frame_number(text) if self.in_frames else seconds(text)
        if value is None:
            kind = "the number of a frame, from 0" if self.in_frames else (
                "seconds from 0, or a clock such as 1:02.5")  # fmt: skip
            raise DataError(f"{row.where}: {column} is {text!r}, must be {kind}")
        return value * self.scale


def times_of(table: Table) -> Times:
    """Return the columns of the part of a video: seconds, else frames; never a length alone."""
    there = set(table.columns)
    for one, other in (("start", "end"), ("end", "start")):
        if one in there and other not in there and spelling(table, one) in _WEAK:
            there.discard(one)  # such a word alone may mean anything
    if there & {"start", "end"}:
        end = "end" if "end" in there else ""
        duration = "duration" if not end and "duration" in there else ""
        spelled = spelling(table, "start" if "start" in there else "end")
        scale = 0.001 if spelled.endswith(("_ms", "_msec", "_milliseconds")) else 1.0
        return Times("start" if "start" in there else "", end, duration, False, scale)
    if there & {"start_frame", "end_frame"}:
        names = [name if name in there else "" for name in ("start_frame", "end_frame")]
        return Times(names[0], names[1], in_frames=True)
    return Times()


def spelling(table: Table, name: str) -> str:
    """Return how the file spells a column, without case and the like; empty where it has none."""
    return bare(table.spelled.get(name, ""))


def seconds(text: str) -> float | None:
    """Return seconds or a clock as seconds; None where it is neither, or below 0."""
    text = text.strip().replace("\u2212", "-")
    scale = 1.0
    if ":" not in text and (unit := _UNIT.search(text)):
        number = text[: unit.start()]
        if _number(number) is not None:
            text, scale = number, 0.001 if unit[1].lower().startswith("m") else 1.0
    if (
        re.search("(?i)[hms]", text)
        and (spoken := _SPOKEN.fullmatch(text))
        and any(spoken.groups())
    ):
        hours, minutes, rest = (_number(part or "0") or 0.0 for part in spoken.groups())
        return 3600 * hours + 60 * minutes + rest
    total = 0.0
    parts = text.split(":")
    for index, part in enumerate(parts):
        value = _number(part)
        is_last = index == len(parts) - 1
        if value is None or value < 0 or (index and value >= 60):
            return None
        if not is_last and not part.isdecimal():
            return None
        total = 60 * total + value
    return total * scale if len(parts) <= 3 else None


def frame_number(text: str) -> int | None:
    """Return the number of a frame, from 0; `12.0` as pandas writes it is one too."""
    text = re.sub(r"[.,]0*$", "", text.strip())
    return int(text) if text.isdecimal() and text.isascii() else None


def _number(text: str) -> float | None:
    return parse_number(text.replace(",", ".", 1))
