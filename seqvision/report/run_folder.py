"""What a run folder holds, written and read: options, CSV logs, predictions.csv.  No torch."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvision.config import TrainOptions, flattened
from seqvision.data.clips import Clip
from seqvision.errors import CheckpointError, DataError
from seqvision_edge.csv_cells import read_rows, write_rows
from seqvision_edge.files import atomic_write
from seqvision_edge.renamed_options import translated
from seqvision_edge.yaml_file import YamlError, parse_yaml

if TYPE_CHECKING:
    from seqvision.report.contents import SplitResult

NAME = "predictions.csv"
_FOLD = re.compile(r"fold\d+")
_COLUMNS = ("path", "group", "split", "label", "prediction", "probability")
# As runs of before 0.2 have them.
_FORMER_COLUMNS = ("path", "group", "split", "label", "answer", "probability")


@dataclass(frozen=True)
class PredictionRow:
    """One row: a clip, by its absolute path (and `#` its index in it), and the answer."""

    path: str
    split: str
    label: str
    answer: str

    @property
    def right(self) -> bool:
        """Whether the answer is the clip's label."""
        return self.label == self.answer


@dataclass(frozen=True)
class RunFolder:
    """The contents of a run folder; `facts` and `answers` are empty in one of an older version."""

    path: Path
    options: dict[str, Any]
    metrics: dict[str, Any]
    facts: dict[str, Any]
    answers: tuple[PredictionRow, ...]

    def figure(self, part: str, name: str) -> float | None:
        """Return a figure of `val` or `test`; None where the part was not there."""
        value = self.metrics.get(part, {}).get(name)
        return None if value is None else float(value)

    def part(self, name: str) -> list[PredictionRow]:
        """Return the answers of one part, in an order that two runs share.

        Those of all folds of a cross-validation are its `val`.
        """
        rows = (
            row
            for row in self.answers
            if row.split == name or (name == "val" and _FOLD.fullmatch(row.split))
        )
        return sorted(rows, key=lambda row: (row.path, row.label))


def read_run(path: Path) -> RunFolder | None:
    """Read a run folder; None where the training has not come to its end.

    Raises:
        CheckpointError: not a run folder, or a file in it is damaged.
    """
    if not (path / "options.yaml").is_file():
        raise CheckpointError(
            f"{path}: not a run folder, it has no options.yaml; seqvision train makes one in runs/"
        )
    if not (path / "metrics.json").is_file():
        return None
    given = translated(_read(path / "options.yaml", parse_yaml))
    # An older run does not name what is newer than it: then it was as the default is.
    defaults = TrainOptions().model_dump(mode="json")
    has_answers = (path / NAME).is_file()
    return RunFolder(
        path=path,
        options={**dict(flattened(defaults)), **dict(flattened(given))},
        metrics=_read(path / "metrics.json", json.loads),
        facts=_read(path / "run.json", json.loads) if (path / "run.json").is_file() else {},
        answers=tuple(read_predictions(path / NAME)) if has_answers else (),
    )


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YamlError) as error:
        raise CheckpointError(f"{path}: damaged ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged, it is not a list of names and values")
    return content


def column(logs: Path, name: str) -> list[tuple[int, float]]:
    """Return `(epoch, value)` of a logged figure, rising; empty where it was not logged.

    The first epoch is 1, as everywhere that people read; the log itself counts from 0.
    """
    points: dict[int, float] = {}
    for log in sorted(logs.glob("metrics*.csv")):
        with log.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get(name)]
        points |= {int(row["epoch"]) + 1: float(row[name]) for row in rows}
    return sorted(points.items())


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
        where = [_clip_path(clip), clip.group or "", part.name]
        numbers = [f"{value:.6f}" for value in (row[answer], *row)]
        yield [*where, clip.label, labels[answer], *numbers]


def _clip_path(clip: Clip) -> str:
    path = str(clip.path.absolute())
    if clip.is_part:
        return f"{path}{clip.fragment}"
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
        # By index: a label may be called like a column.
        return [
            PredictionRow(path, split, label, answer) for path, _, split, label, answer, *_ in rows
        ]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason})") from None
