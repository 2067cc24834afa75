"""The settings of a decision that are tried: a grid, in proportion to the model's window."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from seqvision_edge.card import Decision
from seqvision_edge.sequence import VideoSequence

# One value of each dimension, by its place.
Point = tuple[int, ...]
# The place of the threshold for unknown.
REJECT: Final = 4

_SMOOTHED: Final = (0.0, 1 / 8, 1 / 5, 1 / 3, 1 / 2, 2 / 3)
_ON: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
_OFF: Final = (0.4, 0.55, 0.7, 0.85, 1.0)
_MINIMUM: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65)
_COOLDOWN: Final = (0.0, 0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Grid:
    """Settings as points: smoothing and its answers, on and off threshold, least confidence,
    length, pause.

    Attributes:
        base: what no dimension changes.
        values: of each dimension, those that are tried.
    """

    base: Decision
    values: tuple[tuple[Any, ...], ...]

    def decision(self, point: Point) -> Decision:
        """Return the settings at a point of the grid."""
        kind, count, on, off, min_confidence, minimum, cooldown = (
            values[index] for values, index in zip(self.values, point, strict=True)
        )
        return self.base.model_copy(
            update={
                "smoothing": kind if count > 1 else "none",
                "smoothing_frames": count,
                "on_threshold": on,
                "off_threshold": round(off * on, 3),
                "min_confidence": min_confidence,
                "minimum_seconds": minimum,
                "cooldown_seconds": cooldown,
            }
        )

    def nearest(self, decision: Decision) -> Point:
        """Return the point that is most like some settings."""
        kind = decision.smoothing
        count = 1 if kind == "none" else decision.smoothing_frames
        targets = (
            "mean" if kind == "none" else kind,
            count,
            decision.on_threshold,
            decision.off_threshold / decision.on_threshold if decision.on_threshold else 1.0,
            decision.min_confidence,
            decision.minimum_seconds,
            decision.cooldown_seconds,
        )
        return tuple(
            values.index(want)
            if isinstance(want, str)
            else int(np.argmin([abs(value - want) for value in values]))
            for values, want in zip(self.values, targets, strict=True)
        )

    def around(self, point: Point) -> Iterator[Point]:
        """Yield the points one step away in one dimension."""
        for dimension, values in enumerate(self.values):
            for index in (point[dimension] - 1, point[dimension] + 1):
                if 0 <= index < len(values):
                    yield (*point[:dimension], index, *point[dimension + 1 :])

    def along(self, point: Point, dimension: int) -> Iterator[Point]:
        """Yield every point that differs in one dimension at most."""
        for index in range(len(self.values[dimension])):
            yield (*point[:dimension], index, *point[dimension + 1 :])


def make_grid(
    decision: Decision, sequence: VideoSequence, labels: int, rejects: tuple[float, ...]
) -> Grid:
    """Return the settings to try for a model.

    Args:
        decision: the settings that it has; early firing and the background stay as they are.
        sequence: its window, to which times are in proportion.
        labels: how many there are; an event begins well above what chance gives each.
        rejects: thresholds for unknown.
    """
    seconds = sequence.frames / sequence.fps
    counts = sorted({max(1, round(sequence.frames * share)) for share in _SMOOTHED})
    most = 1.0 if decision.early is None else decision.early
    enters = tuple(value for value in _ON if 1.1 / labels < value <= most) or (most,)
    return Grid(
        decision,
        (
            ("mean", "exponential"),
            tuple(counts),
            enters,
            _OFF,
            tuple(sorted(set(rejects))),
            tuple(sorted({round(share * seconds, 3) for share in _MINIMUM})),
            tuple(sorted({round(share * seconds, 3) for share in _COOLDOWN})),
        ),
    )
