"""How answers become events: the options that replace the card's settings."""

from typing import Annotated, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field

from seqvision_edge.card import Decision, ModelCard, Probability, Seconds, SmoothingKind
from seqvision_edge.errors import SeqvisionError

_OF_CARD = "(default: the model's own)"
_OfCard = tyro.conf.arg(help_behavior_hint=_OF_CARD)


class DecisionOptions(BaseModel):
    """When answers become events."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    smoothing: Annotated[
        SmoothingKind | None,
        tyro.conf.arg(metavar="{none,mean,exponential}", help_behavior_hint=_OF_CARD),
    ] = None
    """How answers are smoothed before deciding."""
    smoothing_frames: Annotated[Annotated[int, Field(ge=1)] | None, _OfCard] = None
    """Answers that the smoothing takes together."""
    reject: Annotated[Probability | None, _OfCard] = None
    """An answer whose best label has less is unsure: it counts for no label."""
    enter: Annotated[Probability | None, _OfCard] = None
    """An event begins at this smoothed probability."""
    leave: Annotated[Probability | None, _OfCard] = None
    """An event ends below this smoothed probability."""
    early: Annotated[
        Probability | Literal["off"] | None,
        tyro.conf.arg(metavar="FLOAT|off", help_behavior_hint=_OF_CARD),
    ] = None
    """Act on an event once its label surely rises to this probability, not at its end."""
    minimum_seconds: Annotated[Seconds | None, _OfCard] = None
    """Shorter events are not told, unless they were told early."""
    cooldown_seconds: Annotated[Seconds | None, _OfCard] = None
    """Pause before the same label can begin again."""


def decision_of(options: DecisionOptions, card: ModelCard, program: str) -> Decision:
    """Return the card's decision settings with those that the options replace.

    Raises:
        SeqvisionError: the settings do not go together.
    """
    given = options.model_dump(exclude_none=True)
    if options.early == "off":
        given["early"] = None
    merged = {**card.decision.model_dump(), **given}
    # The options have checked each value; only these depend on each other.
    enter, leave, early = merged["enter"], merged["leave"], merged["early"]
    if leave > enter:
        raise SeqvisionError(
            f"{program}: --leave {leave:g} is above --enter {enter:g}; "
            "an event would end as it begins"
        )
    if early is not None and early < enter:
        raise SeqvisionError(
            f"{program}: --early {early:g} is below --enter {enter:g}; "
            "what is told early must be at least as sure"
        )
    return Decision.model_validate(merged)
