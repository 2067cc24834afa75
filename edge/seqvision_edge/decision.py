"""Probabilities over time → events: one per gesture, instead of a label that flickers."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqvision_edge.card import Decision
from seqvision_edge.result import Event


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer brought: the events that `ended`, and those to act on now, `fired`."""

    ended: tuple[Event, ...] = ()
    fired: tuple[Event, ...] = ()


NOTHING = Told()


class Decider:
    """Follow one source's answers and tell its events.

    An answer holds until the next one, so an event lasts from the first answer that reaches `enter`
    to the first that falls below `leave`.  One event runs at a time: another label that reaches
    `enter` and is more probable than the running one ends it.
    """

    def __init__(self, decision: Decision, labels: Sequence[str]) -> None:
        self._decision = decision
        self._labels = tuple(labels)
        self._answers: deque[NDArray[np.float64]] = deque(maxlen=decision.smoothing_frames)
        self._running: Event | None = None
        self._blocked_until: dict[str, float] = {}

    @property
    def active(self) -> Event | None:
        """The event that goes on, up to the newest answer, once it has lasted long enough."""
        return self._running if self._running and self._counts(self._running) else None

    @property
    def smoothed(self) -> dict[str, float]:
        """The mean probability of each label over the newest answers; empty without any."""
        if not self._answers:
            return {}
        return dict(zip(self._labels, np.mean(self._answers, axis=0).tolist(), strict=True))

    def update(self, time: float, probabilities: ArrayLike) -> Told:
        """Take the answer at `time` (seconds, rising) and tell what it brought.

        `probabilities` is `(labels,)`, in the order of the labels.
        """
        self._answers.append(np.asarray(probabilities, np.float64))
        smoothed = self.smoothed
        rival = self._strongest(smoothed, time)
        told = NOTHING
        if self._running is not None:
            self._running = _extended(self._running, time, smoothed)
            held = smoothed[self._running.label]
            if held < self._decision.leave or (rival and smoothed[rival] > held):
                told = self._finish(time)
        if self._running is None and rival:
            self._running = Event(rival, time, time, time, smoothed[rival], time)
        return told

    def close(self, time: float) -> Told:
        """Forget the past and tell the event that it cuts off, ended at its last answer.

        For a gap, a value that is not finite, and the end of the source, at `time`.
        """
        told = self._finish(time)
        self._forget()
        return told

    def _strongest(self, smoothed: dict[str, float], time: float) -> str | None:
        """Return the most probable label that may begin an event now."""
        able = {
            label: probability
            for label, probability in smoothed.items()
            if probability >= self._decision.enter
            and label != self._decision.background
            and time >= self._blocked_until.get(label, time)
        }
        return max(able, key=able.__getitem__, default=None)

    def _finish(self, time: float) -> Told:
        event, self._running = self._running, None
        if event is None or not self._counts(event):
            return NOTHING
        self._blocked_until[event.label] = event.end + self._decision.cooldown_seconds
        event = replace(event, told=time)
        return Told((event,), (event,))

    def _counts(self, event: Event) -> bool:
        # Times are sums of periods: 0.7 - 0.4 is a hair below 0.3.
        return event.seconds >= self._decision.minimum_seconds - 1e-9

    def _forget(self) -> None:
        self._answers.clear()
        self._running = None
        self._blocked_until.clear()


def _extended(event: Event, time: float, smoothed: dict[str, float]) -> Event:
    """Return the event as it stands at `time`."""
    probability = smoothed[event.label]
    if probability > event.confidence:
        return replace(event, end=time, peak=time, confidence=probability)
    return replace(event, end=time)
