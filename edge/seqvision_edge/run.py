"""THE WAY: source → sampler → preprocess → stream → decision → sinks."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from seqvision_edge.card import Decision
from seqvision_edge.decision import Decider
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.prefetch import ahead
from seqvision_edge.preprocess import prepare
from seqvision_edge.result import Event, Prediction
from seqvision_edge.sampler import Sampler
from seqvision_edge.session import Session
from seqvision_edge.sinks import Quit, Sink
from seqvision_edge.source import Source
from seqvision_edge.step import Step


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to.

    `prediction` is the last answer: for a file that is one clip, the clip's.  `nonfinite` counts
    the answers that were thrown away, `damaged` the frames that could not be read; `incomplete`
    says what is missing from a file, "decoded 146 of 300 frames".
    """

    frames: int
    answers: int
    events: int
    seconds: float
    prediction: Prediction | None
    nonfinite: int
    damaged: int
    incomplete: str | None


def run(
    source: Source,
    session: Session,
    sinks: Sequence[Sink] = (),
    decision: Decision | None = None,
) -> RunSummary:
    """Run a model on a source until it ends, and hand every step to every sink.

    Args:
        source: what to read; it is opened and closed here.
        session: the loaded model.
        sinks: where the steps go; opened after the source, and closed whatever happens.
        decision: how answers become events; None takes the card's way.

    Raises:
        SourceError: the source cannot be opened, or was lost.
        SinkError: an output cannot be written.
        KeyboardInterrupt: as it came, after the sinks have got the event that it cut off.
    """
    began = perf_counter()
    frames = answers = events = 0
    cut_off: BaseException | None = None
    was_quit = False
    with contextlib.ExitStack() as opened:
        opened.enter_context(source)
        outputs = [opened.enter_context(sink) for sink in sinks]
        pipeline = Pipeline(session, decision, source.fps)
        try:
            with _frames(source) as each:
                for frame in each:
                    step = pipeline.feed(frame)
                    frames, answers = frames + 1, answers + step.answered
                    events += len(step.events)
                    for output in outputs:
                        output.write(step)
        except Quit:
            was_quit = True
        except (KeyboardInterrupt, SourceError) as error:
            cut_off = error
        last = pipeline.end()
        for output in outputs:
            output.write(last)
    if cut_off is not None:
        raise cut_off
    return RunSummary(
        frames=frames,
        answers=answers,
        events=events + len(last.events),
        seconds=perf_counter() - began,
        prediction=last.prediction,
        nonfinite=pipeline.nonfinite,
        damaged=source.damaged,
        incomplete=None if was_quit else source.incomplete,
    )


class Pipeline:
    """One source's way from a frame to a step: sampler, stream and decider in a row."""

    def __init__(self, session: Session, decision: Decision | None, source_fps: float) -> None:
        self._card = session.card
        self._sampler = Sampler(self._card.sequence.fps, source_fps)
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
        ticks = min(ticks, self._card.sequence.frames)
        probabilities = self._stream.push(np.repeat(image[None], ticks, axis=0))
        latency = perf_counter() - began
        if probabilities is None:
            self._prediction = None
            return self._decider.close()
        best = int(probabilities.argmax())
        self._prediction = Prediction(
            time=frame.time,
            frame=frame.index,
            label=self._card.labels[best],
            probability=float(probabilities[best]),
            probabilities=dict(zip(self._card.labels, probabilities.tolist(), strict=True)),
            warm=self._stream.is_warm,
            latency_ms=1000 * latency,
        )
        if not self._stream.is_warm:
            return []
        return self._decider.update(frame.time, probabilities)

    def _step(self, frame: Frame | None, answered: bool, events: list[Event]) -> Step:
        return Step(
            frame=frame,
            prediction=self._prediction,
            answered=answered,
            warmth=min(1.0, self._stream.seen / self._card.sequence.frames),
            smoothed=self._decider.smoothed,
            events=tuple(events),
            active=self._decider.active,
            fps=self._fps.tick(),
        )


@contextlib.contextmanager
def _frames(source: Source) -> Iterator[Iterator[Frame]]:
    """Give the frames of a source: of a file decoded ahead, of a camera as they come."""
    if source.live:
        yield iter(source)
    else:
        with contextlib.closing(ahead(source)) as frames:
            yield frames


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
