"""The settings by which answers become events, from untrimmed videos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqvision.calibration.delay_curve import (
    SAME_TIME,
    CurvePoint,
    choose,
    search_early,
    trace_curve,
)
from seqvision.calibration.event_counts import EventCounts
from seqvision.calibration.event_search import Trials, cross_validate, make_decision_grid, search
from seqvision.calibration.inference import TakePredictions, record_predictions
from seqvision.calibration.inputs import TruthVideo
from seqvision.console import print_line, progress
from seqvision.errors import DataError
from seqvision_edge.card import Decision, ModelCard, TimedSequence
from seqvision_edge.events import window_lag
from seqvision_edge.session import Session


@dataclass(frozen=True)
class FromTakes:
    """Event metrics on untrimmed videos.

    Attributes:
        decision: the settings that were found, or those before where none is better.
        before, after: what both come to on all videos.
        held_out: what searched settings come to on videos that were left out of their search; None
            where there is one video.
        true: how many events there are.
        curve: settings from the latest report to the earliest.
        chosen: the point of it that `decision` is, or None where the settings stay.
    """

    takes: int
    true: int
    decision: Decision
    before: EventCounts
    after: EventCounts
    held_out: EventCounts | None
    curve: tuple[CurvePoint, ...] = ()
    chosen: CurvePoint | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        parts = {"before": self.before, "after": self.after, "held_out": self.held_out}
        figures = {
            f"{name}_{part}": value
            for part, of in parts.items()
            if of is not None
            for name, value in of.to_json().items()
            if name
            in ("f1", "precision", "recall", "false_per_hour", "detection_delay", "delay_after_end")
        }
        return {
            "videos": self.takes,
            "seconds": self.before.to_json()["seconds"],
            **figures,
            "curve": [point.to_json() for point in self.curve],
        }


def check_takes(
    takes: Sequence[TruthVideo], card: ModelCard, unknown: Sequence[str]
) -> list[TruthVideo]:
    """Return the takes with what the model can find of their truth.

    Raises:
        DataError: the model makes no events, or a truth has an unknown label.
    """
    if not isinstance(card.sequence, TimedSequence):
        raise DataError(f"{takes[0].video}: the model reads still images: it makes no events")
    checked = []
    for take in takes:
        for true in take.truth:
            if true.label not in card.labels and true.label not in unknown:
                raise DataError(
                    f"{take.video}: its truth has an event {true.label!r}, no label of the "
                    f"model ({', '.join(card.labels)}); if that is meant, add "
                    f"--unknown {true.label}"
                )
        truth = tuple(true for true in take.truth if true.label in card.labels)
        checked.append(replace(take, truth=truth))
    if not any(true.label != card.decision.background for each in checked for true in each.truth):
        raise DataError(f"{takes[0].video}: no true event of a gesture: nothing to search by")
    return checked


def calibrate_takes(
    session: Session,
    takes: Sequence[TruthVideo],
    own: Decision,
    rejects: Sequence[float],
    budget: float,
    tolerance: float,
    max_delay: float | None = None,
) -> FromTakes:
    """Search the settings for the highest F1 within a budget of false events.

    Args:
        session: predicts as a live run does; its card may have a new temperature.
        takes: videos with their truth, checked.
        own: the settings of the model before, with its temperature.
        rejects: thresholds for unknown that are tried besides the card's own.
        budget: most false events per hour.
        tolerance: seconds by which an event may miss the true one.
        max_delay: most seconds from the end of a gesture to its report, the median.

    Raises:
        SourceError: a video cannot be read.
        DataError: no settings find any event within the budget.
    """
    card = session.card
    assert isinstance(card.sequence, TimedSequence)
    recordings = _record(session, takes)
    grid = make_decision_grid(
        card.decision.model_copy(update={"early": None}),
        card.sequence,
        len(card.labels),
        (card.decision.min_confidence, *rejects),
    )
    trials = Trials(recordings, card.labels, window_lag(card.sequence), tolerance, grid)
    every = range(len(recordings))
    with progress("searching settings") as advance:
        found = search(trials, every, budget, advance=advance)
    unchanged = before = trials.of(card.decision, every)
    if own.temperature != card.decision.temperature:
        cooled = [
            recorded.cooled(card.decision.temperature / own.temperature) for recorded in recordings
        ]
        before = Trials(cooled, card.labels, trials.lag, tolerance, grid).of(own, every)
    if not found.figures.right:
        raise DataError(
            f"{recordings[0].where}: no settings find one of {before.right + before.missed} events "
            f"within {budget:g} false per hour; raise --max-false-per-hour, or train a better model"
        )
    with progress("earlier reports") as advance:
        curve = trace_curve(trials, every, found.decision, budget, advance)
    chosen = choose(curve, budget, max_delay)
    decision, after = chosen.decision, chosen.figures
    # Of settings that are as good, those that people know.
    if unchanged.is_within(budget) and unchanged.f1 >= after.f1 and not _later(unchanged, after):
        decision, after = card.decision, unchanged

    def find(rest: Sequence[int]) -> Decision:
        """Return the settings that some of the takes lead to, with the `early` of all of them."""
        best = search(trials, rest, budget).decision
        early = chosen.decision.early
        return best if early is None else search_early(trials, rest, best, early, budget)

    return FromTakes(
        takes=len(recordings),
        true=before.right + before.missed,
        decision=Decision.model_validate(decision.model_dump()),
        before=before,
        after=after,
        held_out=cross_validate(trials, find),
        curve=tuple(curve),
        chosen=chosen if decision == chosen.decision else None,
    )


def _later(one: EventCounts, other: EventCounts) -> bool:
    """Return whether events are reported clearly later, by their medians."""
    if one.delay_after_end is None or other.delay_after_end is None:
        return False
    return one.delay_after_end > other.delay_after_end + SAME_TIME


def _record(session: Session, takes: Sequence[TruthVideo]) -> list[TakePredictions]:
    recordings = []
    with progress("watching videos") as advance:
        for number, take in enumerate(takes):

            def advance_in(share: float, done: int = number) -> None:
                advance(done + share, len(takes))

            recorded = record_predictions(session, take, advance_in)
            if recorded.incomplete:
                print_line(f"{recorded.where}: {recorded.incomplete}")
            recordings.append(recorded)
            advance(number + 1, len(takes))
    return recordings
