"""A source's way from a frame to a step: sampler → preprocess → stream → decision.

The model itself is run between `ask` and `tell`, for all sources at once.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import Decision
from seqvision_edge.condition import Condition, Load
from seqvision_edge.cut import image_steps
from seqvision_edge.decision import NOTHING, Decider, Told, lag_of
from seqvision_edge.frame import Frame
from seqvision_edge.preprocess import prepare
from seqvision_edge.result import Prediction, SourceState
from seqvision_edge.sampler import Sampler
from seqvision_edge.sequence import ImageSequence, VideoSequence
from seqvision_edge.session import Session, Stream
from seqvision_edge.step import Step

Probabilities = NDArray[np.float32] | None

# Nothing of what came before such a state belongs to what comes after it.
_BREAKS = ("connecting", "stalled", "disconnected", "failed")


class Sender(Protocol):
    """What a pipeline must know of the source whose frames it takes; see `Source`."""

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def fps(self) -> float: ...


class Pipeline(Protocol):
    """One source's way from a frame to a step.

    `stream` is what the model remembers of the source.
    """

    stream: Stream

    @property
    def shed(self) -> int:
        """How many ticks of the model's clock it had no time for."""

    def ask(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return what the model must see of the next frame, `(time, height, width, channels)`.

        None where it need not see any of it.
        """

    def tell(self, frame: Frame, probabilities: Probabilities, asked: bool) -> Step:
        """Tell what the frame brought; `probabilities` is the answer where the model was asked."""

    def hear(self, states: Sequence[SourceState]) -> Step:
        """Take how the source is now, and tell what that brings."""

    def end(self) -> Step:
        """Tell what the end of the source, or of the run, brings."""


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
        decision: how answers become events; None takes the card's way.
        max_age: seconds after which the answer for a live frame is too old to be told.
        clock: gives the seconds since the run began.
    """
    sequence = session.card.sequence
    if isinstance(sequence, VideoSequence):
        return VideoPipeline(session, sequence, source, decision, max_age, clock)
    return ImagePipeline(session, sequence, source, clock)


class VideoPipeline:
    """Sampler, stream and decider in a row."""

    def __init__(
        self,
        session: Session,
        sequence: VideoSequence,
        source: Sender,
        decision: Decision | None,
        max_age: float,
        clock: Callable[[], float],
    ) -> None:
        self.stream = session.stream()
        self._card = session.card
        self._name, self._live = source.name, source.live
        self._window = sequence.frames
        self._sampler = Sampler(sequence.fps, source.fps)
        decision = decision or self._card.decision
        self._decider = Decider(decision, self._card.labels, lag_of(sequence))
        self._condition = Condition(clock)
        self._load = Load(sequence.fps)
        self._max_age = max_age
        self._prediction: Prediction | None = None
        self._began = self._time = 0.0
        self._index = -1
        self._skipped = 0
        self._broken: Told = NOTHING
        self._fps = _Rate()

    @property
    def shed(self) -> int:
        """How many ticks of the model's clock it had no time for."""
        return self._load.shed

    def ask(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return what the model must see of the next frame, `(time, height, width, channels)`."""
        self._began = perf_counter()
        skipped = frame.index - self._index - 1
        if self._sampler.is_gap(frame.time):
            self._break()
            skipped = 0
        self._index, self._time = frame.index, frame.time
        ticks = self._sampler.take(frame.time)
        self._skipped += skipped
        if not ticks:
            return None
        image = frame.image if frame.image is not None else prepare(frame.bgr, self._card.image)
        shed = ticks - 1 if self._live and skipped else 0
        self._load.add(frame.time, ticks, shed)
        if shed:
            # To encode this picture several times would only make a slow device slower.
            self.stream.hold(shed)
            return image[None]
        # More copies than the window holds would push each other out.
        return np.repeat(image[None], min(ticks, self._window), axis=0)

    def tell(self, frame: Frame, probabilities: Probabilities, asked: bool) -> Step:
        """Tell what the frame brought."""
        told, self._broken = self._broken, NOTHING
        answered = False
        if asked and probabilities is None:
            told = _both(told, self._forget())
        elif asked and probabilities is not None:
            answered = self._answer(frame, probabilities)
            if self.stream.is_warm:
                told = _both(told, self._decider.update(frame.time, probabilities))
        self._condition.settle(self.stream.is_warm, self._load.held)
        return self._step(frame, answered, told)

    def hear(self, states: Sequence[SourceState]) -> Step:
        """Take how the source is now; where that is a break, what ran is over."""
        for state in states:
            self._condition.hear(state)
            if state.state in _BREAKS:
                self._break()
            if state.state == "ended":
                self._broken = _both(self._broken, self._decider.close(self._time))
        told, self._broken = self._broken, NOTHING
        return self._step(None, False, told)

    def end(self) -> Step:
        """Tell what the end brings: the event that was going on."""
        return self._step(None, False, self._decider.close(self._time))

    def _answer(self, frame: Frame, probabilities: NDArray[np.float32]) -> bool:
        """Keep the answer where it may be told, and return whether it may."""
        latency = perf_counter() - self._began
        warm = self.stream.is_warm
        self._prediction = None
        # A file's answer may be for a short clip; live, a window that is not full has no meaning.
        if not self._live:
            self._prediction = predicted(frame, self._card.labels, probabilities, warm, latency)
        elif warm and (age := _age(frame)) <= self._max_age:
            self._prediction = predicted(
                frame, self._card.labels, probabilities, warm, latency, age, self._skipped
            )
        self._skipped = 0
        return self._prediction is not None

    def _break(self) -> None:
        """Forget what came before a gap."""
        self._sampler.restart()
        self.stream.reset()
        self._broken = _both(self._broken, self._forget())

    def _forget(self) -> Told:
        self._prediction = None
        return self._decider.close(self._time)

    def _step(self, frame: Frame | None, answered: bool, told: Told) -> Step:
        return Step(
            source=self._name,
            frame=frame,
            prediction=self._prediction,
            answered=answered,
            warmth=min(1.0, self.stream.seen / self._window),
            smoothed=self._decider.smoothed,
            events=told.ended,
            active=self._decider.active,
            fps=self._fps.tick() if frame else self._fps.value,
            fired=told.fired,
            state=self._condition.state,
            changed=self._condition.news(),
            nonfinite=self.stream.nonfinite,
        )


class ImagePipeline:
    """Each picture cut into a sequence and answered for itself; it makes no events."""

    def __init__(
        self,
        session: Session,
        sequence: ImageSequence,
        source: Sender,
        clock: Callable[[], float],
    ) -> None:
        self.stream = session.stream()
        self.shed = 0
        self._card = session.card
        self._name, self._live = source.name, source.live
        self._sequence = sequence
        self._condition = Condition(clock)
        self._prediction: Prediction | None = None
        self._began = 0.0
        self._fps = _Rate()

    def ask(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return the picture cut into its steps, `(time, height, width, channels)`."""
        self._began = perf_counter()
        self.stream.reset()
        if frame.image is not None and frame.image.ndim == 4:
            return frame.image
        return image_steps(frame.bgr, self._card.image, self._sequence)

    def tell(self, frame: Frame, probabilities: Probabilities, asked: bool) -> Step:
        """Tell what the picture is."""
        latency = perf_counter() - self._began
        self._prediction = None
        if probabilities is not None:
            age = _age(frame) if self._live else None
            # A short picture is whole, not the beginning of something.
            self._prediction = predicted(
                frame, self._card.labels, probabilities, True, latency, age
            )
        self._condition.settle(warm=True)
        return self._step(frame)

    def hear(self, states: Sequence[SourceState]) -> Step:
        """Take how the source is now."""
        for state in states:
            self._condition.hear(state)
        return self._step(None)

    def end(self) -> Step:
        """Tell that no more pictures come; the last answer stays."""
        return self._step(None)

    def _step(self, frame: Frame | None) -> Step:
        answer = self._prediction
        return Step(
            source=self._name,
            frame=frame,
            prediction=answer,
            answered=frame is not None and answer is not None,
            warmth=1.0 if answer else 0.0,
            smoothed=answer.probabilities if answer else {},
            fps=self._fps.tick() if frame else self._fps.value,
            state=self._condition.state,
            changed=self._condition.news(),
            nonfinite=self.stream.nonfinite,
        )


def predicted(
    frame: Frame,
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    warm: bool,
    latency: float,
    age: float | None = None,
    dropped: int | None = None,
) -> Prediction:
    """Return probabilities `(labels,)` as the answer for a frame; `latency` and `age` in seconds.

    `age` and `dropped` are those of a live frame.
    """
    best = int(probabilities.argmax())
    return Prediction(
        time=frame.time,
        frame=frame.index,
        label=labels[best],
        probability=float(probabilities[best]),
        probabilities=dict(zip(labels, probabilities.tolist(), strict=True)),
        warm=warm,
        latency_ms=1000 * latency,
        image=frame.name,
        captured=None if age is None else time.time() - age,
        age_ms=None if age is None else 1000 * age,
        dropped=dropped,
    )


def _age(frame: Frame) -> float:
    """Return how long ago a live frame arrived, in seconds."""
    return time.monotonic() - frame.arrived if frame.arrived is not None else 0.0


def _both(first: Told, second: Told) -> Told:
    if second is NOTHING:
        return first
    return Told(first.ended + second.ended, first.fired + second.fired)


class _Rate:
    """Count how often per second something happens, over the last second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.value = 0.0

    def tick(self) -> float:
        now = perf_counter()
        self._times.append(now)
        while self._times[0] < now - 1:
            self._times.popleft()
        passed = now - self._times[0]
        self.value = (len(self._times) - 1) / passed if passed else 0.0
        return self.value
