"""The options of each command that has a model to make, measure or export."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqvision.config.data_commands import DataOptions
from seqvision.config.distillation import DistillationOptions
from seqvision.config.option_types import (
    CLIPS,
    DATA,
    MACHINE,
    MODEL,
    OUTPUT,
    STILLS,
    TEACHERS,
    TRAINING,
    VARIETY,
    BatchSize,
    Cache,
    DataArgument,
    DatasetName,
    Folds,
    ImageFps,
    Positive,
    Root,
    TestViews,
    TorchDevice,
)
from seqvision.config.training import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    SequenceOptions,
    TrainingOptions,
)
from seqvision.errors import DataError
from seqvision_edge.option_fields import Arg, FramesPerSecond, Options
from seqvision_edge.providers import Device

EVENTS, FORMAT, PROOF, GRAPH, MEASUREMENT = (
    "Events", "Number format", "Proof", "Graph", "Measurement"
)  # fmt: skip

PSEUDO, STUDENTS = "Pseudo-labels", "Students"
Probability = Annotated[float, Field(gt=0, le=1), Arg("PROBABILITY", PSEUDO)]


class TrainOptions(Options):
    """Train a classifier on clips and write model.pt."""

    headings = (DATA, CLIPS, MODEL, TRAINING, TEACHERS, VARIETY, OUTPUT, MACHINE, STILLS)
    examples = (
        "seqvision train frames/",
        "seqvision train frames/ --encoder resnet18 --weights imagenet --preset best",
        "seqvision train frames/ --frames 24 --fps 12 --flip --swap left:right",
        "seqvision train frames/ --folds 5",
        "seqvision train --resume runs/RUN",
    )

    data: DataArgument = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Root = None
    """The same, by name: --dataset ucf101 --root FOLDER."""
    output: Annotated[Path, Arg("FILE", OUTPUT)] = Path("model.pt")
    """File for the best model; a name that ends in .safetensors is written in that format."""
    runs: Annotated[Path, Arg("FOLDER", OUTPUT, "a new folder under runs/")] = Path("runs")
    """Folder for run folders: options, logs, checkpoints, curves, metrics."""
    resume: Annotated[Path | None, Arg("RUN", OUTPUT)] = None
    """Run folder of the training to resume, with its options."""
    config: Annotated[Path | None, Arg("YAML", OUTPUT)] = None
    """YAML file of options, such as a run folder's options.yaml; the command line overrides it."""
    preset: Annotated[Literal["default", "best"], Arg(group=TRAINING)] = "default"
    """best: what reaches more with half an hour of two cores (an ensemble, a head that reads in
    both directions, a budget of time); options that you give stay."""
    folds: Folds = 0
    """Cross-validation: K trainings, each measured on the groups of one of K folds, and one report;
    no model is written. 0: one training."""
    clips: ClipOptions = ClipOptions()
    images: SequenceOptions = SequenceOptions()
    augmentation: AugmentOptions = AugmentOptions()
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()
    distillation: DistillationOptions = DistillationOptions()


class EvaluateOptions(Options):
    """Evaluate a model on labelled clips."""

    headings = (DATA, OUTPUT, MACHINE)
    examples = (
        "seqvision evaluate model.pt frames/",
        "seqvision evaluate model.pt frames/ --split test --report report.html",
    )

    model: Annotated[Path, Arg("MODEL", positional=True)]
    """model.pt or model.safetensors of a training."""
    data: DataArgument = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Root = None
    """The same, by name: --dataset ucf101 --root FOLDER."""
    dataset: Annotated[DatasetName, Arg("NAME", DATA)] = "auto"
    """What the data is: own folders or a list, or a public data set as it is distributed."""
    official_split: Annotated[int, Field(ge=1, le=3), Arg(group=DATA)] = 1
    """Official split of UCF101 and HMDB51."""
    split: Annotated[Literal["all", "train", "val", "test"], Arg(group=DATA)] = "all"
    """Part of the data to measure on, where the data has a split."""
    region: Annotated[str | None, Arg("X1,Y1,X2,Y2", DATA)] = None
    """Part of the picture that the model sees, where a list gives none: two corners in fractions
    or pixels, as for edge-run --region."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of a frame folder were taken, where no list gives it."""
    output: Annotated[Path | None, Arg("FILE", OUTPUT)] = None
    """JSON file for the metrics; - is standard output."""
    report: Annotated[Path | None, Arg("FILE", OUTPUT)] = None
    """HTML file for the report: figures, mistakes, calibration."""
    test_views: TestViews = 1
    """Average the predictions of this many views of each clip (other beginnings, 10 % slower or
    faster, 6 % shifted) instead of its centre alone; a live run sees one."""
    batch_size: BatchSize = 16
    """Clips per step."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: TorchDevice = "auto"
    """Where to compute."""


class CalibrateOptions(Options):
    """Search how sure a model is and when it reports an event, and write that into its card.

    Clips give the temperature and the threshold for unknown; untrimmed videos, each with its truth
    (takes/monday.mp4 and takes/monday.json), give everything by which answers become events.
    """

    headings = (EVENTS, DATA, OUTPUT, MACHINE)
    examples = (
        "seqvision calibrate model.pt frames/ takes/",
        "seqvision calibrate model.onnx takes/ --max-false-per-hour 5",
        "seqvision calibrate model.pt takes/ --max-delay 0.4 --curve curve.svg",
    )

    model: Annotated[Path, Arg("MODEL", positional=True)]
    """model.pt or .safetensors of a training, or model.onnx (whose temperature stays)."""
    data: Annotated[tuple[Path, ...], Arg("CLIPS|TAKES", positional=True)]
    """Clips as `train` reads them; videos, folders of them or a list video,truth; or both."""
    output: Annotated[Path | None, Arg("FILE", OUTPUT, "the model itself")] = None
    """File to write; the model's weights and its old settings stay in it."""
    max_false_per_hour: Annotated[float, Field(ge=0), Arg("N", EVENTS)] = 20.0
    """Maximum number of false events per hour of video."""
    max_delay: Annotated[float | None, Arg("SECONDS", EVENTS, "as early as F1 allows")] = None
    """Maximum median time from the end of a gesture to its report; below 0: before it ends."""
    curve: Annotated[Path | None, Arg("FILE.svg|png", OUTPUT)] = None
    """Draw delay, F1 and false events per hour for each setting of --early; numbers in a .json."""
    tolerance: Annotated[float, Field(ge=0), Arg("SECONDS", EVENTS)] = 0.5
    """Tolerance in time when events are matched with the truth, as in edge-run."""
    unknown: Annotated[tuple[str, ...], Arg("LABEL", DATA)] = ("unknown",)
    """Labels of clips that belong to no class of the model."""
    split: Annotated[Literal["auto", "all", "train", "val", "test"], Arg("PART", DATA)] = "auto"
    """Part of the clips; auto: those for validation, where the data or the training has a split."""
    region: Annotated[str | None, Arg("X1,Y1,X2,Y2", DATA)] = None
    """Part of the picture that the model sees, where a list gives none: two corners in fractions
    or pixels, as for edge-run --region."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of a frame folder were taken, where no list gives it."""
    batch_size: BatchSize = 16
    """Clips per step."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: TorchDevice = "auto"
    """Where to compute."""


class CompareOptions(Options):
    """Compare runs: differing options, metrics, significance."""

    heading = OUTPUT
    examples = ("seqvision compare runs/*", "seqvision compare runs/* --json comparison.json")

    runs: Annotated[tuple[Path, ...], Arg("RUN", positional=True)]
    """Run folders of trainings."""
    json_: Annotated[Path | None, Arg("FILE")] = None
    """JSON file for the comparison; - is standard output."""


class PredictOptions(Options):
    """Classify clips.

    Exit codes: 0 done, 2 wrong use or no clip could be read, 3 some clips could not, 130 Ctrl-C.
    """

    headings = (OUTPUT, DATA, MACHINE)
    examples = (
        "seqvision predict model.onnx clip.mp4",
        "seqvision predict model.onnx clips/ --csv answers.csv",
        "seqvision predict model.pt 'takes/*.mp4' --every-window",
    )

    model: Annotated[Path, Arg("MODEL", positional=True)]
    """model.pt or .safetensors of a training, or model.onnx of an export (needs no torch)."""
    paths: Annotated[tuple[str, ...], Arg("CLIP", positional=True)]
    """Videos, images, folders of frames, folders full of these, or quoted patterns like '*.mp4'."""
    csv: Annotated[Path | None, Arg("FILE", OUTPUT)] = None
    """CSV file for path, label, probability and the probability of every label; - is standard
    output."""
    top: Annotated[Positive, Arg(group=OUTPUT)] = 3
    """Number of labels per line."""
    every_window: Annotated[bool, Arg(group=DATA)] = False
    """Average the predictions of all windows of a long clip, instead of its centre alone."""
    test_views: TestViews = 1
    """Average the predictions of this many views of each clip (other beginnings, 10 % slower or
    faster, 6 % shifted) instead of its centre alone."""
    region: Annotated[str | None, Arg("X1,Y1,X2,Y2", DATA)] = None
    """Part of the picture that the model sees, where a list gives none: two corners in fractions
    or pixels, as for edge-run --region."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of a frame folder were taken."""
    batch_size: BatchSize = 16
    """Windows per step."""
    device: Annotated[Device, Arg("DEVICE", MACHINE)] = "auto"
    """Where to compute: model.onnx on what its onnxruntime has, model.pt on cpu or cuda."""


class InspectOptions(Options):
    """Describe a model file without running it: inputs and outputs, settings, origin."""

    heading = OUTPUT
    examples = ("seqvision inspect model.onnx", "seqvision inspect model.pt --json")

    model: Annotated[Path, Arg("MODEL", positional=True)]
    """model.onnx of an export (then torch is not needed), or model.pt of a training."""
    json_: bool = False
    """Print everything as JSON."""


class ExportOptions(Options):
    """Export a model to ONNX and verify that the outputs are equal."""

    headings = (OUTPUT, FORMAT, PROOF, GRAPH, MACHINE)
    examples = (
        "seqvision export model.pt",
        "seqvision export model.pt --precision auto --calibrate frames/",
        "seqvision export model.pt --output gestures.onnx --verify frames/",
    )

    model: Annotated[Path, Arg("MODEL", positional=True)] = Path("model.pt")
    """model.pt or model.safetensors of a training."""
    output: Annotated[Path | None, Arg("FILE", OUTPUT, "the model's name with .onnx")] = None
    """File to write."""
    verify: Annotated[Path | None, Arg("DATA", PROOF)] = None
    """Clips (folder or CSV) on which the outputs are compared too."""
    precision: Annotated[Literal["fp32", "fp16", "int8", "auto"], Arg("FORMAT", FORMAT)] = "fp32"
    """Number format of the encoder; auto: the fastest here within --max-accuracy-drop."""
    calibrate: Annotated[Path | None, Arg("DATA", FORMAT, "those of --verify")] = None
    """Clips (folder or CSV) by which int8 chooses its ranges."""
    max_accuracy_drop: Annotated[float, Field(ge=0, le=100), Arg("POINTS", FORMAT)] = 0.5
    """Maximum drop of top-1 accuracy, in percentage points, that a number format may cost."""
    image_fps: Annotated[FramesPerSecond, Arg("FPS", PROOF)] = 30.0
    """Rate of the frame folders in --verify and --calibrate, where no list gives it."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    state: Annotated[Literal["window", "carry"], Arg(group=GRAPH)] = "window"
    """State between frames: the features of the window (live = offline), or h and c of the RNN."""
    opset: Annotated[int, Field(ge=18, le=24), Arg(group=GRAPH)] = 18
    """ONNX operator set; onnxruntime 1.17 reads up to 20."""


class VerifyOptions(Options):
    """Verify that model.onnx gives the outputs of model.pt, in one call and frame by frame."""

    headings = (PROOF, OUTPUT, MACHINE)
    examples = (
        "seqvision verify model.onnx --against model.pt",
        "seqvision verify model.onnx frames/ --against model.pt",
    )

    model: Annotated[Path, Arg("MODEL", positional=True)] = Path("model.onnx")
    """The exported file."""
    data: Annotated[Path | None, Arg("DATA", positional=True)] = None
    """Clips (folder or CSV) on which to compare too."""
    against: Annotated[Path, Arg("FILE", PROOF)] = Path("model.pt")
    """The model that it was exported from."""
    report: Annotated[Path | None, Arg("FILE", OUTPUT, "the model's name with .report.json")] = None
    """JSON file for the report."""
    image_fps: Annotated[FramesPerSecond, Arg("FPS", PROOF)] = 30.0
    """Rate at which the images of a frame folder were taken, where no list gives it."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""


class BenchOptions(Options):
    """Benchmark a model on this machine: latency of each stage, start-up, memory, size."""

    headings = (MEASUREMENT, OUTPUT, MACHINE)
    examples = (
        "seqvision bench model.onnx",
        "seqvision bench model.pt --source clip.mp4 --threads 1 2",
    )

    model: Annotated[Path, Arg("MODEL", positional=True)] = Path("model.onnx")
    """model.onnx, or model.pt, which is then timed in every --precision."""
    source: Annotated[Path | None, Arg("CLIP", MEASUREMENT)] = None
    """Video or folder of frames whose decoding is timed too."""
    against: Annotated[Path | None, Arg("FILE", MEASUREMENT)] = None
    """model.pt of a model.onnx: torch on the whole clip is timed as a baseline."""
    precision: Annotated[tuple[Literal["fp32", "fp16", "int8"], ...], Arg(group=MEASUREMENT)] = (
        "fp32",
        "int8",
    )
    """Number formats that model.pt is timed in; noise calibrates int8, for the time only."""
    seconds: Annotated[float, Field(gt=0, le=60), Arg("SECONDS", MEASUREMENT)] = 1.0
    """How long each stage is timed."""
    device: Annotated[tuple[Device, ...], Arg("DEVICE", MACHINE)] = ("cpu",)
    """Where the model runs; several are timed one after the other."""
    threads: Annotated[
        tuple[Positive, ...], Arg("N", MACHINE, "1, and as many as there are cores")
    ] = ()
    """Numbers of CPU threads."""
    json_: Annotated[Path | None, Arg("FILE", OUTPUT)] = None
    """JSON file for the figures; - is standard output."""


def data_path(options: TrainOptions | EvaluateOptions | DataOptions) -> Path:
    """Return where the clips are, given as an argument or as --root.

    Raises:
        DataError: neither was given, or both.
    """
    if options.data is not None and options.root is not None:
        raise DataError(f"give the clips once: {options.data} or --root {options.root}")
    path = options.data or options.root
    if path is None:
        raise DataError("the clips are missing: give a folder or a .csv list, or --root DIR")
    return path


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
    """Run folder to resume after its last whole round; its options hold."""
    dataset: Annotated[DatasetName, Arg("NAME", DATA)] = "auto"
    """What LABELLED is: own folders or a list, or a public data set as it is distributed."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of UNLABELLED's frame folders were taken, where no list gives it."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared with trainings."""
    device: TorchDevice = "auto"
    """Where to compute."""
