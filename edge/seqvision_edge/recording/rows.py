"""The list of takes, `clips.csv`: read and written with whatever columns it has."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision_edge.csv_cells import dict_reader, write_dicts
from seqvision_edge.errors import RecordingError

LIST_NAME = "clips.csv"
# What a run collected; see collected.py.
COLLECTED_NAME = "collected.csv"
COLUMNS = ("path", "label", "group")

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns of a list, and its rows in their order."""

    columns: tuple[str, ...] = COLUMNS
    rows: tuple[Row, ...] = ()


def read_rows(path: Path) -> Rows:
    """Return what a list has; none where there is no such file.

    Raises:
        RecordingError: it is no list of clips, or cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = dict_reader(file, restval="")
            columns = tuple(reader.fieldnames or ())
            missing = {"path", "label"} - set(columns)
            if missing:
                raise RecordingError(f"{path}: the first line has no column {min(missing)}")
            # A cell beyond the columns has no name, and comes under None.
            rows = [{name: row[name] for name in columns} for row in reader]
    except FileNotFoundError:
        return Rows()
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a readable CSV ({error})") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from None
    return Rows(columns, tuple(rows))


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write a list.

    Raises:
        OSError: it cannot be written, as on a full disk.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        write_dicts(file, columns, rows, "\n")
