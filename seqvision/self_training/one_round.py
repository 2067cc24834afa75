"""One round: the teacher labels clips, a student is trained on the confident ones."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqvision.config import SelfTrainOptions, TrainOptions
from seqvision.console import print_line
from seqvision.data.augment import make_augmenter
from seqvision.errors import DataError
from seqvision.models.classifier import Classifier
from seqvision.self_training.choose import choose, thresholds
from seqvision.self_training.clips import SELF_TRAINED, Pool
from seqvision.self_training.rounds import Round, best_of, read_choice, write_choice
from seqvision.self_training.student import joined, student_file, train_student
from seqvision.self_training.teacher import calibrate, predict_pool
from seqvision.training.callbacks import EpochBar
from seqvision.training.checkpoint import load_model
from seqvision.training.data import Data
from seqvision_edge.card import ModelCard


@dataclass(frozen=True)
class Work:
    """What all rounds share."""

    asked: SelfTrainOptions
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


def first_round(work: Work, model: Classifier, card: ModelCard) -> Round:
    """Return what the model that was given is worth."""
    began = time.monotonic()
    temperature, metrics = calibrate(model, card, work.labelled, _batch(work))
    first = Round(
        0, len(work.pool.clips), 0, None, (), 0, metrics.clips, metrics.accuracy, metrics.loss,
        temperature, time.monotonic() - began,
    )  # fmt: skip
    print_line(f"round 0: {work.asked.model}: {_worth(first)}")
    return first


def next_round(work: Work, rounds: Sequence[Round]) -> Round | None:
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
        temperature, metrics = calibrate(student.model, student.card, data, _batch(work))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    done = Round(
        number, len(work.pool.clips), len(named), _right(work, named), chosen, student.epoch,
        metrics.clips, metrics.accuracy, metrics.loss, temperature, time.monotonic() - began,
    )  # fmt: skip
    star = "  *" if best_of([*rounds, done]) is done else ""
    print_line(f"round {number}: {_worth(done)}, {done.seconds:.0f} s{star}")
    return done


def _bar(work: Work, rounds: Sequence[Round], began: float) -> EpochBar:
    """Return the bar of a round's student, with the time left for all rounds."""
    number, most = rounds[-1].number + 1, work.asked.rounds
    before = [each.seconds for each in rounds if each.number]

    def left(share: float) -> float | None:
        gone = time.monotonic() - began
        if share <= 0 and not before:
            return None
        this = before[-1] if before else gone / share
        return max(0.0, this - gone) + this * (most - number)

    epochs = work.student.training.epochs
    return EpochBar(f"round {number}/{most}", epochs, left, at_most=True)


def _choose(work: Work, number: int, temperature: float) -> tuple[float | None, ...]:
    """Write the pseudo-labels of a round; return the threshold of each label."""
    options, labels = work.student, work.labelled.labels
    file = student_file(work.folder(number - 1), options) if number > 1 else work.asked.model
    assert file is not None
    teacher, card = load_model(file)
    answers = predict_pool(
        teacher.to(work.device), card, work.pool.decoded, temperature,
        make_augmenter(options.augmentation, labels), work.asked.views,
        # Other views than the student sees, and than those of the round before.
        options.training.seed + 1000 * number, _batch(work),
    )  # fmt: skip
    learnt = [work.labelled.truth[i] for i in work.labelled.split.train]
    chosen = choose(answers, work.asked, learnt, len(labels))
    write_choice(work.choice(number), work.pool.clips, answers, chosen, labels, work.asked.truth)
    return tuple(thresholds(answers, chosen, len(labels)))


def _right(work: Work, named: Sequence[tuple[int, int]]) -> int | None:
    if not work.asked.truth:
        return None
    labels = work.labelled.labels
    return sum(work.pool.clips[index].label == labels[label] for index, label in named)


def _chosen(work: Work, named: Sequence[tuple[int, int]]) -> str:
    right = _right(work, named)
    correct = "" if right is None else f", {right / len(named):.1%} of them the true one"
    return f"{len(named)} of {len(work.pool.clips)} clips get a label{correct}"


def data_of(work: Work, number: int) -> Data:
    """Return what a round's student learns, as its list says.

    Raises:
        StudyError: the list cannot be read.
    """
    named, requested = read_choice(work.choice(number), work.labelled.labels), work.asked
    note = (
        f"{SELF_TRAINED} round {number}, {len(named)} of {len(work.pool.clips)} clips of "
        f"{requested.unlabelled} with pseudo-labels "
        f"({requested.select}, threshold {requested.threshold:g})"
    )
    return joined(work.labelled, work.pool, named, note)


def _worth(each: Round) -> str:
    return (
        f"validation {each.accuracy:.1%}, loss {each.loss:.3f} "
        f"at temperature {each.temperature:.2f}"
    )


def _batch(work: Work) -> int:
    return work.student.training.batch_size
