"""What settings come to on takes: counts that add up, so that takes can be joined and left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np

from seqvision_edge.event_metrics import Score

# Without one false event in N hours, fewer than 3 / N per hour are 95 % sure (Hanley & Lippman-Hand
# 1983, "If nothing goes wrong, is everything all right?").
RULE_OF_THREE: Final = 3.0
# A video's length is the time of its last frame: one frame too short.
_SLACK: Final = 1.01


@dataclass(frozen=True)
class EventCounts:
    """Events against the truth, over one take or more; see `seqvision_edge.event_metrics.Score`."""

    right: int
    missed: int
    false: int
    seconds: float
    delays: tuple[float, ...]
    delays_after_end: tuple[float, ...] = ()

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return _share(2 * self.right, 2 * self.right + self.missed + self.false)

    @property
    def precision(self) -> float:
        """The share of the events that are right."""
        return _share(self.right, self.right + self.false)

    @property
    def recall(self) -> float:
        """The share of the true events that were found."""
        return _share(self.right, self.right + self.missed)

    @property
    def false_per_hour(self) -> float:
        """False events per hour of video."""
        return 3600 * self.false / self.seconds if self.seconds else 0.0

    def is_within(self, budget: float) -> bool:
        """Whether there are no more false events per hour than a budget."""
        return self.false_per_hour <= budget * _SLACK

    @property
    def delay(self) -> float | None:
        """Median detection delay: seconds from the true start to the report of the event."""
        return median(self.delays) if self.delays else None

    @property
    def delay_after_end(self) -> float | None:
        """Median seconds from the true end to the report; below 0: reported before the end."""
        return median(self.delays_after_end) if self.delays_after_end else None

    @property
    def false_rate_upper_bound(self) -> float:
        """The rate per hour that is not reached, 95 % sure, where there is no false event."""
        return 3600 * RULE_OF_THREE / self.seconds if self.seconds else float("inf")

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return {
            "f1": round(self.f1, 4),
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "right": self.right,
            "missed": self.missed,
            "false": self.false,
            "false_per_hour": round(self.false_per_hour, 1),
            "detection_delay": None if self.delay is None else round(self.delay, 3),
            "delay_after_end": (
                None if self.delay_after_end is None else round(self.delay_after_end, 3)
            ),
            "seconds": round(self.seconds, 1),
        }


def of_score(score: Score) -> EventCounts:
    """Return the figures of one take."""
    return EventCounts(
        right=len(score.right),
        missed=len(score.missed),
        false=len(score.false),
        seconds=score.seconds,
        delays=tuple(score.delays),
        delays_after_end=tuple(score.delays_after_end),
    )


def sum_counts(figures: Iterable[EventCounts]) -> EventCounts:
    """Return the figures of several takes as of one."""
    every: Sequence[EventCounts] = list(figures)
    return EventCounts(
        right=sum(each.right for each in every),
        missed=sum(each.missed for each in every),
        false=sum(each.false for each in every),
        seconds=float(np.sum([each.seconds for each in every])),
        delays=tuple(delay for each in every for delay in each.delays),
        delays_after_end=tuple(delay for each in every for delay in each.delays_after_end),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
