"""From threads to the event loop: what several hand over takes one wake-up."""

import asyncio
import contextlib
from collections import deque
from typing import Any


class Post:
    """Results on their way to tasks that wait for them.

    A wake-up of the loop is a system call, and lets go of Python's lock: one for each of eight
    answers of a single call would let two threads hand the lock to and fro.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()

    def future(self) -> "asyncio.Future[Any]":
        """Return what a task waits for; called in the loop."""
        self._loop = asyncio.get_running_loop()
        return self._loop.create_future()

    def put(
        self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None = None
    ) -> None:
        """Leave a result, or an error, from any thread; `send` brings it."""
        self._left.append((future, result, error))

    def send(self) -> None:
        """Bring what was left, from any thread."""
        if self._left and self._loop is not None:
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._give)

    def _give(self) -> None:
        while self._left:
            future, result, error = self._left.popleft()
            if future.done():  # cancelled: whoever waited has left
                continue
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
