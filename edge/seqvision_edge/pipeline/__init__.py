"""The processing of one view, from a frame to a step: sampler → preprocess → stream → decision.

The model itself runs between `model_input` and `handle_output`; of a run, for all views of all
sources together (`views.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from seqvision_edge.card import Decision
from seqvision_edge.frame import Frame, Step
from seqvision_edge.pipeline.state import PipelineSource, Probabilities
from seqvision_edge.pipeline.views import Views, view_pipeline
from seqvision_edge.session import Frames, Session, Stream
from seqvision_edge.types import SourceState


class Pipeline(Protocol):
    """The processing of a source with one view, from a frame to a step.

    `stream` is the model's state for the source.
    """

    stream: Stream

    @property
    def shed(self) -> int:
        """Number of ticks of the model's clock that were skipped because it was busy."""

    def preprocess(self, frame: Frame) -> Frame:
        """Return a frame with the preprocessed pixels, for `model_input`.

        Called for every frame by the thread that reads the source, while the model runs.  May be
        skipped for frames of a live source.
        """

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield the previous frame again for each tick at which a recording still shows it.

        Each goes through `preprocess` and `model_input` before `frame`; None ends the source.
        """

    def model_input(self, frame: Frame) -> Frames | None:
        """Return the steps to encode for the next frame, `(time, height, width, channels)`.

        None if there is nothing to encode.
        """

    def handle_output(self, frame: Frame, probabilities: Probabilities, inferred: bool) -> Step:
        """Handle the output of the model for a frame and return the step."""

    def handle_state(self, states: Sequence[SourceState]) -> Step:
        """Handle state changes; a discontinuity ends the running event."""

    def end(self) -> Step:
        """Handle the end of the source or of the run."""


def make_pipeline(
    session: Session,
    source: PipelineSource,
    decision: Decision | None,
    max_age: float,
    clock: Callable[[], float],
) -> Pipeline:
    """Return the pipeline for the model's kind of input: video, or single images.

    Args:
        session: the model.
        source: the source of the frames.
        decision: thresholds, and how probabilities become events; None takes the card's.
        max_age: seconds after which the prediction for a live frame is too old to be reported.
        clock: returns the seconds since the run began.
    """
    return view_pipeline(session, source, decision, max_age, clock)


def preprocessed_frames(
    pipeline: Pipeline | Views, source: Iterable[Frame | SourceState]
) -> Iterator[Frame | SourceState]:
    """Yield the frames and states of a source, frames preprocessed, with stills between them."""
    for item in source:
        if not isinstance(item, Frame):
            yield item
            continue
        yield from map(pipeline.preprocess, pipeline.stills(item))
        yield pipeline.preprocess(item)
    yield from map(pipeline.preprocess, pipeline.stills(None))
