"""A source's way from a frame to a step: sampler → preprocess → stream → decision.

The model itself is run between `ask` and `tell`, for all sources at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import Decision, VideoSequence
from seqvision_edge.frame import Frame, Step
from seqvision_edge.pipeline.image import ImagePipeline
from seqvision_edge.pipeline.state import Probabilities, Sender
from seqvision_edge.pipeline.video import VideoPipeline
from seqvision_edge.session import Session, Stream
from seqvision_edge.types import SourceState


class Pipeline(Protocol):
    """One source's way from a frame to a step.

    `stream` is what the model remembers of the source.
    """

    stream: Stream

    @property
    def shed(self) -> int:
        """How many ticks of the model's clock it had no time for."""

    def preprocess(self, frame: Frame) -> Frame:
        """Return a frame with what the model will read of it, for `ask`.

        Called by the thread that reads the source, with every frame: that is done while the model
        works.  Of a live source it may be left out.
        """

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield the frame before again, for each tick at which a recorded source still shows it.

        Each is for `preprocess` and `ask`, before `frame` is; None is the end of the source.
        """

    def model_input(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return what the model must see of the next frame, `(time, height, width, channels)`.

        None where it need not see any of it.
        """

    def handle_output(self, frame: Frame, probabilities: Probabilities, inferred: bool) -> Step:
        """Handle the output of the model for a frame and return the step."""

    def handle_state(self, states: Sequence[SourceState]) -> Step:
        """Handle state changes; a discontinuity ends the running event."""

    def end(self) -> Step:
        """Handle the end of the source or of the run."""


def make_pipeline(
    session: Session,
    source: Sender,
    decision: Decision | None,
    max_age: float,
    clock: Callable[[], float],
) -> Pipeline:
    """Return the way that suits the model: frames in a row, or each picture for itself.

    Args:
        session: the model.
        source: whose frames it will be.
        decision: which answers count, and how they become events; None takes the card's.
        max_age: seconds after which the answer for a live frame is too old to be told.
        clock: gives the seconds since the run began.
    """
    sequence = session.card.sequence
    if isinstance(sequence, VideoSequence):
        return VideoPipeline(session, sequence, source, decision, max_age, clock)
    return ImagePipeline(session, sequence, source, decision, clock)


def preprocessed_frames(
    pipeline: Pipeline, source: Iterable[Frame | SourceState]
) -> Iterator[Frame | SourceState]:
    """Yield the frames and states of a source, frames preprocessed, with stills between them."""
    for item in source:
        if not isinstance(item, Frame):
            yield item
            continue
        yield from map(pipeline.preprocess, pipeline.stills(item))
        yield pipeline.preprocess(item)
    yield from map(pipeline.preprocess, pipeline.stills(None))
