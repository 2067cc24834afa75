"""Vectors as text: a table with a vector on each line, or one line after the other of a stream.

Numbers are divided by commas, semicolons, tabs or spaces; the first line may name the columns.  A
line may also be JSON: `[1.5, 2, null]` or `{"time": 0.1, "values": [1.5, 2, null]}`.  A column
`time` (`t`, `timestamp`) holds seconds; its unit may follow: `time_ms`.  Missing values are NaN.
"""

import contextlib
import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.errors import SourceError
from seqvision_edge.option_fields import shortened
from seqvision_edge.sanitize import why_unseen

Values = NDArray[np.float32]

_TIME: Final = re.compile(r"(?:time|t|timestamp|timestamps|seconds|elapsed)(?:_?(s|sec|ms|us|ns))?")
_UNITS: Final = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# Steps of so many seconds are milliseconds, or a counter, in a column that does not name its unit.
_LONG_STEP: Final = 5.0
_NUMBERING: Final = frozenset(("", "index", "idx", "frame", "frame_number", "frame_id", "frames",
                               "row", "unnamed_0", "sample"))  # fmt: skip
_MISSING: Final = frozenset(("", "nan", "na", "n/a", "null", "none", "-", "?", "missing"))
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_WITH_COMMA: Final = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?", re.ASCII)
_SPACES: Final = " "
_MOST_NESTED: Final = 4


@dataclass(frozen=True)
class TextTable:
    """A table of numbers, NaN where there are none.

    Attributes:
        values: `(rows, columns)` float64, without the column of times.
        names: of the columns, if the first line has them.
        times: seconds of each row, if a column has them.
        note: what a user may not expect; "" for nothing.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...] | None
    times: NDArray[np.float64] | None
    note: str = ""


def decode_text(content: bytes, where: str) -> str:
    """Return the content of a text file: UTF-8, UTF-16 with a mark, or else Latin-1.

    Raises:
        SourceError: it is no text.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content[:4096]:
        raise SourceError(f"{where}: not a text file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_table(text: str, where: str) -> TextTable:
    """Read a table of numbers, a vector in each row.

    Raises:
        SourceError: no numbers in it, a row of another length, or a cell that is no number.
    """
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and line.lstrip()[0] not in "#%"
    ]
    if not lines:
        raise SourceError(f"{where}: empty, no numbers in it")
    if lines[0][1].lstrip()[0] in "[{":
        return _read_json_lines(lines, where)
    layout = Layout.of([line for _, line in lines[:2]])
    names = layout.names(lines[0][1])
    rows = lines[1:] if names is not None else lines
    if not rows:
        raise SourceError(f"{where}: only names in it, no numbers")
    cells = [layout.cells(line) for _, line in rows]
    width = len(names) if names is not None else len(cells[0])
    for (number, _), row in zip(rows, cells, strict=True):
        if len(row) != width:
            raise SourceError(
                f"{where}, line {number}: {len(row)} numbers, the lines before have {width}"
            )
    values = _numbers(cells, layout, [number for number, _ in rows], names, where)
    return _without_time(values, names, where)


def _read_json_lines(lines: Sequence[tuple[int, str]], where: str) -> TextTable:
    found = [json_line(line, f"{where}, line {number}") for number, line in lines]
    width = len(found[0].values)
    for (number, _), each in zip(lines, found, strict=True):
        if len(each.values) != width:
            raise SourceError(
                f"{where}, line {number}: {len(each.values)} numbers, the lines before have {width}"
            )
    timed = [each.time for each in found if each.time is not None]
    if timed and len(timed) < len(found):
        raise SourceError(f"{where}: some lines have a time, others have none")
    values = np.stack([each.values for each in found]).astype(np.float64)
    return TextTable(values, None, np.array(timed) if timed else None)


@dataclass(frozen=True)
class Layout:
    """What divides the numbers of a line; a comma that does not is a decimal mark."""

    delimiter: str

    @classmethod
    def of(cls, lines: Sequence[str]) -> "Layout":
        """Detect the layout of the first lines: a header, numbers, or both."""
        for delimiter in ";\t":
            if any(delimiter in line.strip() for line in lines):
                return cls(delimiter)
        words = lines[-1].split()
        divides = any("," in line for line in lines)
        if divides and not (len(words) > 1 and any(map(_WITH_COMMA.fullmatch, words))):
            return cls(",")
        return cls(_SPACES)

    def cells(self, line: str) -> list[str]:
        """Return the cells of a line; a semicolon or tab may end it."""
        if self.delimiter == _SPACES:
            return line.split()
        plain = line.rstrip("\r\n")
        found = plain.split(self.delimiter)
        if '"' in plain:
            with contextlib.suppress(csv.Error):  # an endless cell, or one with a zero byte
                rows = csv.reader([plain], delimiter=self.delimiter, skipinitialspace=True)
                found = next(rows, found)
        cells = [cell.strip() for cell in found]
        # After a comma an empty cell is a missing value; scripts end lines with the others.
        ends_empty = self.delimiter != "," and len(cells) > 1 and not cells[-1]
        return cells[:-1] if ends_empty and self._ends(line) else cells

    def _ends(self, line: str) -> bool:
        return line.rstrip("\r\n ").endswith(self.delimiter)

    def number(self, cell: str) -> float | None:
        """Return a cell as a number, NaN where it is missing; None for text."""
        # Where commas divide, one in a cell stood between quotes.
        plain = cell.replace(",", ".") if _WITH_COMMA.fullmatch(cell) else cell
        if _NUMBER.fullmatch(plain):
            return float(plain)
        if plain.casefold() in _MISSING:
            return math.nan
        return float(plain) if _INFINITE.fullmatch(plain) else None

    def names(self, line: str) -> tuple[str, ...] | None:
        """Return the names of the columns in a first line; None where it has numbers."""
        cells = self.cells(line)
        found = [self.number(cell) for cell in cells]
        if all(value is not None for value in found):
            return None
        numbers = sum(value is not None and not math.isnan(value) for value in found)
        return tuple(cells) if not numbers or 2 * numbers < len(cells) else None


def _numbers(
    cells: Sequence[Sequence[str]],
    layout: Layout,
    lines: Sequence[int],
    names: Sequence[str] | None,
    where: str,
) -> NDArray[np.float64]:
    shape = len(cells), len(cells[0])
    flat = list(chain.from_iterable(cells))
    if all(cell.isascii() and "_" not in cell for cell in flat):
        try:  # in C, where every cell is a plain number
            return np.array(flat).astype(np.float64).reshape(shape)
        except ValueError:
            pass
    found = np.empty(shape)
    time = time_column(names) if names is not None else None
    for row, (line, texts) in enumerate(zip(lines, cells, strict=True)):
        for column, cell in enumerate(texts):
            value = layout.number(cell)
            if value is None and time is not None and time[0] == column:
                value = _clock_time(cell)
            if value is None:
                name = f"column {names[column]!r}" if names is not None else f"column {column + 1}"
                hint = (
                    "; leave out columns of text: the label of a clip is that of its folder or list"
                    if names is not None and not row
                    else ""
                )
                raise SourceError(
                    f"{where}, line {line}: {shortened(cell)!r} in {name} is not a number{hint}"
                )
            found[row, column] = value
    return found


def _clock_time(text: str) -> float | None:
    """Return the seconds of a date with a time, as ISO 8601 writes it; None for another text."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _without_time(
    values: NDArray[np.float64], names: tuple[str, ...] | None, where: str
) -> TextTable:
    """Take the column of times, and one that only counts the rows, out of a table with names."""
    if names is None:
        return TextTable(values, None, None)
    times = None
    note = ""
    kept = list(range(len(names)))
    found = time_column(names)
    if found is not None:
        column, scale = found
        times = checked_times(values[:, column] * scale, where, scale_given=scale != 1.0
                              or bare(names[column]).endswith(("s", "sec")))  # fmt: skip
        kept.remove(column)
    for column in list(kept):
        steps = np.diff(values[:, column])
        counts = len(steps) > 1 and bool((steps == steps[0]).all()) and steps[0] > 0
        if bare(names[column]) in _NUMBERING and counts and len(kept) > 1:
            kept.remove(column)
            note = f"column {names[column]!r} only counts the rows: left out"
    if not kept:
        raise SourceError(f"{where}: only times in it, no other column")
    return TextTable(values[:, kept], tuple(names[column] for column in kept), times, note)


def bare(name: str) -> str:
    """Return the name of a column in small letters, other signs as one underscore."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def time_column(names: Sequence[str]) -> tuple[int, float] | None:
    """Return which column holds times, and its unit in seconds; None if none does."""
    for column, name in enumerate(names):
        match = _TIME.fullmatch(bare(name))
        if match:
            return column, _UNITS[match[1] or "s"]
    return None


def checked_times(
    times: NDArray[np.float64], where: str, scale_given: bool = False
) -> NDArray[np.float64]:
    """Return times that start at 0.

    Raises:
        SourceError: one is missing, they fall, or their unit cannot be seconds.
    """
    if not np.isfinite(times).all():
        row = int(np.flatnonzero(~np.isfinite(times))[0])
        raise SourceError(f"{where}: the time of row {row + 1} is missing")
    steps = np.diff(times)
    if (steps < 0).any():
        row = int(np.flatnonzero(steps < 0)[0]) + 2
        raise SourceError(
            f"{where}: the time of row {row}, {times[row - 1]:.10g}, is before that of the row "
            "above; sort the rows by time, and give each recording a file of its own"
        )
    if len(steps) and not scale_given and float(np.median(steps)) > _LONG_STEP:
        raise SourceError(
            f"{where}: its times are {float(np.median(steps)):.3g} apart; in which unit? call the "
            "column time_ms, time_us or time_ns, or time_s if they are seconds"
        )
    return times - times[0]


def printable_names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return names that can be kept in a card: each short, visible and given once; else None."""
    if names is None or len(set(names)) < len(names):
        return None
    good = all(name and name == name.strip() and len(name) <= 128 and why_unseen(name) is None
               for name in names)  # fmt: skip
    return tuple(names) if good else None


# Lines of a stream ------------------------------------------------------------------------------


@dataclass(frozen=True)
class VectorLine:
    """One vector of a stream: its values `(features,)` float32, and its time in seconds, if any."""

    values: Values
    time: float | None = None


class LineReader:
    """Parse the lines of a stream, one by one; the first may name the columns."""

    def __init__(self, features: int, names: Sequence[str] | None, where: str) -> None:
        """Expect vectors of so many features, in the order of `names`, if they are known."""
        self._features, self._names, self._where = features, names, where
        self._layout: Layout | None = None
        self._order: list[int] | None = None
        self._time: tuple[int, float] | None = None
        self._is_first = True

    def read(self, line: str, number: int) -> VectorLine | None:
        """Return a line's vector; None for an empty line, a comment or the names of the columns.

        Raises:
            SourceError: it is no vector, or one of another length.
        """
        text = line.strip().lstrip("\ufeff")
        if not text or text[0] in "#%":
            return None
        where = f"{self._where}, line {number}"
        if text[0] in "[{":
            self._is_first = False
            return self._checked(json_line(text, where), where)
        layout = self._layout or Layout.of([text])
        if self._is_first:
            self._is_first = False
            names = layout.names(text)
            if names is not None:
                self._use_names(names, where)
                # The decimal mark is that of a line of numbers.
                self._layout = None
                return None
        if self._layout is None:
            self._layout = layout
        cells = layout.cells(text)
        found = []
        for column, cell in enumerate(cells):
            value = layout.number(cell)
            if value is None and self._time is not None and column == self._time[0]:
                value = _clock_time(cell)
            if value is None:
                raise SourceError(
                    f"{where}: {shortened(cell)!r} (column {column + 1}) is not a number"
                )
            found.append(value)
        values = np.array(found)
        if self._order is None:
            return self._checked(VectorLine(_float32(values, where)), where)
        width = len(self._order) + (self._time is not None)
        if len(values) < max(self._order, default=0) + 1 or len(values) < width:
            raise SourceError(f"{where}: {len(values)} numbers, the first line has {width} names")
        time = None
        if self._time is not None:
            time = float(values[self._time[0]] * self._time[1])
            if not math.isfinite(time):
                raise SourceError(f"{where}: its time is missing")
        return VectorLine(_float32(values[self._order], where), time)

    def _use_names(self, names: Sequence[str], where: str) -> None:
        self._time = time_column(names)
        skipped = {self._time[0]} if self._time is not None else set()
        columns = [index for index in range(len(names)) if index not in skipped]
        if self._names is not None:
            self._order = [
                columns[index]
                for index in order_of([names[column] for column in columns], self._names, where)
            ]
            return
        if len(columns) != self._features:
            raise SourceError(
                f"{where}: {len(columns)} columns, the model reads {self._features} features"
            )
        self._order = columns

    def _checked(self, line: VectorLine, where: str) -> VectorLine:
        if len(line.values) != self._features:
            hint = ""
            if len(line.values) == self._features + 1 and line.time is None:
                hint = (
                    '; a time needs a first line with names (time,…), or {"time": …, "values": …}'
                )
            raise SourceError(
                f"{where}: {len(line.values)} numbers, the model reads {self._features}{hint}"
            )
        return line


def order_of(names: Sequence[str], expected: Sequence[str], where: str) -> list[int]:
    """Return for each expected name the column that has it; others may be there.

    Raises:
        SourceError: one is not there.
    """
    columns = {name: index for index, name in enumerate(names)}
    missing = [name for name in expected if name not in columns]
    if not missing:
        return [columns[name] for name in expected]
    shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    there = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    raise SourceError(f"{where}: no column {shown} (columns found: {there})")


def json_line(text: str, where: str) -> VectorLine:
    """Return the vector of a line of JSON: a list, or an object with values and a time.

    Raises:
        SourceError: it is neither.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise SourceError(f"{where}: not valid JSON") from None
    time = None
    if isinstance(given, dict):
        times = [given[key] for key in ("time", "t", "timestamp") if given.get(key) is not None]
        found = [given[key] for key in ("values", "features", "landmarks", "data") if key in given]
        if len(found) != 1 or len(times) > 1:
            raise SourceError(f'{where}: an object is {{"time": seconds, "values": [numbers]}}')
        given = found[0]
        if times:
            time = times[0]
            if isinstance(time, bool) or not isinstance(time, int | float):
                raise SourceError(f"{where}: its time is not a number of seconds")
            time = _finite_float(time, where)
    return VectorLine(json_vector(given, where), time)


def json_vector(given: Any, where: str) -> Values:
    """Return a list of numbers, nested or not, as a vector; null is a missing value.

    Raises:
        SourceError: it is none.
    """
    found = list(_flat(given, where)) if isinstance(given, list) else []
    if not found:
        raise SourceError(f"{where}: a vector is a list of numbers")
    return _float32(np.array(found, np.float64), where)


def _flat(given: list[Any], where: str, depth: int = 1) -> Iterator[float]:
    for value in given:
        if isinstance(value, list) and depth < _MOST_NESTED:
            yield from _flat(value, where, depth + 1)
        elif value is None:
            yield math.nan
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise SourceError(f"{where}: {shortened(str(value))!r} in a vector is not a number")
        else:
            yield float(value) if abs(value) < 1e300 or value != value else math.inf


def _finite_float(value: float, where: str) -> float:
    if not abs(value) < 1e15:
        raise SourceError(f"{where}: its time is not a number of seconds")
    return float(value)


def _float32(values: NDArray[np.float64], where: str) -> Values:
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    if np.isinf(small).any():
        raise SourceError(f"{where}: an infinite value; write nan for a missing one")
    return small
