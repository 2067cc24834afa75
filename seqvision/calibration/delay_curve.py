"""How early events can be reported, and what that costs: a curve of settings, and one of them.

For each value of `early` the other settings are searched anew, from those that are best without.
Each point shows when events are reported, how many are found, and how many are false; and whether
its events stay the same where the probabilities change a little, as from one processor to another.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from seqvision.calibration.event_counts import EventCounts
from seqvision.calibration.event_search import Grid, Replay, Trials, search
from seqvision.report.png_plots import pyplot
from seqvision_edge.card import Decision
from seqvision_edge.files import atomic_write
from seqvision_edge.types import Event

_EARLY: Final = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
# What is added to each logit: probabilities near one half change by 0.005.  Two processors differ
# by less, with the same number format by a thousandth of it.
_PERTURBATION: Final = 0.02
_PERTURBED: Final = 3
# Differences in F1, in the share of events that change, and in seconds, that are none.
_NEAR: Final = 0.02
_NO_EDGE: Final = 0.01
SAME_TIME: Final = 0.05


@dataclass(frozen=True)
class CurvePoint:
    """Settings with one value of `early`, and what they come to.

    Attributes:
        changed: events that are lost, come anew or have another label where the probabilities are
            perturbed, per perturbed event; 0 where the settings are on no edge.
    """

    decision: Decision
    figures: EventCounts
    changed: float

    def to_json(self) -> dict[str, Any]:
        """Return the point as plain data."""
        return {
            "early": self.decision.early,
            "on_threshold": self.decision.on_threshold,
            "off_threshold": self.decision.off_threshold,
            "changed_if_perturbed": round(self.changed, 4),
            **self.figures.to_json(),
        }


def trace_curve(
    trials: Trials,
    takes: Sequence[int],
    best: Decision,
    budget: float,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[CurvePoint]:
    """Return settings from the latest report to the earliest.

    Args:
        trials: what was tried already, and what tries.
        takes: indices of the takes that count.
        best: the best settings without early reports, the first point.
        budget: most false events per hour, as in the search for `best`.
        advance: called with how many points are done, of how many.
    """
    decisions = [best]
    for number, early in enumerate(_EARLY):
        advance(number, len(_EARLY))
        decisions.append(search_early(trials, takes, decisions[-1], early, budget))
    others = _perturbed(trials, takes)
    return [
        CurvePoint(each, trials.of(each, takes), _changed(trials, others, takes, each))
        for each in decisions
    ]


def search_early(
    trials: Trials, takes: Sequence[int], start: Decision, early: float, budget: float
) -> Decision:
    """Return the best settings with this value of `early` that are found from others."""
    grid = _early_grid(trials.grid, start, early)
    return search(trials.on_grid(grid), takes, budget, start=start).decision


def choose(
    curve: Sequence[CurvePoint], budget: float, max_delay: float | None = None
) -> CurvePoint:
    """Return the point of a curve that is to be used.

    Of the points within the budget of false events, and within `max_delay` seconds from the end of
    a gesture to its report where that is given, those whose F1 is within one event (or 0.02) of the
    best; of these those whose events change least if perturbed, then the earliest.  Where no
    point keeps within the budget, the one with the fewest false events is taken; where none of
    those within it keeps within the delay, the earliest.
    """
    able = [point for point in curve if point.figures.right] or list(curve)
    within = [point for point in able if point.figures.is_within(budget)]
    able = within or [min(able, key=_false_per_hour)]
    if max_delay is not None:
        prompt = [point for point in able if _delay(point) <= max_delay]
        able = prompt or [min(able, key=_delay)]
    best = max(point.figures.f1 for point in able)
    events = able[0].figures.right + able[0].figures.missed
    near = max(_NEAR, 1 / max(1, events))
    good = [point for point in able if point.figures.f1 >= best - near]
    # A hundredth more than elsewhere is no edge, nor is one event of few.
    steadiest = min(point.changed for point in good) + max(_NO_EDGE, 1 / max(50, events))
    steady = [point for point in good if point.changed <= steadiest]
    earliest = min(map(_delay, steady)) + SAME_TIME
    return max(
        (point for point in steady if _delay(point) <= earliest), key=lambda each: each.figures.f1
    )


def draw_curve(
    curve: Sequence[CurvePoint], chosen: CurvePoint | None, budget: float, path: Path
) -> None:
    """Draw a curve to an SVG or a PNG, and write its numbers to the JSON beside it.

    Raises:
        OSError: a file cannot be written.
    """
    plt = pyplot()
    plt.rcParams["svg.hashsalt"] = "seqvision"  # the same curve gives the same file
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    points = [point for point in curve if point.figures.delay_after_end is not None]
    for axes, name, value in (
        (panels[0], "F1 of events", _f1),
        (panels[1], "false events per hour", _false_per_hour),
    ):
        axes.plot(
            [_delay(point) for point in points], [value(point) for point in points],
            color="#15c", marker="o", markersize=4, linewidth=1.4,
        )  # fmt: skip
        if chosen is not None and chosen in points:
            axes.plot(
                [_delay(chosen)], [value(chosen)], "o", color="#c60", markersize=10,
                fillstyle="none", markeredgewidth=2, label=f"chosen: --early {_early(chosen)}",
            )  # fmt: skip
        axes.set(xlabel="reported after the end of a gesture, s (median)", title=name)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(max(0.0, min(map(_f1, points), default=0.0) - 0.05), 1.01)
    highest = max((point.figures.false_per_hour for point in points), default=0.0)
    if highest > 10 * budget:  # what is allowed would lie on the axis
        panels[1].set_yscale("symlog", linthresh=max(1.0, budget))
        panels[1].yaxis.set_major_formatter("{x:g}")
    panels[1].set_ylim(bottom=0, top=1.2 * max(highest, budget, 1.0))
    panels[1].axhline(budget, color="#888", linestyle=":", label="--max-false-per-hour")
    panels[1].legend(frameon=False)
    for axes, value in zip(panels, (_f1, _false_per_hour), strict=True):
        _label_points(axes, points, value)
    try:
        with atomic_write(path) as unfinished:
            kind = path.suffix.lower().removeprefix(".")
            figure.savefig(unfinished, dpi=110, format=kind, metadata={"Date": None}
                           if kind == "svg" else None)  # fmt: skip
    finally:
        plt.close(figure)
    content = {
        "max_false_per_hour": budget,
        "chosen": None if chosen is None else chosen.to_json(),
        "curve": [point.to_json() for point in curve],
    }
    with atomic_write(path.with_suffix(".json")) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _label_points(
    axes: Any, points: Sequence[CurvePoint], value: Callable[[CurvePoint], float]
) -> None:
    """Write the value of `early` next to points; of those at one place, once."""
    done: list[tuple[float, float]] = []
    for point in points:
        place = axes.transData.transform((_delay(point), value(point)))
        x, y = place / axes.figure.bbox.size
        if all(abs(x - other) > 0.05 or abs(y - low) > 0.06 for other, low in done):
            axes.annotate(
                _early(point), (_delay(point), value(point)), (4, 5),
                textcoords="offset points", fontsize=8, color="#345",
            )  # fmt: skip
            done.append((float(x), float(y)))


def _early(point: CurvePoint) -> str:
    return "off" if point.decision.early is None else f"{point.decision.early:g}"


def _f1(point: CurvePoint) -> float:
    return point.figures.f1


def _false_per_hour(point: CurvePoint) -> float:
    return point.figures.false_per_hour


def _delay(point: CurvePoint) -> float:
    late = point.figures.delay_after_end
    return np.inf if late is None else late


def _early_grid(grid: Grid, best: Decision, early: float) -> Grid:
    """Return a grid of settings that report events as soon as their probability is `early`.

    The length of an event counts only where it is not reported early, and stays.
    """
    kind, counts, on, off, rejects, _, cooldown = grid.values
    base = best.model_copy(update={"early": early})
    enters = tuple(value for value in on if value <= early) or (early,)
    one = ("mean" if best.smoothing == "none" else best.smoothing,)
    assert one[0] in kind, "a smoothing that was searched"
    return replace(
        grid,
        base=base,
        values=(one, counts, enters, off, rejects, (best.minimum_seconds,), cooldown),
    )


def _perturbed(trials: Trials, takes: Sequence[int]) -> list[dict[int, Replay]]:
    """Return the takes as a few other processors would have predicted them."""
    return [
        {
            take: Replay(
                trials.recordings[take].perturbed(_PERTURBATION, 1000 * take + number),
                trials.labels,
                trials.lag,
            )
            for take in takes
        }
        for number in range(_PERTURBED)
    ]


def _changed(
    trials: Trials, others: Sequence[dict[int, Replay]], takes: Sequence[int], decision: Decision
) -> float:
    """Return how many events differ where the probabilities are perturbed, per event."""
    differing = total = 0
    for take in takes:
        events = trials.replay(take).events(decision)
        for other in others:
            again = other[take].events(decision)
            differing += _differing(events, again)
            total += max(len(events), len(again))
    return differing / total if total else 0.0


def _differing(events: Sequence[Event], others: Sequence[Event]) -> int:
    """Return how many events of either have no one of that label at that time in the other."""
    left = list(others)
    for event in events:
        for other in left:
            if other.label == event.label and min(event.end, other.end) >= max(
                event.start, other.start
            ):
                left.remove(other)
                break
    return len(events) + 2 * len(left) - len(others)
