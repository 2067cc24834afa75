"""The options of a search: its own, and all of a training."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqvision.config.commands import TrainOptions
from seqvision.config.option_types import (
    CLIPS,
    DATA,
    MACHINE,
    MODEL,
    OUTPUT,
    STILLS,
    TRAINING,
    VARIETY,
    DataArgument,
    Positive,
    Root,
)
from seqvision.config.training import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    SequenceOptions,
    TrainingOptions,
)
from seqvision_edge.option_fields import Arg, Options

SEARCH = "Search"
_PARTS = ("clips", "images", "augmentation", "model", "training")


class TuneOptions(Options):
    """Search for the options that train the best model, and write it.

    The same command resumes a search that was stopped, or joins one that is running. An option
    of the training that is given is fixed; what is searched is in --space.

    Exit codes: 0 done, 2 wrong use, 130 Ctrl-C.
    """

    headings = (SEARCH, OUTPUT, DATA, CLIPS, MODEL, TRAINING, VARIETY, MACHINE, STILLS)
    examples = (
        "seqvision tune frames/",
        "seqvision tune frames/ --time 20m",
        "seqvision tune frames/ --trials 30 --max-latency-ms 5",
        "seqvision tune frames/ --encoder mobilenet_v2 --space space.yaml",
    )

    data: DataArgument = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Root = None
    """The same, by name: --dataset ucf101 --root FOLDER."""
    trials: Annotated[Positive, Arg(group=SEARCH)] = 50
    """Total number of trials, including those of earlier and of other processes."""
    sampler: Annotated[
        Literal["auto", "tpe", "random", "grid", "coordinate"],
        Arg("KIND", SEARCH, "coordinate with --time, else tpe"),
    ] = "auto"
    """How the next options are chosen: Bayesian (tpe), at random, every combination once (grid),
    or one option of the best trial changed (coordinate)."""
    pruner: Annotated[Literal["median", "hyperband", "none"], Arg("KIND", SEARCH)] = "median"
    """What ends a training early: below the median of the others at that epoch, Hyperband, none."""
    objective: Annotated[Literal["accuracy", "f1"], Arg(group=SEARCH)] = "accuracy"
    """Validation figure that the search raises, of the epoch that a training keeps."""
    max_latency_ms: Annotated[
        Annotated[float, Field(gt=0)] | None, Arg("MILLISECONDS", SEARCH, "no limit")
    ] = None
    """Maximum latency of a live frame, measured on this machine before a trial trains."""
    latency: Annotated[
        bool,
        Arg(
            group=SEARCH,
            off="Do not measure the latency of trials.",
        ),
    ] = True
    """Measure a live frame of every finished trial, for the table of accuracy against time."""
    space: Annotated[Path | None, Arg("YAML", SEARCH)] = None
    """YAML file of the search space, in place of the default one."""
    storage: Annotated[str | None, Arg("FILE|URL", SEARCH, "a file in the study's folder")] = None
    """SQLite file or database URL that keeps the study."""
    study: Annotated[
        Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=100)] | None, Arg("NAME", SEARCH)
    ] = None
    """Name of the study; by default made from the data's name and from what is searched."""
    output: Annotated[Path, Arg("FILE", OUTPUT)] = Path("model.pt")
    """File for the best model; a name that ends in .safetensors is written in that format."""
    runs: Annotated[Path, Arg("FOLDER", OUTPUT, "a new folder under runs/")] = Path("runs")
    """Folder for the study's folder: its table, its plot, the run folder of the best trial."""
    config: Annotated[Path | None, Arg("YAML", OUTPUT)] = None
    """A training's options, such as a run folder's options.yaml: where the search begins."""
    clips: ClipOptions = ClipOptions()
    images: SequenceOptions = SequenceOptions()
    augmentation: AugmentOptions = AugmentOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()

    @property
    def search_method(self) -> str:
        """The sampler, where it is automatic too: few trials change one option at a time."""
        if self.sampler != "auto":
            return self.sampler
        return "tpe" if self.training.time is None else "coordinate"

    def training_options(self) -> TrainOptions:
        """Return the options of a training that a trial begins with."""
        shared = ("data", "root", "output", "runs", *_PARTS)
        return TrainOptions(**{name: getattr(self, name) for name in shared})


def option_parts() -> dict[str, str]:
    """Return the options of a training by their names, and the part that each is in."""
    return {
        name: part for part in _PARTS for name in type(getattr(TrainOptions(), part)).model_fields
    }
