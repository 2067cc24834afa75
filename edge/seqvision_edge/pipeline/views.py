"""The views of one source: the whole picture, or several regions of it.

Each view has a stream (the model's state), a decision and events of its own.  The views of a source
share its frames, its ticks of the model's clock and its state; the model runs once for the views of
all sources, between `requests` and `handle_outputs`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from seqvision_edge.card import Decision, TimedSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, Step
from seqvision_edge.pipeline.image import ImagePipeline
from seqvision_edge.pipeline.motion import MotionGate
from seqvision_edge.pipeline.state import (
    NOTHING_MOVES,
    QUIET,
    FrameRate,
    PipelineSource,
    SourceCondition,
)
from seqvision_edge.pipeline.video import BREAKS, FrameSampler, VideoPipeline
from seqvision_edge.preprocess import prepare
from seqvision_edge.regions import Region, Size, crop
from seqvision_edge.session import Frames, ModelOutput, Session, Stream
from seqvision_edge.types import Event, Prediction, SourceState

Request = tuple[Stream, Frames]
"""A view's stream, and the steps `(time, height, width, channels)` to encode for it."""

# A view that the picture no longer shows.
_OUTSIDE = SourceState("stalled", "outside")


class Views(Protocol):
    """The views of one source, from a frame to a step."""

    @property
    def shed(self) -> int:
        """Number of ticks of the model's clock that were skipped because it was busy."""

    @property
    def nonfinite(self) -> int:
        """Number of discarded predictions."""

    def preprocess(self, frame: Frame) -> Frame:
        """Return a frame with preprocessed pixels; called by the thread that reads the source."""

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield the previous frame again for each tick at which a recording still shows it."""

    def requests(self, frame: Frame) -> list[Request]:
        """Return what the model must encode for a frame: at most one request per view."""

    def handle_outputs(self, frame: Frame, outputs: Sequence[ModelOutput]) -> Step:
        """Handle the outputs of the model, one per request, and return the step."""

    def handle_state(self, states: Sequence[SourceState]) -> Step:
        """Handle state changes; a discontinuity ends the running events."""

    def end(self) -> Step:
        """Handle the end of the source or of the run."""


def make_views(
    session: Session,
    source: PipelineSource,
    regions: Sequence[Region],
    decision: Decision | None,
    max_age: float,
    clock: Callable[[], float],
    when_moving: bool = False,
) -> Views:
    """Return the views of a source: its regions, or without any the whole picture.

    With `when_moving` the model runs on a view only while something moves in it.  See
    `make_pipeline` for the other arguments.
    """
    if regions:
        return RegionViews(session, source, regions, decision, max_age, clock, when_moving)
    return WholePicture(view_pipeline(session, source, decision, max_age, clock, when_moving))


def view_pipeline(
    session: Session,
    source: PipelineSource,
    decision: Decision | None,
    max_age: float,
    clock: Callable[[], float],
    when_moving: bool = False,
) -> VideoPipeline | ImagePipeline:
    """Return the pipeline of one view for the model's kind of input: see `make_views`."""
    sequence = session.card.sequence
    if isinstance(sequence, TimedSequence):
        gate = MotionGate(sequence) if when_moving else None
        return VideoPipeline(session, sequence, source, decision, max_age, clock, gate=gate)
    return ImagePipeline(session, sequence, source, decision, clock)


class WholePicture:
    """The only view of a source without regions."""

    def __init__(self, pipeline: VideoPipeline | ImagePipeline) -> None:
        self._pipeline = pipeline
        self.preprocess = pipeline.preprocess
        self.stills = pipeline.stills
        self.handle_state = pipeline.handle_state
        self.end = pipeline.end

    @property
    def shed(self) -> int:
        return self._pipeline.shed

    @property
    def nonfinite(self) -> int:
        return self._pipeline.stream.nonfinite

    def requests(self, frame: Frame) -> list[Request]:
        """Return the steps to encode for the next frame, if any."""
        steps = self._pipeline.model_input(frame)
        return [] if steps is None else [(self._pipeline.stream, steps)]

    def handle_outputs(self, frame: Frame, outputs: Sequence[ModelOutput]) -> Step:
        """Handle the output of the model and return the step."""
        return self._pipeline.handle_output(
            frame, outputs[0] if outputs else None, inferred=bool(outputs)
        )


class _View:
    """One region of a source: its pipeline, and whether the picture shows it now."""

    def __init__(self, region: Region, pipeline: VideoPipeline | ImagePipeline) -> None:
        self.region = region
        self.pipeline = pipeline
        self.is_inside = True
        self.inferred = False
        self.outline: tuple[tuple[float, float], ...] = ()
        self.frame: Frame | None = None

    def name(self, step: Step, state: SourceState) -> Step:
        """Return a step of its pipeline as one of this view, in the state of its source."""
        name = self.region.name
        return replace(
            step,
            view=name,
            outline=self.outline,
            prediction=_prediction_of(step.prediction, name),
            events=_events_of(step.events, name),
            fired=_events_of(step.fired, name),
            active=None if step.active is None else replace(step.active, view=name),
            state=step.state if not self.is_inside or step.state.reason == QUIET else state,
            changed=(),
        )


class RegionViews:
    """Fixed regions of a source, each with a pipeline of its own."""

    def __init__(
        self,
        session: Session,
        source: PipelineSource,
        regions: Sequence[Region],
        decision: Decision | None,
        max_age: float,
        clock: Callable[[], float],
        when_moving: bool = False,
    ) -> None:
        """See `make_views` for the arguments."""
        self._spec = session.card.image
        self._name, self._live = source.name, source.live
        self._views = [
            _View(region, view_pipeline(session, source, decision, max_age, clock, when_moving))
            for region in regions
        ]
        sequence = session.card.sequence
        self._sampler = (
            FrameSampler(sequence, source, self._with_pixels)
            if isinstance(sequence, TimedSequence)
            else None
        )
        self._condition = SourceCondition(clock)
        self._fps = FrameRate()
        self._size: Size | None = None
        self._size_message = ""
        self._read_size: Size | None = None

    @property
    def shed(self) -> int:
        """Number of skipped ticks: the same in every view."""
        return self._views[0].pipeline.shed

    @property
    def nonfinite(self) -> int:
        return sum(view.pipeline.stream.nonfinite for view in self._views)

    def preprocess(self, frame: Frame) -> Frame:
        """Return a frame with the pixels of each region, if a tick of the model's clock is due.

        Raises:
            SourceError: a region is outside the first picture of a recording.
        """
        if not self._live and self._read_size is None:
            self._read_size = _size_of(frame)
            for view in self._views:
                if problem := view.region.problem(self._read_size):
                    raise SourceError(f"--region {view.region}: {problem} ({self._name})")
        return frame if self._sampler is None else self._sampler.preprocess(frame)

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield the previous frame again for each tick at which a recording still shows it."""
        return iter(()) if self._sampler is None else self._sampler.stills(frame)

    def requests(self, frame: Frame) -> list[Request]:
        """Return the steps of each region for the next frame."""
        size = _size_of(frame)
        if size != self._size:
            self._resize(size)
        if self._sampler is not None and frame.ticks is None:
            frame = self._sampler.sample(frame)
        found = []
        for number, view in enumerate(self._views):
            view.inferred = False
            if not view.is_inside:
                view.frame = None
                continue
            image = frame.images[number] if frame.images else None
            bgr = crop(frame.bgr, view.region, size)
            view.frame = replace(frame, bgr=bgr, image=image, images=(), size=None)
            steps = view.pipeline.model_input(view.frame)
            if steps is not None:
                view.inferred = True
                found.append((view.pipeline.stream, steps))
        return found

    def handle_outputs(self, frame: Frame, outputs: Sequence[ModelOutput]) -> Step:
        """Handle the outputs of the model for the regions and return the step."""
        answers = iter(outputs)
        steps = []
        for view in self._views:
            if view.frame is None:
                steps.append(view.pipeline.handle_state([_OUTSIDE]))
                continue
            answer = next(answers) if view.inferred else None
            steps.append(view.pipeline.handle_output(view.frame, answer, inferred=view.inferred))
        # Overload is that of the source: each of its views has lost the same frames.
        busy = next((step.state.message for step in steps if step.state.reason == "overloaded"), "")
        is_full = any(step.window_full for step in steps)
        if self._size_message and not busy:
            self._condition.mark_alive(is_full, self._size_message, "regions")
        elif all(step.state.reason == QUIET for step in steps):
            self._condition.mark_alive(True, NOTHING_MOVES, QUIET)
        else:
            self._condition.mark_alive(is_full, busy)
        return self._step(frame, steps)

    def handle_state(self, states: Sequence[SourceState]) -> Step:
        """Handle state changes in every view; a discontinuity ends the running events."""
        for state in states:
            self._condition.update(state)
            if state.state in BREAKS and self._live and self._sampler is not None:
                self._sampler.restart()
        return self._step(None, [view.pipeline.handle_state(states) for view in self._views])

    def end(self) -> Step:
        """Handle the end: report the running events."""
        return self._step(None, [view.pipeline.end() for view in self._views])

    def _with_pixels(self, frame: Frame) -> Frame:
        if frame.images:
            return frame
        size = _size_of(frame)
        images = tuple(
            prepare(crop(frame.bgr, view.region, size), self._spec) for view in self._views
        )
        return replace(frame, images=images)

    def _resize(self, size: Size) -> None:
        """Measure the regions in pictures of another size than before."""
        before, self._size = self._size, size
        lost = []
        for view in self._views:
            problem = view.region.problem(size)
            view.is_inside = not problem
            view.outline = view.region.outline(size)
            if problem:
                lost.append(f"region {view.region.name} is {problem}")
            elif view.region.in_pixels and view.region.is_clipped(size):
                lost.append(f"region {view.region.name} is clipped")
        if before is not None and not lost and any(v.region.in_pixels for v in self._views):
            lost.append("regions in pixels now show another part")
        if before is not None and lost:
            change = f"the picture changed from {before[1]}x{before[0]} to {size[1]}x{size[0]}"
            lost.insert(0, change)
        self._size_message = "; ".join(lost)

    def _step(self, frame: Frame | None, steps: Sequence[Step]) -> Step:
        state = self._condition.state
        views = tuple(view.name(step, state) for view, step in zip(self._views, steps, strict=True))
        return Step(
            source=self._name,
            frame=frame,
            answered=any(view.answered for view in views),
            window_fill=max(view.window_fill for view in views),
            events=tuple(event for view in views for event in view.events),
            fired=tuple(event for view in views for event in view.fired),
            fps=self._fps.tick() if frame else self._fps.value,
            state=state,
            changed=self._condition.pop_changes(),
            nonfinite=sum(view.nonfinite for view in views),
            views=views,
        )


def _size_of(frame: Frame) -> Size:
    return frame.size or (frame.bgr.shape[0], frame.bgr.shape[1])


def _prediction_of(prediction: Prediction | None, view: str) -> Prediction | None:
    return None if prediction is None else replace(prediction, view=view)


def _events_of(events: tuple[Event, ...], view: str) -> tuple[Event, ...]:
    return tuple(replace(event, view=view) for event in events)
