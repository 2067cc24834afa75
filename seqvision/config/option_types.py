"""What the value of an option may be: choices, ranges, and texts with a form of their own."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from seqvision_edge.number_parsing import parse_number as plain_number
from seqvision_edge.number_parsing import parse_whole_number
from seqvision_edge.option_fields import Arg, FramesPerSecond

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
LandmarkName = Literal["hands", "pose", "hands+pose"]
LANDMARKS: tuple[str, ...] = get_args(LandmarkName)
# Vectors are features already.
NO_ENCODER = "none"

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
Augment = Annotated[str | dict[str, Any], Arg("none|light|strong|FILE.yaml")]

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

# A year, in seconds.
_LONGEST = 365 * 24 * 3600


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


Fold = Annotated[str | None, AfterValidator(_fold), Arg("K/N", DATA)]


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


Duration = Annotated[str | None, AfterValidator(_duration), Arg("DURATION")]


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
_OtherEncoder = Annotated[str, AfterValidator(_other_encoder)]
Encoder = Annotated[
    EncoderName | LandmarkName | Literal["none"] | _OtherEncoder,
    BeforeValidator(_prefixed),
    Arg("NAME|FILE.onnx"),
]


def _value_range(text: str) -> str:
    if text != "auto":
        values = [plain_number(part) for part in text.split(",")]
        if len(values) != 2 or values[0] is None or values[1] is None:
            raise ValueError(f"{text!r} is not like 0,4500 (black, white)")
        if not values[0] < values[1]:
            raise ValueError(f"{text!r}: the first value must be below the second")
    return text


ValueRangeText = Annotated[str, AfterValidator(_value_range), Arg("LOW,HIGH")]
