"""clips.csv, the list by which `train` reads a folder: rows are added, and what is there stays."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seqvision.data.readers.clip_list import LIST_NAME
from seqvision.data.readers.table import read_table
from seqvision.errors import DataError
from seqvision_edge.csv_cells import write_dicts
from seqvision_edge.files import replacing

_COLUMNS = ("path", "label", "group")


def read_list(folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a folder's list; those of a new one where there is none.

    Raises:
        DataError: it cannot be read, or is no such list.
    """
    path = folder / LIST_NAME
    if not path.exists():
        return list(_COLUMNS), []
    table = read_table(path, dict.fromkeys(_COLUMNS, ()))
    columns = list(table.columns)
    if not {"path", "label"} <= set(columns):
        raise DataError(f"{path}: is there and lacks the columns path,label")
    return columns, [{name: row[name] for name in columns} for row in table.rows]


def add_rows(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write the list with more rows, in one step.

    Raises:
        OSError: it cannot be written.
        DataError: the one that is there cannot be read.
    """
    columns, kept = read_list(folder)
    columns += [name for name in _COLUMNS if name not in columns]
    path = folder / LIST_NAME
    with (
        replacing(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        write_dicts(file, columns, [*kept, *rows])
    return path
