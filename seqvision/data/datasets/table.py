"""Tables as spreadsheets, scripts and people write them → rows with line numbers.

Any encoding with a byte order mark, else UTF-8, else Windows-1252; commas, semicolons, tabs or
bars; any line ends; with a header, in which a column may have one of many names, or without.  JSON
and JSON lines are tables too.  What cannot be read is refused by its cause.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqvision.data.file_kinds import is_image, is_video
from seqvision.errors import DataError
from seqvision_edge.csv_cells import as_meant
from seqvision_edge.hints import MODELS, archive

LAYOUT = "frames/<label>/<clip>.mp4"
SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".txt", ".lst", ".json", ".jsonl", ".ndjson")
_SHEETS = {
    b"PK\x03\x04": "a spreadsheet or archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip file",
    b"SQLite": "a database",
}
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DELIMITERS = ",;\t|"
_SHOWN = 8


@dataclass(frozen=True)
class Row:
    """One row: its cells under the names of their columns, `""` where it has none."""

    where: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return a cell, `""` where the table has no such column."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    Attributes:
        columns: names as `names` gives them; else as the file spells them.
        spelled: name → what the file calls it, of the columns with a name.
        unused: columns of the file that no name stands for.
        notes: what was assumed to read it.
        decimal_comma: whether `1,5` may be a number here: commas divide no cells.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    spelled: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False

    def require(self, *columns: str) -> None:
        """Refuse a table without one of the columns.

        Raises:
            DataError: the first one that it lacks, and those that it has.
        """
        for column in columns:
            if column not in self.columns:
                there = ", ".join([*self.spelled.values(), *self.unused][:_SHOWN]) or "none"
                raise DataError(
                    f"{self.path}: the first line has no column {column} (columns found: {there})"
                )


Names = Mapping[str, Sequence[str]]
"""Name of a column → how else it may be spelled, as `bare` returns it; the first found is taken."""

Headless = Callable[[Sequence[Sequence[str]]], Sequence[str] | None]
"""First rows of a table without a header → the names of its columns; None where it has one."""


def read_table(path: Path, names: Names, headless: Headless | None = None) -> Table:
    """Read a table.

    Args:
        path: a file.
        names: the columns that are known; others keep their name and are `unused`.
        headless: names the columns of a table whose first row is no header.

    Raises:
        DataError: the file cannot be read, or a row does not fit the header.
    """
    text, notes = read_text(path)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        return _from_objects(path, _objects(path, text), names, notes)
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    first = 1
    separator = re.match(r"[\ufeff]?\"?sep=(.)\"?\n", lines, re.IGNORECASE)
    if separator:  # Excel's own first line
        lines, first = lines[separator.end() :], 2
    delimiters = separator[1] if separator else _DELIMITERS
    known, delimiter = _delimiter(path, lines, delimiters, first, names)
    if headless is not None and known < min(2, len(names)):
        table = _headless(path, lines, first, delimiters, headless, names)
        if table is not None:
            return _with_notes(table, notes)
    rows = _cells(path, lines, delimiter, first)
    head = _without_mark(next(rows, (0, []))[1])
    spelled, unused = _assign(head, names)
    columns = {column: name for name, column in spelled.items()}
    columns |= {column: head[column] for column in unused}
    return Table(
        path,
        tuple(columns.values()),
        tuple(_rows(path, rows, columns, head)),
        {name: head[column] for name, column in spelled.items()},
        tuple(head[column] for column in unused),
        tuple(notes),
        delimiter != ",",
    )


def _delimiter(
    path: Path, lines: str, delimiters: str, first: int, names: Names
) -> tuple[int, str]:
    """Return the delimiter under which the first line has the most known columns, and how many."""
    scores: list[tuple[int, int, str]] = []
    problem: DataError | None = None
    for delimiter in delimiters:
        try:
            head = next(_cells(path, lines, delimiter, first), (0, []))[1]
        except DataError as error:  # quotes that another delimiter explains
            problem = problem or error
            continue
        scores.append((len(_assign(_without_mark(head), names)[0]), len(head), delimiter))
    if not scores:
        raise problem or DataError(f"{path}: not a CSV")
    known, _, delimiter = max(scores, key=lambda score: score[:2])
    return known, delimiter


def read_text(path: Path) -> tuple[str, list[str]]:
    """Return a file as text, and a note where its encoding had to be guessed.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    for magic, what in _SHEETS.items():
        if content.startswith(magic):
            raise DataError(f"{path}: {what}, not text; save it as CSV (comma or semicolon)")
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _decoded(path, content, encoding), []
    zeros = content[:2000].count(0)
    if zeros > 0.2 * len(content[:2000]):
        even = content[:2000:2].count(0)
        return _decoded(path, content, "utf-16-be" if even > zeros / 2 else "utf-16-le"), []
    if zeros:
        raise DataError(f"{path}: not text: zero bytes in it; save it as CSV")
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise DataError(f"{path}, line {line}: neither UTF-8 nor Windows-1252 text") from None
    if sum(not letter.isprintable() and not letter.isspace() for letter in text) > 0.01 * len(text):
        raise DataError(f"{path}, line {line}: not text; save it as CSV in UTF-8")
    return text, [f"{path}: not UTF-8 (line {line}), read as Windows-1252"]


def _decoded(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: damaged {encoding} text ({error.reason})") from None


def why_no_list(path: Path) -> str | None:
    """Return why a file cannot be a list, by its name, and what to do; None where it may be one."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return None
    if packed := archive(path):
        why = packed
    elif suffix in MODELS:
        why = f"a model, not clips; give the folder of the clips, such as {LAYOUT}"
    elif is_video(path.name):
        why = f"one video; give the folder of the clips, {LAYOUT}; a long one: seqvision segment"
    elif is_image(path.name):
        why = f"one image; give the folder of the clips, {LAYOUT}"
    elif suffix in (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"):
        why = "a spreadsheet; save it as a .csv list with the columns path,label"
    else:
        why = "neither a folder nor a .csv list"
    return f"{path}: {why}"


def bare(name: str) -> str:
    """Return a column's name without case, spaces, accents of form and brackets: `start_s`."""
    name = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[^\w]+", "_", name).strip("_")


def unused_note(table: Table) -> list[str]:
    """Return a note on the columns that nothing is read from."""
    few = [repr(name) for name in table.unused if name.strip()]
    if not few:
        return []
    names = ", ".join(few[:_SHOWN]) + (", …" if len(few) > _SHOWN else "")
    columns = f"columns {names} are" if len(few) > 1 else f"column {names} is"
    return [f"{table.path}: {columns} not used"]


# Cells and rows ---------------------------------------------------------------------------------


def _cells(path: Path, text: str, delimiter: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """Yield line and trimmed cells of each row that has some; comments are left out."""
    # A quote that is never closed would make one cell of all that follows.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=bool(text.count('"') % 2),
        skipinitialspace=True,
    )
    seen = False
    before = 0
    try:
        for cells in reader:
            line, before = first + before, reader.line_num
            cells = [as_meant(cell.strip().strip("\ufeff")) for cell in cells]
            while cells and not cells[-1]:
                cells.pop()
            if not cells or (cells[0].startswith("#") and _is_comment(cells, seen)):
                continue
            seen = True
            yield line, cells
    except csv.Error as error:
        line = first + before
        if "NUL" in str(error):
            raise DataError(f"{path}, line {line}: not text: zero bytes in it") from None
        raise DataError(f"{path}, line {line}: not a row of a CSV ({error})") from None


def _is_comment(cells: Sequence[str], seen: bool) -> bool:
    """Return whether a line is a comment, not a header `#path,label` or a file named `#…`."""
    return len(cells) < 2 or " " in cells[0].lstrip("# ") or (seen and cells[0].startswith("# "))


def _without_mark(head: Sequence[str]) -> list[str]:
    return [cell.lstrip("# ") if index == 0 else cell for index, cell in enumerate(head)]


def _assign(head: Sequence[str], names: Names) -> tuple[dict[str, int], list[int]]:
    """Return name → index of its column, and the indices that no name took."""
    bares = [bare(cell) for cell in head]
    taken: dict[str, int] = {}
    for name, others in names.items():
        for spelling in (name, *others):
            free = [p for p, b in enumerate(bares) if b == spelling and p not in taken.values()]
            if free:
                taken[name] = free[0]
                break
    rest = [index for index in range(len(head)) if index not in taken.values() and head[index]]
    return taken, rest


def _rows(
    path: Path,
    rows: Iterator[tuple[int, list[str]]],
    columns: Mapping[int, str],
    head: Sequence[str],
) -> Iterator[Row]:
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) > max(len(head), 1):
            raise DataError(
                f"{where}: {len(cells)} cells under {len(head)} columns; "
                'a cell with the delimiter in it must be in quotes: "a, b"'
            )
        yield Row(where, {name: cells[p] for p, name in columns.items() if p < len(cells)})


def _headless(
    path: Path, lines: str, first: int, delimiters: str, headless: Headless, names: Names
) -> Table | None:
    for delimiter in (*delimiters, " "):
        try:
            rows = list(_cells(path, lines, delimiter, first))
        except DataError:
            continue
        if delimiter == " ":
            rows = [(line, _last_apart(cells)) for line, cells in rows]
        if not rows or len(rows[0][1]) < 2:
            continue
        columns = headless([cells for _, cells in rows[:20]])
        if columns is None:
            continue
        named = dict(enumerate(columns))
        return Table(
            path,
            tuple(name for name in columns if name in names),
            tuple(_rows(path, iter(rows), named, columns)),
            {name: name for name in columns},
            (),
            (f"{path}: no header; its columns are read as {', '.join(columns)}",),
            delimiter != ",",
        )
    return None


def _last_apart(cells: Sequence[str]) -> list[str]:
    """Return `a b.mp4 wave` as a path with spaces and a label without one."""
    filled = [cell for cell in cells if cell]
    return [" ".join(filled[:-1]), filled[-1]] if len(filled) > 1 else list(filled)


# JSON -------------------------------------------------------------------------------------------


def _objects(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        if path.suffix.lower() == ".json":
            found = json.loads(text)
            if isinstance(found, dict):
                lists = [value for value in found.values() if isinstance(value, list)]
                found = lists[0] if len(lists) == 1 else None
            entries = [(f"{path}, entry {n}", entry) for n, entry in enumerate(found or (), 1)]
        else:
            entries = [
                (f"{path}, line {number}", json.loads(line))
                for number, line in enumerate(text.splitlines(), 1)
                if line.strip()
            ]
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise DataError(f"{path}, line {line}: not JSON ({getattr(error, 'msg', error)})") from None
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise DataError(f'{where}: not an object such as {{"path": …, "label": …}}')
    if not entries:
        raise DataError(f'{path}: no list of clips, such as [{{"path": …, "label": …}}, …]')
    return entries


def _from_objects(
    path: Path, entries: Sequence[tuple[str, dict[str, Any]]], names: Names, notes: list[str]
) -> Table:
    head = list(dict.fromkeys(key for _, entry in entries for key in entry))
    spelled, unused = _assign(head, names)
    columns = {head[column]: name for name, column in spelled.items()}
    columns |= {head[column]: head[column] for column in unused}
    rows = tuple(
        Row(where, {columns[key]: _text(value) for key, value in entry.items()})
        for where, entry in entries
    )
    return Table(
        path,
        tuple(columns.values()),
        rows,
        {name: head[column] for name, column in spelled.items()},
        tuple(head[column] for column in unused),
        tuple(notes),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with_notes(table: Table, notes: Sequence[str]) -> Table:
    return Table(
        table.path, table.columns, table.rows, table.spelled, table.unused,
        (*notes, *table.notes), table.decimal_comma,
    )  # fmt: skip
