"""The start of a process that must know nothing of the program that starts it."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from types import ModuleType

_starting = threading.Lock()


@contextlib.contextmanager
def bare_start() -> Iterator[None]:
    """Let a child start without this program's main module and without Ctrl-C.

    multiprocessing runs the parent's script again in each child: slow where it imports much, and
    endless where it has no `if __name__ == "__main__"`.  Our child needs none of it.
    """
    with _starting, _no_ctrl_c():
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Hold Ctrl-C back: a process that is half started is lost, and would print a traceback."""
    held: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    if handler is not None:
        # Blocking it is not enough here: any other thread may take the signal for this one.
        signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        with _inherited_block():
            yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
            if held:
                signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _inherited_block() -> Iterator[None]:
    """Start processes with SIGINT blocked, so that it cannot come before they ignore it."""
    if sys.platform == "win32":
        yield
        return
    # Its own start unblocks SIGINT, so it comes first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
