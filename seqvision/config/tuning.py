"""The options of a search: its own, and all of a training."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from seqvision.config.base import UNSET, Options
from seqvision.config.parts import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    Positive,
    SequenceOptions,
    TrainingOptions,
)
from seqvision.config.verbs import TrainOptions

_PARTS = ("clips", "images", "augmentation", "model", "training")


class TuneOptions(Options):
    """Search for the options that train the best model, and write it.

    The same command goes on with a search that was stopped, or joins one that is running. An option
    of the training that is given is fixed; what is searched is in --space.

    Exit codes: 0 done, 2 wrong use, 130 Ctrl-C.
    """

    data: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Annotated[Path | None, UNSET] = None
    """The same, by name: --dataset ucf101 --root DIR."""
    trials: Positive = 50
    """Trainings in all, those of earlier and of other processes included."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How the next options are chosen: Bayesian (TPE), at random, or every combination once."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """What ends a training early: below the median of the others at that epoch, Hyperband, none."""
    objective: Literal["accuracy", "f1"] = "accuracy"
    """Validation figure that the search raises, of the epoch that a training keeps."""
    max_ms: Annotated[float | None, Field(gt=0), UNSET] = None
    """Most milliseconds of a live frame, measured on this machine before a training begins."""
    latency: bool = True
    """Measure a live frame of every finished trial, for the table of accuracy against time."""
    space: Annotated[Path | None, UNSET] = None
    """YAML of the options to search, in place of the usual ones."""
    storage: Annotated[str | None, UNSET] = None
    """SQLite file or database URL that keeps the study; by default a file in its folder."""
    study: Annotated[str | None, Field(pattern=r"^[\w.-]+$", max_length=100), UNSET] = None
    """Name of the study; by default made from the data's name and from what is searched."""
    output: Path = Path("model.pt")
    """File for the best model; a name that ends in .safetensors is written in that format."""
    runs: Path = Path("runs")
    """Folder for the study's folder: its table, its plot, the run folder of the best trial."""
    config: Path | None = None
    """YAML of a training's options, such as a run folder's: where the search begins."""
    clips: ClipOptions = ClipOptions()
    images: SequenceOptions = SequenceOptions()
    augmentation: AugmentOptions = AugmentOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()

    def of_a_training(self) -> TrainOptions:
        """Return the options of a training that a trial begins with."""
        shared = ("data", "root", "output", "runs", *_PARTS)
        return TrainOptions(**{name: getattr(self, name) for name in shared})


def option_parts() -> dict[str, str]:
    """Return the options of a training by their names, and the part that each is in."""
    return {
        name: part for part in _PARTS for name in type(getattr(TrainOptions(), part)).model_fields
    }
