"""Turn probabilities over time into events: smoothing, then one event per gesture."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqvision_edge.card import Decision, SequenceSpec, TimedSequence
from seqvision_edge.types import Event

# Times are sums of periods and probabilities are float32: 0.7 - 0.4 is slightly less than 0.3, and
# so may be the mean of 0.6 and 0.6.  A value this close to a threshold has reached it.
HAIR = 1e-6

Probabilities = NDArray[np.float64]
_NOTHING: Probabilities = np.zeros(())


@dataclass(frozen=True, slots=True)
class EventUpdate:
    """The events of one step: those that `ended`, and those to act on now, `fired`."""

    ended: tuple[Event, ...] = ()
    fired: tuple[Event, ...] = ()


NOTHING = EventUpdate()


class Smoothing:
    """Smooth the probabilities, `(labels,)` in `value`; None before the first.

    `none` is the newest prediction; `mean` the mean of the newest `smoothing_frames`; `exponential`
    moves by `2 / (smoothing_frames + 1)` of the difference to each prediction, from the first one
    on: it has the delay of a mean of that many, without a step when an old one drops out.
    """

    def __init__(self, decision: Decision) -> None:
        self._kind = decision.smoothing
        count = decision.smoothing_frames if self._kind == "mean" else 1
        self._answers: deque[Probabilities] = deque(maxlen=count)
        self._share = 2 / (decision.smoothing_frames + 1)
        self.value: Probabilities | None = None

    def add(self, answer: Probabilities) -> Probabilities:
        """Add the next probabilities, `(labels,)`, and return the new value."""
        if self._kind == "exponential" and self.value is not None:
            self.value = self.value + self._share * (answer - self.value)
        else:
            self._answers.append(answer)
            # Added in order, as `np.mean` does, without its overhead.
            self.value = sum(self._answers, _NOTHING) / len(self._answers)
        return self.value

    def clear(self) -> None:
        """Forget all predictions."""
        self._answers.clear()
        self.value = None


class EventDetector:
    """State machine of one source's events.

    A prediction holds until the next one, so an event lasts from the first that reaches
    `on_threshold` to the first that falls below `off_threshold`.  One event runs at a time: another
    label that reaches `on_threshold` and is more probable than the running one ends it.

    Predictions come late: each is for a window that ends with it.  `lag` is the time, in seconds,
    from the middle of the window to the prediction (see `window_lag`); the start, end and peak of
    an event are shifted back by it, `reported_at` is not.

    With `early`, an event is fired when its label clearly rises: the unsmoothed probability went
    from below `on_threshold` up to `early`, and the last but one was at `off_threshold` or above.
    Such an event begins at once, counts however short it is, and ends as soon as neither the
    smoothed nor the unsmoothed probability reaches `off_threshold`.
    """

    def __init__(self, decision: Decision, labels: Sequence[str], lag: float = 0.0) -> None:
        self._decision = decision
        self._lag = lag
        self._labels = tuple(labels)
        self._smoothing = Smoothing(decision)
        # If no prediction can be unsure, both are the same.
        self._shown = Smoothing(decision) if decision.min_confidence > 0 else self._smoothing
        self._running: Event | None = None
        self._is_fired = False
        self._blocked_until: dict[str, float] = {}
        # For early firing: the previous prediction, and the labels that have been low and may rise.
        self._before: dict[str, float] = {}
        self._low: set[str] = set()

    @property
    def active(self) -> Event | None:
        """The running event, up to the newest prediction, once it counts or was fired."""
        event = self._running
        if event is None or not (self._is_fired or self._lasted(event)):
            return None
        return self._placed(event)

    @property
    def smoothed(self) -> dict[str, float]:
        """The smoothed probability of each label; empty before the first prediction."""
        return self._by_label(self._smoothing)

    @property
    def shown(self) -> dict[str, float]:
        """The model's own probabilities, smoothed alike: unsure predictions are included."""
        return self._by_label(self._shown)

    def step(self, time: float, probabilities: ArrayLike) -> EventUpdate:
        """Process the prediction at `time` (seconds, rising) and return the resulting events.

        `probabilities` is `(labels,)`, in the order of the labels.
        """
        given = np.asarray(probabilities, np.float64)
        answer = self._known(given)
        self._smoothing.add(answer)
        if self._shown is not self._smoothing:
            self._shown.add(given)
        return self.step_smoothed(time, answer, self._smoothing.value)

    def step_smoothed(
        self, time: float, answer: Probabilities, smoothed: Probabilities | None
    ) -> EventUpdate:
        """Process the prediction at `time` that others smoothed already; see `step`.

        Args:
            time: in seconds, rising.
            answer: `(labels,)`, the prediction itself; zeros where it is unsure.
            smoothed: `(labels,)`, with the predictions before it.
        """
        own = dict(zip(self._labels, answer.tolist(), strict=True))
        rising = self._rising(own, time)
        strength = self._strength(own, smoothed, rising)
        rival = self._strongest_candidate(strength, time)
        ended = NOTHING
        if self._running is not None:
            label, held = self._running.label, strength[self._running.label]
            self._running = _extended(self._running, time, held)
            overtaken = rival is not None and strength[rival] > held + HAIR
            fallen = held < self._decision.off_threshold - HAIR
            if rising != label if rising else fallen or overtaken:
                ended = self._finish(time)
        begins = rising or rival
        if self._running is None and begins is not None:
            self._running = Event(begins, time, time, time, strength[begins], time)
        return self._fire(ended, time) if rising and not self._is_fired else ended

    def close(self, time: float) -> EventUpdate:
        """Reset, and return the running event, which ends at its last prediction.

        Used at a gap, after a non-finite value, and at the end of the source, at `time`.
        """
        update = self._finish(time)
        self._smoothing.clear()
        self._shown.clear()
        self._blocked_until.clear()
        self._before.clear()
        self._low.clear()
        return update

    def _known(self, answer: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities; those of an unsure prediction are 0."""
        unsure = is_unsure(float(answer.max()), self._decision.min_confidence)
        return np.zeros_like(answer) if unsure else answer

    def _by_label(self, smoothing: Smoothing) -> dict[str, float]:
        return self._named(smoothing.value)

    def _named(self, value: Probabilities | None) -> dict[str, float]:
        return {} if value is None else dict(zip(self._labels, value.tolist(), strict=True))

    def _strength(
        self, own: dict[str, float], smoothed: Probabilities | None, rising: str | None
    ) -> dict[str, float]:
        """Return the deciding probability of each label: smoothed, or the fired label's own.

        The smoothed probability of a label fired early is still rising.
        """
        strength = self._named(smoothed)
        fired = self._running.label if self._running is not None and self._is_fired else None
        for label in filter(None, {rising, fired}):
            strength[label] = max(strength[label], own[label])
        return strength

    def _strongest_candidate(self, strength: dict[str, float], time: float) -> str | None:
        """Return the most probable label that may begin an event now; the first of equal ones."""
        able = {
            label: probability
            for label, probability in strength.items()
            if probability >= self._decision.on_threshold - HAIR and self._may_begin(label, time)
        }
        return max(able, key=able.__getitem__, default=None)

    def _rising(self, own: dict[str, float], time: float) -> str | None:
        """Return the label that clearly rises with this prediction, `own`."""
        early, before = self._decision.early, self._before
        if early is None:
            return None
        self._before = own
        self._low |= {label for label in own if own[label] < self._decision.on_threshold - HAIR}
        best = max(own, key=own.__getitem__)
        sure = (
            own[best] >= early - HAIR
            and before.get(best, -1.0) >= self._decision.off_threshold - HAIR
            and best in self._low
            and self._may_begin(best, time)
        )
        return best if sure else None

    def _may_begin(self, label: str, time: float) -> bool:
        blocked_until = self._blocked_until.get(label, time)
        return label != self._decision.background and time >= blocked_until - HAIR

    def _fire(self, ended: EventUpdate, time: float) -> EventUpdate:
        """Fire the running event before its end."""
        assert self._running is not None, "a rising label has a running event"
        self._running = replace(self._running, reported_at=time)
        self._is_fired = True
        self._low.discard(self._running.label)
        return EventUpdate(ended.ended, (*ended.fired, self._placed(self._running)))

    def _finish(self, time: float) -> EventUpdate:
        """End the running event, and return it if it counts."""
        event, is_fired = self._running, self._is_fired
        self._running, self._is_fired = None, False
        if event is None or not (is_fired or self._lasted(event)):
            return NOTHING
        self._blocked_until[event.label] = event.end + self._decision.cooldown_seconds
        if is_fired:
            return EventUpdate((self._placed(event),), ())
        event = self._placed(replace(event, reported_at=time))
        return EventUpdate((event,), (event,))

    def _lasted(self, event: Event) -> bool:
        return event.seconds >= self._decision.minimum_seconds - HAIR

    def _placed(self, event: Event) -> Event:
        """Return an event shifted back by the lag."""
        lag = self._lag
        return replace(event, start=event.start - lag, end=event.end - lag, peak=event.peak - lag)


def is_unsure(best: float, min_confidence: float) -> bool:
    """Return whether a prediction is rejected: the probability of its `best` label is too low."""
    return best < min_confidence - HAIR


def window_lag(sequence: SequenceSpec) -> float:
    """Return the lag of predictions in seconds: from the middle of the window to its end.

    A gesture shorter than the window is detected while all of it is inside, a longer one from half
    a window after its start to half a window after its end: half a window on average.  A still
    image has no lag.
    """
    if not isinstance(sequence, TimedSequence):
        return 0.0
    return (sequence.frames - 1) / sequence.fps / 2


def _extended(event: Event, time: float, probability: float) -> Event:
    """Return the event as it stands at `time`."""
    if probability > event.confidence + HAIR:
        return replace(event, end=time, peak=time, confidence=probability)
    return replace(event, end=time)
