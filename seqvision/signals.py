"""Ctrl-C and SIGTERM: how long work ends, and with which exit code."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from seqvision.rank import count
from seqvision_edge import interrupts
from seqvision_edge.interrupts import Terminated

Stop = signal.Signals
# torchrun passes on, a moment later, what the terminal has sent already.
_PASSED_ON = 2.0


class StopNow(BaseException):
    """A stop while Lightning is at work, which would turn a KeyboardInterrupt into exit code 1."""


class StopRequest:
    """Take SIGINT and SIGTERM over: the first requests a stop, a later one raises StopNow.

    What comes within a second is the same request.

    Attributes:
        requested: the signal that came; None so far.
        again: whether a second one came.
        on_request: called when it comes, in the middle of anything: must not print.
    """

    def __init__(self) -> None:
        self.requested: Stop | None = None
        self.again = False
        self.on_request: Callable[[], object] = lambda: None
        self._when = 0.0
        self._before: dict[Stop, Any] = {}

    def __enter__(self) -> "StopRequest":
        self.install()
        return self

    def install(self) -> None:
        """Take the signals over, once more where another library has taken them meanwhile."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals are not ours
        for name in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(name, self._handle)
            self._before.setdefault(name, before)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        same = interrupts.SAME_REQUEST if count() == 1 else _PASSED_ON
        if self.requested is None:
            interrupts.mark_handled()
            self.requested, self._when = Stop(number), now
            self.on_request()
        elif now - self._when > same:
            interrupts.mark_handled()
            self.again, self._when = True, now
            raise StopNow


def stop_of(error: KeyboardInterrupt) -> Stop:
    """Return the signal that raised an interrupt."""
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


def interrupt(stop: Stop, message: str = "") -> KeyboardInterrupt:
    """Return what a signal raises, with a message for the user."""
    kind = Terminated if stop == signal.SIGTERM else KeyboardInterrupt
    return kind(message) if message else kind()


def stop_exit_code(stop: Stop | None) -> int:
    """Return the exit code of work that a signal stopped, or that none did."""
    return 0 if stop is None else 128 + stop
