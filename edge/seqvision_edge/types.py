"""Predictions, events and source states: frozen, and ready for JSON.

Times are seconds since the source began.  `to_json` gives plain data; its key `type` is the kind of
the record.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Literal, get_args

# More digits than these are noise: a clock is no better than a millisecond, a float32 softmax no
# better than a millionth.
_TIME_DIGITS = 3
_PROBABILITY_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction of the model, for the window that ends at a frame.

    `probabilities` are the model's own, unsmoothed, in the order of the card's labels.  `unsure` is
    True if the highest is below `decision.min_confidence`: the prediction then counts for no label.
    `window_full` is False until the window is as long as in training.  `image` is the name of the
    picture's file, if it has one of its own.  For a live source, `captured_at` is the wall clock at
    which the frame arrived (seconds since 1970, UTC), `age_ms` the age of the frame at its
    prediction, by the monotonic clock, and `dropped` the number of frames skipped since the
    previous prediction.  `view` is the name of the part of the picture; "" for all of it.
    """

    time: float
    frame: int
    label: str
    probability: float
    probabilities: dict[str, float]
    window_full: bool
    latency_ms: float
    image: str | None = None
    captured_at: float | None = None
    age_ms: float | None = None
    dropped: int | None = None
    unsure: bool = False
    view: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as plain data, without fields that do not apply."""
        plain: dict[str, Any] = {
            "type": "prediction",
            **({"view": self.view} if self.view else {}),
            "time": round(self.time, _TIME_DIGITS),
            "frame": self.frame,
            "label": self.label,
            "probability": round(self.probability, _PROBABILITY_DIGITS),
            "probabilities": {
                label: round(value, _PROBABILITY_DIGITS)
                for label, value in self.probabilities.items()
            },
            "window_full": self.window_full,
            "latency_ms": round(self.latency_ms, _TIME_DIGITS),
        }
        if self.unsure:
            plain["unsure"] = True
        if self.image is not None:
            plain["image"] = self.image
        if self.captured_at is not None:
            plain["captured_at"] = utc(self.captured_at)
        if self.age_ms is not None:
            plain["age_ms"] = round(self.age_ms, 1)
        if self.dropped is not None:
            plain["dropped"] = self.dropped
        return plain


@dataclass(frozen=True, slots=True)
class Event:
    """One gesture or action: from `start` to `end`, most probable at `peak` with `confidence`.

    These are times of the action; predictions come half a window later.  `confidence` is the
    highest smoothed probability.  `reported_at` is when outputs such as MQTT get the event: at its
    end, or, fired early, at the rise of its probability.  `window_fill` is below 1 if a whole file
    is shorter than the model's window: the fraction of the window that it fills.  `view` is the
    name of the part of the picture; "" for all of it.
    """

    label: str
    start: float
    end: float
    peak: float
    confidence: float
    reported_at: float
    window_fill: float = 1.0
    view: str = ""

    @property
    def seconds(self) -> float:
        """The duration."""
        return self.end - self.start

    def to_json(self) -> dict[str, Any]:
        """Return the event as plain data, without fields that do not apply."""
        plain: dict[str, Any] = {
            "type": "event",
            **({"view": self.view} if self.view else {}),
            "label": self.label,
            "start": round(self.start, _TIME_DIGITS),
            "end": round(self.end, _TIME_DIGITS),
            "peak": round(self.peak, _TIME_DIGITS),
            "confidence": round(self.confidence, _PROBABILITY_DIGITS),
            "reported_at": round(self.reported_at, _TIME_DIGITS),
        }
        if self.window_fill < 1:
            plain["window_fill"] = round(self.window_fill, _TIME_DIGITS)
        return plain


StateName = Literal[
    "connecting", "warming_up", "live", "stalled", "frozen", "disconnected", "ended", "failed"
]
STATES: tuple[StateName, ...] = get_args(StateName)


@dataclass(frozen=True, slots=True)
class SourceState:
    """The state of a source, from a time on.

    Attributes:
        state: `connecting` until frames come, `warming_up` until the model's window is full, then
            `live`; `stalled` (open, no frames), `frozen` (the same picture for long: a warning,
            predictions continue), `disconnected`; `ended` and `failed` are final.
        reason: an error code, such as `timeout`, `unauthorized` or `partial`; "" if the state alone
            is enough.
        message: one line for the user, without secrets; may be empty.
        since: seconds since the run began, by the monotonic clock.
        attempt: number of consecutive connection attempts, from 1; 0 while it works.
    """

    state: StateName
    reason: str = ""
    message: str = ""
    since: float = 0.0
    attempt: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"type": "source", **asdict(self), "since": round(self.since, _TIME_DIGITS)}


def utc(seconds: float) -> str:
    """Return seconds since 1970 as `2026-11-21T12:34:56.789Z`."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(seconds: float) -> str:
    """Return a time for display: `0:07.3`, `2:05:07.3`."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:04.1f}"
    return f"{minutes}:{rest:04.1f}"
