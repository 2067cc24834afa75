"""Events against the truth: how many were found, missed, or made up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seqvision_edge.errors import SourceError
from seqvision_edge.result import Event

# People who mark the same gesture disagree by about this much.
TOLERANCE_SECONDS = 0.5


class TrueEvent(BaseModel):
    """What really happened, as a person marked it; times in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str
    start: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    end: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Truth(BaseModel):
    events: list[TrueEvent]


@dataclass(frozen=True, slots=True)
class Score:
    """How well events agree with the truth; each event counts once.

    `right` pairs each true event that was found with the event that found it; `missed` are the true
    ones that none found; `false` are the events with nothing behind them.
    """

    right: tuple[tuple[TrueEvent, Event], ...]
    missed: tuple[TrueEvent, ...]
    false: tuple[Event, ...]

    @property
    def precision(self) -> float:
        """The share of the events that are right; 1 without events."""
        return _share(len(self.right), len(self.right) + len(self.false))

    @property
    def recall(self) -> float:
        """The share of the true events that were found; 1 where there are none."""
        return _share(len(self.right), len(self.right) + len(self.missed))

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        right = 2 * len(self.right)
        return _share(right, right + len(self.missed) + len(self.false))

    def __str__(self) -> str:
        return (
            f"truth: F1 {self.f1:.3f}, precision {self.precision:.3f}, recall {self.recall:.3f} "
            f"({len(self.right)} right, {len(self.missed)} missed, {len(self.false)} false)"
        )


def read_truth(path: Path) -> list[TrueEvent]:
    """Read `{"events": [{"label", "start", "end"}, …]}`; other keys are ignored.

    Raises:
        SourceError: the file cannot be read, or is not such a list.
    """
    try:
        return _Truth.model_validate(json.loads(path.read_text(encoding="utf-8"))).events
    except OSError as error:
        raise SourceError(f"--truth {path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SourceError(f"--truth {path}: {place}: {first['msg']}") from None
    except ValueError as error:
        raise SourceError(f"--truth {path}: not valid JSON ({error})") from None


def score(
    events: Sequence[Event],
    truth: Sequence[TrueEvent],
    tolerance: float = TOLERANCE_SECONDS,
) -> Score:
    """Match events to true ones, one to one.

    An event is right when its label is the same and it overlaps the true event, extended by
    `tolerance` seconds on both sides.  Events in order, each taking the earliest true one that is
    left, make the most pairs: events do not overlap each other.
    """
    left = sorted(truth, key=lambda true: true.end)
    right: list[tuple[TrueEvent, Event]] = []
    false: list[Event] = []
    for event in sorted(events, key=lambda event: event.start):
        found = next((true for true in left if _agree(event, true, tolerance)), None)
        if found is None:
            false.append(event)
        else:
            left.remove(found)
            right.append((found, event))
    return Score(tuple(right), tuple(left), tuple(false))


def _agree(event: Event, true: TrueEvent, tolerance: float) -> bool:
    return (
        event.label == true.label
        and event.end >= true.start - tolerance
        and event.start <= true.end + tolerance
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
