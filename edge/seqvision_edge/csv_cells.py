"""Read and write CSV cells such that no spreadsheet executes them as formulas.

A text that a spreadsheet would take for a formula gets a leading apostrophe, as a user would type
it there; reading removes it again.  Plain numbers are not changed.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

# Spreadsheets also accept the full-width forms of East Asian keyboards.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-](\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def inert(cell: Any) -> Any:
    """Return a cell in the written form: never a formula; non-text values are unchanged."""
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def as_meant(cell: str) -> str:
    """Return the original text of a cell written by `inert(cell)`."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def write_rows(file: IO[str], rows: Iterable[Iterable[Any]], end: str = "\r\n") -> None:
    """Write rows of cells."""
    csv.writer(file, lineterminator=end).writerows(map(inert, row) for row in rows)


def write_dicts(
    file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]], end: str = "\r\n"
) -> None:
    """Write a first line with the columns, and the cells of each row under them."""
    write_rows(file, [columns], end)
    write_rows(file, ([row.get(name, "") for name in columns] for row in rows), end)


def read_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the cells of each row as they were meant."""
    return _Rows(lines)


def dict_reader(lines: Iterable[str], restval: str | None = None) -> "csv.DictReader[str]":
    """Return a reader of rows with a first line of columns, whose cells are as they were meant."""
    reader: csv.DictReader[str] = csv.DictReader(lines, restval=restval)
    rows: Any = _Rows(lines)
    reader.reader = rows
    return reader


class _Rows:
    """As `csv.reader`, with the cells as they were meant."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rows = csv.reader(lines)

    @property
    def line_num(self) -> int:
        """How many lines were read."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        return [as_meant(cell) for cell in next(self._rows)]
