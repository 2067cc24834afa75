"""A source's way from a frame to a step: sampler → preprocess → stream → decision."""

from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import Decision
from seqvision_edge.cut import image_steps
from seqvision_edge.decision import Decider
from seqvision_edge.frame import Frame
from seqvision_edge.preprocess import prepare
from seqvision_edge.result import Event, Prediction
from seqvision_edge.sampler import Sampler
from seqvision_edge.sequence import ImageSequence, VideoSequence
from seqvision_edge.session import Session
from seqvision_edge.step import Step


class Pipeline(Protocol):
    """One source's way from a frame to a step.

    `nonfinite` is how many answers were not finite, and thrown away.
    """

    @property
    def nonfinite(self) -> int: ...

    def feed(self, frame: Frame) -> Step:
        """Take the next frame and tell what it brought."""

    def end(self) -> Step:
        """Tell what the end of the source brings."""


def make_pipeline(session: Session, decision: Decision | None, source_fps: float) -> Pipeline:
    """Return the way that suits the model: frames in a row, or each picture for itself."""
    sequence = session.card.sequence
    if isinstance(sequence, VideoSequence):
        return VideoPipeline(session, sequence, decision, source_fps)
    return ImagePipeline(session, sequence)


class VideoPipeline:
    """Sampler, stream and decider in a row."""

    def __init__(
        self,
        session: Session,
        sequence: VideoSequence,
        decision: Decision | None,
        source_fps: float,
    ) -> None:
        self._card = session.card
        self._window = sequence.frames
        self._sampler = Sampler(sequence.fps, source_fps)
        self._stream = session.stream()
        self._decider = Decider(decision or self._card.decision, self._card.labels)
        self._prediction: Prediction | None = None
        self._fps = _Rate()

    @property
    def nonfinite(self) -> int:
        """How many answers were not finite, and thrown away."""
        return self._stream.nonfinite

    def feed(self, frame: Frame) -> Step:
        """Take the next frame and tell what it brought."""
        events: list[Event] = []
        if self._sampler.is_gap(frame.time):
            self._sampler.restart()
            self._stream.reset()
            self._prediction = None
            events += self._decider.close()
        ticks = self._sampler.take(frame.time)
        if ticks:
            events += self._answer(frame, ticks)
        return self._step(frame, ticks > 0 and self._prediction is not None, events)

    def end(self) -> Step:
        """Tell what the end of the source brings: the event that was going on."""
        return self._step(None, False, self._decider.close())

    def _answer(self, frame: Frame, ticks: int) -> list[Event]:
        """Put the frame into the model and return the events that its answer ends."""
        began = perf_counter()
        image = prepare(frame.bgr, self._card.image)
        # More copies than the window holds would push each other out.
        ticks = min(ticks, self._window)
        probabilities = self._stream.push(np.repeat(image[None], ticks, axis=0))
        latency = perf_counter() - began
        if probabilities is None:
            self._prediction = None
            return self._decider.close()
        self._prediction = predicted(
            frame, self._card.labels, probabilities, self._stream.is_warm, latency
        )
        if not self._stream.is_warm:
            return []
        return self._decider.update(frame.time, probabilities)

    def _step(self, frame: Frame | None, answered: bool, events: list[Event]) -> Step:
        return Step(
            frame=frame,
            prediction=self._prediction,
            answered=answered,
            warmth=min(1.0, self._stream.seen / self._window),
            smoothed=self._decider.smoothed,
            events=tuple(events),
            active=self._decider.active,
            fps=self._fps.tick(),
        )


class ImagePipeline:
    """Each picture cut into a sequence and answered for itself; it makes no events."""

    def __init__(self, session: Session, sequence: ImageSequence) -> None:
        self._card = session.card
        self._sequence = sequence
        self._stream = session.stream()
        self._prediction: Prediction | None = None
        self._fps = _Rate()

    @property
    def nonfinite(self) -> int:
        """How many answers were not finite, and thrown away."""
        return self._stream.nonfinite

    def feed(self, frame: Frame) -> Step:
        """Take the next picture and answer for it."""
        began = perf_counter()
        self._stream.reset()
        probabilities = self._stream.push(image_steps(frame.bgr, self._card.image, self._sequence))
        latency = perf_counter() - began
        self._prediction = None
        if probabilities is not None:
            # A short picture is whole, not the beginning of something.
            self._prediction = predicted(frame, self._card.labels, probabilities, True, latency)
        return self._step(frame)

    def end(self) -> Step:
        """Tell that no more pictures come; the last answer stays."""
        return self._step(None)

    def _step(self, frame: Frame | None) -> Step:
        answer = self._prediction
        return Step(
            frame=frame,
            prediction=answer,
            answered=frame is not None and answer is not None,
            warmth=1.0 if answer else 0.0,
            smoothed=answer.probabilities if answer else {},
            events=(),
            active=None,
            fps=self._fps.tick(),
        )


def predicted(
    frame: Frame,
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    warm: bool,
    seconds: float,
) -> Prediction:
    """Return probabilities `(labels,)` as the answer for a frame."""
    best = int(probabilities.argmax())
    return Prediction(
        time=frame.time,
        frame=frame.index,
        label=labels[best],
        probability=float(probabilities[best]),
        probabilities=dict(zip(labels, probabilities.tolist(), strict=True)),
        warm=warm,
        latency_ms=1000 * seconds,
        image=frame.name,
    )


class _Rate:
    """Count how often per second something happens, over the last second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self) -> float:
        now = perf_counter()
        self._times.append(now)
        while self._times[0] < now - 1:
            self._times.popleft()
        passed = now - self._times[0]
        return (len(self._times) - 1) / passed if passed else 0.0
