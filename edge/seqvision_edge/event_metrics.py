"""Event metrics: F1, precision, recall, order, detection delay."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seqvision_edge.errors import SourceError
from seqvision_edge.option_fields import first_problem
from seqvision_edge.types import Event

# Annotators of the same gesture disagree by about this much.
TOLERANCE_SECONDS = 0.5


class TrueEvent(BaseModel):
    """A ground-truth event, as annotated; times in seconds; `view` is the name of its region."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    label: str
    start: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    end: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    view: str = ""


class _Truth(BaseModel):
    events: list[TrueEvent]


@dataclass(frozen=True, slots=True)
class Score:
    """The agreement of events with the ground truth; each event counts once.

    `right` pairs each detected true event with its detection; `missed` are the undetected true
    ones; `false` are the events without a true one, and `idle` those of them that overlap no true
    event of any label.  `seconds` is the length of the video.
    """

    right: tuple[tuple[TrueEvent, Event], ...]
    missed: tuple[TrueEvent, ...]
    false: tuple[Event, ...]
    idle: tuple[Event, ...]
    order: float
    seconds: float

    @property
    def precision(self) -> float:
        """The fraction of the events that are right; 1 without events."""
        return _share(len(self.right), len(self.right) + len(self.false))

    @property
    def recall(self) -> float:
        """The fraction of the true events that were detected; 1 if there are none."""
        return _share(len(self.right), len(self.right) + len(self.missed))

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        right = 2 * len(self.right)
        return _share(right, right + len(self.missed) + len(self.false))

    @property
    def delays(self) -> list[float]:
        """Detection delay of each correct event: from the true start to the report, in seconds."""
        return [event.reported_at - true.start for true, event in self.right]

    @property
    def delays_after_end(self) -> list[float]:
        """From the true end to the report of each correct event, in seconds; below 0: before it."""
        return [event.reported_at - true.end for true, event in self.right]

    @property
    def false_per_hour(self) -> float:
        """False events per hour of video; 0 without video."""
        return 3600 * len(self.false) / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        delays = self.delays
        delay = (
            f"detection delay {median(delays):.2f} s (median; {max(delays):.2f} s at worst), "
            f"{median(self.delays_after_end):.2f} s after the true end, "
            if delays
            else ""
        )
        return (
            f"truth: F1 {self.f1:.3f}, precision {self.precision:.3f}, recall {self.recall:.3f} "
            f"({len(self.right)} right, {len(self.missed)} missed, {len(self.false)} false)\n"
            f"truth: {delay}order {self.order:.3f}, {self.false_per_hour:.0f} false per hour, "
            f"{len(self.idle)} false while nothing happened"
        )


def read_truth(path: Path) -> list[TrueEvent]:
    """Read `{"events": [{"label", "start", "end"}, …]}`, where `view` may name a region.

    Other keys are ignored.

    Raises:
        SourceError: the file cannot be read, or is not such a list.
    """
    try:
        return _Truth.model_validate(json.loads(path.read_text(encoding="utf-8"))).events
    except OSError as error:
        raise SourceError(f"--truth {path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        loc, problem, _ = first_problem(error)
        where = ".".join(map(str, loc))
        raise SourceError(f"--truth {path}: {f'{where} ' if where else ''}{problem}") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"--truth {path}: not valid JSON ({error})") from None


def score(
    events: Sequence[Event],
    truth: Sequence[TrueEvent],
    seconds: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> Score:
    """Match events to true ones, one to one.

    An event is right if its label is the same and it overlaps the true event, extended by
    `tolerance` seconds on both sides, in the same view.  Events are taken in order, each matched to
    the earliest unmatched true one, which gives the most pairs, since events of a view do not
    overlap each other.
    """
    left = sorted(truth, key=lambda true: true.end)
    right: list[tuple[TrueEvent, Event]] = []
    false: list[Event] = []
    ordered = sorted(events, key=lambda event: event.start)
    for event in ordered:
        found = next(
            (t for t in left if t.label == event.label and _meet(event, t, tolerance)), None
        )
        if found is None:
            false.append(event)
        else:
            left.remove(found)
            right.append((found, event))
    return Score(
        right=tuple(right),
        missed=tuple(left),
        false=tuple(false),
        idle=tuple(e for e in false if not any(_meet(e, true, tolerance) for true in truth)),
        order=order_accuracy(
            [event.label for event in ordered],
            [true.label for true in sorted(truth, key=lambda true: true.start)],
        ),
        seconds=seconds,
    )


def order_accuracy(predicted: Sequence[str], true: Sequence[str]) -> float:
    """Return the Levenshtein accuracy of a sequence of labels, ignoring times.

    That is 1 minus the edit distance (insertions, deletions, substitutions) per true label; at
    least 0 (Köpüklü et al., 2019, arXiv:1901.10323).
    """
    if not true:
        return 0.0 if predicted else 1.0
    distances = list(range(len(true) + 1))
    for row, label in enumerate(predicted, start=1):
        corner, distances[0] = distances[0], row
        for column, other in enumerate(true, start=1):
            exchanged = corner + (label != other)
            corner = distances[column]
            distances[column] = min(exchanged, corner + 1, distances[column - 1] + 1)
    return max(0.0, 1 - distances[-1] / len(true))


def _meet(event: Event, true: TrueEvent, tolerance: float) -> bool:
    meets = event.end >= true.start - tolerance and event.start <= true.end + tolerance
    return meets and event.view == true.view


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
