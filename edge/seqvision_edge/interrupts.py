"""Handle Ctrl-C and SIGTERM: raise one exception in the main thread, at a point where it is safe.

A signal may arrive in the middle of any call.  Python raises KeyboardInterrupt there, also where it
cannot be handled: in a destructor, in a callback of C code, during shutdown, or a second time while
files are being closed.  A program runs in `Interrupts`; `DeferredSignals` protects a block of it.
Imports only the standard library.
"""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

INTERRUPTED, TERMINATED = 130, 143
SAME_REQUEST = 1.0
"""Seconds: a second signal within this time is the same request (a key pressed twice)."""
# After an exception was lost in a destructor, it is raised again after this time.
_AGAIN = 0.01

Result = TypeVar("Result")
Handler = Callable[[int, FrameType | None], Any]
_current: list["Interrupts"] = []
_holding: list["DeferredSignals"] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM: end as with Ctrl-C, closing everything, but with its own exit code."""


def exit_code(stopped: KeyboardInterrupt) -> int:
    """Return the exit code of a program that was interrupted."""
    return TERMINATED if isinstance(stopped, Terminated) else INTERRUPTED


class Interrupts:
    """A context in which SIGINT raises KeyboardInterrupt, and SIGTERM Terminated, once.

    SIGTERM does so after `end_on_sigterm`.  Another signal within a second is the same request; a
    later one interrupts the shutdown too.  Outside the main thread, and if signals are ignored or
    have another handler, nothing changes.

    Attributes:
        requested: the signal that requested the end; None so far.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._when = -math.inf
        self._process = os.getpid()
        self._before: dict[int, Any] = {}
        self._hook = sys.unraisablehook

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._hook, sys.unraisablehook = sys.unraisablehook, self._take_lost
            _current.append(self)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self.handle(signal.SIGINT)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self in _current:
            _current.remove(self)
            sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def call(self, work: Callable[[], Result]) -> Result:
        """Return the result of `work`.

        Raises:
            KeyboardInterrupt: a signal arrived; also if code in between raised something else for
                it, as C code does during import.
        """
        try:
            return work()
        except Exception as error:
            if self.requested is None:
                raise
            raise self._exception() from error

    def _exception(self) -> KeyboardInterrupt:
        return Terminated() if self.requested == signal.SIGTERM else KeyboardInterrupt()

    def handle(self, number: signal.Signals) -> None:
        """Make a signal raise its exception from now on."""
        self._before[number] = signal.signal(number, self._raise)

    def note(self) -> None:
        """Record that a signal was just handled elsewhere."""
        self._when = time.monotonic()

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A fork that has not begun its own work.  Its parent handles Ctrl-C, and ends it.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        now = time.monotonic()
        if now - self._when < SAME_REQUEST:
            return
        self.requested, self._when = self.requested or signal.Signals(number), now
        raise self._exception()

    def _take_lost(self, lost: "sys.UnraisableHookArgs") -> None:
        """Handle an exception that could not be raised: an interrupt is raised again, soon."""
        is_ours = self.requested is not None and issubclass(lost.exc_type, KeyboardInterrupt)
        if not is_ours or threading.current_thread() is not threading.main_thread():
            self._hook(lost)
            return
        self._when = -math.inf
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._raise)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            assert self.requested is not None
            threading.Timer(_AGAIN, signal.raise_signal, [self.requested]).start()


def end_on_sigterm() -> None:
    """Make SIGTERM raise Terminated in the main thread, so that nothing is left half-written."""
    (_current[-1] if _current else Interrupts()).handle(signal.SIGTERM)


def mark_handled() -> None:
    """Record that a signal was just handled: another within a second is the same request."""
    for each in _current:
        each.note()


def is_waiting() -> bool:
    """Return whether a signal is pending in a `DeferredSignals` block of this thread."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and bool(_holding) and _holding[-1].is_waiting


def check() -> None:
    """Raise the signal that is pending in a `DeferredSignals` block of this thread, if any."""
    if is_waiting():
        with _holding[-1].released():
            pass


class DeferredSignals:
    """A block of the main thread that defers SIGINT and SIGTERM, whatever their handler.

    A pending signal is raised at the end of the block, or by `check` inside it; a signal more than
    a second after a pending one is raised at once: the block may be stuck.  A signal within a
    second of another is the same request, also if that was raised already.  In another thread, and
    for signals without a Python handler, nothing changes.

    Attributes:
        is_waiting: whether a signal is pending.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self.is_waiting = False
        self._number = 0
        self._when = -math.inf

    def __enter__(self) -> "DeferredSignals":
        self._hold()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go()
        self._raise_waiting()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Let signals through in an inner block, such as a long wait."""
        self._let_go()
        try:
            self._raise_waiting()
            yield
        finally:
            self._hold()

    def _hold(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._wait)
        _holding.append(self)

    def _let_go(self) -> None:
        if self in _holding:
            _holding.remove(self)
        while self._handlers:
            number, handler = next(iter(self._handlers.items()))
            signal.signal(number, handler)
            del self._handlers[number]

    def _raise_waiting(self) -> None:
        if self.is_waiting:
            self.is_waiting = False
            signal.raise_signal(self._number)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._when < SAME_REQUEST:
            return
        self._when = now
        if self.is_waiting:
            self._handlers[number](number, frame)
        self.is_waiting, self._number = True, number
