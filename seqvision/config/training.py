"""The options of a training, by subject."""

from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from seqvision.config.option_types import (
    CLIPS,
    DATA,
    LANDMARKS,
    MACHINE,
    MODEL,
    NO_ENCODER,
    STILLS,
    TRAINING,
    VARIETY,
    Augment,
    Cache,
    Chance,
    DatasetName,
    Duration,
    Encoder,
    Fold,
    ImageFps,
    NormalizeKind,
    Part,
    PixelNumbers,
    Pixels,
    Positive,
    Share,
    Speed,
    TorchDevice,
    ValueRangeText,
    is_onnx,
)
from seqvision_edge.option_fields import Arg, FramesPerSecond, Options


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
    more than the clips have; or what still images have. Of landmarks the height of a 4:3 picture;
    auto: 240."""
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    """How a frame gets that size: whole and stretched, its centre, or whole between bars, as
    always for landmarks unless it is crop."""
    value_range: ValueRangeText = "auto"
    """Pixel values that become black and white, LOW,HIGH such as 0,4500, where pictures have more
    than 8 bits (depth in millimetres); auto: measured on the clips."""
    grayscale: bool = False
    """One grey channel instead of RGB."""
    region: Annotated[str | None, Arg("X1,Y1,X2,Y2")] = None
    """Part of the picture that the model sees, where a list gives none: two corners in fractions
    or pixels, as for edge-run --region."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of a frame folder, or vectors without times, were taken, where no
    list gives it."""
    val: Annotated[float, Field(gt=0, lt=1), Arg("SHARE", DATA)] = 0.2
    """Fraction of the clips for validation, unless a list gives the split."""
    fold: Fold = None
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
        return self.sequence not in ("video", "vectors")

    @property
    def vectors(self) -> bool:
        """Whether clips are vectors of numbers."""
        return self.sequence == "vectors"

    sequence: Annotated[
        Literal["video", "vectors", "rows", "columns", "windows", "patches", "channels"],
        Arg("KIND"),
    ] = "video"
    """video: clips; vectors: numbers over time, where the data has no others by itself; else each
    still image is cut into rows, columns, windows, patches, channels."""
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

    augment: Augment = "light"
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

    encoder: Encoder = "small_cnn"
    """Network that turns one frame into features; hands, pose (the body of one person) or
    hands+pose: landmarks, by networks that are fetched once and never learn; or timm:NAME, such as
    timm:resnet10t: a network of the package timm; or an ONNX file: any frozen model, image in,
    floats out; none: of vectors."""
    hands: Annotated[int, Field(ge=1, le=2), Arg("1|2")] = 2
    """Hands that --encoder hands and hands+pose follow: the clearest one, or left and right."""
    landmarks: Literal["lite", "full"] = "lite"
    """Networks for hands; full: finer, and half as much slower."""
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
    auto: both of a frozen encoder or of vectors, else features."""
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
        return "both" if self.freeze or self.encoder == NO_ENCODER else "none"


class TrainingOptions(Options):
    """How it learns."""

    heading = TRAINING

    epochs: Positive = 60
    """Maximum number of epochs."""
    time: Duration = None
    """Budget of the whole training, such as 90s, 10m or 1.5h: after the first epoch as many are
    planned as fit, at most --epochs; of `tune`: of the trials and of the training after them."""
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
