"""Trainings that take a second, and what they leave."""

from pathlib import Path

import torch

from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.config.resume import load_run_options, resume_options
from seqvision.preflight import validate_train
from seqvision.training import train as trainer
from seqvision.training.model_io import load_model
from seqvision.training.train import Trained

# Options of a training that takes a second.
FEW = ("--encoder", "flatten", "--hidden", "8", "--size", "16", "--workers", "0", "--cache", "c")
PEOPLE = ("anna", "ben", "carl", "dora", "emil", "fritz", "gabi", "hans", "ines", "jan")


def options(data: Path, folder: Path, epochs: int = 3, **parts: dict[str, object]) -> TrainOptions:
    """Return small options; `model`, `training`, `clips` and `augmentation` change them."""
    folder.mkdir(parents=True, exist_ok=True)
    return TrainOptions(
        data=data,
        output=folder / "model.pt",
        runs=folder / "runs",
        clips=ClipOptions(
            **{"size": 16, "frames": 6, "workers": 0, "cache": folder / "cache"}
            | parts.get("clips", {})
        ),
        augmentation=AugmentOptions(**parts.get("augmentation", {})),
        model=ModelOptions(
            **{"encoder": "flatten", "hidden": 16, "dropout": 0.1} | parts.get("model", {})
        ),
        training=TrainingOptions(**{"epochs": epochs, "batch_size": 8} | parts.get("training", {})),
    )


def train(options: TrainOptions) -> Trained:
    """Validate options and train, as the command does."""
    if options.resume is not None:
        options = resume_options(load_run_options(options.resume), options, TrainOptions())
    return trainer.train(options, validate_train(options))


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return load_model(trained.model)[0].state_dict()


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
