"""The way from clips to model.pt.

find, decode and split the clips → build the model → fit → measure → write.
"""

import contextlib
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import lightning as L
import torch
from rich.console import Console
from rich.markup import escape
from torch.utils.data import DataLoader

from seqvision import rank
from seqvision.chance import chance_warning
from seqvision.config import TrainOptions, to_yaml
from seqvision.config.resume import going_on, kept_options, last_checkpoint, recorded
from seqvision.data.augment import with_content
from seqvision.data.cache import Cache
from seqvision.data.dataset import Item
from seqvision.errors import CheckpointError, DataError
from seqvision.metrics import Metrics
from seqvision.models.classifier import Classifier
from seqvision.ready import check_training
from seqvision.stopped import Stop
from seqvision.training import processes
from seqvision.training.allocator import keep_freed_memory
from seqvision.training.autotune import LAYOUTS, Arithmetic, choose_arithmetic
from seqvision.training.card import make_card, with_metrics
from seqvision.training.checkpoint import save_model
from seqvision.training.containers import SAFETENSORS, is_safetensors
from seqvision.training.data import Data, read_data
from seqvision.training.device import check_precision, idle_gpus, pick_device
from seqvision.training.fit import Fitted, done_epochs, fit, stopped_early
from seqvision.training.loaders import make_loaders
from seqvision.training.module import ClassifierModule
from seqvision.training.results import Results, measure_parts, take_facts, write_results
from seqvision_edge.files import replacing


@dataclass(frozen=True)
class Trained:
    """What a training leaves; `epoch` is the one that was kept, counted from 0."""

    model: Path
    run: Path
    epoch: int
    val: Metrics
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
        options = going_on(kept_options(options.resume), options, TrainOptions())
    check_training(options)
    options = with_content(options)
    device = pick_device(options.training.device)
    check_precision(options.training.precision, device)
    with processes.joined(options.training.batch_size, device):
        if note is not None:
            _say(f"[yellow]note:[/] {escape(note)}")
        return _train(options, device, began)


def _train(options: TrainOptions, device: torch.device, began: float) -> Trained:
    if options.resume is not None:
        _tell_finished(options.resume, options)
    ready = prepare(options, device)
    options = ready.options
    run = processes.first_only(lambda: _begin_run(options))
    _say(f"run folder: {run}")
    resume = options.resume is not None
    loaders = ready.training, ready.validation
    fitted = fit(options.training, ready.module, *loaders, run, device, resume)
    return processes.first_only(lambda: finish(ready, run, fitted, time.monotonic() - began))


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


def prepare(
    options: TrainOptions,
    device: torch.device,
    read: Callable[[TrainOptions], Data] = read_data,
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
    say: Callable[[str], None] = (lambda _: None) if quiet else _say
    keep_freed_memory()
    L.seed_everything(options.training.seed, workers=True, verbose=False)
    data = processes.leader_first(lambda: read(options))
    model = Classifier(options.model, data.image, len(data.labels)).to(device)
    _check_schedule(options, model)
    for note in (*data.notes, *model.notes, *idle_gpus(device)):
        say(f"[yellow]note:[/] {note}")
    say(_summary(data, options))
    arithmetic = processes.first_only(lambda: _arithmetic(options, data, model))
    say(f"arithmetic: {arithmetic}")
    model.arrange(LAYOUTS[arithmetic.layout])
    options = _decided(options, arithmetic)
    training, validation = processes.leader_first(lambda: make_loaders(options, data, model))
    lr = _learning_rate(options, model)
    weights = _class_weights(options, data)
    module = ClassifierModule(model, options.training, data.labels, lr, weights)
    return Ready(options, data, module, training, validation, device, arithmetic)


def finish(ready: Ready, run: Path, fitted: Fitted, seconds: float) -> Trained:
    """Measure the kept epoch, and write the model file and the results in the run folder.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    options, data, model = ready.options, ready.data, ready.model
    model.load_state_dict(fitted.weights)
    card = make_card(options, data, model)
    parts = measure_parts(model, card, data, options)
    figures = {part.name: part.metrics for part in parts}
    card = with_metrics(card, figures)
    kept = run / f"model{SAFETENSORS if is_safetensors(options.output) else '.pt'}"
    save_model(kept, model, options.model, card)
    copy_model(kept, options.output)
    facts = take_facts(run, model, ready.device, seconds, ready.arithmetic)
    results = Results(run, options, data, model, card, parts, fitted.epoch, facts)
    _say(f"report: {write_results(results)}")
    doubt = chance_warning(card)
    if doubt is not None:
        _say(f"[yellow]warning:[/] {escape(doubt)}")
    val, test = figures["val"], figures.get("test")
    return Trained(options.output, run, fitted.epoch, val, test, fitted.stopped_by)


def _tell_finished(run: Path, options: TrainOptions) -> None:
    """Say that there is nothing to go on with, and what to do instead."""
    done = done_epochs(last_checkpoint(run))
    if done < options.training.epochs and not stopped_early(last_checkpoint(run)):
        return
    asked = options.training
    why, more = "", f"seqvision train --config {run}/options.yaml --epochs {2 * asked.epochs}"
    if done < asked.epochs:
        why = f": it stopped early, after {asked.patience} without a better one"
        more = f"seqvision train --config {run}/options.yaml --patience {3 * asked.patience}"
    elif asked.schedule == "plateau":
        more = f"seqvision train --resume {run} --epochs {2 * asked.epochs}"
    _say(
        f"[yellow]note:[/] {escape(str(run))} is finished: {done} of {asked.epochs} "
        f"epochs{why}; its results are written again. To train longer: {escape(more)}"
    )


def _begin_run(options: TrainOptions) -> Path:
    """Return the run folder, its options written as they were decided: resuming repeats them."""
    run = options.resume or _new_run_folder(options)
    (run / "options.yaml").write_text(to_yaml(recorded(options)), encoding="utf-8")
    return run


def _new_run_folder(options: TrainOptions) -> Path:
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{options.model.encoder}-{options.model.head}"
    try:
        for number in range(1000):
            run = options.runs / (f"{name}-{number}" if number else name)
            with contextlib.suppress(FileExistsError):
                run.mkdir(parents=True)
                return run
    except OSError as error:
        raise DataError(
            f"{options.runs}: no run folder can be made there ({error.strerror}); "
            "choose another place with --runs"
        ) from None
    raise DataError(f"{options.runs}: full of run folders of this second")


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
    return (
        f"{len(data.labels)} labels, {len(data.clips)} clips ({sizes})\n"
        f"{model.encoder} + {head}{pool}, {data.sequence}, "
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
    """Decide layout and precision where they are auto."""
    training, steps = options.training, data.sequence.window
    images = math.ceil(min(training.batch_size, len(data.split.train)) / rank.count()) * steps
    total = math.ceil(len(data.split.train) / rank.count()) * steps * training.epochs
    cache = Cache(options.clips.cache, options.clips.cache_size)
    return choose_arithmetic(training, model, data.image, images, total, cache)


def _decided(options: TrainOptions, arithmetic: Arithmetic) -> TrainOptions:
    """Return the options as the run folder and the card keep them: a resumed run repeats them."""
    decided = {"layout": arithmetic.layout, "precision": arithmetic.precision}
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


def copy_model(source: Path, target: Path) -> None:
    """Put a run's model where it was asked for.

    Raises:
        CheckpointError: it cannot be written there.
    """
    try:
        with replacing(target) as unfinished:
            shutil.copyfile(source, unfinished)
    except OSError as error:
        raise CheckpointError(
            f"--output {target}: cannot be written ({error.strerror}); the model is {source}"
        ) from None


def _say(text: str) -> None:
    if not rank.is_first():
        return
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)
