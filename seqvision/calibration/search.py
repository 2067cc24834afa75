"""The settings with the best event F1 within a budget of false events, and none on a knife's edge.

From the best of some points drawn over the grid it goes uphill, by coordinate ascent; of the
heights the one is taken whose neighbours are high too: what one step would spoil was luck.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from seqvision.calibration.answers import TakePredictions
from seqvision.calibration.figures import Figures, of_score, together
from seqvision.calibration.grid import REJECT, Grid, Point
from seqvision.calibration.replay import Replay
from seqvision_edge.card import Decision
from seqvision_edge.score import score

# For each threshold for unknown so many are drawn, and from so many of them it goes uphill.
_DRAWN: Final = 60
_STARTS: Final = 4
# So many of the best points, and those near the best, are looked at for their neighbours.
_CANDIDATES: Final = 12
_NEAR: Final = 0.02
_FOLDS: Final = 5


@dataclass
class Trials:
    """Every setting that was tried on every take, each once: folds share their trials."""

    courses: Sequence[TakePredictions]
    labels: Sequence[str]
    lag: float
    tolerance: float
    grid: Grid
    _figures: dict[tuple[Decision, int], Figures] = field(default_factory=dict)
    _replays: list[Replay] = field(init=False)

    def __post_init__(self) -> None:
        self._replays = [Replay(recorded, self.labels, self.lag) for recorded in self.courses]

    def at(self, point: Point, takes: Sequence[int]) -> Figures:
        """Return what the settings at a point come to on some of the takes."""
        return self.of(self.grid.decision(point), takes)

    def of(self, decision: Decision, takes: Sequence[int]) -> Figures:
        """Return what settings come to on some of the takes."""
        return together(self._one(decision, take) for take in takes)

    def _one(self, decision: Decision, take: int) -> Figures:
        known = self._figures.get((decision, take))
        if known is None:
            recorded = self.courses[take]
            events = self._replays[take].events(decision)
            known = of_score(score(events, recorded.truth, recorded.seconds, self.tolerance))
            self._figures[decision, take] = known
        return known


@dataclass(frozen=True)
class Found:
    """The settings that a search came to, and what they come to where they were found."""

    decision: Decision
    figures: Figures


def search(
    trials: Trials,
    takes: Sequence[int],
    budget: float,
    seed: int = 0,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Return the settings for some of the takes.

    Args:
        trials: what was tried already, and what tries.
        takes: indices of those that count.
        budget: most false events per hour.
        seed: of the places where the search begins.
        advance: told how many of the drawn points were tried, of how many.
    """
    values: dict[Point, float] = {}

    def value(point: Point) -> float:
        """Return the F1, lowered in proportion to the false events beyond the budget."""
        if point not in values:
            figures = trials.at(point, takes)
            values[point] = _worth(figures, budget)
        return values[point]

    def steady(point: Point) -> float:
        """Return how high a point and its neighbours are together."""
        return float(np.mean([value(point), *map(value, trials.grid.around(point))]))

    drawn = _somewhere(trials.grid, seed)
    count = sum(map(len, drawn))
    for number, point in enumerate(itertools.chain(*drawn)):
        value(point)
        advance(number + 1, count)
    # From each threshold for unknown for itself: a harsh one wants all other settings elsewhere,
    # and no single step leads from there to what is good without it.
    highest = [sorted(set(points), key=lambda point: -value(point))[:_STARTS] for points in drawn]
    for start in (trials.grid.nearest(trials.grid.base), *itertools.chain(*highest)):
        _climb(start, value, trials.grid)

    def is_good(point: Point) -> bool:
        """Whether a point is within the budget, where any is, and within one event of the best."""
        within = trials.at(point, takes).is_within(budget)
        return (within or not any_within) and value(point) >= best - near

    def order(point: Point) -> tuple[float, float]:
        """Sort key: stable settings first, then shorter detection delay."""
        late = trials.at(point, takes).delay
        return round(steady(point), 4), -np.inf if late is None else -late

    heights = list(values)
    inside = [point for point in heights if _is_useful(trials.at(point, takes), budget)]
    any_within = bool(inside)
    best = max(values[point] for point in inside or heights)
    events = sum(len(trials.courses[take].truth) for take in takes)
    near = max(_NEAR, 1 / max(1, events))
    good = sorted(filter(is_good, heights), key=lambda point: -values[point])
    top = max(good[:_CANDIDATES], key=order)
    # Uphill on what is steady, as far as it goes.
    while True:
        better = max((top, *filter(is_good, trials.grid.around(top))), key=order)
        if order(better) <= order(top):
            break
        top = better
    figures = trials.at(top, takes)
    return Found(trials.grid.decision(top), figures)


def cross_validate(trials: Trials, budget: float) -> Figures | None:
    """Return what searched settings come to on takes that were not searched; None for one take.

    Each take, or each fifth of them, is left out once.
    """
    takes = range(len(trials.courses))
    if len(takes) < 2:
        return None
    count = min(_FOLDS, len(takes))
    figures = []
    for fold in range(count):
        left = [take for take in takes if take % count == fold]
        rest = [take for take in takes if take % count != fold]
        found = search(trials, rest, budget)
        figures.append(trials.of(found.decision, left))
    return together(figures)


def _climb(point: Point, value: Callable[[Point], float], grid: Grid) -> None:
    """Go to the best value of each dimension in turn, until none is better."""
    while True:
        before = value(point)
        for dimension in range(len(grid.values)):
            point = max((point, *grid.along(point, dimension)), key=value)
        if value(point) <= before:
            return


def _somewhere(grid: Grid, seed: int) -> list[list[Point]]:
    """Return points that are spread over the grid, for each threshold for unknown as many."""
    generator = np.random.default_rng(seed)
    sizes = [*map(len, grid.values)]
    points = generator.integers(sizes, size=(sizes[REJECT], _DRAWN, len(sizes)))
    points[..., REJECT] = np.arange(sizes[REJECT])[:, None]
    return [[tuple(map(int, point)) for point in some] for some in points]


def _worth(figures: Figures, budget: float) -> float:
    if figures.is_within(budget):
        return figures.f1
    return figures.f1 * budget / figures.false_per_hour


def _is_useful(figures: Figures, budget: float) -> bool:
    return figures.right > 0 and figures.is_within(budget)
