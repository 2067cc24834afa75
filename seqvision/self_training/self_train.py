"""`seqvision self-train`: THE WAY from a model and unlabelled clips to a better model.

the clips, labelled and not → round after round: the teacher calibrated, its sure answers as labels,
a student that learns them and is the next teacher → the best of all on the validation clips.
"""

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch
from rich.console import Console

from seqvision import rank
from seqvision.config import SelfTrainOptions, TrainOptions
from seqvision.data.augment import make_augmenter
from seqvision.errors import CheckpointError, DataError, StudyError
from seqvision.models.classifier import Classifier
from seqvision.ready import check_training, to_self_train
from seqvision.self_training.choose import choose, thresholds
from seqvision.self_training.clips import (
    SELF_TRAINED,
    Pool,
    fingerprint,
    read_labelled,
    read_pool,
)
from seqvision.self_training.plan import about_of, of_a_student, refuse_other, write_options
from seqvision.self_training.rounds import (
    Round,
    best_of,
    read_choice,
    read_rounds,
    write_choice,
    write_rounds,
)
from seqvision.self_training.student import (
    finish_student,
    joined,
    student_file,
    train_student,
)
from seqvision.self_training.teacher import ask, calibrate
from seqvision.training import containers
from seqvision.training.checkpoint import load_model
from seqvision.training.data import Data
from seqvision.training.device import check_precision, pick_device
from seqvision.training.train import copy_model
from seqvision_edge.card import ModelCard
from seqvision_edge.files import replacing


@dataclass(frozen=True)
class SelfTrained:
    """What a self-training leaves; `best` is 0 where no student was better than its first teacher.

    Attributes:
        model: the file of the best model.
        run: the run folder of all rounds.
    """

    model: Path
    run: Path
    rounds: list[Round]
    best: Round
    interrupted: bool


@dataclass(frozen=True)
class Work:
    """What all rounds share."""

    asked: SelfTrainOptions
    student: TrainOptions
    labelled: Data
    pool: Pool
    device: torch.device
    run: Path

    def folder(self, number: int) -> Path:
        """Return the run folder of a round's student."""
        return self.run / f"round-{number}"

    def choice(self, number: int) -> Path:
        """Return the list of what was chosen for a round's student."""
        return self.run / f"round-{number}.csv"


def self_train(options: SelfTrainOptions) -> SelfTrained:
    """Let students learn what their teachers are sure of, and write the best model.

    Pseudo-labels: Lee 2013.  A student that starts anew, is given noise and then teaches: Xie et
    al. 2020, "Self-training with Noisy Student".

    Args:
        options: those of the run, where `resume` names one.

    Raises:
        SeqvisionError: the model, the clips or the options cannot be used, or nothing is sure.
    """
    if rank.count() > 1:
        raise StudyError("seqvision self-train: not by torchrun; one process does it")
    to_self_train(options)
    assert options.model is not None
    assert options.labelled is not None
    assert options.unlabelled is not None
    model, card = load_model(options.model)
    student = of_a_student(options, card)
    check_training(student)
    device = pick_device(options.device)
    check_precision(student.training.precision, device)
    labelled = read_labelled(options.labelled, student, card)
    pool = read_pool(options, options.unlabelled, card, labelled)
    for note in (*labelled.notes, *pool.notes):
        _say(f"note: {note}")
    marks = fingerprint(labelled.clips, labelled.decoded), fingerprint(pool.clips, pool.decoded)
    about = about_of(options, *marks)
    rounds: list[Round] = []
    if options.resume is not None:
        rounds, kept = read_rounds(options.resume)
        refuse_other(options.resume, kept, about)
    run = options.resume or _new_folder(options.runs)
    write_options(run, options)
    work = Work(options, student, labelled, pool, device, run)
    split = labelled.split
    _say(
        f"run folder: {run}\n{len(split.train)} labelled clips train, {len(split.val)} validate, "
        f"{len(pool.clips)} clips have no label"
    )
    interrupted = False
    try:
        if not rounds:
            rounds.append(_first(work, model.to(device), card))
            write_rounds(run, rounds, labelled.labels, about)
        while _goes_on(rounds, options):
            done = _round(work, rounds)
            if done is None:
                break
            rounds.append(done)
            write_rounds(run, rounds, labelled.labels, about)
            _keep_best(work, rounds)
    except KeyboardInterrupt:
        interrupted = True
    if not rounds:
        raise KeyboardInterrupt("stopped before the first teacher was asked")
    return _end(work, rounds, interrupted)


def _goes_on(rounds: Sequence[Round], options: SelfTrainOptions) -> bool:
    """Whether there is another round: validation rose lately, and there were not enough yet."""
    last = rounds[-1].number
    return last < options.rounds and last - best_of(rounds).number < options.wait


def _first(work: Work, model: Classifier, card: ModelCard) -> Round:
    """Return what the model that was given is worth."""
    began = time.monotonic()
    temperature, metrics = calibrate(model, card, work.labelled, _batch(work))
    first = Round(0, len(work.pool.clips), 0, None, (), 0, metrics.accuracy, metrics.loss,
                  temperature, time.monotonic() - began)  # fmt: skip
    _say(f"round 0: {work.asked.model}: {_worth(first)}")
    return first


def _round(work: Work, rounds: Sequence[Round]) -> Round | None:
    """Let the last model teach, and a student learn; None where the teacher is sure of nothing.

    Raises:
        DataError: the first teacher is sure of nothing.
    """
    began, number = time.monotonic(), rounds[-1].number + 1
    labels = work.labelled.labels
    chosen = _choose(work, number, rounds[-1].temperature)
    named = read_choice(work.choice(number), labels)
    if not named:
        why = f"no clip of {len(work.pool.clips)} is sure enough (--threshold, --views)"
        if number == 1:
            raise DataError(f"{why}; {work.choice(1)} says how sure each one is")
        _say(f"round {number}: {why}")
        return None
    _say(f"round {number}: {_chosen(work, named)}")
    data = joined(work.labelled, work.pool, named, _note(work, number, len(named)))
    folder = work.folder(number)
    shutil.rmtree(folder, ignore_errors=True)  # left by a kill
    try:
        student = train_student(work.student, data, folder, work.device, f"round {number}")
        temperature, metrics = calibrate(student.model, student.card, data, _batch(work))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    done = Round(
        number, len(work.pool.clips), len(named), _right(work, named), chosen, student.epoch,
        metrics.accuracy, metrics.loss, temperature, time.monotonic() - began,
    )  # fmt: skip
    star = "  *" if done.beats(best_of(rounds)) else ""
    _say(f"round {number}: {_worth(done)}, {done.seconds:.0f} s{star}")
    return done


def _choose(work: Work, number: int, temperature: float) -> tuple[float | None, ...]:
    """Ask the teacher of a round, write what it says, and return the threshold of each label."""
    options, labels = work.student, work.labelled.labels
    file = student_file(work.folder(number - 1), options) if number > 1 else work.asked.model
    assert file is not None
    teacher, card = load_model(file)
    answers = ask(
        teacher.to(work.device), card, work.pool.decoded, temperature,
        make_augmenter(options.augmentation, labels), work.asked.views,
        # Other views than the student sees, and than those of the round before.
        options.training.seed + 1000 * number, _batch(work),
    )  # fmt: skip
    learnt = [work.labelled.truth[i] for i in work.labelled.split.train]
    chosen = choose(answers, work.asked, learnt, len(labels))
    write_choice(work.choice(number), work.pool.clips, answers, chosen, labels, work.asked.truth)
    return tuple(thresholds(answers, chosen, len(labels)))


def _keep_best(work: Work, rounds: Sequence[Round]) -> None:
    """Put the best model where it was asked for; only its checkpoints stay."""
    best = best_of(rounds).number
    if best == rounds[-1].number:
        copy_model(student_file(work.folder(best), work.student), work.asked.output)
    for each in rounds:
        if each.number not in (0, best):
            shutil.rmtree(work.folder(each.number) / "checkpoints", ignore_errors=True)


def _end(work: Work, rounds: list[Round], interrupted: bool) -> SelfTrained:
    """Write the best model, with its report where there is time, and say what came of it."""
    best, output = best_of(rounds), work.asked.output
    if best.number == 0:
        _copy_given(work)
        _say(f"no student was better on the validation clips: {output} is {work.asked.model}")
    elif not interrupted:
        named = read_choice(work.choice(best.number), work.labelled.labels)
        data = joined(work.labelled, work.pool, named, _note(work, best.number, len(named)))
        folder = work.folder(best.number)
        finish_student(work.student, data, folder, work.device, best.seconds)
    if best.number:
        before = rounds[0].accuracy
        _say(f"best: round {best.number}, validation {before:.1%} → {best.accuracy:.1%}")
    if interrupted:
        _say(
            f"stopped; {output} is the best so far; go on with: "
            f"seqvision self-train --resume {work.run}"
        )
    return SelfTrained(output, work.run, rounds, best, interrupted)


def _copy_given(work: Work) -> None:
    """Write the model that was given under the name of the result."""
    given, output = work.asked.model, work.asked.output
    assert given is not None
    if containers.is_safetensors(given) == containers.is_safetensors(output):
        copy_model(given, output)
        return
    try:
        with replacing(output) as unfinished:
            containers.write(unfinished, containers.read(given))
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"--output {output}: cannot be written ({reason})") from None


def _new_folder(runs: Path) -> Path:
    name = f"self-train-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        for number in range(1000):
            run = runs / (f"{name}-{number}" if number else name)
            with contextlib.suppress(FileExistsError):
                run.mkdir(parents=True)
                return run
    except OSError as error:
        raise DataError(
            f"{runs}: no run folder can be made there ({error.strerror}); "
            "choose another place with --runs"
        ) from None
    raise DataError(f"{runs}: full of run folders of this second")


def _right(work: Work, named: Sequence[tuple[int, int]]) -> int | None:
    if not work.asked.truth:
        return None
    labels = work.labelled.labels
    return sum(work.pool.clips[place].label == labels[label] for place, label in named)


def _chosen(work: Work, named: Sequence[tuple[int, int]]) -> str:
    right = _right(work, named)
    said = "" if right is None else f", {right / len(named):.1%} of them the true one"
    return f"{len(named)} of {len(work.pool.clips)} clips get a label{said}"


def _note(work: Work, number: int, count: int) -> str:
    asked = work.asked
    return (
        f"{SELF_TRAINED} round {number}, {count} of {len(work.pool.clips)} clips of "
        f"{asked.unlabelled} with pseudo-labels ({asked.select}, threshold {asked.threshold:g})"
    )


def _worth(each: Round) -> str:
    return (
        f"validation {each.accuracy:.1%}, loss {each.loss:.3f} "
        f"at temperature {each.temperature:.2f}"
    )


def _batch(work: Work) -> int:
    return work.student.training.batch_size


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
