"""One round (teacher → pseudo labels → student), and what the rounds came to."""

import csv
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.config import SelfTrainOptions, TrainOptions
from seqvision.console import print_line
from seqvision.data.augment import make_augmenter
from seqvision.data.clips import Clip
from seqvision.errors import DataError, StudyError
from seqvision.models.classifier import Classifier
from seqvision.self_training.data import SELF_TRAINED, Pool
from seqvision.self_training.pseudo_labels import (
    TeacherPredictions,
    calibrate_teacher,
    choose_confident,
    predict_pool,
    thresholds,
)
from seqvision.self_training.student import join_data, student_file, train_student
from seqvision.training.callbacks import EpochBar
from seqvision.training.data import Data
from seqvision.training.model_io import load_model
from seqvision_edge.card import ModelCard
from seqvision_edge.csv_cells import dict_reader, write_rows
from seqvision_edge.files import atomic_write

_STATE = "state.json"
_COLUMNS = ("path", "label", "confidence", "agreement", "chosen")


@dataclass(frozen=True)
class Round:
    """One round; round 0 is the model that was given, which nothing was chosen for.

    Attributes:
        chosen: clips that got a pseudo-label.
        right: those whose pseudo-label is the true one; None if unknown.
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


def best_round(rounds: Sequence[Round]) -> Round:
    """Return the round to keep: the last one that is not worse on validation.

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
    """Write rounds.csv, and what a resume needs.

    Raises:
        StudyError: a file cannot be written.
    """
    best = best_round(rounds).number
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
        raise StudyError(f"--resume {run}: not a run folder of self-train that can be resumed")
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
    answers: TeacherPredictions,
    chosen: NDArray[np.bool_],
    labels: Sequence[str],
    truth: bool,
) -> None:
    """Write the teacher's prediction for each clip without label, and whether a student learns it.

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
    """Return index in the pool and label index of each clip that was chosen.

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


@dataclass(frozen=True)
class SelfTrainingContext:
    """What all rounds share."""

    options: SelfTrainOptions
    student: TrainOptions
    labelled: Data
    pool: Pool
    device: torch.device
    run: Path
    threads: int

    def folder(self, number: int) -> Path:
        """Return the run folder of a round's student."""
        return self.run / f"round-{number}"

    def choice(self, number: int) -> Path:
        """Return the list of what was chosen for a round's student."""
        return self.run / f"round-{number}.csv"


def first_round(work: SelfTrainingContext, model: Classifier, card: ModelCard) -> Round:
    """Return what the model that was given is worth."""
    began = time.monotonic()
    temperature, metrics = calibrate_teacher(model, card, work.labelled, _batch(work))
    first = Round(
        0, len(work.pool.clips), 0, None, (), 0, metrics.clips, metrics.accuracy, metrics.loss,
        temperature, time.monotonic() - began,
    )  # fmt: skip
    print_line(f"round 0: {work.options.model}: {_worth(first)}")
    return first


def next_round(work: SelfTrainingContext, rounds: Sequence[Round]) -> Round | None:
    """Let the last model teach, and a student learn; None where the teacher is sure of nothing.

    Raises:
        DataError: the first teacher is sure of nothing.
    """
    began, number = time.monotonic(), rounds[-1].number + 1
    torch.set_num_threads(work.threads)  # a head that learnt alone has taken one
    labels = work.labelled.labels
    chosen = _choose(work, number, rounds[-1].temperature)
    named = read_choice(work.choice(number), labels)
    if not named:
        why = f"no clip of {len(work.pool.clips)} is confident enough (--threshold, --views)"
        if number == 1:
            raise DataError(f"{why}; {work.choice(1)} has the probability of each")
        print_line(f"round {number}: {why}")
        return None
    print_line(f"round {number}: {_chosen(work, named)}")
    data = data_of(work, number)
    folder = work.folder(number)
    shutil.rmtree(folder, ignore_errors=True)  # left by a kill
    try:
        student = train_student(work.student, data, folder, work.device, _bar(work, rounds, began))
        temperature, metrics = calibrate_teacher(student.model, student.card, data, _batch(work))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    done = Round(
        number, len(work.pool.clips), len(named), _right(work, named), chosen, student.epoch,
        metrics.clips, metrics.accuracy, metrics.loss, temperature, time.monotonic() - began,
    )  # fmt: skip
    star = "  *" if best_round([*rounds, done]) is done else ""
    print_line(f"round {number}: {_worth(done)}, {done.seconds:.0f} s{star}")
    return done


def _bar(work: SelfTrainingContext, rounds: Sequence[Round], began: float) -> EpochBar:
    """Return the bar of a round's student, with the time left for all rounds."""
    number, most = rounds[-1].number + 1, work.options.rounds
    before = [each.seconds for each in rounds if each.number]

    def left(share: float) -> float | None:
        gone = time.monotonic() - began
        if share <= 0 and not before:
            return None
        this = before[-1] if before else gone / share
        return max(0.0, this - gone) + this * (most - number)

    epochs = work.student.training.epochs
    return EpochBar(f"round {number}/{most}", epochs, left, at_most=True)


def _choose(work: SelfTrainingContext, number: int, temperature: float) -> tuple[float | None, ...]:
    """Write the pseudo-labels of a round; return the threshold of each label."""
    options, labels = work.student, work.labelled.labels
    file = student_file(work.folder(number - 1), options) if number > 1 else work.options.model
    assert file is not None
    teacher, card = load_model(file)
    answers = predict_pool(
        teacher.to(work.device), card, work.pool.decoded, temperature,
        make_augmenter(options.augmentation, labels), work.options.views,
        # Other views than the student sees, and than those of the round before.
        options.training.seed + 1000 * number, _batch(work),
    )  # fmt: skip
    learnt = [work.labelled.truth[i] for i in work.labelled.split.train]
    chosen = choose_confident(answers, work.options, learnt, len(labels))
    write_choice(work.choice(number), work.pool.clips, answers, chosen, labels, work.options.truth)
    return tuple(thresholds(answers, chosen, len(labels)))


def _right(work: SelfTrainingContext, named: Sequence[tuple[int, int]]) -> int | None:
    if not work.options.truth:
        return None
    labels = work.labelled.labels
    return sum(work.pool.clips[index].label == labels[label] for index, label in named)


def _chosen(work: SelfTrainingContext, named: Sequence[tuple[int, int]]) -> str:
    right = _right(work, named)
    correct = "" if right is None else f", {right / len(named):.1%} of them the true one"
    return f"{len(named)} of {len(work.pool.clips)} clips get a label{correct}"


def data_of(work: SelfTrainingContext, number: int) -> Data:
    """Return what a round's student learns, as listed.

    Raises:
        StudyError: the list cannot be read.
    """
    named, requested = read_choice(work.choice(number), work.labelled.labels), work.options
    note = (
        f"{SELF_TRAINED} round {number}, {len(named)} of {len(work.pool.clips)} clips of "
        f"{requested.unlabelled} with pseudo-labels "
        f"({requested.select}, threshold {requested.threshold:g})"
    )
    return join_data(work.labelled, work.pool, named, note)


def _worth(each: Round) -> str:
    return (
        f"validation {each.accuracy:.1%}, loss {each.loss:.3f} "
        f"at temperature {each.temperature:.2f}"
    )


def _batch(work: SelfTrainingContext) -> int:
    return work.student.training.batch_size
