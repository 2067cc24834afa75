"""The folder of collected clips: their list, a budget of bytes, and what goes when it is full.

    DIR/20261121T130405.123Z_camera_0.mp4
    DIR/collected.csv      clip,label,confidence,reason,time,source,uncertainty

The list on the disk is all that is known: a run goes on with what is there, and a clip that was
taken away is no longer counted.  Clips that `clips.csv` names too were looked at: they belong to
who did that, are never removed and cost nothing of the budget.
"""

import contextlib
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqvision_edge.csv_cells import dict_reader, write_dicts
from seqvision_edge.errors import SinkError
from seqvision_edge.files import alone_in, atomic_write
from seqvision_edge.numerals import number

LIST_NAME = "collected.csv"
COLUMNS = ("clip", "label", "confidence", "reason", "time", "source", "uncertainty")
# As lists of before 0.2 had them.
_FORMER_COLUMNS = {"why": "reason", "doubt": "uncertainty"}
_LOOKED_AT = "clips.csv"

Row = dict[str, str]


class Collection:
    """The most useful clips that fit into a budget.

    A clip is the more useful, the more doubtful its answer was (`doubt`, 0 to 1), and the fewer
    there are of the label that the model gave it: one of n adds 1 / n.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        """Describe it; `budget` is in bytes."""
        self.folder = folder
        self._budget = budget
        self.kept: Counter[str] = Counter()
        self._held = contextlib.ExitStack()

    def open(self) -> None:
        """Make the folder where its parent is there, and read its list.

        Raises:
            SinkError: it cannot be written, or its list is none.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            if not self._held.enter_context(alone_in(self.folder)):
                self.close()
                raise SinkError(
                    f"--save-uncertain {self.folder}: in use by another run; name another folder"
                )
            self._write(self._read())
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"--save-uncertain {self.folder}: cannot be written ({why})") from None

    def close(self) -> None:
        """Let other runs collect into the folder."""
        with contextlib.suppress(OSError):
            self._held.close()

    def useful(self, label: str, doubt: float) -> float:
        """Return how useful one more clip would be."""
        return doubt + 1 / (1 + self.kept[label])

    def wants(self, label: str, uncertainty: float) -> bool:
        """Whether a clip would stay, as far as can be said before its size is known."""
        rows = self._mine(self._read())
        sizes = [_size(self.folder / row["clip"]) for row in rows]
        if not rows or sum(sizes) + sum(sizes) / len(sizes) <= self._budget:
            return True
        *others, own = _worths(
            [*rows, {"clip": "", "label": label, "uncertainty": str(uncertainty)}]
        )
        return own > min(others)

    def add(self, row: Mapping[str, str]) -> bool:
        """Take a clip that lies in the folder into the list, and let go what is too much.

        Returns:
            Whether the clip stays: it is itself removed where it is the least useful one.

        Raises:
            SinkError: the list cannot be written; then the clip goes.
        """
        new = dict(row)
        try:
            listed = self._read()
            gone = self._too_much([*self._mine(listed), new])
            stays = new not in gone
            if stays:
                self._write([each for each in [*listed, new] if each not in gone])
                removed: Sequence[Row] = gone
            else:
                removed = [new]
            for each in removed:
                (self.folder / each["clip"]).unlink(missing_ok=True)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            (self.folder / new["clip"]).unlink(missing_ok=True)
            why = error.strerror if isinstance(error, OSError) else error
            raise SinkError(f"{self.folder / LIST_NAME}: {why}") from None
        return stays

    def _too_much(self, rows: list[Row]) -> list[Row]:
        """Return the least useful rows, one after the other, until the others fit."""
        rows = list(rows)
        sizes = {row["clip"]: _size(self.folder / row["clip"]) for row in rows}
        gone: list[Row] = []
        while rows and sum(sizes[row["clip"]] for row in rows) > self._budget:
            worths = _worths(rows)
            # Of equal ones the oldest goes: the world changes.
            gone.append(rows.pop(worths.index(min(worths))))
        return gone

    def _mine(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that are not reviewed yet."""
        path = self.folder / _LOOKED_AT
        if not path.exists():
            return list(rows)
        with path.open(newline="", encoding="utf-8-sig") as file:
            looked_at = {row.get("path") for row in dict_reader(file)}
        return [row for row in rows if row["clip"] not in looked_at]

    def _read(self) -> list[Row]:
        """Return the rows whose clips are there."""
        path = self.folder / LIST_NAME
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = dict_reader(file, restval="")
            if not {"clip", "label"} <= set(reader.fieldnames or ()):
                raise csv.Error(f"{LIST_NAME} exists without the columns clip,label")
            rows = [
                {_FORMER_COLUMNS.get(name, name): row[name] for name in row if name}
                for row in reader
            ]
        # Only what lies in the folder itself can be ours.
        names = {child.name for child in self.folder.iterdir() if child.is_file()}
        return [row for row in rows if row["clip"] in names]

    def _write(self, rows: Sequence[Row]) -> None:
        """Write the list in one step; columns that somebody added stay."""
        columns = list(dict.fromkeys((*COLUMNS, *(name for row in rows for name in row))))
        with (
            atomic_write(self.folder / LIST_NAME) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            write_dicts(file, columns, rows)
        self.kept = Counter(row["label"] for row in rows)


def _worths(rows: Sequence[Row]) -> list[float]:
    """Return how useful each clip is among the others."""
    counts = Counter(row["label"] for row in rows)
    return [_number(row.get("uncertainty", "")) + 1 / counts[row["label"]] for row in rows]


def _number(text: str) -> float:
    return number(text) or 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
