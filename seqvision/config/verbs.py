"""The options of each command."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from seqvision.config.base import UNSET, Options
from seqvision.config.parts import (
    AugmentOptions,
    ClipOptions,
    DatasetName,
    ModelOptions,
    Positive,
    SequenceOptions,
    TrainingOptions,
)
from seqvision.errors import DataError
from seqvision_edge.providers import Device


class TrainOptions(Options):
    """Train a classifier on clips and write model.pt."""

    data: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Annotated[Path | None, UNSET] = None
    """The same, by name: --dataset ucf101 --root DIR."""
    output: Path = Path("model.pt")
    """File for the best model; a name that ends in .safetensors is written in that format."""
    runs: Path = Path("runs")
    """Folder for run folders: options, logs, checkpoints, curves, metrics."""
    resume: Path | None = None
    """Run folder to go on with; its options hold."""
    config: Path | None = None
    """YAML of options, such as a run folder's options.yaml; flags win over it."""
    clips: ClipOptions = ClipOptions()
    images: SequenceOptions = SequenceOptions()
    augmentation: AugmentOptions = AugmentOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()


class EvaluateOptions(Options):
    """Measure a model on clips."""

    model: tyro.conf.Positional[Path]
    """model.pt or model.safetensors of a training."""
    data: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Annotated[Path | None, UNSET] = None
    """The same, by name: --dataset ucf101 --root DIR."""
    dataset: DatasetName = "auto"
    """What the data is: own folders or a list, or a public data set as it is distributed."""
    official: Annotated[int, Field(ge=1, le=3)] = 1
    """Official split of UCF101 and HMDB51."""
    split: Literal["all", "train", "val", "test"] = "all"
    """Part of the data to measure on, where the data says its split."""
    output: Path | None = None
    """JSON file for the metrics."""
    report: Path | None = None
    """HTML file for the report: figures, mistakes, calibration."""
    image_fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Rate at which the images of a frame folder were taken, where no list says it."""
    batch_size: Positive = 16
    """Clips per step."""
    cache: Path = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""


class CalibrateOptions(Options):
    """Search how sure a model is and when it tells an event, and write that into its card.

    Clips give the temperature and the threshold for unknown; untrimmed videos, each with its truth
    (takes/monday.mp4 and takes/monday.json), give everything by which answers become events.
    """

    model: tyro.conf.Positional[Path]
    """model.pt or .safetensors of a training, or model.onnx (whose temperature stays)."""
    data: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="CLIPS|TAKES…", help_behavior_hint="")]
    ]
    """Clips as `train` reads them; videos, folders of them or a list video,truth; or both."""
    output: Path | None = None
    """File to write; by default the model itself: its weights and its old settings stay in it."""
    max_false_per_hour: Annotated[float, Field(ge=0)] = 20.0
    """Most false events per hour of video."""
    tolerance: Annotated[float, Field(ge=0)] = 0.5
    """Seconds by which an event may miss the true one, as in edge-run."""
    unknown: tuple[str, ...] = ("unknown",)
    """Labels of clips that show what the model must give no name."""
    split: Literal["auto", "all", "train", "val", "test"] = "auto"
    """Part of the clips; auto: those that validate, where the data or the training says it."""
    image_fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Rate at which the images of a frame folder were taken, where no list says it."""
    batch_size: Positive = 16
    """Clips per step."""
    cache: Path = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""


class DataOptions(Options):
    """Say what a data set is, and what is wrong with it, before a model is trained on it."""

    data: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Annotated[Path | None, UNSET] = None
    """The same, by name: --dataset ucf101 --root DIR."""
    json_: Annotated[Path | None, tyro.conf.arg(name="json", help_behavior_hint="")] = None
    """Write everything that was found to this file."""
    sheet: Annotated[Path | None, UNSET] = None
    """Draw clips of every label, as they are and as training varies them, to this PNG."""
    decode: bool = False
    """Decode every frame, as training will, instead of the first one of each clip."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the split and of the variations, as in a training."""
    clips: ClipOptions = ClipOptions()
    images: SequenceOptions = SequenceOptions()
    augmentation: AugmentOptions = AugmentOptions()


class CompareOptions(Options):
    """Show runs side by side: what differs in their options, and what came of it."""

    runs: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN…", help_behavior_hint="")]
    ]
    """Run folders of trainings."""
    json_: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """JSON file for the comparison."""


class PredictOptions(Options):
    """Name what is in clips.

    Exit codes: 0 done, 2 wrong use or nothing could be read, 3 some clips could not, 130 Ctrl-C.
    """

    model: tyro.conf.Positional[Path]
    """model.pt or .safetensors of a training, or model.onnx of an export (needs no torch)."""
    paths: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH…", help_behavior_hint="")]
    ]
    """Videos, images, folders of frames, folders full of these, or quoted patterns like '*.mp4'."""
    csv: Path | None = None
    """CSV file for path, label, probability and the probability of every label."""
    top: Positive = 3
    """How many labels a line names."""
    every_window: bool = False
    """Ask about the whole of a long clip, window by window, and take the mean; else its centre."""
    image_fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Rate at which the images of a frame folder were taken."""
    batch_size: Positive = 16
    """Windows per step."""
    device: Device = "auto"
    """Where to compute: model.onnx on what its onnxruntime has, model.pt on cpu or cuda."""


class InspectOptions(Options):
    """Say what a model file is, without running it: its contract, its settings, its origin."""

    model: tyro.conf.Positional[Path]
    """model.onnx of an export (then torch is not needed), or model.pt of a training."""
    json_: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="json", help_behavior_hint="")
    ] = False
    """Print everything as JSON."""


class ExportOptions(Options):
    """Write model.onnx and prove that it answers as the model does."""

    model: tyro.conf.Positional[Path] = Path("model.pt")
    """model.pt or model.safetensors of a training."""
    output: Path | None = None
    """File to write; by default the model's name with .onnx."""
    verify: Path | None = None
    """Clips (folder or CSV) on which the proof is repeated."""
    precision: Literal["fp32", "fp16", "int8", "auto"] = "fp32"
    """Number format of the encoder; auto: the fastest on this machine within --max-drop."""
    calibrate: Path | None = None
    """Clips (folder or CSV) by which int8 chooses its ranges; by default those of --verify."""
    max_drop: Annotated[float, Field(ge=0, le=100)] = 0.5
    """Most points of top-1 accuracy on the clips that another number format may lose."""
    image_fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Rate of the frame folders in --verify and --calibrate, where no list says it."""
    cache: Path = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    state: Literal["window", "carry"] = "window"
    """What a frame leaves for the next: the window's features (live = offline), or h and c."""
    opset: Annotated[int, Field(ge=18, le=24)] = 18
    """ONNX operator set; onnxruntime 1.17 reads up to 20."""


class VerifyOptions(Options):
    """Prove again that model.onnx answers as model.pt does: in one call, and frame by frame."""

    model: tyro.conf.Positional[Path] = Path("model.onnx")
    """The exported file."""
    data: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """Clips (folder or CSV) on which to compare too."""
    against: Path = Path("model.pt")
    """The model that it was exported from."""
    report: Annotated[Path | None, UNSET] = None
    """JSON file for the report; by default the model's name with .report.json."""
    image_fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Rate at which the images of a frame folder were taken, where no list says it."""
    cache: Path = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""


class BenchOptions(Options):
    """Measure what a model costs on this machine: every stage, start-up, memory, size."""

    model: tyro.conf.Positional[Path] = Path("model.onnx")
    """model.onnx, or model.pt, which is then timed in every --precision."""
    source: Annotated[Path | None, UNSET] = None
    """Video or folder of frames whose decoding is timed too."""
    against: Annotated[Path | None, UNSET] = None
    """model.pt of a model.onnx: torch on the whole clip is timed as a baseline."""
    precision: tuple[Literal["fp32", "fp16", "int8"], ...] = ("fp32", "int8")
    """Number formats that model.pt is timed in; noise calibrates int8, for the time only."""
    device: tuple[Device, ...] = ("cpu",)
    """Where the model runs; several are timed one after the other."""
    threads: Annotated[tuple[Positive, ...], UNSET] = ()
    """Numbers of CPU threads; by default 1, and as many as there are cores."""
    seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How long each stage is timed."""
    json_: Annotated[Path | None, tyro.conf.arg(name="json", help_behavior_hint="")] = None
    """JSON file for the figures."""


def place_of(options: TrainOptions | EvaluateOptions | DataOptions) -> Path:
    """Return where the clips are, given as an argument or as --root.

    Raises:
        DataError: neither was given, or both.
    """
    if options.data is not None and options.root is not None:
        raise DataError(f"give the clips once: {options.data}, or --root {options.root}")
    place = options.data or options.root
    if place is None:
        raise DataError("say where the clips are: a folder or a .csv list, or --root DIR")
    return place
