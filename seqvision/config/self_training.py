"""The options of `seqvision self-train`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from seqvision.config.base import UNSET, Options
from seqvision.config.parts import DatasetName, Positive

Probability = Annotated[float, Field(gt=0, le=1)]


class SelfTrainOptions(Options):
    """Learn from clips without labels too: a model names them, its student learns what is sure.

    Exit codes: 0 done, 2 wrong use, 130 Ctrl-C.
    """

    model: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """model.pt or model.safetensors of a training: the first teacher. It is never overwritten."""
    labelled: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """The clips that the model was trained on: a folder or a list, as train reads them."""
    unlabelled: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """Clips without labels: a folder of any layout, or a CSV with the column path."""
    truth: bool = False
    """UNLABELLED says its labels: report how many pseudo-labels are right; nothing learns them."""
    select: Literal["fixed", "balanced"] = "fixed"
    """What is sure: at least --threshold, or as many of each label as keep LABELLED's shares."""
    threshold: Probability = 0.9
    """Least calibrated probability of a pseudo-label."""
    floor: Probability = 0.5
    """Least calibrated probability with --select balanced, for labels that are rarely sure."""
    views: Annotated[int, Field(ge=0)] = 3
    """Varied copies of a clip of which the model must say the same; 0 asks for none."""
    rounds: Positive = 5
    """Most rounds; in each a student learns, which is the teacher of the next one."""
    wait: Positive = 2
    """Rounds in a row that validate clearly worse than the best, after which it ends."""
    epochs: Annotated[Positive | None, UNSET] = None
    """Most passes of a student over its clips; by default as in the model's training."""
    augment: Annotated[str | None, UNSET] = None
    """How a student's clips vary: none, light, strong or a YAML; by default as in that training."""
    output: Path = Path("self-trained.pt")
    """File for the best model so far."""
    runs: Path = Path("runs")
    """Folder for the run folder: rounds.csv, round-N.csv, each student's own run folder."""
    resume: Annotated[Path | None, UNSET] = None
    """Run folder to go on with, after the last whole round; its options hold."""
    dataset: DatasetName = "auto"
    """What LABELLED is: own folders or a list, or a public data set as it is distributed."""
    image_fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Rate at which the images of UNLABELLED's frame folders were taken, where no list says it."""
    cache: Path = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""
