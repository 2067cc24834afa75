"""`seqvision self-train`: THE WAY from a model and unlabelled clips to a better model.

the clips, labelled and not → round after round: the teacher calibrated, its sure answers as labels,
a student that learns them and is the next teacher → the best of all on the validation clips.
"""

import contextlib
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch

from seqvision import rank
from seqvision.config import SelfTrainOptions
from seqvision.console import add_state, print_line, print_note, shell_command
from seqvision.errors import CheckpointError, DataError, StudyError
from seqvision.ready import check_training, validate_self_train
from seqvision.self_training.clips import contents, fingerprint, read_labelled, read_pool
from seqvision.self_training.one_round import Work, data_of, first_round, next_round
from seqvision.self_training.plan import about_of, of_a_student, refuse_other, write_options
from seqvision.self_training.rounds import Round, best_of, read_rounds, write_rounds
from seqvision.self_training.student import finish_student, student_file
from seqvision.stopped import Stop, interrupt, stop_of
from seqvision.training import containers
from seqvision.training.checkpoint import load_model
from seqvision.training.device import check_precision, pick_device
from seqvision.training.train import copy_model, hold_run
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write, sweep


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


def self_train(options: SelfTrainOptions) -> SelfTrained:
    """Let students learn what their teachers are sure of, and write the best model.

    Pseudo-labels: Lee 2013.  A student that starts anew, is given noise and then teaches: Xie et
    al. 2020, "Self-training with Noisy Student".

    Args:
        options: those of the run, where `resume` names one.

    Raises:
        SeqvisionError: the model, the clips or the options cannot be used, nothing is sure, or
            another process works in the run folder.
    """
    if rank.count() > 1:
        raise StudyError("seqvision self-train: not by torchrun; one process does it")
    with contextlib.ExitStack() as held:
        return _self_train(options, held)


def _self_train(options: SelfTrainOptions, held: contextlib.ExitStack) -> SelfTrained:
    validate_self_train(options)
    assert options.model is not None
    assert options.labelled is not None
    assert options.unlabelled is not None
    if options.resume is not None:
        hold_run(held, options.resume)
    model, card = load_model(options.model)
    student = of_a_student(options, card)
    check_training(student)
    device = pick_device(options.device)
    check_precision(student.training.precision, device)
    labelled = read_labelled(options.labelled, student, card)
    known = contents(labelled.decoded)
    pool = read_pool(options, options.unlabelled, card, labelled, frozenset(known))
    for note in (*labelled.notes, *pool.notes):
        print_note(note)
    marks = fingerprint(labelled.clips, known), fingerprint(pool.clips, pool.contents)
    about = about_of(options, *marks)
    rounds: list[Round] = []
    if options.resume is not None:
        rounds, kept = read_rounds(options.resume)
        refuse_other(options.resume, kept, about)
    run = options.resume or _new_folder(options.runs)
    if options.resume is None:
        hold_run(held, run)
    write_options(run, options)
    work = Work(options, student, labelled, pool, device, run, torch.get_num_threads())
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
            add_state(error, f"whole rounds are kept; go on with: {resume}")
        raise
    if not rounds:
        raise interrupt(stop or signal.SIGINT, "stopped before the first round")
    return _end(work, rounds, stop)


def _goes_on(rounds: Sequence[Round], options: SelfTrainOptions) -> bool:
    """Whether there is another round: validation rose lately, and there were not enough yet."""
    last = rounds[-1].number
    return last < options.rounds and last - best_of(rounds).number < options.patience


def _keep_best(work: Work, rounds: Sequence[Round]) -> None:
    """Copy the best model to --output; keep only its checkpoints."""
    best = best_of(rounds).number
    if best == rounds[-1].number:
        copy_model(student_file(work.folder(best), work.student), work.asked.output, work.run)
    for each in rounds:
        if each.number not in (0, best):
            shutil.rmtree(work.folder(each.number) / "checkpoints", ignore_errors=True)


def _end(work: Work, rounds: list[Round], stop: Stop | None) -> SelfTrained:
    """Write the best model, with its report where there is time, and say what came of it."""
    best, output = best_of(rounds), work.asked.output
    if best.number == 0:
        _copy_given(work)
        print_line(
            f"no student was as good on the validation clips: {output} is {work.asked.model}"
        )
    elif stop is None:
        data, folder = data_of(work, best.number), work.folder(best.number)
        finish_student(work.student, data, folder, work.device, best.seconds)
    if best.number:
        before = rounds[0].accuracy
        print_line(f"kept: round {best.number}, validation {before:.1%} → {best.accuracy:.1%}")
    if stop is not None:
        print_line(
            f"stopped; {output} is the best so far; go on with: "
            f"seqvision self-train --resume {work.run}"
        )
    return SelfTrained(output, work.run, rounds, best, stop)


def _copy_given(work: Work) -> None:
    """Write the model that was given under the name of the result."""
    given, output = work.asked.model, work.asked.output
    assert given is not None
    if containers.is_safetensors(given) == containers.is_safetensors(output):
        copy_model(given, output, work.run)
        return
    converted = work.run / f"given{output.suffix.lower()}"
    try:
        with atomic_write(converted) as unfinished:
            containers.write(unfinished, containers.read(given))
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
            "choose another place with --runs"
        ) from None
    raise DataError(f"{runs}: full of run folders of this second")
