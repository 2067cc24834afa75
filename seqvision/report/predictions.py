"""predictions.csv of a run folder: every clip of val and test with its answer.  No torch."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqvision.data.clips import Clip
from seqvision.errors import DataError
from seqvision_edge.csv_cells import read_rows, write_rows
from seqvision_edge.files import atomic_write

if TYPE_CHECKING:
    from seqvision.report.contents import SplitResult

NAME = "predictions.csv"
_COLUMNS = ("path", "group", "split", "label", "prediction", "probability")
# As runs of before 0.2 have them.
_FORMER_COLUMNS = ("path", "group", "split", "label", "answer", "probability")


@dataclass(frozen=True)
class PredictionRow:
    """One row: a clip, by its absolute path (and `#` its place in it), and the answer."""

    path: str
    split: str
    label: str
    answer: str

    @property
    def right(self) -> bool:
        """Whether the answer is the clip's label."""
        return self.label == self.answer


def write_predictions(path: Path, parts: Iterable["SplitResult"], labels: Sequence[str]) -> None:
    """Write the answers, one row per clip, with a last column for each label.

    Raises:
        OSError: the file cannot be written.
    """
    rows = (row for part in parts for row in _rows(part, labels))
    # A file name need not be text: what UTF-8 cannot hold is written as its code.
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        write_rows(file, [[*_COLUMNS, *labels], *rows])


def _rows(part: "SplitResult", labels: Sequence[str]) -> Iterator[list[str]]:
    for clip, answer, row in zip(
        part.clips, part.answers.tolist(), part.probabilities.tolist(), strict=True
    ):
        where = [_place(clip), clip.group or "", part.name]
        numbers = [f"{value:.6f}" for value in (row[answer], *row)]
        yield [*where, clip.label, labels[answer], *numbers]


def _place(clip: Clip) -> str:
    path = str(clip.path.absolute())
    if clip.cut is not None:
        return f"{path}#{clip.cut}"
    return path if clip.index is None else f"{path}#{clip.index}"


def read_predictions(path: Path) -> list[PredictionRow]:
    """Read the answers of a run.

    Raises:
        DataError: the file cannot be read, or is not such a list.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = read_rows(file)
        if tuple(head[: len(_COLUMNS)]) not in (_COLUMNS, _FORMER_COLUMNS):
            raise DataError(f"{path}: not a list of answers, its columns are others")
        # By place: a label may be called like a column.
        return [
            PredictionRow(path, split, label, answer) for path, _, split, label, answer, *_ in rows
        ]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason})") from None
