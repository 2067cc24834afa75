"""How live sources are treated: their options, and what these make."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from seqvision_edge.card import ModelCard
from seqvision_edge.options import Arg, Options

if TYPE_CHECKING:
    from seqvision_edge.capture.capture import FrameFormat
    from seqvision_edge.sources.watched import Timeouts

# As large as people look at it: more pixels would only be copied.  Where nobody looks, enough to
# see that a camera sends the same picture for long.
_LOOKED_AT, _UNSEEN = 1280, 160
_Seconds = Annotated[float, Field(gt=0, le=3600), Arg("SECONDS")]


class LiveOptions(Options):
    """How long live sources may be silent, and how old an answer may be."""

    heading = "Live sources"

    stall_timeout: _Seconds = 3.0
    """Time without a frame after which a camera or stream is stalled and reconnected."""
    frozen_after: _Seconds = 10.0
    """Time without a change of the picture after which a warning is printed."""
    max_retries: Annotated[Annotated[int, Field(ge=0)] | None, Arg(default="for ever")] = None
    """Maximum number of reconnect attempts in a row, after which the run ends (exit code 4)."""
    max_age: _Seconds = 1.0
    """Maximum age of a frame for its prediction to be reported as live."""


def patience(options: LiveOptions) -> "Timeouts":
    """Return how long live sources may be silent."""
    from seqvision_edge.sources.watched import Timeouts

    return Timeouts(
        stall=options.stall_timeout, frozen=options.frozen_after, retries=options.max_retries
    )


def wanted(card: ModelCard, seen: bool) -> "FrameFormat":
    """Return how the frames of live sources are to be made for a model.

    `seen` tells whether anybody but the model sees them.
    """
    from seqvision_edge.capture.capture import WHOLE, FrameFormat
    from seqvision_edge.preprocess import Sizing

    if card.sequence.kind != "video":
        # A still image is cut into steps from its own pixels.
        return WHOLE
    image = card.image
    longest = _LOOKED_AT if seen else _UNSEEN
    return FrameFormat(Sizing(image.height, image.width, image.channels, image.fit), longest)
