"""The trainings that are compared; each runs in a process of its own (see `timing.Contestant`).

`ours` and `plain` train; `… model` takes steps on one batch that is there already; `frozen` trains
a head on features that are there already.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does, before torch

from seqvision.compat import torchvision  # noqa: F401, I001  # before lightning
import lightning as L
import torch
from torch.utils.data import DataLoader

from bench import plain
from seqvision.config import ClipOptions, ModelOptions, TrainingOptions, TrainOptions
from seqvision.data.cache import Cache
from seqvision.data.dataset import Batch
from seqvision.models.classifier import Classifier
from seqvision.training.hardware import tune_malloc
from seqvision.training.data import load_dataset
from seqvision.training.fit import fit
from seqvision.training.loaders import make_loaders
from seqvision.training.lightning_module import ClassifierModule
from seqvision.training.autotune import LAYOUTS, Arithmetic, choose_arithmetic
from seqvision.training.run_context import RunContext
from seqvision_edge.card import ImageSpec

FRAMES, SIZE, BATCH, LABELS = 16, 112, 8, 4
IMAGE = ImageSpec(height=SIZE, width=SIZE, channels=3, fit="stretch")
# Batches that the workers had time to prepare before the clock starts.
PREPARED = 2


def wait() -> None:
    """Block until it is this candidate's turn; end with the benchmark."""
    if not sys.stdin.readline():
        raise SystemExit


def report(clips: int, began: float) -> None:
    """Answer with clips per second."""
    print(clips / (time.perf_counter() - began), file=sys.__stdout__, flush=True)


def plain_model(encoder: str, _: Path) -> None:
    """Take eager float32 steps with the same network."""
    batch = (torch.rand(BATCH, FRAMES, 3, SIZE, SIZE), torch.randint(0, LABELS, (BATCH,)))
    _take(plain.steps(encoder, [batch]))


def plain_loop(encoder: str, folder: Path) -> None:
    """Train the plain way, with one worker."""
    loader = DataLoader(plain.Clips(folder / "clips"), BATCH, shuffle=True, num_workers=1)
    steps = plain.steps(encoder, loader)
    _ready()
    while True:
        wait()
        for _ in range(PREPARED):
            next(steps)
        began = time.perf_counter()
        for _ in range(len(loader) - PREPARED):
            next(steps)
        report(len(loader.dataset) - PREPARED * BATCH, began)


def our_model(encoder: str, folder: Path) -> None:
    """Take steps with the module that is trained."""
    options, model = _prepared(encoder, folder)
    module = ClassifierModule(model, options.training, tuple("abcd"), 3e-4).train()
    shape = (BATCH, FRAMES, SIZE, SIZE, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    batch = Batch(frames, torch.full((BATCH,), FRAMES), torch.randint(0, LABELS, (BATCH,)))
    optimizer = torch.optim.AdamW(module.parameters(), 3e-4, fused=True)
    bf16 = options.training.precision == "bf16"

    def steps() -> Iterator[None]:
        while True:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = module.training_step(batch, 0)
            optimizer.zero_grad()
            loss.backward()
            module.configure_gradient_clipping(optimizer, 1.0)
            optimizer.step()
            yield

    _take(steps())


def our_loop(encoder: str, folder: Path, freeze: bool = False) -> None:
    """Train as `seqvision train` does, with one worker."""
    options, model = _prepared(encoder, folder, freeze)
    data = load_dataset(options)
    training, validation = make_loaders(options, data, model)
    module = ClassifierModule(model, options.training, data.labels, 3e-4)
    turns = Turns(0 if freeze else PREPARED)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    _ready()
    run = folder / f"run-{encoder}-{freeze}"
    cpu = torch.device("cpu")
    arithmetic = Arithmetic(options.training.memory_format, options.training.precision)
    context = RunContext(options, data, module, training, validation, cpu, arithmetic)
    fit(context, run, resume=False, listeners=[turns])


def frozen_loop(encoder: str, folder: Path) -> None:
    """Train a head on kept features."""
    our_loop(encoder, folder, freeze=True)


class Turns(L.Callback):
    """Lets each epoch wait for its turn, and times its training part."""

    def __init__(self, prepared: int) -> None:
        self._prepared = prepared
        self._began = 0.0
        self._clips = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait for the turn."""
        wait()
        self._began, self._clips = time.perf_counter(), 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, _: Any, batch: Batch, number: int
    ) -> None:
        """Count the clips; the clock starts after the batches that were prepared already."""
        self._clips += len(batch.labels)
        if number == self._prepared - 1:
            self._began, self._clips = time.perf_counter(), 0
        if trainer.is_last_batch:
            report(self._clips, self._began)


def _prepared(encoder: str, folder: Path, freeze: bool = False) -> tuple[TrainOptions, Classifier]:
    """Return options and model as `train` has them before the first step."""
    tune_malloc()
    options = TrainOptions(
        data=folder / "clips",
        clips=ClipOptions(size=SIZE, frames=FRAMES, fps=15, image_fps=15, val=0.1, workers=1,
                          cache=folder / "cache"),
        model=ModelOptions(encoder=encoder, weights="none", freeze=freeze, views=2,
                           bidirectional=False),
        training=TrainingOptions(batch_size=BATCH, epochs=100000, patience=0),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Classifier(options.model, IMAGE, LABELS)
    cache = Cache(options.clips.cache)
    arithmetic = choose_arithmetic(options.training, model, IMAGE, BATCH * FRAMES, 10**9, cache)
    print(encoder, arithmetic, file=sys.stderr)
    model.arrange(LAYOUTS[arithmetic.layout])
    decided = {"memory_format": arithmetic.layout, "precision": arithmetic.precision}
    training = options.training.model_copy(update=decided)
    return options.model_copy(update={"training": training}), model


def _take(steps: Iterator[None], count: int = 5) -> None:
    for _ in range(2):
        next(steps)
    _ready()
    while True:
        wait()
        began = time.perf_counter()
        for _ in range(count):
            next(steps)
        report(count * BATCH, began)


def _ready() -> None:
    print("ready", file=sys.__stdout__, flush=True)


CONTESTANTS = {
    "plain model": plain_model,
    "plain": plain_loop,
    "our model": our_model,
    "ours": our_loop,
    "frozen": frozen_loop,
}

if __name__ == "__main__":
    CONTESTANTS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
