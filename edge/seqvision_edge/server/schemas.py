"""Schemas of the server's responses, for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class ResponseModel(BaseModel):
    """Base of all responses."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelProbability(ResponseModel):
    """A label and its probability."""

    label: str
    probability: float


class WindowSchema(LabelProbability):
    """The prediction for the window that ends at a frame, at `time` seconds.

    `unsure` is true if the probability is below `decision.min_confidence`: it counts for no
    label.
    """

    time: float
    frame: int
    window_full: bool
    unsure: bool | None = None
    probabilities: dict[str, float] | None = None


class EventSchema(ResponseModel):
    """An event; see the JSON lines of edge-run.

    `window_fill` is present if a whole clip is shorter than the model's window.
    """

    type: str
    label: str
    start: float
    end: float
    peak: float
    confidence: float
    reported_at: float
    window_fill: float | None = None


class PredictionSchema(LabelProbability):
    """The prediction for one clip or picture.

    `unsure` is true if the probability is below `decision.min_confidence`: it counts for no
    label. `incomplete` is what is missing of a damaged video; `window_fill` is present if a clip
    is shorter than the model's window: the fraction of the window that it fills.
    """

    top: list[LabelProbability]
    unsure: bool | None = None
    probabilities: dict[str, float] | None = None
    windows: list[WindowSchema] | None = None
    events: list[EventSchema] | None = None
    incomplete: str | None = None
    window_fill: float | None = None


class PredictionsSchema(ResponseModel):
    """One prediction for each instance, in their order."""

    predictions: list[PredictionSchema]


class ErrorSchema(ResponseModel):
    """Why a request was refused."""

    detail: str


class Opened(ResponseModel):
    """A stream that was opened."""

    id: str
    idle_seconds: float


class Records(ResponseModel):
    """Records of frames, in order: `prediction` or `waiting`, then `event` and `source`."""

    records: list[dict[str, Any]]


class Health(ResponseModel):
    """Whether the model runs."""

    status: str


class SourcesSchema(ResponseModel):
    """The sources of the device."""

    sources: list[dict[str, Any]]


class ModelSchema(ResponseModel):
    """The model, and the limits of the server."""

    model: str
    version: str
    device: str
    labels: list[str]
    sequence: dict[str, Any]
    image: dict[str, Any] | None
    state: str
    decision: dict[str, Any]
    precision: str | None
    created: str
    limits: dict[str, int | float]
    recording_enabled: bool


def faults(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the errors of a route, with those that every route has."""
    return {code: {"model": ErrorSchema} for code in (400, 401, 403, 408, 413, 421, 429, *codes)}
