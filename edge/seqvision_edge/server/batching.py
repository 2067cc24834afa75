"""The thread that runs the model: concurrent requests become one call.

While a call runs, the next one gathers.  After that it is waited only for as many as came together
the last time, and only for some milliseconds: a single client is never held up.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from seqvision_edge.session import Answer, Frames, Session, Stream, run_batch

# Of one call: what a network takes for its features grows with them.
MOST_FRAMES = 64
PATIENCE = 0.003
# What clients are told of a call that failed; why it did is for whoever runs the server.
FAILED = "the model failed"

_LOG = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818
    """The queue of the model is full: try again later."""


class ModelFailed(Exception):  # noqa: N818
    """A call of the model failed: it was out of memory, or the graph cannot take these frames."""


@dataclass(frozen=True, slots=True)
class _Ask:
    stream: Stream
    frames: Frames
    answer: Future[Answer]


class Batcher:
    """Answer for frames of any number of streams, several in one call.

    A place is reserved before work is spent on a frame, so that what cannot be answered soon is
    refused at once.
    """

    def __init__(
        self,
        session: Session,
        room: int,
        called: Callable[[int], None] = lambda size: None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin; `room` places.

        `called` is told the number of streams of each call; `told` is called when all its answers
        are there.
        """
        self._session = session
        self._room = room
        self._called, self._told = called, told
        self._asked: deque[_Ask] = deque()
        self._reserved = 0
        self._last = 1
        self._failing = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive() and not self._closed

    @property
    def reserved(self) -> int:
        """How many places are taken."""
        return self._reserved

    def reserve(self, slots: int = 1) -> None:
        """Take places.

        Raises:
            Overloaded: there are not so many.
        """
        with self._changed:
            if self._closed or self._reserved + slots > self._room:
                raise Overloaded
            self._reserved += slots

    def release(self, slots: int = 1) -> None:
        """Release reserved slots."""
        with self._changed:
            self._reserved -= slots

    def submit(self, requests: Sequence[tuple[Stream, Frames]]) -> list[Future[Answer]]:
        """Submit frames `(time, height, width, channels)`, for which slots are reserved.

        A stream is asked about again only after its answer.  An answer is as from `Stream.push`;
        its place is free again when it is there.  Where the call fails, the answer is a
        `ModelFailed` and the stream has forgotten its past.
        """
        asks = [_Ask(stream, frames, Future()) for stream, frames in requests]
        with self._changed:
            if self._closed:
                raise Overloaded
            self._asked.extend(asks)
            self._changed.notify()
        return [ask.answer for ask in asks]

    def close(self) -> None:
        """Answer nothing more."""
        with self._changed:
            self._closed = True
            left = list(self._asked)
            self._asked.clear()
            self._changed.notify()
        for ask in left:
            ask.answer.cancel()
        self._told()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._gather():
            pending = [ask for ask in batch if ask.answer.set_running_or_notify_cancel()]
            failed: ModelFailed | None = None
            answers: list[Answer] = []
            try:
                answers = run_batch(self._session, [(ask.stream, ask.frames) for ask in pending])
            except Exception as error:
                failed = ModelFailed(" ".join(str(error).split()) or type(error).__name__)
                if not self._failing:  # one that fails every time is told once
                    _LOG.error("the model failed: %s", failed)
                # Some may have taken their part of the call: nobody knows what they remember.
                for ask in pending:
                    ask.stream.reset()
            if pending:
                self._failing = failed is not None
                self._called(len(pending))
            # First, so that who asks again at once finds the place free.
            self.release(len(batch))
            for number, ask in enumerate(pending):
                if failed is not None:
                    ask.answer.set_exception(failed)
                else:
                    ask.answer.set_result(answers[number])
            self._told()

    def _gather(self) -> list[_Ask]:
        """Wait for the requests of the next batch; empty when closed."""
        with self._changed:
            while not self._asked and not self._closed:
                self._changed.wait()
            until = time.monotonic() + PATIENCE
            while len(self._asked) < self._last and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch: list[_Ask] = []
            frames = 0
            while self._asked and not self._closed:
                frames += len(self._asked[0].frames)
                if batch and frames > MOST_FRAMES:
                    break
                batch.append(self._asked.popleft())
            self._last = len(batch)
            return batch


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
