"""The settings with the best event F1 within a budget of false events: a grid, replayed and
searched.

From the best of some points drawn over the grid it goes uphill, by coordinate ascent; of the
heights the one is taken whose neighbours are high too: what one step would spoil was luck.

What smoothing and the threshold for unknown make of the answers is computed once for all settings
that share them, by the code that does it live.  While no gesture reaches `off_threshold`, and none
did in the answer before, an answer changes nothing: most of a video need not be looked at again.
Early reports are searched by `delay_curve`, from what is best without them.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision.calibration.event_counts import EventCounts, of_score, sum_counts
from seqvision.calibration.inference import TakePredictions
from seqvision_edge.card import Decision, TimedSequence
from seqvision_edge.event_metrics import score
from seqvision_edge.events import EventDetector, Smoothing, is_unsure
from seqvision_edge.types import Event

# For each threshold for unknown so many are drawn, and from so many of them it goes uphill.
_DRAWN: Final = 60
_STARTS: Final = 4
# So many of the best points, and those near the best, are looked at for their neighbours.
_CANDIDATES: Final = 12
_NEAR: Final = 0.02
_FOLDS: Final = 5

# One value of each dimension, by its index.
Point = tuple[int, ...]
# The index of the threshold for unknown.
REJECT: Final = 4

_SMOOTHED: Final = (0.0, 1 / 8, 1 / 5, 1 / 3, 1 / 2, 2 / 3)
_ON: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
_OFF: Final = (0.4, 0.55, 0.7, 0.85, 1.0)
_MINIMUM: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65)
_COOLDOWN: Final = (0.0, 0.125, 0.25, 0.5, 1.0)

# Wider than what the detector takes for equal.
_HAIR = 1e-5


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


@dataclass(frozen=True)
class _Smooth:
    """Smoothed answers; in the rows of `breaks` the past ends, and the others have no meaning.

    `own` are the answers themselves, zeros where they are unsure; `highest` and `highest_own` the
    most that a gesture has in each of the two.
    """

    shares: NDArray[np.float64]
    own: NDArray[np.float64]
    highest: NDArray[np.float64]
    highest_own: NDArray[np.float64]
    breaks: NDArray[np.bool_]


class Replay:
    """Recorded predictions of one take, replayed with different settings."""

    def __init__(self, recorded: TakePredictions, labels: Sequence[str], lag: float) -> None:
        self.recorded = recorded
        self._labels = labels
        self._lag = lag
        self._times = [time for time, _ in recorded.answers]
        self._smooth: dict[tuple[str | int | float | None, ...], _Smooth] = {}

    def events(self, decision: Decision) -> list[Event]:
        """Return the events that a run with these settings reports."""
        if not self._times:
            return []
        smooth, early = self._smoothed(decision), decision.early is not None
        # An answer's own rise counts too where events are reported early.
        highest = np.maximum(smooth.highest, smooth.highest_own) if early else smooth.highest
        loud = highest >= decision.off_threshold - _HAIR
        counts = loud | smooth.breaks
        # What follows a loud answer may end an event; what follows a break may be low, and rise.
        counts[1:] |= loud[:-1] | (smooth.breaks[:-1] & early)
        counts[0] |= early
        detector = EventDetector(decision, self._labels, self._lag)
        ended: list[Event] = []
        for index in np.flatnonzero(counts).tolist():
            time = self._times[index]
            if smooth.breaks[index]:
                ended += detector.close(time).ended
            else:
                update = detector.step_smoothed(time, smooth.own[index], smooth.shares[index])
                ended += update.ended
        return [*ended, *detector.close(self.recorded.seconds).ended]

    def _smoothed(self, decision: Decision) -> _Smooth:
        key = (
            decision.smoothing, decision.smoothing_frames, decision.min_confidence,
            decision.background,
        )  # fmt: skip
        if key not in self._smooth:
            self._smooth[key] = self._make(decision)
        return self._smooth[key]

    def _make(self, decision: Decision) -> _Smooth:
        smoothing = Smoothing(decision)
        shares = np.zeros((len(self._times), len(self._labels)))
        own = np.zeros_like(shares)
        breaks = np.zeros(len(self._times), np.bool_)
        for where, (_, answer) in enumerate(self.recorded.answers):
            if answer is None:
                breaks[where] = True
                smoothing.clear()
                continue
            if not is_unsure(float(answer.max()), decision.min_confidence):
                own[where] = answer
            shares[where] = smoothing.add(own[where].copy())
        gestures = [where for where, label in enumerate(self._labels)
                    if label != decision.background]  # fmt: skip
        highest, highest_own = (each[:, gestures].max(axis=1) for each in (shares, own))
        return _Smooth(shares, own, highest, highest_own, breaks)


@dataclass
class Trials:
    """Every setting that was tried on every take, each once: folds share their trials."""

    recordings: Sequence[TakePredictions]
    labels: Sequence[str]
    lag: float
    tolerance: float
    grid: Grid
    _figures: dict[tuple[Decision, int], EventCounts] = field(default_factory=dict)
    _replays: list[Replay] = field(init=False)

    def __post_init__(self) -> None:
        self._replays = [Replay(recorded, self.labels, self.lag) for recorded in self.recordings]

    def on_grid(self, grid: Grid) -> "Trials":
        """Return the same trials, and those to come, for points of another grid."""
        other = copy.copy(self)
        other.grid = grid
        return other

    def replay(self, take: int) -> "Replay":
        """Return the recorded predictions of a take, to be replayed."""
        return self._replays[take]

    def at(self, point: Point, takes: Sequence[int]) -> EventCounts:
        """Return what the settings at a point come to on some of the takes."""
        return self.of(self.grid.decision(point), takes)

    def of(self, decision: Decision, takes: Sequence[int]) -> EventCounts:
        """Return what settings come to on some of the takes."""
        return sum_counts(self._one(decision, take) for take in takes)

    def _one(self, decision: Decision, take: int) -> EventCounts:
        known = self._figures.get((decision, take))
        if known is None:
            recorded = self.recordings[take]
            events = self._replays[take].events(decision)
            known = of_score(score(events, recorded.truth, recorded.seconds, self.tolerance))
            self._figures[decision, take] = known
        return known


@dataclass(frozen=True)
class Found:
    """The settings that a search came to, and what they come to where they were found."""

    decision: Decision
    figures: EventCounts


def search(
    trials: Trials,
    takes: Sequence[int],
    budget: float,
    seed: int = 0,
    advance: Callable[[int, int], None] = lambda done, total: None,
    start: Decision | None = None,
) -> Found:
    """Return the settings for some of the takes.

    Args:
        trials: what was tried already, and what tries.
        takes: indices of those that count.
        budget: most false events per hour.
        seed: of the points where the search begins.
        advance: called with how many of the drawn points were tried, of how many.
        start: where the search begins instead of points that are drawn over the grid.
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

    drawn = [] if start else _somewhere(trials.grid, seed)
    count = sum(map(len, drawn))
    for number, point in enumerate(itertools.chain(*drawn)):
        value(point)
        advance(number + 1, count)
    # From each threshold for unknown for itself: a harsh one wants all other settings elsewhere,
    # and no single step leads from there to what is good without it.
    highest = [sorted(set(points), key=lambda point: -value(point))[:_STARTS] for points in drawn]
    first = trials.grid.nearest(start or trials.grid.base)
    for point in (first, *itertools.chain(*highest)):
        _climb(point, value, trials.grid)

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
    events = sum(len(trials.recordings[take].truth) for take in takes)
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


def cross_validate(trials: Trials, find: Callable[[Sequence[int]], Decision]) -> EventCounts | None:
    """Return what searched settings come to on takes that were not searched; None for one take.

    Each take, or each fifth of them, is left out once; `find` searches the others.
    """
    takes = range(len(trials.recordings))
    if len(takes) < 2:
        return None
    count = min(_FOLDS, len(takes))
    figures = []
    for fold in range(count):
        left = [take for take in takes if take % count == fold]
        rest = [take for take in takes if take % count != fold]
        figures.append(trials.of(find(rest), left))
    return sum_counts(figures)


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


def _worth(figures: EventCounts, budget: float) -> float:
    if figures.is_within(budget):
        return figures.f1
    return figures.f1 * budget / figures.false_per_hour


def _is_useful(figures: EventCounts, budget: float) -> bool:
    return figures.right > 0 and figures.is_within(budget)


def make_decision_grid(
    decision: Decision, sequence: TimedSequence, labels: int, rejects: tuple[float, ...]
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
