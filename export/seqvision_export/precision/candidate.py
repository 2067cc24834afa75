"""One way to write the model: its bytes, what was measured of it, and whether it may be kept."""

from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Candidate:
    """A model in one number format.

    Attributes:
        name: `fp32`, `fp16`, or `int8` and its plan.
        content: the file.
    """

    name: str
    precision: Format
    content: bytes


@dataclass(frozen=True)
class Measured:
    """What was measured of a candidate.

    Attributes:
        milliseconds: of one live frame, its window full, undisturbed.
        ratio: how many times as fast as fp32, in the same rounds.
        accuracy: share of the clips whose label it names, 0 to 1; None without clips.
        drop: points of accuracy that it loses against fp32.
        agreement: share of the clips for which it names the same label as fp32.
        refused: why it may not be kept; empty where it may.
    """

    candidate: Candidate
    milliseconds: float
    ratio: float
    accuracy: float | None
    drop: float | None
    agreement: float | None
    refused: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.candidate.content)

    def to_json(self) -> dict[str, Any]:
        """Return the figures under their names."""
        return {
            "name": self.candidate.name,
            "precision": self.candidate.precision,
            "milliseconds": round(self.milliseconds, 4),
            "ratio": round(self.ratio, 3),
            "accuracy": self.accuracy,
            "drop": None if self.drop is None else round(self.drop, 3),
            "agreement": self.agreement,
            "size": self.size,
            "refused": self.refused,
        }
