"""Preparation of a training: options and clips → the context that all of its stages share."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from seqvision import rank
from seqvision.config import TrainOptions, check_center
from seqvision.console import print_line, print_note, print_warning
from seqvision.data.cache import Cache
from seqvision.data.clips import background_note
from seqvision.data.dataset import Item
from seqvision.errors import DataError
from seqvision.models.classifier import Classifier
from seqvision.training import distributed
from seqvision.training.autotune import LAYOUTS, Arithmetic, choose_arithmetic
from seqvision.training.data import Data, load_dataset
from seqvision.training.distillation import make_targets
from seqvision.training.hardware import idle_gpus, tune_malloc
from seqvision.training.lightning_module import ClassifierModule
from seqvision.training.loaders import make_loaders
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence, VectorSequence

if TYPE_CHECKING:
    from seqvision.training.teachers import Taught


@dataclass(frozen=True)
class RunContext:
    """What every stage of a training works on.

    Attributes:
        options: with everything decided that was `auto`: a resumed run repeats them.
        data: the clips, decoded and split.
        module: the network with its loss, as Lightning trains it.
        training: batches to learn from.
        validation: batches to choose an epoch by.
        device: where the network is.
        arithmetic: memory format and precision.
        taught: what other models predict for the clips.
    """

    options: TrainOptions
    data: Data
    module: ClassifierModule
    training: DataLoader[Item]
    validation: DataLoader[Item]
    device: torch.device
    arithmetic: Arithmetic
    taught: "Taught | None" = None

    @property
    def model(self) -> Classifier:
        """The network."""
        return self.module.model

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> "RunContext":
        """Load the weights that are kept; of two networks, keep the better one."""
        model = self.model
        model.load_state_dict(dict(weights))
        if model.rival is None:
            return self
        plain, centered = model.rival.losses.tolist()
        model.end_rivalry()
        print_note(
            f"--{'' if model.center else 'no-'}center: chosen on the validation clips, unless you "
            f"give it (loss {centered:.3f} with centered features, {plain:.3f} without, while both "
            "learned)"
        )
        chosen = self.options.model.model_copy(update={"center": model.center})
        return replace(self, options=self.options.model_copy(update={"model": chosen}))


def prepare_run(
    options: TrainOptions,
    device: torch.device,
    read: Callable[[TrainOptions], Data] = load_dataset,
    quiet: bool = False,
) -> RunContext:
    """Read the clips, build the network, and decide what was left to be decided.

    Args:
        options: with the content of an augmentation file in place of its name.
        device: where to train.
        read: finds and decodes the clips.
        quiet: print nothing.

    Raises:
        SeqvisionError: the options, the clips or the weights cannot be used.
    """
    tune_malloc()
    L.seed_everything(options.training.seed, workers=True, verbose=False)
    data = distributed.rank0_first(lambda: read(options))
    taught = _ask_teachers(options, data, device)
    targets = None
    if taught is not None:
        data = replace(
            data,
            unlabelled=taught.unlabelled,
            notes=(*data.notes, taught.summary),
            warnings=(*data.warnings, *taught.warnings),
        )
        targets = make_targets(options, data, taught.probabilities)
    check_center(options.model, data.sequence.window)
    rival = _measures_center(options, data)
    model = Classifier(options.model, data.image, len(data.labels))
    if rival:
        centered = options.model.model_copy(update={"center": True})
        model.add_rival(Classifier(centered, data.image, len(data.labels)))
    model = model.to(device)
    _check_schedule(options, model)
    if not quiet:
        for note in (*data.notes, *model.notes, *idle_gpus(device)):
            print_note(note)
        for warning in data.warnings:
            print_warning(warning)
        print_line(_summary(data, options))
    arithmetic = distributed.rank0_only(lambda: _arithmetic(options, data, model))
    if not quiet:
        print_line(f"memory format and precision: {arithmetic}")
    model.arrange(LAYOUTS[arithmetic.layout])
    options = _decided(options, arithmetic, rival)
    training, validation = distributed.rank0_first(
        lambda: make_loaders(options, data, model, targets)
    )
    lr = learning_rate(options, model.pretrained)
    weights = _class_weights(options, data)
    module = ClassifierModule(model, options.training, data.labels, lr, weights, targets)
    return RunContext(options, data, module, training, validation, device, arithmetic, taught)


def _ask_teachers(options: TrainOptions, data: Data, device: torch.device) -> "Taught | None":
    """Return what the teachers predict for the clips; None where there is no teacher."""
    if not options.distillation.teacher:
        return None
    from seqvision.training.teachers import ask_teachers  # with onnx and onnxruntime

    with torch.random.fork_rng(devices=[]):  # the student begins as it would alone
        return distributed.rank0_first(lambda: ask_teachers(options, data, device))


def _summary(data: Data, options: TrainOptions) -> str:
    sizes = ", ".join(
        f"{len(part)} to {verb}"
        for part, verb in ((data.split.train, "train"), (data.split.val, "validate"),
                           (data.split.test, "test"))
        if part
    )  # fmt: skip
    background = ""
    if data.background is not None and isinstance(data.sequence, TimedSequence):
        note = background_note(data.labels, data.background, options.clips.background)
        background = f"{note}\n"
    groups = f"{data.groups.line()}\n" if data.groups is not None else ""
    return (
        f"{len(data.labels)} labels, {len(data.clips)} clips ({sizes})\n{groups}{background}"
        f"{model_line(data, options)}"
    )


def model_line(data: Data, options: TrainOptions) -> str:
    """Return the network, and what it sees of a clip, in a line."""
    model = options.model
    encoder = "" if data.is_vectors else f"{model.encoder_name} + "
    head = f"{'bidirectional ' if model.bidirectional and model.head != 'mean' else ''}{model.head}"
    pool = f" with {model.pool} pooling" if model.head != "mean" else ""
    centered = ", centered" if model.centers else ""
    several = ""
    if model.ensemble > 1:
        several = f", {model.ensemble} {'heads' if model.freeze else 'networks'} averaged"
    return (
        f"{encoder}{head}{pool}{centered}{several}, {data.sequence}"
        f"{steps_text(data.image, data.sequence)}"
    )


def steps_text(image: ImageSpec, sequence: SequenceSpec) -> str:
    """Return the size of a step as the end of a line; empty of vectors, which have none."""
    if isinstance(sequence, VectorSequence):
        return ""
    return f", steps of {image.width}×{image.height}"


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


def _measures_center(options: TrainOptions, data: Data) -> bool:
    """Return whether validation decides `center`: clips of other groups, or any for the best."""
    model, groups = options.model, data.groups
    if model.center != "auto" or model.head == "mean" or model.reads == "only":
        return False
    if rank.count() > 1:
        return False  # processes wait for the gradients of all weights, also of one that lost
    if data.sequence.window == 1:
        return False
    if options.clips.fold is not None:
        return False  # what is held out measures the fold, and must not choose anything in it
    if data.background is not None:
        # For streams: clips do not show how many false events a centered model has between them.
        return False
    if options.preset == "best":
        return True
    if groups is None or groups.split_by == "none" or groups.shared:
        return False
    return "val" in groups.parts and bool(groups.parts["val"].groups)


def _decided(options: TrainOptions, arithmetic: Arithmetic, rival: bool) -> TrainOptions:
    """Return the options as the run folder and the card keep them: a resumed run repeats them."""
    decided = {"memory_format": arithmetic.layout, "precision": arithmetic.precision}
    changed: dict[str, Any] = {"training": options.training.model_copy(update=decided)}
    if options.model.center == "auto" and not rival:
        changed["model"] = options.model.model_copy(update={"center": False})
    return options.model_copy(update=changed)


def learning_rate(options: TrainOptions, is_pretrained: bool) -> float:
    """Pretrained layers are only adjusted; layers from scratch have a long way to go."""
    if options.training.lr != "auto":
        return options.training.lr
    if options.model.freeze:
        return 1e-3
    return 3e-4 if is_pretrained else 3e-3


def _class_weights(options: TrainOptions, data: Data) -> torch.Tensor | None:
    """Return weights so that every label counts alike, whatever its number of clips."""
    if not options.training.class_weights:
        return None
    counts = Counter(data.truth[i] for i in data.split.train)
    total, labels = sum(counts.values()), len(data.labels)
    return torch.tensor([total / (labels * counts[i]) for i in range(labels)])
