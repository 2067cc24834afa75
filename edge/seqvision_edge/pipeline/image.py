"""Classify each picture on its own, cut into a sequence of steps; there are no events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import Decision, ImageSequence
from seqvision_edge.frame import Frame, Step
from seqvision_edge.pipeline.state import (
    FrameRate,
    PipelineSource,
    Probabilities,
    SourceCondition,
    age_of,
    predicted,
)
from seqvision_edge.session import Session
from seqvision_edge.still_images import image_steps
from seqvision_edge.types import Prediction, SourceState


class ImagePipeline:
    """Classify each picture on its own, cut into a sequence of steps; there are no events."""

    def __init__(
        self,
        session: Session,
        sequence: ImageSequence,
        source: PipelineSource,
        decision: Decision | None,
        clock: Callable[[], float],
    ) -> None:
        """See `make_pipeline` for the arguments."""
        self.stream = session.stream()
        self.shed = 0
        self._card = session.card
        self._name, self._live = source.name, source.live
        self._sequence = sequence
        self._min_confidence = (decision or session.card.decision).min_confidence
        self._condition = SourceCondition(clock)
        self._prediction: Prediction | None = None
        self._began = 0.0
        self._fps = FrameRate()

    def preprocess(self, frame: Frame) -> Frame:
        """Return a picture with its steps; a camera's is left as it is: many are dropped."""
        if self._live:
            return frame
        return replace(frame, image=self._steps_of(frame))

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield nothing: each picture is classified once, however long it is shown."""
        yield from ()

    def model_input(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return the picture cut into its steps, `(time, height, width, channels)`."""
        self._began = perf_counter()
        self.stream.reset()
        return self._steps_of(frame)

    def handle_output(self, frame: Frame, probabilities: Probabilities, inferred: bool) -> Step:
        """Return the step of a picture."""
        latency = perf_counter() - self._began
        self._prediction = None
        if probabilities is not None:
            age = age_of(frame) if self._live else None
            # A short picture is complete, not the start of a longer one.
            self._prediction = predicted(
                frame, self._card.labels, probabilities, True, latency, self._min_confidence, age
            )
        self._condition.mark_alive(window_full=True)
        return self._step(frame)

    def handle_state(self, states: Sequence[SourceState]) -> Step:
        """Handle state changes of the source."""
        for state in states:
            self._condition.update(state)
        return self._step(None)

    def end(self) -> Step:
        """Handle the end of the pictures; the last prediction stays."""
        return self._step(None)

    def _steps_of(self, frame: Frame) -> NDArray[np.uint8]:
        if frame.image is not None and frame.image.ndim == 4:
            return frame.image
        return image_steps(frame.bgr, self._card.image, self._sequence)

    def _step(self, frame: Frame | None) -> Step:
        answer = self._prediction
        return Step(
            source=self._name,
            frame=frame,
            prediction=answer,
            answered=frame is not None and answer is not None,
            window_fill=1.0 if answer else 0.0,
            smoothed=answer.probabilities if answer else {},
            fps=self._fps.tick() if frame else self._fps.value,
            state=self._condition.state,
            changed=self._condition.pop_changes(),
            nonfinite=self.stream.nonfinite,
        )
