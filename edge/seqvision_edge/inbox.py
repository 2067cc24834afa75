"""What several sources bring, gathered for the one reader that runs the model.

Each source is read by a thread of its own, so that a bad one never slows the others.  Of a live
source the newest frame wins: what the reader was too slow for is dropped and counted.  Of a
recorded one every frame comes, a few of them read ahead while the model works.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from seqvision_edge.frame import Frame
from seqvision_edge.result import SourceState

# Enough to even out frames that decode slowly, few enough that 4K frames cost little memory.
DEPTH = 4


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one source brought: its new states, and the frame after them, if any.

    Attributes:
        source: the number of the source.
        states: the states that it went through before the frame.
        frame: its next frame; of a live source the newest.
        ended: whether nothing more comes.
        error: what ended it; None where it came to its end.
    """

    source: int
    states: tuple[SourceState, ...]
    frame: Frame | None
    ended: bool
    error: BaseException | None


@dataclass(slots=True)
class _Box:
    """What one source has brought and nobody has taken."""

    live: bool
    items: deque[Frame | SourceState] = field(default_factory=deque)
    ended: bool = False
    error: BaseException | None = None
    gone: bool = False

    @property
    def is_full(self) -> bool:
        return not self.live and len(self.items) >= DEPTH

    @property
    def is_ready(self) -> bool:
        return bool(self.items) or (self.ended and not self.gone)

    def put(self, item: Frame | SourceState) -> None:
        newer = self.live and isinstance(item, Frame) and self.items
        if newer and isinstance(self.items[-1], Frame):
            self.items.pop()
        self.items.append(item)

    def take(self, number: int) -> Arrival:
        """Return everything up to the next frame."""
        states: list[SourceState] = []
        frame: Frame | None = None
        while self.items and frame is None:
            item = self.items.popleft()
            if isinstance(item, Frame):
                frame = item
            else:
                states.append(item)
        self.gone = self.ended and not self.items
        return Arrival(number, tuple(states), frame, self.gone, self.error if self.gone else None)


class Inbox:
    """Threads `put` what their source brings; one reader takes it with `take`."""

    def __init__(self, live: Sequence[bool]) -> None:
        """Begin empty; `live` tells of each source whether its frames come by themselves."""
        self._boxes = [_Box(each) for each in live]
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._taken = threading.Condition(self._lock)
        self._closed = False

    def put(self, source: int, item: Frame | SourceState) -> bool:
        """Add what a source brought; False when nobody wants more.

        Waits while a recorded source is too far ahead.
        """
        box = self._boxes[source]
        with self._lock:
            while box.is_full and not self._closed:
                self._taken.wait()
            if self._closed:
                return False
            box.put(item)
            self._arrived.notify()
            return True

    def end(self, source: int, error: BaseException | None = None) -> None:
        """Tell that a source has ended, and what ended it."""
        with self._lock:
            self._boxes[source].ended = True
            self._boxes[source].error = error
            self._arrived.notify()

    def take(self, seconds: float | None = None) -> list[Arrival] | None:
        """Wait for something, and return one arrival of each source that has any.

        Empty when all sources have ended, and all that they brought was taken; None when nothing
        came in so many seconds.
        """
        with self._lock:
            while not any(box.is_ready for box in self._boxes):
                if all(box.gone for box in self._boxes):
                    return []
                if not self._arrived.wait(seconds):
                    return None
            arrivals = [box.take(number) for number, box in enumerate(self._boxes) if box.is_ready]
            self._taken.notify_all()
            return arrivals

    def close(self) -> None:
        """Let every `put` return: the reader has left."""
        with self._lock:
            self._closed = True
            self._taken.notify_all()
