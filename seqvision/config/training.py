"""The options of a training, by subject, and which of them go together."""

import re
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from seqvision.errors import DataError
from seqvision_edge.hints import did_you_mean, near_words, path_error
from seqvision_edge.number_parsing import parse_number as plain_number
from seqvision_edge.number_parsing import parse_whole_number
from seqvision_edge.option_fields import Arg, FramesPerSecond, Options

Share = Annotated[float, Field(ge=0, lt=1)]

EncoderName = Literal[
    "flatten",
    "small_cnn",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "resnet18",
    "resnet50",
    "vgg16",
    "efficientnet_b0",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
]
ENCODERS: tuple[str, ...] = get_args(EncoderName)
FROM_SCRATCH = ("flatten", "small_cnn")
TIMM = "timm:"
ONNX = ".onnx"
# Features are points of a body; the networks are fetched, never learn, and see whole pictures.
LandmarkName = Literal["hands"]
LANDMARKS: tuple[str, ...] = get_args(LandmarkName)

DatasetName = Literal[
    "auto",
    "folder",
    "csv",
    "ucf101",
    "hmdb51",
    "jester",
    "something",
    "kinetics",
    "mnist",
    "fashion_mnist",
    "kmnist",
]

PRESETS = ("none", "light", "strong")

Chance = Annotated[float, Field(ge=0, lt=1)]
Part = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(ge=0.1, le=10)]
Pixels = Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], Arg("PIXELS")]

# A name on the command line; in a YAML of options also the content itself.

_Augment = Annotated[str | dict[str, Any], Arg("none|light|strong|FILE.yaml")]

DATA, CLIPS, STILLS, VARIETY, MODEL, TRAINING, TEACHERS, OUTPUT, MACHINE = (
    "Data", "Clips", "Still images", "Variety", "Model", "Training", "Teachers", "Output",
    "This machine",
)  # fmt: skip

Positive = Annotated[int, Field(ge=1)]
DataArgument = Annotated[Path | None, Arg("DATA", positional=True, needed=True, unless=("root",))]
Root = Annotated[Path | None, Arg("FOLDER", DATA)]
ImageFps = Annotated[FramesPerSecond, Arg("FPS", DATA)]
TestViews = Annotated[int, Field(ge=1, le=100), Arg("COUNT", DATA)]
BatchSize = Annotated[int, Field(ge=1), Arg(group=MACHINE)]
Cache = Annotated[Path, Arg("FOLDER", MACHINE)]
TorchDevice = Annotated[Literal["auto", "cpu", "cuda"], Arg(group=MACHINE)]

_BANDS = ("rows", "columns")
_LENGTHS = (*_BANDS, "windows")
_STILLS = (*_LENGTHS, "patches", "channels")
# The aspect ratio of what has a length is kept, so nothing has to fit.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "frames": ("video",),
    "fps": ("video",),
    "image_fps": ("video",),
    "fit": ("video", "patches", "channels"),
    "grayscale": ("video", *_LENGTHS, "patches"),
    "step": _BANDS,
    "window": ("windows",),
    "stride": ("windows",),
    "patch": ("patches",),
    "order": ("patches",),
    "max_steps": _LENGTHS,
    "longer": _LENGTHS,
    "speed": ("video",),
    "time_crop": ("video",),
    "drop": ("video",),
    "reverse": ("video",),
    "reverse_swap": ("video",),
    "context": ("video",),
}

# A year, in seconds.
_LONGEST = 365 * 24 * 3600

# An options.yaml of an older run has them where no option was given.
_FORMER_DEFAULTS: Mapping[str, Any] = {"frames": 16}


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError("the first number is above the second")
    return values


Speed = Annotated[tuple[Factor, Factor], AfterValidator(_rising)]


def _fold(text: str | None) -> str | None:
    if text is None:
        return None
    number, slash, count = text.partition("/")
    first, last = parse_whole_number(number), parse_whole_number(count)
    if not slash or first is None or last is None or not 1 <= first <= last:
        raise ValueError(f"{text!r} is not like 2/5 (the second of five folds)")
    if last < 2:
        raise ValueError("at least 2 folds are needed")
    return text


def _folds(count: int) -> int:
    if count == 1:
        raise ValueError("at least 2 folds are needed")
    return count


Folds = Annotated[int, Field(ge=0, le=1000), AfterValidator(_folds), Arg("K", DATA)]


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)", re.ASCII)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 90s, 10m, 1.5h or 1h30m.

    Raises:
        ValueError: it is none, or none that lasts.
    """
    parts = _DURATION.findall(text)
    units = [unit for _, unit in parts]
    whole = "".join(number + unit for number, unit in parts) == text
    if not parts or not whole or units != sorted(set(units), key="hms".index):
        raise ValueError(f"{text!r} is not like 90s, 10m or 1.5h")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 1 <= seconds <= _LONGEST:
        raise ValueError(f"{text!r}: must be between 1s and {_LONGEST // 3600}h")
    return seconds


def _duration(text: str | None) -> str | None:
    if text is not None:
        seconds_of(text)
    return text


def _timm_name(text: str) -> str:
    # No more than a name: timm itself would also take the address of a model to download.
    if not re.fullmatch(rf"{TIMM}\w+(\.\w+)?", text, re.ASCII):
        raise ValueError(f"must be {TIMM}NAME (a network of the package timm)")
    return text


def _prefixed(given: Any) -> Any:
    # The nearest of the other names would be no help.
    is_name = isinstance(given, str) and ":" in given and not is_onnx(given)
    return _timm_name(given) if is_name else given


def is_onnx(encoder: str) -> bool:
    """Whether an encoder is a frozen ONNX model: the path of its file."""
    return encoder.lower().endswith(ONNX)


def _other_encoder(text: str) -> str:
    if is_onnx(text):
        return text
    if ":" in text:
        return _timm_name(text)
    raise ValueError(f"must be {TIMM}NAME (a network of the package timm) or a file NAME{ONNX}")


def pixel_numbers(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of a text such as 0.48,0.46,0.41:0.27,0.26,0.28.

    Raises:
        ValueError: it is none.
    """
    parts = [[plain_number(part) for part in side.split(",")] for side in text.split(":")]
    numbers = [[number for number in side if number is not None] for side in parts]
    counts = [len(side) for side in numbers]
    if numbers != parts or len(counts) != 2 or counts[0] != counts[1] or counts[0] not in (1, 3):
        raise ValueError("must be MEAN:DEVIATION, such as 0.48,0.46,0.41:0.27,0.26,0.28")
    mean, deviation = map(tuple, numbers)
    if min(deviation) <= 0 or max(map(abs, (*mean, *deviation))) > _LARGEST_PIXEL:
        raise ValueError(f"{text!r}: deviations are above 0, on a scale of 0 (black) to 1 (white)")
    return mean, deviation


_LARGEST_PIXEL = 1000.0


def _normalize(text: str) -> str:
    pixel_numbers(text)
    return text


NormalizeKind = Literal["auto", "imagenet", "symmetric", "unit", "bytes"]
PixelNumbers = Annotated[str, AfterValidator(_normalize)]


# A name with a full stop has its pretrained weights after it: timm:resnet10t.c3_in1k.
OtherEncoder = Annotated[str, AfterValidator(_other_encoder)]


def _value_range(text: str) -> str:
    if text != "auto":
        values = [plain_number(part) for part in text.split(",")]
        if len(values) != 2 or values[0] is None or values[1] is None:
            raise ValueError(f"{text!r} is not like 0,4500 (black, white)")
        if not values[0] < values[1]:
            raise ValueError(f"{text!r}: the first value must be below the second")
    return text


class ClipOptions(Options):
    """How clips are read."""

    heading = CLIPS

    dataset: Annotated[DatasetName, Arg("NAME", DATA)] = "auto"
    """What the data is: own folders or a list, or a public data set as it is distributed."""
    official_split: Annotated[
        Annotated[int, Field(ge=1, le=3)] | Literal["off"], Arg("1|2|3|off", DATA)
    ] = 1
    """Official split of UCF101 and HMDB51; off: the split that the data names is ignored."""
    frames: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """Frames that the model sees at once; auto: 16, or as many as three quarters of the clips
    have; without a background label up to 32, so that nine tenths of the clips fit."""
    fps: Annotated[FramesPerSecond | Literal["auto"], Arg("FPS")] = "auto"
    """Frames per second that the model sees; auto: three quarters of the clips have 16 frames,
    no faster than the clips are."""
    size: Annotated[Annotated[int, Field(ge=4, le=1024)] | Literal["auto"], Arg("PIXELS")] = "auto"
    """Height and width of a frame in the model, in pixels; auto: 112, of a network from scratch no
    more than the clips have; or what still images have. With --encoder hands the height of a 4:3
    picture; auto: 240."""
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    """How a frame gets that size: whole and stretched, its centre, or whole between bars, as
    always with --encoder hands unless it is crop."""
    value_range: Annotated[str, AfterValidator(_value_range), Arg("LOW,HIGH")] = "auto"
    """Pixel values that become black and white, LOW,HIGH such as 0,4500, where pictures have more
    than 8 bits (depth in millimetres); auto: measured on the clips."""
    grayscale: bool = False
    """One grey channel instead of RGB."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of a frame folder were taken, where no list gives it."""
    val: Annotated[float, Field(gt=0, lt=1), Arg("SHARE", DATA)] = 0.2
    """Fraction of the clips for validation, unless a list gives the split."""
    fold: Annotated[str | None, AfterValidator(_fold), Arg("K/N", DATA)] = None
    """Cross-validation: 2/5 validates on the second of five folds."""
    split_by: Annotated[Literal["auto", "group", "none"], Arg(group=DATA)] = "auto"
    """group: clips of a group (a performer, a recording) are on one side of the split; none: they
    may be on both, and figures are for known people; auto: group, where groups are known."""
    background: Annotated[str | None, Arg("LABEL", DATA)] = None
    """Label for nothing happens; by default it is found by its name; none: there is none."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips and features, shared by trainings."""
    cache_size: Annotated[float, Field(gt=0), Arg("GIGABYTES", MACHINE)] = 20.0
    """Gigabytes that the folder may hold; what was not used for longest goes first."""
    workers: Annotated[Annotated[int, Field(ge=0, le=64)] | Literal["auto"], Arg(group=MACHINE)] = (
        "auto"
    )
    """Processes that load clips; 0 loads in the main process."""


class SequenceOptions(Options):
    """How still images become sequences."""

    heading = STILLS

    @property
    def stills(self) -> bool:
        """Whether each loose image is a clip of its own."""
        return self.sequence != "video"

    sequence: Annotated[
        Literal["video", "rows", "columns", "windows", "patches", "channels"], Arg("KIND")
    ] = "video"
    """video: clips; else each still image is cut into rows, columns, windows, patches, channels."""
    step: Annotated[int, Field(ge=1, le=1024), Arg("PIXELS")] = 1
    """Rows or columns per step, in pixels of the resized image."""
    window: Pixels = "auto"
    """Length of a window along the long side, in pixels; auto: as long as it is across."""
    stride: Pixels = "auto"
    """Pixels from one window to the next; auto: half a window."""
    patch: Pixels = "auto"
    """Side of a patch, in pixels; auto: a quarter of --size."""
    order: Literal["raster", "snake"] = "raster"
    """Order of the patches: each row from the left, or every second one from the right."""
    max_steps: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """Maximum number of steps of an image; auto: that of the longest image."""
    longer: Literal["crop", "subsample"] = "crop"
    """Shortening of an image with more steps: crop, or steps at equal distances."""


class AugmentOptions(Options):
    """How training clips are varied."""

    heading = VARIETY

    augment: _Augment = "light"
    """Preset, or a YAML of imgaug augmenters with the sections clip, frame and time."""
    flip: bool = False
    """Mirror half of the clips; labels that a mirror changes need --swap."""
    swap: Annotated[tuple[str, ...], Arg("LEFT:RIGHT")] = ()
    """Labels that a mirror exchanges, as left:right pairs, e.g. swipe_left:swipe_right."""
    speed: Annotated[Speed | None, Arg("SLOWEST FASTEST")] = None
    """Range of factors by which clips are played faster or slower, e.g. 0.8 1.25."""
    time_crop: Annotated[Part | None, Arg("SHARE")] = None
    """Minimum fraction of a clip in a random crop in time, e.g. 0.7."""
    drop: Annotated[Chance | None, Arg("PROBABILITY")] = None
    """Probability of dropping a frame."""
    reverse: bool = False
    """Play half of the clips backwards whose labels --reverse-swap names; others stay."""
    reverse_swap: Annotated[tuple[str, ...], Arg("IN:OUT")] = ()
    """Labels that are exchanged backwards, e.g. zoom_in:zoom_out; one alone stays the same."""
    context: Annotated[float, Field(ge=0, le=60), Arg("SECONDS")] = 0.0
    """Learn also from what a video shows around a clip that is a part of it (a list with
    start,end): windows at every offset, labelled in proportion to what they show of the clip."""


class ModelOptions(Options):
    """What the network is."""

    heading = MODEL

    encoder: Annotated[
        EncoderName | LandmarkName | OtherEncoder,
        BeforeValidator(_prefixed),
        Arg("NAME|FILE.onnx"),
    ] = "small_cnn"
    """Network that turns one frame into features; hands: landmarks of hands, by networks that are
    fetched once and never learn; or timm:NAME, such as timm:resnet10t: a network of the package
    timm; or an ONNX file: any frozen model, image in, floats out."""
    hands: Annotated[int, Field(ge=1, le=2), Arg("1|2")] = 2
    """Hands that --encoder hands follows: the clearest one, or left and right."""
    landmarks: Literal["lite", "full"] = "lite"
    """Networks of --encoder hands; full: finer, and half as much slower."""
    weights: Annotated[str, Arg("imagenet|none|FILE")] = "auto"
    """Start of the encoder: imagenet (of timm:NAME its pretrained weights), none, or a .pth or
    .safetensors file; auto: imagenet where it can be had."""
    normalize: Annotated[NormalizeKind | PixelNumbers, Arg("KIND|MEAN:DEVIATION")] = "auto"
    """Pixel range of the encoder: ImageNet mean and deviation, -1 to 1, 0 to 1, 0 to 255 (bytes),
    or numbers such as 0.48,0.46,0.41:0.27,0.26,0.28; auto: as its pretrained weights have it."""
    freeze: bool = False
    """Freeze the encoder: train the head alone, on features computed once."""
    views: Positive = 8
    """Augmented copies of each clip that a frozen encoder sees."""
    motion: Literal["auto", "none", "only", "both"] = "auto"
    """What the head reads: features, only how much each changed since the last frame, or both;
    auto: both of a frozen encoder, else features."""
    center: Annotated[bool | Literal["auto"], Arg(default="measured")] = "auto"
    """Subtract each feature's mean over the window before the head: what stays the same in it (a
    person, a room) no longer counts; by default, if there is no background label, a network of each
    kind is trained where other groups validate, and the better one is kept."""
    head: Literal["lstm", "gru", "mean"] = "lstm"
    """Network over time; mean ignores the order of the frames."""
    bidirectional: Annotated[
        bool, Arg(off="Read the window forward only, as --state carry of an export needs it.")
    ] = True
    """Read the window in both directions: a clip's beginning then counts as much as its end."""
    pool: Literal["last", "attention"] = "last"
    """Pooling of the head's outputs over time."""
    projection: Annotated[int, Field(ge=0, le=4096)] | Literal["auto"] = "auto"
    """Size of a linear projection of the features before lstm or gru; 0: none; auto: --hidden,
    where the features are wider."""
    hidden: Annotated[int, Field(ge=1, le=4096)] = 128
    """Hidden size of the head, per direction."""
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    """Recurrent layers."""
    dropout: Annotated[Share, Arg("SHARE")] = 0.2
    """Dropout before the classifier, and between recurrent layers."""
    ensemble: Annotated[int, Field(ge=1, le=16)] = 1
    """Networks with different random starts, trained together, whose answers are averaged: better
    answers at as many times the cost; with --freeze, heads of one encoder."""

    @model_validator(mode="before")
    @classmethod
    def _some_are_frozen(cls, given: Any) -> Any:
        """Freeze an ONNX model and networks of landmarks: they cannot be trained."""
        encoder = given.get("encoder") if isinstance(given, dict) else None
        if isinstance(encoder, str) and (is_onnx(encoder) or encoder in LANDMARKS):
            return {**given, "freeze": True}
        return given

    @property
    def encoder_name(self) -> str:
        """The encoder for a title: of a file, its name."""
        return Path(self.encoder).name if is_onnx(self.encoder) else self.encoder

    @property
    def centers(self) -> bool:
        """Whether `center` is decided, and on."""
        return self.center is True

    @property
    def reads(self) -> str:
        """`motion` with `auto` decided: none, only or both."""
        if self.motion != "auto":
            return self.motion
        return "both" if self.freeze else "none"


class TrainingOptions(Options):
    """How it learns."""

    heading = TRAINING

    epochs: Positive = 60
    """Maximum number of epochs."""
    time: Annotated[str | None, AfterValidator(_duration), Arg("DURATION")] = None
    """Budget of the whole training, such as 90s, 10m or 1.5h: after the first epoch as many are
    planned as fit, at most --epochs."""
    batch_size: Positive = 16
    """Clips per step, of all processes together."""
    lr: Annotated[Annotated[float, Field(gt=0)] | Literal["auto"], Arg("RATE")] = "auto"
    """Highest learning rate of AdamW; auto: 0.003 from scratch, 0.001 frozen, 0.0003 pretrained."""
    weight_decay: Annotated[float, Field(ge=0), Arg("FACTOR")] = 0.05
    """Weight decay of AdamW."""
    encoder_lr_scale: Annotated[float, Field(gt=0), Arg("FACTOR")] = 1.0
    """Learning rate of the encoder relative to the head's; 0.1 suits a pretrained one."""
    unfreeze_at: Annotated[int, Field(ge=0), Arg("EPOCH")] = 0
    """Number of epochs in which only the head is trained, before a pretrained encoder is too."""
    schedule: Literal["cosine", "plateau"] = "cosine"
    """Learning rate: one rise and a cosine to 0, or reduced when validation stalls."""
    warmup: Annotated[Share, Arg("SHARE")] = 0.2
    """Share of the training in which the learning rate of a cosine rises."""
    class_weights: Annotated[bool, Arg(off="Do not weight the loss by label frequency.")] = True
    """Weigh rare labels up in the loss."""
    label_smoothing: Annotated[Share, Arg("SHARE")] = 0.05
    """Share of the target spread over all labels."""
    mixup: Annotated[float, Field(ge=0, le=10), Arg("ALPHA")] = 0.0
    """Blend pairs of clips and their labels: alpha of the Beta distribution, e.g. 0.2; 0: never."""
    clip_gradient: Annotated[float, Field(ge=0), Arg("NORM")] = 1.0
    """Largest norm of the gradient; 0 for no limit."""
    monitor: Literal["loss", "accuracy", "f1"] = "loss"
    """Validation figure that picks the best epoch; of a cosine, among the last third."""
    keep: Literal["best", "last"] = "best"
    """Epoch that is kept; last is the honest one where validation clips also are the test."""
    patience: Annotated[int, Field(ge=0), Arg("EPOCHS")] = 15
    """Epochs without a better one before it stops, in the last third of a cosine; 0: never."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Same seed, same result (on a CPU)."""
    precision: Annotated[Literal["auto", "32", "bf16", "16"], Arg(group=MACHINE)] = "auto"
    """Number format of the arithmetic; auto: bf16 where it is clearly faster, else 32."""
    memory_format: Annotated[
        Literal["auto", "channels_last", "contiguous"], Arg("KIND", MACHINE)
    ] = "auto"
    """Memory format of tensors; auto: the faster one."""
    autotune: Annotated[
        bool,
        Arg(
            group=MACHINE,
            off="Do not time candidates: auto is then 32 and channels_last.",
        ),
    ] = True
    """Time which precision and layout are faster here; else auto is 32 and channels_last."""

    @property
    def first_candidate(self) -> int:
        """The first epoch, from 0, that may be kept as the best, and may lead to an early stop.

        While the learning rate of a cosine is high, validation predicts little of the final model:
        its best epoch, or many without a better one, come by chance and often in the warm-up.
        """
        return 0 if self.schedule == "plateau" else min(ceil(2 * self.epochs / 3), self.epochs - 1)

    @property
    def may_stop_early(self) -> bool:
        """Whether fewer epochs than `epochs` may do."""
        return 0 < self.patience < self.epochs - self.first_candidate

    device: TorchDevice = "auto"
    """Where to train."""


def augment_file(augment: str) -> Path | None:
    """Return the YAML that `--augment` names; None for a preset.

    Raises:
        DataError: it is neither, or there is no such file.
    """
    if augment in PRESETS:
        return None
    path = Path(augment)
    if path.suffix.lower() not in (".yaml", ".yml"):
        near = did_you_mean(near_words(augment, PRESETS))
        hint = f"; {near}" if near else ""
        raise DataError(f"--augment {augment}: neither {', '.join(PRESETS)} nor a .yaml file{hint}")
    if not path.exists():
        raise DataError(f"--augment {path_error(augment, 'file')} (or: {', '.join(PRESETS)})")
    return path


def check_sequence(
    clips: ClipOptions, images: SequenceOptions, augmentation: AugmentOptions
) -> None:
    """Refuse an option that has no effect with the kind of sequence.

    Raises:
        DataError: there is one; it is named.
    """
    kind = images.sequence
    for part in (clips, images, augmentation):
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            kinds = _KINDS.get(name, (kind,))
            if kind not in kinds and value not in (field.default, _FORMER_DEFAULTS.get(name)):
                flag = f"--{name.replace('_', '-')}{_format_value(value)}"
                belongs = "" if kinds[0] == "video" and len(kinds) > 1 else _valid_kinds(kinds)
                raise DataError(f"{flag} has no effect with --sequence {kind}{belongs}")


def check_landmarks(model: ModelOptions) -> None:
    """Refuse options that an encoder of landmarks has not, and its own with another encoder.

    Raises:
        DataError: there is one; it is named.
    """
    if model.encoder not in LANDMARKS:
        for name in ("hands", "landmarks"):
            value = getattr(model, name)
            if value != ModelOptions.model_fields[name].default:
                raise DataError(f"--{name} {value}: has no effect without --encoder hands")
        return
    if model.weights not in ("auto", "none"):
        raise DataError(
            f"--weights {model.weights}: --encoder {model.encoder} has its own; leave it out"
        )
    if model.normalize not in ("auto", "unit"):
        raise DataError(
            f"--normalize {model.normalize}: --encoder {model.encoder} has its own range; leave it "
            "out"
        )


def check_center(model: ModelOptions, window: int | None = None) -> None:
    """Refuse `--center` where it leaves the head nothing to read, or nothing else than before.

    Args:
        model: the options of the network.
        window: how many steps it sees at once; None: not known yet.

    Raises:
        DataError: it does.
    """
    if not model.centers:
        return
    if model.head == "mean":
        raise DataError(
            "--center: leaves --head mean nothing to read, which is the mean over the window; "
            "take --head lstm or gru"
        )
    if model.reads == "only":
        raise DataError(
            "--center: has no effect with --motion only, which reads nothing that stays the same; "
            "take --motion both"
        )
    if window == 1:
        raise DataError("--center: leaves nothing of a window of one step; give more --frames")


def _valid_kinds(kinds: tuple[str, ...]) -> str:
    words = f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    still = " (clips)" if kinds == ("video",) else ""
    return f" (only {words}{still})"


def _format_value(value: Any) -> str:
    if value is True:
        return ""
    return f" {' '.join(map(str, value))}" if isinstance(value, tuple) else f" {value}"
