"""The options of `seqvision self-train`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqvision.config.base import DATA, MACHINE, OUTPUT, Cache, ImageFps, Positive, TorchDevice
from seqvision.config.parts import DatasetName
from seqvision_edge.options import Arg, Options

PSEUDO, STUDENTS = "Pseudo-labels", "Students"
Probability = Annotated[float, Field(gt=0, le=1), Arg("PROBABILITY", PSEUDO)]


class SelfTrainOptions(Options):
    """Train on unlabelled clips too: a teacher labels them, a student learns the confident ones.

    Exit codes: 0 done, 2 wrong use, 130 Ctrl-C.
    """

    headings = (PSEUDO, STUDENTS, DATA, OUTPUT, MACHINE)
    examples = (
        "seqvision self-train model.pt frames/ unlabelled/",
        "seqvision self-train model.pt frames/ unlabelled/ --rounds 3 --threshold 0.95",
        "seqvision self-train --resume runs/RUN",
    )

    model: Annotated[Path | None, Arg("MODEL", positional=True, needed=True)] = None
    """model.pt or model.safetensors of a training: the first teacher. It is never overwritten."""
    labelled: Annotated[Path | None, Arg("LABELLED", positional=True, needed=True)] = None
    """The clips that the model was trained on: a folder or a list, as train reads them."""
    unlabelled: Annotated[Path | None, Arg("UNLABELLED", positional=True, needed=True)] = None
    """Clips without labels: a folder of any layout, or a CSV with the column path."""
    select: Annotated[Literal["fixed", "balanced"], Arg(group=PSEUDO)] = "fixed"
    """What is sure: at least --threshold, or as many of each label as keep LABELLED's shares."""
    threshold: Probability = 0.9
    """Minimum calibrated probability of a pseudo-label."""
    floor: Probability = 0.5
    """Minimum calibrated probability with --select balanced."""
    views: Annotated[int, Field(ge=0), Arg(group=PSEUDO)] = 3
    """Number of augmented copies of a clip that must get the same label."""
    truth: Annotated[bool, Arg(group=PSEUDO)] = False
    """UNLABELLED has labels: report the accuracy of the pseudo-labels. They are not used for
    training."""
    rounds: Annotated[Positive, Arg(group=STUDENTS)] = 5
    """Maximum number of rounds; the student of one round is the teacher of the next."""
    patience: Annotated[Positive, Arg("ROUNDS", STUDENTS)] = 2
    """Rounds in a row with clearly worse validation than the best, after which training stops."""
    epochs: Annotated[Positive | None, Arg("N", STUDENTS, "as in the model's training")] = None
    """Most passes of a student over its clips."""
    augment: Annotated[
        str | None,
        Arg("none|light|strong|FILE.yaml", STUDENTS, "as in the model's training"),
    ] = None
    """How a student's clips vary."""
    output: Annotated[Path, Arg("FILE", OUTPUT)] = Path("self-trained.pt")
    """File for the best model so far."""
    runs: Annotated[Path, Arg("FOLDER", OUTPUT, "a new folder under runs/")] = Path("runs")
    """Folder for the run folder: rounds.csv, round-N.csv, each student's own run folder."""
    resume: Annotated[Path | None, Arg("RUN", OUTPUT)] = None
    """Run folder to go on with, after the last whole round; its options hold."""
    dataset: Annotated[DatasetName, Arg("NAME", DATA)] = "auto"
    """What LABELLED is: own folders or a list, or a public data set as it is distributed."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of UNLABELLED's frame folders were taken, where no list says it."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: TorchDevice = "auto"
    """Where to compute."""
