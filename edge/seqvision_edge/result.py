"""What a run says: answers and events, frozen and ready for JSON.

Times are seconds since the source began.  `to_json` gives plain data; its key `type` tells the
records of one stream apart.
"""

from dataclasses import asdict, dataclass
from typing import Any

# More digits than these are noise: a clock is no better than a millisecond, a float32 softmax no
# better than a millionth.
_TIME_DIGITS = 3
_PROBABILITY_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer of the model, for the window that ends at a frame.

    `probabilities` are the model's own, in the order of the card's labels; smoothing is a matter of
    events.  `warm` is False until the window is as long as those that the model learnt from.
    `image` is the name of the picture's file, where the picture has one of its own.
    """

    time: float
    frame: int
    label: str
    probability: float
    probabilities: dict[str, float]
    warm: bool
    latency_ms: float
    image: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain data."""
        plain = asdict(self)
        if self.image is None:
            del plain["image"]
        return {
            "type": "answer",
            **plain,
            "time": round(self.time, _TIME_DIGITS),
            "probability": round(self.probability, _PROBABILITY_DIGITS),
            "probabilities": {
                label: round(value, _PROBABILITY_DIGITS)
                for label, value in self.probabilities.items()
            },
            "latency_ms": round(self.latency_ms, _TIME_DIGITS),
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One gesture or action: from `start` to `end`, surest at `peak` with `confidence`.

    `confidence` is the highest smoothed probability.
    """

    label: str
    start: float
    end: float
    peak: float
    confidence: float

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start

    def to_json(self) -> dict[str, Any]:
        """Return the event as plain data."""
        return {
            "type": "event",
            "label": self.label,
            "start": round(self.start, _TIME_DIGITS),
            "end": round(self.end, _TIME_DIGITS),
            "peak": round(self.peak, _TIME_DIGITS),
            "confidence": round(self.confidence, _PROBABILITY_DIGITS),
        }


def clock(seconds: float) -> str:
    """Return a time as a person reads it: `0:07.3`, `2:05:07.3`."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:04.1f}"
    return f"{minutes}:{rest:04.1f}"
