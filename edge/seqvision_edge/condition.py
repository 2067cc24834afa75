"""The state of a source: what its capture reports, with how full its window is."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from seqvision_edge.result import SourceState
from seqvision_edge.step import CONNECTING

# Overload is judged over this long: a single hiccup is none.
_SECONDS = 5.0
_TOO_MUCH, _NOTHING = 0.05, 0.01


class Condition:
    """State machine of one source; each change is reported once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin as `connecting`; `clock` gives the seconds since the run began."""
        self._clock = clock
        self._news: list[SourceState] = []
        self.state = CONNECTING
        self._faulty = False

    def update(self, state: SourceState) -> None:
        """Update from a state that the source reports; its `live` only means that frames come."""
        self._faulty = state.state != "live"
        if self._faulty:
            self._change(state)

    def mark_alive(self, window_full: bool, held: str = "") -> None:
        """Mark the source as alive after a frame; `held` is the message of an overloaded device, or
        ""."""
        if self._faulty and self.state.state == "frozen":
            return
        name = SourceState("live") if window_full else SourceState("warming_up")
        self._change(replace(name, reason="overloaded", message=held) if held else name)

    def pop_changes(self) -> tuple[SourceState, ...]:
        """Return the changes since the call before."""
        news = tuple(self._news)
        self._news.clear()
        return news

    def _change(self, state: SourceState) -> None:
        now = self.state
        if (state.state, state.reason, state.attempt) != (now.state, now.reason, now.attempt):
            self.state = replace(state, since=self._clock())
            self._news.append(self.state)


class Load:
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
        """Take that of `due` ticks at `time` (seconds) `shed` had no frame of their own."""
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
        """What an overloaded device holds, `holds 7.4 of 15 fps`; "" for one that keeps up."""
        share = self._shed / self._due if self._due else 0.0
        if share > _TOO_MUCH and self._ticks[-1][0] - self._ticks[0][0] > 0.9 * _SECONDS:
            self._overloaded = True
        elif share <= _NOTHING:
            self._overloaded = False
        fps = self._fps * (1 - share)
        return f"holds {fps:.1f} of {self._fps:g} fps" if self._overloaded else ""
