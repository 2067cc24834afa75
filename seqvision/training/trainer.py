"""The way from clips to a model: prepare → fit → measure → write.

prepare (clips, network, arithmetic) → fit → measure → write.
"""

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path

import torch

from seqvision.compat import torchvision as torchvision  # before lightning touches it
from seqvision.config import TrainOptions, check_center, to_yaml
from seqvision.config.resume import last_checkpoint, load_run_options, recorded, resume_options
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
from seqvision.errors import CheckpointError, DataError
from seqvision.metrics import Metrics
from seqvision.output_files import is_model, publish
from seqvision.rank import is_first
from seqvision.report.run_folder import column
from seqvision.signals import Stop, interrupt, stop_of
from seqvision.statistics import chance_warning
from seqvision.training import distributed
from seqvision.training.hardware import check_precision, pick_device
from seqvision.training.loop import Fitted, done_epochs, fit, stopped_early
from seqvision.training.model_io import SAFETENSORS, is_safetensors, save_model, used_clips
from seqvision.training.results import (
    Results,
    make_card,
    measure_parts,
    take_facts,
    with_metrics,
    write_results,
)
from seqvision.validation import check_training
from seqvision_edge.card import ModelCard
from seqvision_edge.files import alone_in, sweep, write_whole

# isort: split

import math
from collections import Counter
from collections.abc import Callable

import lightning as L
from torch.utils.data import DataLoader

from seqvision import rank
from seqvision.data.cache import Cache
from seqvision.data.clips import background_note
from seqvision.data.dataset import Item
from seqvision.models.classifier import Classifier
from seqvision.training.autotune import LAYOUTS, Arithmetic, choose_arithmetic
from seqvision.training.data import Data, load_dataset
from seqvision.training.hardware import idle_gpus, tune_malloc
from seqvision.training.loaders import make_loaders
from seqvision.training.module import ClassifierModule


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


def train(options: TrainOptions, settled: bool = False, note: str | None = None) -> Trained:
    """Train a classifier and write its model file and run folder.

    Args:
        options: where `resume` names a run, its own options hold; of those given here, only some
            may be others (`seqvision.config.resume`).
        settled: that was seen to already.
        note: said before the work, once nothing is refused any more.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
    """
    began = time.monotonic()
    if options.resume is not None and not settled:
        options = resume_options(load_run_options(options.resume), options, TrainOptions())
    check_training(options)
    options = with_content(options)
    device = pick_device(options.training.device)
    check_precision(options.training.precision, device)
    with distributed.joined(options.training.batch_size, device), remarks() as made:
        if note is not None:
            print_note(note)
        return _train(options, device, began, made)


def _train(
    options: TrainOptions, device: torch.device, began: float, made: Sequence[Remark]
) -> Trained:
    if options.resume is not None:
        _note_finished(options.resume, options)
    begun: Path | None = None
    held = contextlib.ExitStack()
    if options.resume is not None:
        distributed.rank0_only(lambda: hold_run(held, options.resume))
    try:
        ready = prepare(options, device)
        options = ready.options
        run = begun = distributed.rank0_only(lambda: _begin_run(options))
        print_line(f"run folder: {run}")
        if options.resume is None:
            distributed.rank0_only(lambda: hold_run(held, run))
        resume = options.resume is not None
        split = ready.data.split
        fitted = fit(
            options.training, ready.module, ready.training, ready.validation, run, device, resume,
            afterwards=len(split.val) + len(split.test),
        )  # fmt: skip
        if fitted.stopped_by is not None:
            _print_stopped(run, options, fitted)
            return distributed.rank0_only(lambda: keep_stopped(ready, run, fitted))
        seconds = time.monotonic() - began
        return distributed.rank0_only(lambda: finish(ready, run, fitted, seconds, made))
    except KeyboardInterrupt as error:
        message = f"stopped; {what_is_kept(begun or options.resume)}" if is_first() else ""
        raise interrupt(stop_of(error), message) from None
    except CheckpointError:
        raise  # says itself what to do
    except Exception as error:
        if begun is not None and is_first():
            add_state(error, what_is_kept(begun))
        raise
    finally:
        held.close()
        if options.resume is None and begun is not None and is_first():
            _remove_empty(begun)


def what_is_kept(run: Path | None) -> str:
    """Return what a training that ended early has left, and how it goes on."""
    if run is None or not last_checkpoint(run).is_file():
        return "no epoch was complete, so nothing is kept"
    done = done_epochs(last_checkpoint(run))
    epochs = "1 epoch is" if done == 1 else f"{done} epochs are"
    return f"{epochs} kept in {run}; go on with: {_resume_command(run)}"


def _resume_command(run: Path) -> str:
    return shell_command("seqvision", "train", "--resume", run)


def _print_stopped(run: Path, options: TrainOptions, fitted: Fitted) -> None:
    """Say what becomes of a training that was stopped, before its kept epoch is measured."""
    kept = f"epoch {fitted.epoch + 1} is kept"
    if fitted.epochs > 1 and options.training.keep == "best":
        kept += f", the best of {fitted.epochs}"
    print_line(
        f"stopped; {kept}, and becomes {options.output}; go on with:",
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


@dataclass(frozen=True)
class Ready:
    """A training that can begin: its options as they were decided, and what they made."""

    options: TrainOptions
    data: Data
    module: ClassifierModule
    training: DataLoader[Item]
    validation: DataLoader[Item]
    device: torch.device
    arithmetic: Arithmetic

    @property
    def model(self) -> Classifier:
        """The network."""
        return self.module.model


def finish(
    ready: Ready,
    run: Path,
    fitted: Fitted,
    seconds: float,
    made: Sequence[Remark] = (),
    owner: Path | None = None,
) -> Trained:
    """Measure the kept epoch, and write the model file and the results in the run folder.

    Args:
        ready: the training.
        run: its folder.
        fitted: what it came to.
        seconds: how long it took.
        made: the notes and warnings so far, for the report.
        owner: the folder of the study that the run belongs to.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    options, data, model = ready.options, ready.data, ready.model
    model.load_state_dict(fitted.weights)
    card = make_card(options, data, model)
    parts = measure_parts(model, card, data, options)
    figures = {part.name: part.metrics for part in parts}
    card = with_metrics(card, figures)
    _write_model(ready, run, card, owner or run)
    facts = take_facts(run, model, ready.device, seconds, ready.arithmetic)
    # A trial's own notes were not printed while it was one of many.
    known = [*made, *(Remark("note", text) for text in card.origin.notes)]
    early = _kept_too_early(options, fitted.epoch)
    doubts = [each for each in (chance_warning(card), early) if each is not None]
    known += [Remark("warning", doubt) for doubt in doubts]
    results = Results(run, options, data, model, card, parts, fitted.epoch, facts, known)
    print_line(f"report: {write_results(results)}")
    for doubt in doubts:
        print_warning(doubt)
    val, test = figures["val"], figures.get("test")
    return Trained(options.output, run, fitted.epoch, val, test, fitted.stopped_by)


def keep_stopped(ready: Ready, run: Path, fitted: Fitted) -> Trained:
    """Write the model file of a training that was stopped, and nothing that takes time.

    Its figures are those that the epoch's validation has logged.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    options, data, model = ready.options, ready.data, ready.model
    model.load_state_dict(fitted.weights)
    figures: dict[str, float] = {"clips": len(data.split.val)}
    for name in ("loss", "accuracy", "f1"):
        logged = dict(column(run / "logs", f"val/{name}"))
        if fitted.epoch + 1 in logged:
            figures[name] = logged[fitted.epoch + 1]
    card = make_card(options, data, model)
    origin = card.origin.model_copy(update={"metrics": {"val": figures}})
    _write_model(ready, run, card.model_copy(update={"origin": origin}), run)
    return Trained(options.output, run, fitted.epoch, None, None, fitted.stopped_by)


def _write_model(ready: Ready, run: Path, card: ModelCard, owner: Path) -> None:
    output = ready.options.output
    kept = run / f"model{SAFETENSORS if is_safetensors(output) else '.pt'}"
    try:
        used = used_clips(ready.data.decoded, ready.data.split)
        save_model(kept, ready.model, ready.options.model, card, used)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; the epochs are kept, write it again with: {_resume_command(run)}"
        ) from None
    copy_model(kept, output, owner)


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
    """Keep other processes from going on with a run while this one does, until `held` is closed.

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
    run = options.resume or _new_run_folder(options)
    write_whole(run / "options.yaml", to_yaml(recorded(options)))
    return run


def _new_run_folder(options: TrainOptions) -> Path:
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{options.model.encoder}-{options.model.head}"
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
            "choose another place with --runs"
        ) from None
    raise DataError(f"{options.runs}: full of run folders of this second")


def copy_model(source: Path, target: Path, run: Path) -> None:
    """Copy a run's model to --output; keep a model of another run that is there.

    Args:
        source: the model.
        target: where it was asked for.
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


def prepare(
    options: TrainOptions,
    device: torch.device,
    read: Callable[[TrainOptions], Data] = load_dataset,
    quiet: bool = False,
) -> Ready:
    """Read the clips, build the network, and decide what was left to be decided.

    Args:
        options: with the content of an augmentation file in place of its name.
        device: where to train.
        read: finds and decodes the clips.
        quiet: say nothing about it.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
    """
    tune_malloc()
    L.seed_everything(options.training.seed, workers=True, verbose=False)
    data = distributed.rank0_first(lambda: read(options))
    check_center(options.model, data.sequence.window)
    model = Classifier(options.model, data.image, len(data.labels)).to(device)
    _check_schedule(options, model)
    if not quiet:
        for note in (*data.notes, *model.notes, *idle_gpus(device)):
            print_note(note)
        print_line(_summary(data, options))
    arithmetic = distributed.rank0_only(lambda: _arithmetic(options, data, model))
    if not quiet:
        print_line(f"memory format and precision: {arithmetic}")
    model.arrange(LAYOUTS[arithmetic.layout])
    options = _decided(options, arithmetic)
    training, validation = distributed.rank0_first(lambda: make_loaders(options, data, model))
    lr = _learning_rate(options, model)
    weights = _class_weights(options, data)
    module = ClassifierModule(model, options.training, data.labels, lr, weights)
    return Ready(options, data, module, training, validation, device, arithmetic)


def _summary(data: Data, options: TrainOptions) -> str:
    sizes = ", ".join(
        f"{len(part)} to {verb}"
        for part, verb in ((data.split.train, "train"), (data.split.val, "validate"),
                           (data.split.test, "test"))
        if part
    )  # fmt: skip
    model = options.model
    head = f"{'bidirectional ' if model.bidirectional and model.head != 'mean' else ''}{model.head}"
    pool = f" with {model.pool} pooling" if model.head != "mean" else ""
    centered = ", centered" if model.center else ""
    background = ""
    if data.background is not None and data.sequence.kind == "video":
        note = background_note(data.labels, data.background, options.clips.background)
        background = f"{note}\n"
    return (
        f"{len(data.labels)} labels, {len(data.clips)} clips ({sizes})\n{background}"
        f"{model.encoder} + {head}{pool}{centered}, {data.sequence}, "
        f"steps of {data.image.width}×{data.image.height}"
    )


def _check_schedule(options: TrainOptions, model: Classifier) -> None:
    """Refuse to keep an encoder as it is where that would teach nothing."""
    epoch = options.training.unfreeze_at
    if epoch and model.frozen:
        raise DataError(f"--unfreeze-at {epoch}: --freeze keeps the encoder for good; choose one")
    if epoch and not model.pretrained:
        raise DataError(
            f"--unfreeze-at {epoch}: {options.model.encoder} starts from random weights, from "
            "which a head alone learns nothing; give --weights, or leave it out"
        )


def _arithmetic(options: TrainOptions, data: Data, model: Classifier) -> Arithmetic:
    """Decide memory format and precision where they are auto."""
    training, steps = options.training, data.sequence.window
    images = math.ceil(min(training.batch_size, len(data.split.train)) / rank.count()) * steps
    total = math.ceil(len(data.split.train) / rank.count()) * steps * training.epochs
    cache = Cache(options.clips.cache, options.clips.cache_size)
    return choose_arithmetic(training, model, data.image, images, total, cache)


def _decided(options: TrainOptions, arithmetic: Arithmetic) -> TrainOptions:
    """Return the options as the run folder and the card keep them: a resumed run repeats them."""
    decided = {"memory_format": arithmetic.layout, "precision": arithmetic.precision}
    training = options.training.model_copy(update=decided)
    return options.model_copy(update={"training": training})


def _learning_rate(options: TrainOptions, model: Classifier) -> float:
    """Pretrained layers are only adjusted; layers from scratch have a long way to go."""
    if options.training.lr != "auto":
        return options.training.lr
    if model.frozen:
        return 1e-3
    return 3e-4 if model.pretrained else 3e-3


def _class_weights(options: TrainOptions, data: Data) -> torch.Tensor | None:
    """Return weights so that every label counts alike, whatever its number of clips."""
    if not options.training.class_weights:
        return None
    counts = Counter(data.truth[i] for i in data.split.train)
    total, labels = sum(counts.values()), len(data.labels)
    return torch.tensor([total / (labels * counts[i]) for i in range(labels)])
