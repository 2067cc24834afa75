"""What both pipelines keep of a source: its state, its frame rate, its latest prediction."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.events import is_unsure
from seqvision_edge.frame import CONNECTING, Frame
from seqvision_edge.types import Prediction, SourceState

# Overload is measured over this time: a short hiccup does not count.
_SECONDS = 5.0
_TOO_MUCH, _NOTHING = 0.05, 0.01

# The reason of a live view whose model does not run, and in words.
QUIET, NOTHING_MOVES = "quiet", "nothing moves"

Probabilities = NDArray[np.float32] | None


class SourceCondition:
    """State machine of one source; each change is reported once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start as `connecting`; `clock` returns the seconds since the run began."""
        self._clock = clock
        self._news: list[SourceState] = []
        self.state = CONNECTING
        self._faulty = False

    def update(self, state: SourceState) -> None:
        """Update from a state that the source reports; its `live` only means that frames come."""
        self._faulty = state.state != "live"
        if self._faulty:
            self._change(state)

    def mark_alive(self, window_full: bool, message: str = "", reason: str = "overloaded") -> None:
        """Mark the source as alive after a frame.

        `message` names what is wrong nevertheless, such as an overloaded device; or is "".  The
        figures in that of an overload vary, so only a new reason is a change; of any other reason
        a new message is one too.
        """
        if self._faulty and self.state.state == "frozen":
            return
        name = SourceState("live") if window_full else SourceState("warming_up")
        self._change(replace(name, reason=reason, message=message) if message else name)

    def pop_changes(self) -> tuple[SourceState, ...]:
        """Return the changes since the previous call."""
        news = tuple(self._news)
        self._news.clear()
        return news

    def _change(self, state: SourceState) -> None:
        now = self.state
        is_new = state.reason == "regions" and state.message != now.message
        same = (state.state, state.reason, state.attempt) == (now.state, now.reason, now.attempt)
        if is_new or not same:
            self.state = replace(state, since=self._clock())
            self._news.append(self.state)


class LoadMonitor:
    """Measure whether the model keeps up with a live source.

    A tick of the model's clock is shed when its frame was dropped because the model was busy.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._ticks: deque[tuple[float, int, int]] = deque()
        self._due = self._shed = 0
        self._overloaded = False
        self.shed = 0

    def add(self, time: float, due: int, shed: int) -> None:
        """Record that `shed` of the `due` ticks at `time` (seconds) had no frame of their own."""
        self.shed += shed
        self._ticks.append((time, due, shed))
        self._due += due
        self._shed += shed
        while time - self._ticks[0][0] > _SECONDS:
            _, old_due, old_shed = self._ticks.popleft()
            self._due -= old_due
            self._shed -= old_shed

    @property
    def throughput_message(self) -> str:
        """Return the message of an overloaded device, `holds 7.4 of 15 fps`; "" if it keeps up."""
        share = self._shed / self._due if self._due else 0.0
        if share > _TOO_MUCH and self._ticks[-1][0] - self._ticks[0][0] > 0.9 * _SECONDS:
            self._overloaded = True
        elif share <= _NOTHING:
            self._overloaded = False
        fps = self._fps * (1 - share)
        return f"holds {fps:.1f} of {self._fps:g} fps" if self._overloaded else ""


def predicted(
    frame: Frame,
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    window_full: bool,
    latency: float,
    min_confidence: float,
    age: float | None = None,
    dropped: int | None = None,
) -> Prediction:
    """Return probabilities `(labels,)` as the prediction for a frame; `latency`, `age` in seconds.

    `min_confidence` is the decision's; `age` and `dropped` are those of a live frame.
    """
    # For so few values plain Python is faster than NumPy, which may also release the GIL.
    values = probabilities.tolist()
    best = values.index(max(values))
    return Prediction(
        time=frame.time,
        frame=frame.index,
        label=labels[best],
        probability=values[best],
        probabilities=dict(zip(labels, values, strict=True)),
        window_full=window_full,
        latency_ms=1000 * latency,
        image=frame.name,
        captured_at=None if age is None else time.time() - age,
        age_ms=None if age is None else 1000 * age,
        dropped=dropped,
        unsure=is_unsure(values[best], min_confidence),
    )


def age_of(frame: Frame) -> float:
    """Return how long ago a live frame arrived, in seconds."""
    return time.monotonic() - frame.arrived if frame.arrived is not None else 0.0


class FrameRate:
    """Measure the rate of calls per second, over the last second."""

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


class PipelineSource(Protocol):
    """The source of the frames."""

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def fps(self) -> float: ...
