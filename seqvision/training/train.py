"""`seqvision train`: prepare (clips, network, arithmetic) → fit → measure → write."""

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from math import ceil
from pathlib import Path

import torch

from seqvision.compat import torchvision as torchvision  # before lightning touches it
from seqvision.config import TrainingOptions, TrainOptions, to_yaml
from seqvision.config.resume import last_checkpoint, recorded
from seqvision.console import (
    Remark,
    add_state,
    print_line,
    print_note,
    print_warning,
    remarks,
    shell_command,
)
from seqvision.data.augment import with_content
from seqvision.data.datasets import DataSet
from seqvision.errors import CheckpointError, DataError
from seqvision.evaluation import predict_probabilities
from seqvision.metrics import Metrics
from seqvision.output_files import is_model, publish
from seqvision.rank import is_first
from seqvision.report.run_folder import column
from seqvision.signals import Stop, interrupt, stop_of
from seqvision.statistics import chance_warning
from seqvision.training import distributed
from seqvision.training.data import Data, load_dataset
from seqvision.training.fit import Fitted, done_epochs, fit, stopped_early
from seqvision.training.hardware import check_precision, pick_device
from seqvision.training.model_io import SAFETENSORS, is_safetensors, save_model, used_clips
from seqvision.training.planner import Planner
from seqvision.training.results import (
    Results,
    make_card,
    measure_parts,
    take_facts,
    with_metrics,
    write_results,
)
from seqvision.training.run_context import RunContext, prepare_run
from seqvision_edge.card import ModelCard
from seqvision_edge.files import alone_in, sweep, write_whole

# Enough to estimate how long all take.
_TIMED_CLIPS = 4


@dataclass(frozen=True)
class Trained:
    """What a training leaves; `epoch` is the one that was kept, counted from 0.

    A training that was stopped has measured nothing after it.
    """

    model: Path
    run: Path
    epoch: int
    val: Metrics | None
    test: Metrics | None
    stopped_by: Stop | None


def train(
    options: TrainOptions,
    data: DataSet | Data | None = None,
    note: str | None = None,
    began: float | None = None,
) -> Trained:
    """Train a classifier and write its model file and run folder.

    Args:
        options: validated ones (`seqvision.preflight.validate_train`).
        data: the clips that validation has found, or what `load_dataset` gave for them; None: they
            are looked for.
        note: printed before the work, once nothing is refused any more.
        began: when the work began, by `time.monotonic`; None: now.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
    """
    began = time.monotonic() if began is None else began
    options = with_content(options)
    device = pick_device(options.training.device)
    check_precision(options.training.precision, device)
    with distributed.process_group(options.training.batch_size, device), remarks() as made:
        if note is not None:
            print_note(note)
        return _train(options, data, device, began, made)


def _train(
    options: TrainOptions,
    data: DataSet | Data | None,
    device: torch.device,
    began: float,
    made: Sequence[Remark],
) -> Trained:
    if options.resume is not None:
        _note_finished(options.resume, options)
    begun: Path | None = None
    held = contextlib.ExitStack()
    if options.resume is not None:
        distributed.rank0_only(lambda: hold_run(held, options.resume))
    try:
        context = prepare_run(options, device, lambda of: _loaded(of, data))
        options = context.options
        run = begun = distributed.rank0_only(lambda: _begin_run(options))
        print_line(f"run folder: {run}")
        if options.resume is None:
            distributed.rank0_only(lambda: hold_run(held, run))
        resume = options.resume is not None
        split = context.data.split
        planner = Planner(options.training, began, partial(seconds_to_measure, context))
        planner.followers.append(lambda training: _write_options(run, options, training))
        fitted = fit(
            context, run, resume, afterwards=len(split.val) + len(split.test), planner=planner
        )
        options = options.model_copy(update={"training": planner.options})
        context = replace(context, options=options)
        if fitted.stopped_by is not None:
            _print_stopped(run, options, fitted)
            return distributed.rank0_only(lambda: keep_stopped(context, run, fitted))
        seconds = time.monotonic() - began
        return distributed.rank0_only(lambda: finish_run(context, run, fitted, seconds, made))
    except KeyboardInterrupt as error:
        message = f"stopped; {what_is_kept(begun or options.resume)}" if is_first() else ""
        raise interrupt(stop_of(error), message) from None
    except CheckpointError:
        raise  # its message is complete
    except Exception as error:
        if begun is not None and is_first():
            add_state(error, what_is_kept(begun))
        raise
    finally:
        held.close()
        if options.resume is None and begun is not None and is_first():
            _remove_empty(begun)


def _loaded(options: TrainOptions, data: DataSet | Data | None) -> Data:
    return data if isinstance(data, Data) else load_dataset(options, data)


def _write_options(run: Path, options: TrainOptions, training: TrainingOptions) -> None:
    """Write the options of a run with what was decided since: resuming repeats them."""
    changed = recorded(options.model_copy(update={"training": training}))
    if is_first():
        write_whole(run / "options.yaml", to_yaml(changed))


def what_is_kept(run: Path | None) -> str:
    """Return what a training that ended early has left, and how to resume it."""
    if run is None or not last_checkpoint(run).is_file():
        return "no epoch was complete, so nothing is kept"
    done = done_epochs(last_checkpoint(run))
    epochs = "1 epoch is" if done == 1 else f"{done} epochs are"
    return f"{epochs} kept in {run}; resume with: {_resume_command(run)}"


def _resume_command(run: Path) -> str:
    return shell_command("seqvision", "train", "--resume", run)


def _print_stopped(run: Path, options: TrainOptions, fitted: Fitted) -> None:
    """Print what a stopped training keeps, before its kept epoch is measured."""
    kept = f"epoch {fitted.epoch + 1} is kept"
    if fitted.epochs > 1 and options.training.keep == "best":
        kept += f", the best of {fitted.epochs}"
    print_line(
        f"stopped; {kept}, and becomes {options.output}; resume with:",
        command=_resume_command(run),
    )
    early = _kept_too_early(options, fitted.epoch)
    if early is not None:
        print_warning(early)


def _kept_too_early(options: TrainOptions, epoch: int) -> str | None:
    """Return a warning where the kept epoch, from 0, lies in the warm-up of a cosine."""
    training = options.training
    peak = training.warmup * training.epochs
    if training.schedule != "cosine" or training.epochs == 1 or epoch + 1 > peak:
        return None
    return (
        f"epoch {epoch + 1} is kept, from before the learning rate's highest point (epoch "
        f"{ceil(peak)} of {training.epochs}): the model has learned little yet"
    )


def _remove_empty(run: Path) -> None:
    """Remove the folder of a run of which no epoch was complete."""
    if not last_checkpoint(run).exists():
        shutil.rmtree(run, ignore_errors=True)


def seconds_to_measure(context: RunContext) -> float:
    """Return about how many seconds it takes to measure the clips that do not train."""
    model, data = context.model, context.data
    # What a frozen encoder answers for validation clips is kept.
    indices = [*(() if model.frozen else data.split.val), *data.split.test]
    some = [data.decoded[i] for i in indices[:_TIMED_CLIPS]]
    if not some:
        return 0.0
    learns = {layer: layer.training for layer in model.modules()}
    began = time.monotonic()
    predict_probabilities(
        model, make_card(context.options, data, model), some, context.options.training.batch_size
    )
    seconds = time.monotonic() - began
    for layer, was in learns.items():
        layer.training = was
    return seconds / len(some) * len(indices)


def finish_run(
    context: RunContext,
    run: Path,
    fitted: Fitted,
    seconds: float,
    made: Sequence[Remark] = (),
    owner: Path | None = None,
    published: bool = True,
) -> Trained:
    """Measure the kept epoch, and write the model file and the results in the run folder.

    Args:
        context: the training.
        run: its folder.
        fitted: what it came to.
        seconds: how long it took.
        made: the notes and warnings so far, for the report.
        owner: the folder of the study that the run belongs to.
        published: whether the model is copied to --output; it is always in the run folder.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    context = context.with_weights(fitted.weights)
    options = context.options
    card = make_card(context.options, context.data, context.model)
    parts = measure_parts(context, card)
    figures = {part.name: part.metrics for part in parts}
    card = with_metrics(card, figures)
    model_file = _write_model(context, run, card, owner or run, published)
    facts = take_facts(context, run, seconds)
    # A trial's own notes were not printed while it was one of many.
    known = [*made, *(Remark("warning", text) for text in context.data.warnings)]
    known += [Remark("note", text) for text in card.origin.notes]
    early = _kept_too_early(options, fitted.epoch)
    doubts = [each for each in (chance_warning(card), early) if each is not None]
    known += [Remark("warning", doubt) for doubt in doubts]
    results = Results(run, context, card, parts, fitted.epoch, facts, known)
    print_line(f"report: {write_results(results)}")
    for doubt in doubts:
        print_warning(doubt)
    val, test = figures["val"], figures.get("test")
    return Trained(model_file, run, fitted.epoch, val, test, fitted.stopped_by)


def keep_stopped(context: RunContext, run: Path, fitted: Fitted) -> Trained:
    """Write the model file of a training that was stopped, and nothing that takes time.

    Its figures are those that the epoch's validation has logged.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    context = context.with_weights(fitted.weights)
    options, data = context.options, context.data
    figures: dict[str, float] = {"clips": len(data.split.val)}
    for name in ("loss", "accuracy", "f1"):
        logged = dict(column(run / "logs", f"val/{name}"))
        if fitted.epoch + 1 in logged:
            figures[name] = logged[fitted.epoch + 1]
    card = make_card(context.options, context.data, context.model)
    origin = card.origin.model_copy(update={"metrics": {"val": figures}})
    _write_model(context, run, card.model_copy(update={"origin": origin}), run)
    return Trained(options.output, run, fitted.epoch, None, None, fitted.stopped_by)


def model_in(run: Path, output: Path) -> Path:
    """Return the model file in a run folder, in the format of --output."""
    return run / f"model{SAFETENSORS if is_safetensors(output) else '.pt'}"


def _write_model(
    context: RunContext, run: Path, card: ModelCard, owner: Path, published: bool = True
) -> Path:
    """Write the model file in the run folder, copy it to --output; return where it is for users."""
    output = context.options.output
    kept = model_in(run, output)
    try:
        data = context.data
        used = used_clips(data.clips, data.decoded, data.split, data.unlabelled)
        save_model(kept, context.model, context.options.model, card, used)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; the epochs are kept, write it again with: {_resume_command(run)}"
        ) from None
    if not published:
        return kept
    copy_model(kept, output, owner)
    return output


def _note_finished(run: Path, options: TrainOptions) -> None:
    """Print that the run is finished, and how to train longer."""
    done = done_epochs(last_checkpoint(run))
    if done < options.training.epochs and not stopped_early(last_checkpoint(run)):
        return
    requested = options.training
    why, more = "", f"seqvision train --config {run}/options.yaml --epochs {2 * requested.epochs}"
    if done < requested.epochs:
        why = f": it stopped early, after {requested.patience} without a better one"
        more = f"seqvision train --config {run}/options.yaml --patience {3 * requested.patience}"
    elif requested.schedule == "plateau":
        more = f"seqvision train --resume {run} --epochs {2 * requested.epochs}"
    print_note(
        f"{run} is finished: {done} of {requested.epochs} epochs{why}; "
        f"its results are written again. To train longer: {more}"
    )


def hold_run(held: contextlib.ExitStack, run: Path | None) -> None:
    """Keep other processes from resuming a run while this one does, until `held` is closed.

    Raises:
        CheckpointError: another one does already.
    """
    with contextlib.suppress(OSError):
        if run is not None and not held.enter_context(alone_in(run)):
            raise CheckpointError(
                f"{run}: another process trains in it; wait for its end, or begin a new run"
            )


def _begin_run(options: TrainOptions) -> Path:
    """Return the run folder, its options written as they were decided: resuming repeats them."""
    run = options.resume or new_run_folder(options)
    write_whole(run / "options.yaml", to_yaml(recorded(options)))
    return run


def new_run_folder(options: TrainOptions, ending: str = "") -> Path:
    """Make a run folder with a name of its own.

    Raises:
        DataError: none can be made there.
    """
    # No name of a folder on Windows has a colon.
    encoder = options.model.encoder_name.replace(":", "-").replace(" ", "-")
    if options.images.vectors:
        encoder = "vectors"
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{encoder}-{options.model.head}{ending}"
    try:
        for number in range(1000):
            run = options.runs / (f"{name}-{number}" if number else name)
            with contextlib.suppress(FileExistsError):
                run.mkdir(parents=True)
                # What a killed training left in its own folder.
                sweep(options.runs, depth=3)
                return run
    except OSError as error:
        raise DataError(
            f"{options.runs}: no run folder can be made there ({error.strerror}); "
            "choose another folder with --runs"
        ) from None
    raise DataError(f"{options.runs}: full of run folders of this second")


def copy_model(source: Path, target: Path, run: Path) -> None:
    """Copy a run's model to --output; keep a model of another run that is there.

    Args:
        source: the model.
        target: the output path that was given.
        run: the folder of the run (or study) whose own model may be replaced.

    Raises:
        CheckpointError: it cannot be written there.
    """
    try:
        if target.is_file() and not is_model(target):
            raise CheckpointError(
                f"--output {target}: a file that is no model lies there; the model is {source}"
            )
        kept = publish(source, target, run)
    except OSError as error:
        raise CheckpointError(
            f"--output {target}: cannot be written ({error.strerror}); the model is {source}"
        ) from None
    if kept is not None:
        print_note(f"{target}: the model of another run is kept as {kept}")
