"""Video: sampler, stream and detector; a file that is too short for an event is one clip."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import Decision, TimedSequence
from seqvision_edge.events import HAIR, NOTHING, EventDetector, EventUpdate, window_lag
from seqvision_edge.frame import Frame, Step
from seqvision_edge.landmarks import newest_features
from seqvision_edge.pipeline.motion import MotionGate
from seqvision_edge.pipeline.state import (
    NOTHING_MOVES,
    QUIET,
    FrameRate,
    LoadMonitor,
    PipelineSource,
    Probabilities,
    SourceCondition,
    age_of,
    predicted,
)
from seqvision_edge.preprocess import prepare
from seqvision_edge.sampling import MOST_TICKS, Sampler, refuse_long
from seqvision_edge.session import Frames, Session
from seqvision_edge.types import Event, Prediction, SourceState

# States that break the time line: nothing before them may share a window with what follows.
BREAKS = ("connecting", "stalled", "disconnected", "failed")


class FrameSampler:
    """Decide which ticks of the model's clock each frame of a source answers.

    Of a recording no frame is lost, so the thread that reads it samples.  Of a live source frames
    are, while the model is busy: those that reach the model are sampled.
    """

    def __init__(
        self, sequence: TimedSequence, source: PipelineSource, pixels: Callable[[Frame], Frame]
    ) -> None:
        """Begin before the first frame; `pixels` adds the model's input to a frame."""
        self._name, self._live = source.name, source.live
        self._clock = Sampler(sequence.fps, source.fps)
        self._pixels = pixels
        self._before: Frame | None = None
        self._stills = 0

    def preprocess(self, frame: Frame) -> Frame:
        """Return the frame with the model's pixels, if a tick of its clock is due."""
        return frame if self._live else self.sample(frame)

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield the previous frame again for each tick at which a recording still shows it."""
        before = self._before
        if self._live or before is None:
            return
        if frame is not None and frame.index != before.index + 1:
            # Lost frames are not a still picture.
            return
        until = before.time + before.duration if frame is None else frame.time
        shown = before
        for time in self._clock.stills(until):
            self._stills += 1
            refuse_long(self._stills, self._clock.fps, MOST_TICKS, self._name)
            shown = self._pixels(shown)
            yield replace(shown, time=time, repeated=True)

    def sample(self, frame: Frame) -> Frame:
        """Return the frame with the ticks it answers, and with its pixels where there are any."""
        before, self._before = self._before, frame
        # A recorded picture that is shown for long is no gap; lost frames are.
        may_be_gap = self._live or before is None or frame.index - before.index not in (0, 1)
        after_gap = may_be_gap and self._clock.is_gap(frame.time)
        if after_gap:
            self._clock.restart()
        ticks = self._clock.take(frame.time, frame.repeated)
        return replace(self._pixels(frame) if ticks else frame, ticks=ticks, after_gap=after_gap)

    def restart(self) -> None:
        """Start a new grid of ticks at the next frame: after a break."""
        self._clock.restart()


class VideoPipeline:
    """Sampler, stream and detector in a row."""

    def __init__(
        self,
        session: Session,
        sequence: TimedSequence,
        source: PipelineSource,
        decision: Decision | None,
        max_age: float,
        clock: Callable[[], float],
        detector: EventDetector | None = None,
        gate: MotionGate | None = None,
    ) -> None:
        """See `make_pipeline`; a given `detector` is updated with every prediction.

        With a `gate` the model runs only while something moves.
        """
        self._gate = gate
        self.stream = session.stream()
        self._card = session.card
        self._name, self._live = source.name, source.live
        self._window = sequence.frames
        self._sampler = FrameSampler(sequence, source, self._with_pixels)
        self._encoded: Frame | None = None
        decision = decision or self._card.decision
        self._detector = detector or EventDetector(
            decision, self._card.labels, window_lag(sequence)
        )
        self._clip = None if self._live else ShortClip(decision, self._card.labels, sequence)
        self._condition = SourceCondition(clock)
        self._load = LoadMonitor(sequence.fps)
        self._max_age = max_age
        self._min_confidence = decision.min_confidence
        self._prediction: Prediction | None = None
        self._began = self._time = 0.0
        self._skipped = 0
        self._broken: EventUpdate = NOTHING
        self._fps = FrameRate()

    @property
    def shed(self) -> int:
        """Number of ticks of the model's clock that were skipped because it was busy."""
        return self._load.shed

    def preprocess(self, frame: Frame) -> Frame:
        """Return the frame with the model's pixels, if a tick of its clock is due."""
        return self._sampler.preprocess(frame)

    def stills(self, frame: Frame | None) -> Iterator[Frame]:
        """Yield the previous frame again for each tick at which a recording still shows it."""
        return self._sampler.stills(frame)

    def _with_pixels(self, frame: Frame) -> Frame:
        if frame.image is not None:
            return frame
        return replace(frame, image=prepare(frame.bgr, self._card.image))

    def model_input(self, frame: Frame) -> Frames | None:
        """Return the steps to encode for the next frame, `(time, height, width, channels)`."""
        self._began = perf_counter()
        if frame.ticks is None:
            frame = self._sampler.sample(frame)
        skipped = frame.index - (-1 if self._encoded is None else self._encoded.index) - 1
        if frame.after_gap:
            self._break()
            self._restart_gate()
            skipped = 0
        self._encoded, self._time = frame, frame.time
        self._skipped += max(0, skipped)
        ticks, image = frame.ticks, frame.image
        if not ticks or image is None:
            return None
        shed = ticks - 1 if self._live and skipped else 0
        self._load.add(frame.time, ticks, shed)
        # More copies than the window holds would push each other out; and encoding a picture
        # several times would only slow down a slow device.
        copies = 1 if shed else min(ticks, self._window)
        if self._gate is not None:
            was_open = self._gate.is_open
            steps = self._gate.take(image, frame.time, copies)
            if steps is None and was_open:
                self._break()
            if steps is None or not was_open:
                return steps
        if shed:
            self.stream.repeat_last(shed)
        return image[None] if copies == 1 else np.repeat(image[None], copies, axis=0)

    def handle_output(self, frame: Frame, probabilities: Probabilities, inferred: bool) -> Step:
        """Handle the output of the model for a frame and return the step."""
        update, self._broken = self._broken, NOTHING
        answered = False
        if inferred and self._clip is not None:
            self._clip.add(frame.time, self.stream.seen, probabilities)
        if inferred and probabilities is None:
            update = _merge(update, self._forget())
        elif inferred and probabilities is not None:
            answered = self._answer(frame, probabilities)
            if self.stream.window_full:
                update = _merge(update, self._detector.step(frame.time, probabilities))
        if self._gate is not None and not self._gate.is_open:
            self._condition.mark_alive(True, NOTHING_MOVES, QUIET)
        else:
            self._condition.mark_alive(self.stream.window_full, self._load.throughput_message)
        return self._step(frame, answered, update)

    def handle_state(self, states: Sequence[SourceState]) -> Step:
        """Handle state changes; a discontinuity ends the running event."""
        for state in states:
            self._condition.update(state)
            if state.state in BREAKS:
                self._break()
                self._restart_gate()
                if self._live:
                    self._sampler.restart()
            if state.state == "ended":
                self._broken = _merge(self._broken, self._detector.close(self._time))
                self._broken = _merge(self._broken, self._whole_clip(self._broken))
        update, self._broken = self._broken, NOTHING
        return self._step(None, False, update)

    def end(self) -> Step:
        """Handle the end: report the running event."""
        return self._step(None, False, self._detector.close(self._time))

    def _answer(self, frame: Frame, probabilities: NDArray[np.float32]) -> bool:
        """Keep the prediction if it may be reported; return whether it may."""
        latency = perf_counter() - self._began
        window_full = self.stream.window_full
        self._prediction = None
        # A file's prediction may be for a short clip; live, a partly filled window has no meaning.
        if not self._live:
            self._prediction = predicted(
                frame, self._card.labels, probabilities, window_full, latency, self._min_confidence
            )
        elif window_full and (age := age_of(frame)) <= self._max_age:
            self._prediction = predicted(
                frame,
                self._card.labels,
                probabilities,
                window_full,
                latency,
                self._min_confidence,
                age,
                self._skipped,
            )
        self._skipped = 0
        return self._prediction is not None

    def _whole_clip(self, update: EventUpdate) -> EventUpdate:
        """Return the event of a whole file that was too short for a regular one."""
        if self._clip is None or update.ended or update.fired:
            return NOTHING
        event = self._clip.event(self._time)
        return NOTHING if event is None else EventUpdate((event,), (event,))

    def _break(self) -> None:
        """Reset the state after a gap."""
        if self._clip is not None:
            self._clip.discard()
        self.stream.reset()
        self._broken = _merge(self._broken, self._forget())

    def _restart_gate(self) -> None:
        if self._gate is not None:
            self._gate.restart()

    def _forget(self) -> EventUpdate:
        self._prediction = None
        return self._detector.close(self._time)

    def _step(self, frame: Frame | None, answered: bool, update: EventUpdate) -> Step:
        if self._clip is not None and (update.ended or update.fired):
            self._clip.discard()
        return Step(
            source=self._name,
            frame=frame,
            prediction=self._prediction,
            answered=answered,
            window_fill=min(1.0, self.stream.seen / self._window),
            smoothed=self._detector.smoothed,
            shown=self._detector.shown,
            events=update.ended,
            active=self._detector.active,
            fps=self._fps.tick() if frame else self._fps.value,
            fired=update.fired,
            state=self._condition.state,
            changed=self._condition.pop_changes(),
            landmarks=None if frame is None else newest_features(self._card, self.stream.state),
            nonfinite=self.stream.nonfinite,
        )


def _merge(first: EventUpdate, second: EventUpdate) -> EventUpdate:
    if second is NOTHING:
        return first
    return EventUpdate(first.ended + second.ended, first.fired + second.fired)


class ShortClip:
    """Collect the predictions of a file that may be a single trimmed clip.

    An event needs a full window, and predictions for `minimum_seconds` after that.  A clip as used
    in training is often no longer than the window, so it could never produce one.  For a file that
    is at most half a window longer than the window (or `minimum_seconds`, up to a window) and that
    produced no event, the prediction of its centre window decides, as in `seqvision predict`: it is
    an event from the beginning to the end of the file if it reaches `on_threshold` and is not the
    background.
    """

    def __init__(
        self, decision: Decision, labels: tuple[str, ...], sequence: TimedSequence
    ) -> None:
        self._decision = decision
        self._labels = labels
        self._window = sequence.frames
        seconds = sequence.frames / sequence.fps
        self._longest = min(max(decision.minimum_seconds, seconds / 2), seconds)
        self._begun: float | None = None
        self._full: float | None = None
        self._answers: list[tuple[int, list[float]]] = []
        self._seen = 0
        self._is_over = False

    def add(self, time: float, seen: int, probabilities: Probabilities) -> None:
        """Add a prediction at `time` (seconds) after `seen` steps; None if it was not finite."""
        if self._is_over:
            return
        if self._begun is None:
            self._begun = time
        if seen >= self._window and self._full is None:
            self._full = time
        too_long = self._full is not None and time - self._full > self._longest + HAIR
        if probabilities is None or too_long:
            self.discard()
            return
        if self._full is None:
            self._answers.clear()  # of a clip shorter than the window only the last one counts
        self._answers.append((seen, probabilities.tolist()))
        self._seen = seen

    def discard(self) -> None:
        """Rely on events alone: the file is too long, has a gap, or produced an event."""
        self._is_over = True
        self._answers.clear()

    def event(self, end: float) -> Event | None:
        """Return the event of the whole file, which ends at `end`; None if there is none."""
        if self._is_over or not self._answers or self._begun is None:
            return None
        # Centred as by `seqvision_edge.sampling.window`.
        centre = round(max(0, self._seen - self._window) / 2) + self._window
        values = next((own for seen, own in self._answers if seen >= centre), self._answers[-1][1])
        share = max(values)
        label = self._labels[values.index(share)]
        least = max(self._decision.on_threshold, self._decision.min_confidence)
        if label == self._decision.background or share < least - HAIR:
            return None
        fill = min(1.0, self._seen / self._window)
        return Event(label, self._begun, end, (self._begun + end) / 2, share, end, fill)
