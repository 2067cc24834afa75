"""What the rounds of a self-training came to: kept in its run folder, for people and to go on."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.data.clips import Clip
from seqvision.errors import StudyError
from seqvision.self_training.teacher import Answers
from seqvision_edge.csv_cells import dict_reader, write_rows
from seqvision_edge.files import atomic_write

_STATE = "state.json"
_COLUMNS = ("path", "label", "confidence", "agreement", "chosen")


@dataclass(frozen=True)
class Round:
    """One round; round 0 is the model that was given, which nothing was chosen for.

    Attributes:
        chosen: clips that got a pseudo-label.
        right: those whose pseudo-label is the true one; None where nobody knows.
        thresholds: least probability that was chosen of each label.
        epoch: the one that is kept, from 0.
        validated: how many clips validate.
        accuracy: on the validation clips.
        loss: on the validation clips, after `temperature`.
        temperature: under which the answers of this round's model are calibrated.
    """

    number: int
    unlabelled: int
    chosen: int
    right: int | None
    thresholds: tuple[float | None, ...]
    epoch: int
    validated: int
    accuracy: float
    loss: float
    temperature: float
    seconds: float

    @property
    def precision(self) -> float | None:
        """Share of the pseudo-labels that is right."""
        return None if self.right is None or not self.chosen else self.right / self.chosen


def best_of(rounds: Sequence[Round]) -> Round:
    """Return the round to keep: the last one that validation does not say to be worse.

    Within one standard error of the highest accuracy, figures are alike (Breiman et al. 1984 choose
    the simplest of such models); here the one that learnt from most is chosen.  Where labels are
    few, so are the clips that validate: they see no small gain, and flatter the first teacher,
    whose best epoch they picked out of many.
    """
    top = max(each.accuracy for each in rounds)
    clips = rounds[0].validated
    # As if one more clip were right and one more wrong: 100 % of a few clips is no certainty.
    share = (top * clips + 1) / (clips + 2)
    least = top - sqrt(share * (1 - share) / clips)
    return [each for each in rounds if each.accuracy >= least][-1]


def write_rounds(run: Path, rounds: Sequence[Round], labels: Sequence[str], about: Any) -> None:
    """Write rounds.csv, and what going on needs.

    Raises:
        StudyError: a file cannot be written.
    """
    best = best_of(rounds).number
    head = ["round", "unlabelled", "chosen", "right", "precision", "epoch", "val_accuracy",
            "val_loss", "temperature", "seconds", "best"]  # fmt: skip
    rows = [[*head, *(f"threshold {label}" for label in labels)]]
    for each in rounds:
        limits = [_number(limit) for limit in each.thresholds]
        rows.append([
            str(each.number), str(each.unlabelled), str(each.chosen),
            "" if each.right is None else str(each.right), _number(each.precision),
            str(each.epoch + 1), _number(each.accuracy), _number(each.loss),
            _number(each.temperature), f"{each.seconds:.1f}",
            "yes" if each.number == best else "no", *limits,
        ])  # fmt: skip
    state = {"about": about, "rounds": [asdict(each) for each in rounds]}
    try:
        _write_rows(run / "rounds.csv", rows)
        with atomic_write(run / _STATE) as unfinished:
            unfinished.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{run}: cannot be written ({error.strerror})") from None


def read_rounds(run: Path) -> tuple[list[Round], dict[str, Any]]:
    """Return the rounds so far and what they are about.

    Raises:
        StudyError: not the run folder of a self-training, or damaged.
    """
    path = run / _STATE
    if not path.is_file():
        raise StudyError(f"--resume {run}: not a run folder of self-train that can go on")
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        rounds = [
            Round(**{**each, "thresholds": tuple(each["thresholds"])}) for each in state["rounds"]
        ]
        return rounds, dict(state["about"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise StudyError(f"{path}: damaged ({reason})") from None


def write_choice(
    path: Path,
    clips: Sequence[Clip],
    answers: Answers,
    chosen: NDArray[np.bool_],
    labels: Sequence[str],
    truth: bool,
) -> None:
    """Write what the teacher said of each clip without label, and whether a student learns it.

    Raises:
        StudyError: the file cannot be written.
    """
    rows = [[*_COLUMNS, *(["truth"] if truth else [])]]
    for i, clip in enumerate(clips):
        where = str(clip.path.absolute()) + ("" if clip.index is None else f"#{clip.index}")
        label_cells = [labels[answers.labels[i]], _number(answers.confidence[i])]
        view_cells = [_number(answers.agreement[i]), "yes" if chosen[i] else "no"]
        rows.append([where, *label_cells, *view_cells, *([clip.label] if truth else [])])
    try:
        _write_rows(path, rows)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from None


def read_choice(path: Path, labels: Sequence[str]) -> list[tuple[int, int]]:
    """Return place in the pool and label index of each clip that was chosen.

    Raises:
        StudyError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(dict_reader(file))
        return [
            (index, labels.index(row["label"]))
            for index, row in enumerate(rows)
            if row["chosen"] == "yes"
        ]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        reason = " ".join(str(error).split())[:120]
        raise StudyError(f"{path}: cannot be read ({reason})") from None


def _write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    # A file name need not be text: what UTF-8 cannot hold is written as its code.
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        write_rows(file, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
