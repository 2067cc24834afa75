"""Work on many clips in threads, which end within a frame when the work is stopped."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_here = threading.local()


class CancelledError(Exception):
    """The result of this thread is no longer needed."""


@contextlib.contextmanager
def in_threads(
    function: Callable[[Item], Answer], items: Iterable[Item]
) -> Iterator[Iterator[Answer]]:
    """Give the answers for all items, in their order, computed on all cores.

    Where the block is left early, the function ends at its next `check_cancelled`.
    """
    cancelled = threading.Event()
    pool = ThreadPoolExecutor(os.cpu_count() or 1, initializer=work_until, initargs=(cancelled,))
    try:
        yield pool.map(function, items)
    finally:
        cancelled.set()
        pool.shutdown(cancel_futures=True)


def work_until(cancelled: threading.Event) -> None:
    """Let this thread work until an event is set."""
    _here.cancelled = cancelled


def check_cancelled() -> None:
    """Call this between frames.

    Raises:
        CancelledError: the result is no longer needed.
    """
    cancelled = getattr(_here, "cancelled", None)
    if cancelled is not None and cancelled.is_set():
        raise CancelledError
