"""The model card: the contract between training, export and inference.

A card is written once, at training.  It is stored in `model.pt`, then as JSON under the ONNX
metadata key `seqvision.card`, and is the only source of settings for every runner.  It has no
defaults: an unknown or missing key is an error, because a guessed setting gives wrong results.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from seqvision_edge.errors import CardError
from seqvision_edge.sanitize import why_unseen

SPEC: Final = 4
# A model of vectors: an older version reads no such card, and refuses it by this number.
VECTORS_SPEC: Final = 5
METADATA_KEY: Final = "seqvision.card"
# Something-Something has labels of 98 characters.
MAX_LABEL_LENGTH: Final = 128
Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
# A prediction for each frame of two minutes: longer smoothing makes no sense for gestures.
SmoothingFrames = Annotated[int, Field(ge=1, le=4096)]
SmoothingKind = Literal["none", "mean", "exponential"]

# The behaviour of every runner before the card had these keys.
_NEW_IN_3: Final = {"smoothing": "mean", "reject": 0.0, "early": None}

MAX_FEATURES: Final = 4096
Count = Annotated[int, Field(ge=1, le=4096)]
Longer = Literal["crop", "subsample"]


def _printable(label: str) -> str:
    """Refuse a label that cannot be shown safely in a terminal, a page or a topic name."""
    if not label or label != label.strip() or len(label) > MAX_LABEL_LENGTH:
        raise ValueError(f"a label has 1 to {MAX_LABEL_LENGTH} characters, no outer spaces")
    why = why_unseen(label)
    if why is not None:
        raise ValueError(f"the label {why}")
    return label


Label = Annotated[str, AfterValidator(_printable)]


class CardPart(BaseModel):
    """Base of all parts of a card: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ImageSpec(CardPart):
    """The size of one step in pixels, and how a frame or a still image is resized to it.

    Bands and windows keep the aspect ratio of their image, whatever `fit` is.  Otherwise `fit` is
    `stretch` (the whole picture, aspect ratio not kept), `crop` (the largest centred part of the
    right aspect ratio) or `pad` (the whole picture between black bars).

    `value_range` holds the black and white values of pictures with more than 8 bits, such as depth
    in millimetres.  None: their upper 8 bits are used.  Pictures with 8 bits are not changed.
    """

    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3]
    fit: Literal["stretch", "crop", "pad"]
    value_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _values_rise(self) -> Self:
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            raise ValueError("image.value_range: the first value is not below the second")
        return self


class StateTensor(CardPart):
    """One float32 tensor that a call returns and the next call takes; named axes are dynamic."""

    name: str
    axes: tuple[str | int, ...]


class State(CardPart):
    """The state: `window` keeps the newest step features, `carry` the head's recurrent state.

    With `window` a prediction depends on exactly the newest steps, however long the stream; with
    `carry` on everything since the stream began.
    """

    kind: Literal["window", "carry"]
    tensors: tuple[StateTensor, ...]


class ExportedGraph(CardPart):
    """The exported network.

    `sha256` is that of the graph as stored in the file, weights and operators: a corrupted file is
    detected before the model runs.
    """

    precision: Literal["fp32", "fp16", "int8"]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Decision(CardPart):
    """How probabilities over time become events.

    `temperature` is already applied inside the graph.  A prediction whose best label has less than
    `min_confidence` is unsure: it counts for no label.  `smoothing_frames` predictions are
    smoothed. An event of a label begins when its smoothed probability reaches `on_threshold`, ends
    when it falls below `off_threshold`, counts if it lasted `minimum_seconds`, and blocks the same
    label for `cooldown_seconds`.  With `early` it is reported as soon as the probability of its
    label rises to that, not at its end.  `background` is the label for "nothing happens": it never
    makes an event.

    `min_confidence` applies to a single prediction, of whatever label, the background too;
    `on_threshold` to the smoothed probability of the label that would begin an event.

    In a model file three keys have shorter names, as in spec 1: `reject` (`min_confidence`),
    `enter` (`on_threshold`) and `leave` (`off_threshold`).
    """

    model_config = ConfigDict(populate_by_name=True)

    temperature: Annotated[float, Field(gt=0)]
    smoothing: SmoothingKind
    smoothing_frames: SmoothingFrames
    min_confidence: Annotated[Probability, Field(alias="reject")]
    on_threshold: Annotated[Probability, Field(alias="enter")]
    off_threshold: Annotated[Probability, Field(alias="leave")]
    early: Probability | None
    minimum_seconds: Seconds
    cooldown_seconds: Seconds
    background: Label | None

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Self:
        if self.off_threshold > self.on_threshold:
            raise ValueError("decision.leave is above decision.enter")
        if self.early is not None and self.early < self.on_threshold:
            raise ValueError("decision.early is below decision.enter")
        return self


class Origin(CardPart):
    """The origin of the model; it does not affect predictions."""

    version: str
    created: str
    options: dict[str, JsonValue]
    data: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    notes: tuple[str, ...]


class _Timed(CardPart):
    """Steps in time: selected by timestamp at `fps`; the model reads the newest `frames`."""

    kind: str
    fps: Annotated[float, Field(gt=0, le=1000)]
    frames: Count

    @property
    def window(self) -> int:
        """The maximum number of steps per prediction."""
        return self.frames

    def __str__(self) -> str:
        return f"window of {self.frames} frames at {self.fps:g} fps"


class VideoSequence(_Timed):
    """Frames of a video."""

    kind: Literal["video"]


class VectorSequence(_Timed):
    """Vectors of numbers over time: landmarks, sensor values, features of other programs.

    `names` are those of the features, if the training data had any.  `rate` is how many vectors a
    second they had: that of a source without times.
    """

    kind: Literal["vectors"]
    features: Count
    names: tuple[Label, ...] | None
    rate: Annotated[float, Field(gt=0, le=100_000)]

    @model_validator(mode="after")
    def _a_name_for_each(self) -> Self:
        if self.names is not None and len(self.names) != self.features:
            raise ValueError(f"sequence.names: {len(self.names)} for {self.features} features")
        return self

    def __str__(self) -> str:
        count = f"{self.features} feature{'s' if self.features > 1 else ''}"
        return f"window of {self.frames} vectors of {count} at {self.fps:g} fps"


class LengthSequence(CardPart):
    """A still image with as many steps as its length allows.

    The image keeps its aspect ratio: twice the length gives twice as many steps.  If there are more
    than `steps`, the middle is read (`crop`), or steps at equal distances (`subsample`).
    """

    kind: str
    steps: Count
    longer: Longer

    @property
    def window(self) -> int:
        """The maximum number of steps per prediction."""
        return self.steps


class StripSequence(LengthSequence):
    """A still image cut into bands: groups of rows from the top, or of columns from the left.

    A band is one step, and has its size.
    """

    kind: Literal["rows", "columns"]

    def __str__(self) -> str:
        return f"{self.kind}, at most {self.steps} steps"


class WindowSequence(LengthSequence):
    """Windows that slide over a still image, `stride` pixels from one to the next.

    `along` is the side of the image along which they slide.
    """

    kind: Literal["windows"]
    along: Literal["width", "height"]
    stride: Count

    def __str__(self) -> str:
        return f"windows {self.stride} pixels apart, at most {self.steps} steps"


class PatchSequence(CardPart):
    """A still image cut into a grid of patches.

    `raster` reads every row of the grid from the left; `snake` reads every second one from the
    right, so that neighbours in the sequence are neighbours in the image.
    """

    kind: Literal["patches"]
    rows: Annotated[int, Field(ge=1, le=256)]
    columns: Annotated[int, Field(ge=1, le=256)]
    order: Literal["raster", "snake"]

    @property
    def window(self) -> int:
        """The maximum number of steps per prediction."""
        return self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} patches in {self.order} order"


class ChannelSequence(CardPart):
    """The red, the green and the blue channel of a still image, one after the other."""

    kind: Literal["channels"]

    @property
    def window(self) -> int:
        """The maximum number of steps per prediction."""
        return 3

    def __str__(self) -> str:
        return "colour channels"


ImageSequence = StripSequence | WindowSequence | PatchSequence | ChannelSequence

# What has a rate, events and live sources.
TimedSequence = VideoSequence | VectorSequence

SequenceSpec = TimedSequence | ImageSequence


def vector_step(features: int) -> ImageSpec:
    """Return the size of a step that is a vector: one row, a value for each feature."""
    return ImageSpec(height=1, width=features, channels=1, fit="stretch")


class ModelCard(CardPart):
    """Everything needed to run a model, and its origin.

    A model of vectors has no picture: in a file its `image` is null, here it is `vector_step`.
    """

    spec: Literal[4, 5]
    labels: Annotated[tuple[Label, ...], Field(min_length=2)]
    sequence: Annotated[SequenceSpec, Field(discriminator="kind")]
    image: ImageSpec
    state: State
    decision: Decision
    origin: Origin
    graph: ExportedGraph | None

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: a label is listed twice")
        background = self.decision.background
        if background is not None and background not in self.labels:
            raise ValueError(f"decision.background: {background!r} is not one of the labels")
        return self

    @model_validator(mode="after")
    def _channels_are_grey(self) -> Self:
        if self.sequence.kind == "channels" and self.image.channels != 1:
            raise ValueError("image.channels: each channel of an image is one grey step")
        return self

    @model_validator(mode="after")
    def _vectors_have_their_own_spec(self) -> Self:
        if (self.vectors is not None) != (self.spec == VECTORS_SPEC):
            raise ValueError(f"spec: {self.spec} is not that of {self.sequence.kind}")
        vectors = self.vectors
        if vectors is not None and self.image != vector_step(vectors.features):
            raise ValueError("image: a vector has no picture")
        return self

    @property
    def vectors(self) -> VectorSequence | None:
        """How vectors are read; None for a model of pictures."""
        return self.sequence if isinstance(self.sequence, VectorSequence) else None

    @property
    def step_shape(self) -> tuple[int, ...]:
        """The shape of one step: `(features,)`, or `(height, width, channels)`."""
        if self.vectors is not None:
            return (self.vectors.features,)
        return self.image.height, self.image.width, self.image.channels

    @property
    def step_size(self) -> str:
        """The size of one step for display: `126 features`, or `112x112`."""
        if self.vectors is not None:
            return f"{self.vectors.features} features"
        return f"{self.image.width}x{self.image.height}"

    def to_json(self) -> str:
        """Return the card as compact JSON text, as stored in a model file."""
        if self.vectors is None:
            return self.model_dump_json(by_alias=True)
        plain = {**self.model_dump(mode="json", by_alias=True), "image": None}
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, where: str) -> "ModelCard":
        """Parse a card; `where` names its file in errors.

        Raises:
            CardError: not JSON, another spec, an unknown key, a missing key or a bad value.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise CardError(f"{where}: the model card is not valid JSON ({error})") from None
        except RecursionError:
            raise CardError(f"{where}: the model card is nested too deeply") from None
        if not isinstance(data, dict):
            raise CardError(f"{where}: the model card is not a JSON object")
        _refuse_other_specs(data.get("spec"), where)
        try:
            upgraded = _upgraded(data)
            # The only key with a default: specs created in Python have 8-bit pictures.
            image = upgraded.get("image") if upgraded["spec"] >= SPEC else None
            if isinstance(image, dict) and "value_range" not in image:
                raise CardError(
                    f"{where}: the model card is damaged: image.value_range: Field required"
                )
            _refuse_field_names(upgraded.get("decision"), where)
            return cls.model_validate_json(json.dumps(_with_vector_step(upgraded)))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(_keys(first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            raise CardError(
                f"{where}: the model card is damaged: {f'{key}: ' if key else ''}{message}"
            ) from None


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the path of keys to a bad value, without the sequence kind that pydantic adds."""
    keys = [str(key) for key in loc]
    return keys[:1] + keys[2:] if keys[:1] == ["sequence"] and len(keys) > 2 else keys


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return a card of an older spec in the form of the current one.

    A card that already has a key of the newer spec is returned unchanged, and refused for its spec.
    """
    if data["spec"] == 1 and "graph" not in data:  # before files were hashed
        data = {**data, "spec": 2, "graph": None}
    decision = data.get("decision")
    if data["spec"] == 2 and isinstance(decision, dict) and not _NEW_IN_3.keys() & decision.keys():
        data = {**data, "spec": 3, "decision": {**decision, **_NEW_IN_3}}
    image = data.get("image")
    if data["spec"] == 3 and isinstance(image, dict) and "value_range" not in image:
        data = {**data, "spec": 4, "image": {**image, "value_range": None}}
    return data


def _with_vector_step(data: dict[str, Any]) -> dict[str, Any]:
    """Return a card of vectors, whose image is null in a file, with the size of its step."""
    match data:
        case {"image": None, "sequence": {"kind": "vectors", "features": int(features)}}:
            if 1 <= features <= MAX_FEATURES:
                return {**data, "image": vector_step(features).model_dump()}
    return data


def _refuse_field_names(decision: Any, where: str) -> None:
    """Refuse the Python name of a key in a file, which has only the short one."""
    if not isinstance(decision, dict):
        return
    for name, field in Decision.model_fields.items():
        if field.alias is not None and name in decision:
            raise CardError(
                f"{where}: the model card is damaged: decision.{name}: "
                f"in a file it is decision.{field.alias}"
            )


def _refuse_other_specs(spec: Any, where: str) -> None:
    if isinstance(spec, int) and not isinstance(spec, bool) and 1 <= spec <= VECTORS_SPEC:
        return
    if isinstance(spec, int) and spec > VECTORS_SPEC:
        raise CardError(
            f"{where}: its card has spec {spec}, this version reads up to {VECTORS_SPEC}; "
            "update it, in the repository's folder: git pull && pip install -U ./edge"
        )
    raise CardError(f"{where}: its card has spec {spec!r}, this version reads 1 to {VECTORS_SPEC}")
