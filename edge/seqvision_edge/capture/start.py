"""The start of a process that must know nothing of the program that starts it."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from types import ModuleType

from seqvision_edge.interrupts import Held

_starting = threading.Lock()


@contextlib.contextmanager
def clean_spawn() -> Iterator[None]:
    """Let a child start without this program's main module and without Ctrl-C.

    multiprocessing runs the parent's script again in each child: slow where it imports much, and
    endless where it has no `if __name__ == "__main__"`.  Our child needs none of it.
    """
    # A process that is half started is lost, and would print a traceback.  Blocking SIGINT is not
    # enough: any other thread may take the signal for this one.
    with _starting, Held(), _inherited_block():
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


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
