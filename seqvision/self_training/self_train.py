"""`seqvision self-train`: train students on clips that a teacher labels.

read the clips, labelled and not → in each round: calibrate the teacher, take its confident
predictions as labels, train a student on them, which is the next teacher → keep the model that is
best on the validation clips.
"""

import contextlib
import hashlib
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from seqvision import rank
from seqvision.config import DistillationOptions, SelfTrainOptions, TrainOptions
from seqvision.config.resume import NAME
from seqvision.console import add_state, print_line, print_note, print_warning, shell_command
from seqvision.data.augment import with_content
from seqvision.data.datasets import DataSet
from seqvision.errors import CheckpointError, DataError, StudyError
from seqvision.preflight import check_combination
from seqvision.self_training.data import contents, pool_fingerprint, read_labelled, read_pool
from seqvision.self_training.rounds import (
    Round,
    SelfTrainingContext,
    best_round,
    data_of,
    first_round,
    next_round,
    read_rounds,
    write_rounds,
)
from seqvision.self_training.student import finish_student, student_file
from seqvision.signals import Stop, interrupt, stop_of
from seqvision.training import model_io
from seqvision.training.hardware import check_precision, pick_device
from seqvision.training.model_io import load_model
from seqvision.training.train import copy_model, hold_run
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write, sweep
from seqvision_edge.option_fields import first_problem
from seqvision_edge.renamed_options import translated
from seqvision_edge.yaml_file import dump_yaml

# Where things lie, what computes and for how long: no figure of a round depends on these.
_MAY_CHANGE = ("output", "runs", "resume", "cache", "device", "rounds", "patience")
_PATHS = ("model", "labelled", "unlabelled", "output", "runs", "cache")


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
    stopped_by: Stop | None


def self_train(options: SelfTrainOptions, data_set: DataSet | None = None) -> SelfTrained:
    """Let students learn what their teachers are sure of, and write the best model.

    Pseudo-labels: Lee 2013.  A student that starts anew, is given noise and then teaches: Xie et
    al. 2020, "Self-training with Noisy Student".

    Args:
        options: validated ones (`seqvision.preflight.validate_self_train`); those of the run,
            where `resume` names one.
        data_set: the labelled clips that validation has found; None: they are looked for.

    Raises:
        SeqvisionError: the model, the clips or the options cannot be used, nothing is sure, or
            another process works in the run folder.
    """
    if rank.count() > 1:
        raise StudyError("seqvision self-train: not by torchrun; one process does it")
    with contextlib.ExitStack() as held:
        return _self_train(options, data_set, held)


def _self_train(
    options: SelfTrainOptions, data_set: DataSet | None, held: contextlib.ExitStack
) -> SelfTrained:
    assert options.model is not None
    assert options.labelled is not None
    assert options.unlabelled is not None
    if options.resume is not None:
        hold_run(held, options.resume)
    model, card = load_model(options.model)
    student = student_options(options, card)
    check_combination(student)
    device = pick_device(options.device)
    check_precision(student.training.precision, device)
    labelled = read_labelled(options.labelled, student, card, data_set)
    known = contents(labelled.decoded)
    pool = read_pool(options, options.unlabelled, card, labelled, frozenset(known))
    for warning in labelled.warnings:
        print_warning(warning)
    for note in (*labelled.notes, *pool.notes):
        print_note(note)
    marks = pool_fingerprint(labelled.clips, known), pool_fingerprint(pool.clips, pool.contents)
    about = self_training_inputs(options, *marks)
    rounds: list[Round] = []
    if options.resume is not None:
        rounds, kept = read_rounds(options.resume)
        refuse_other(options.resume, kept, about)
    run = options.resume or _new_folder(options.runs)
    if options.resume is None:
        hold_run(held, run)
    write_options(run, options)
    work = SelfTrainingContext(
        options, student, labelled, pool, device, run, torch.get_num_threads()
    )
    split = labelled.split
    print_line(
        f"run folder: {run}\n{len(split.train)} labelled clips train, {len(split.val)} validate, "
        f"{len(pool.clips)} clips have no label"
    )
    stop: Stop | None = None
    try:
        if not rounds:
            rounds.append(first_round(work, model.to(device), card))
            write_rounds(run, rounds, labelled.labels, about)
        while _goes_on(rounds, options):
            done = next_round(work, rounds)
            if done is None:
                break
            rounds.append(done)
            write_rounds(run, rounds, labelled.labels, about)
            _keep_best(work, rounds)
    except KeyboardInterrupt as error:
        stop = stop_of(error)
    except SeqvisionError as error:
        if rounds:
            resume = shell_command("seqvision", "self-train", "--resume", run)
            add_state(error, f"whole rounds are kept; resume with: {resume}")
        raise
    if not rounds:
        raise interrupt(stop or signal.SIGINT, "stopped before the first round")
    return _end(work, rounds, stop)


def _goes_on(rounds: Sequence[Round], options: SelfTrainOptions) -> bool:
    """Whether there is another round: validation rose lately, and there were not enough yet."""
    last = rounds[-1].number
    return last < options.rounds and last - best_round(rounds).number < options.patience


def _keep_best(work: SelfTrainingContext, rounds: Sequence[Round]) -> None:
    """Copy the best model to --output; keep only its checkpoints."""
    best = best_round(rounds).number
    if best == rounds[-1].number:
        copy_model(student_file(work.folder(best), work.student), work.options.output, work.run)
    for each in rounds:
        if each.number not in (0, best):
            shutil.rmtree(work.folder(each.number) / "checkpoints", ignore_errors=True)


def _end(work: SelfTrainingContext, rounds: list[Round], stop: Stop | None) -> SelfTrained:
    """Write the best model, with its report where there is time, and print the result."""
    best, output = best_round(rounds), work.options.output
    if best.number == 0:
        _copy_given(work)
        print_line(
            f"no student was as good on the validation clips: {output} is {work.options.model}"
        )
    elif stop is None:
        data, folder = data_of(work, best.number), work.folder(best.number)
        finish_student(work.student, data, folder, work.device, best.seconds)
    if best.number:
        before = rounds[0].accuracy
        print_line(f"kept: round {best.number}, validation {before:.1%} → {best.accuracy:.1%}")
    if stop is not None:
        print_line(
            f"stopped; {output} is the best so far; resume with: "
            f"seqvision self-train --resume {work.run}"
        )
    return SelfTrained(output, work.run, rounds, best, stop)


def _copy_given(work: SelfTrainingContext) -> None:
    """Write the model that was given under the name of the result."""
    given, output = work.options.model, work.options.output
    assert given is not None
    if model_io.is_safetensors(given) == model_io.is_safetensors(output):
        copy_model(given, output, work.run)
        return
    converted = work.run / f"given{output.suffix.lower()}"
    try:
        with atomic_write(converted) as unfinished:
            model_io.write(unfinished, model_io.read(given))
    except OSError as error:
        raise CheckpointError(f"{converted}: cannot be written ({error.strerror})") from None
    copy_model(converted, output, work.run)


def _new_folder(runs: Path) -> Path:
    name = f"self-train-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        for number in range(1000):
            run = runs / (f"{name}-{number}" if number else name)
            with contextlib.suppress(FileExistsError):
                run.mkdir(parents=True)
                sweep(runs, depth=3)
                return run
    except OSError as error:
        raise DataError(
            f"{runs}: no run folder can be made there ({error.strerror}); "
            "choose another folder with --runs"
        ) from None
    raise DataError(f"{runs}: full of run folders of this second")


def student_options(options: SelfTrainOptions, card: ModelCard) -> TrainOptions:
    """Return the options that the model was trained with, and that its students are.

    Raises:
        CheckpointError: the card lacks them.
        DataError: --augment cannot be used.
    """
    try:
        own = TrainOptions.model_validate(translated(card.origin.options))
    except ValidationError as error:
        loc, words, _ = first_problem(error)
        name = ".".join(map(str, loc))
        raise CheckpointError(
            f"{options.model}: its card has no training options of this version ({name}: {words}); "
            "train it again with this version"
        ) from None
    training: dict[str, Any] = {"device": options.device}
    if options.epochs is not None:
        training["epochs"] = options.epochs
    clips: dict[str, Any] = {"cache": options.cache}
    if options.dataset != "auto":
        clips["dataset"] = options.dataset
    augmentation = {} if options.augment is None else {"augment": options.augment}
    return with_content(
        own.model_copy(
            update={
                "data": options.labelled,
                "root": None,
                "output": options.output,
                "runs": options.runs,
                "resume": None,
                "config": None,
                "clips": own.clips.model_copy(update=clips),
                "augmentation": own.augmentation.model_copy(update=augmentation),
                "training": own.training.model_copy(update=training),
                "distillation": DistillationOptions(),  # here the model itself is the teacher
            }
        )
    )


def self_training_inputs(options: SelfTrainOptions, labelled: str, pool: str) -> dict[str, Any]:
    """Return, as plain data, everything that the rounds depend on.

    Args:
        labelled, pool: fingerprints of the clips.
    """
    assert options.model is not None
    requested = options.model_dump(mode="json", exclude={*_MAY_CHANGE, *_PATHS})
    model = hashlib.sha256(options.model.read_bytes()).hexdigest()[:16]
    return {**requested, "model": model, "labelled": labelled, "unlabelled": pool}


def refuse_other(run: Path, kept: dict[str, Any], about: dict[str, Any]) -> None:
    """Refuse to resume with something else.

    Raises:
        StudyError: the clips, the model or an option are not those of the run.
    """
    what = {"model": "model", "labelled": "labelled clips", "unlabelled": "unlabelled clips"}
    for name, value in about.items():
        if kept.get(name) != value:
            change = f"its {what[name]} changed" if name in what else f"--{name} was another one"
            raise StudyError(
                f"--resume {run}: {change} since it began; start anew, without --resume"
            )


def write_options(run: Path, options: SelfTrainOptions) -> None:
    """Keep the options in the run folder; from any folder they name the same files.

    Raises:
        StudyError: they cannot be written.
    """
    paths = {
        name: path.expanduser().absolute()
        for name in _PATHS
        if (path := getattr(options, name)) is not None
    }
    content = options.model_copy(update={**paths, "resume": None}).model_dump(mode="json")
    try:
        with atomic_write(run / NAME) as unfinished:
            unfinished.write_text(dump_yaml(content), encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{run}: cannot be written ({error.strerror})") from None
