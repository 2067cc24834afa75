"""Options that replace the card's decision settings: how predictions become events."""

from typing import Annotated, Literal

from seqvision_edge.card import (
    Decision,
    ModelCard,
    Probability,
    Seconds,
    SmoothingFrames,
    SmoothingKind,
)
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.option_fields import Arg, Options

_OF_CARD = "the model's own"
_Probability = Annotated[Probability | None, Arg("PROBABILITY", default=_OF_CARD)]
_Seconds = Annotated[Seconds | None, Arg("SECONDS", default=_OF_CARD)]


class DecisionOptions(Options):
    """When predictions become events."""

    heading = "Events"

    on_threshold: _Probability = None
    """An event begins at this smoothed probability."""
    off_threshold: _Probability = None
    """An event ends below this smoothed probability."""
    early: Annotated[
        Probability | Literal["off"] | None, Arg("PROBABILITY|off", default=_OF_CARD)
    ] = None
    """Report an event as soon as the probability of its label rises to this; off: at its end."""
    min_confidence: _Probability = None
    """Predictions with a lower probability are unsure and count for no label."""
    minimum_seconds: _Seconds = None
    """Minimum duration of an event that is not reported early."""
    cooldown_seconds: _Seconds = None
    """Minimum pause between two events of a label."""
    smoothing: Annotated[SmoothingKind | None, Arg("KIND", default=_OF_CARD)] = None
    """Smoothing of the predictions before thresholding."""
    smoothing_frames: Annotated[SmoothingFrames | None, Arg(default=_OF_CARD)] = None
    """Number of predictions that are smoothed together."""


def decision_of(options: DecisionOptions, card: ModelCard, program: str) -> Decision:
    """Return the card's decision settings with those replaced by the options.

    Raises:
        SeqvisionError: the settings contradict each other.
    """
    given = options.model_dump(exclude_none=True)
    if options.early == "off":
        given["early"] = None
    merged = {**card.decision.model_dump(), **given}
    # The options have validated each value; these depend on each other.
    on, off, early = merged["on_threshold"], merged["off_threshold"], merged["early"]
    if off > on:
        raise SeqvisionError(
            f"{program}: --off-threshold {off:g} is above --on-threshold {on:g}; "
            "an event would end as it begins"
        )
    if early is not None and early < on:
        raise SeqvisionError(
            f"{program}: --early {early:g} is below --on-threshold {on:g}; "
            "an event that is reported early must be at least as sure"
        )
    return Decision.model_validate(merged)
