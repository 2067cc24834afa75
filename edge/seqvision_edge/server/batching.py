"""The thread that runs the model: concurrent requests are batched into one call.

While a call runs, the next batch collects.  After that it waits only until as many requests have
arrived as in the last batch, and only for some milliseconds: a single client is never delayed.
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

from seqvision_edge.session import Frames, ModelOutput, Session, Stream, run_batch

# Per call: the memory for the features grows with the frames.
MAX_BATCH_FRAMES = 64
MAX_WAIT_SECONDS = 0.003
# The message for clients; the reason is logged for the operator of the server.
MODEL_FAILED = "the model failed"

_LOG = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818
    """The queue of the model is full: try again later."""


class ModelFailed(Exception):  # noqa: N818
    """A call of the model failed: it was out of memory, or the graph cannot take these frames."""


@dataclass(frozen=True, slots=True)
class _Request:
    stream: Stream
    frames: Frames
    answer: Future[ModelOutput]


class Batcher:
    """Run the model for frames of any number of streams, several in one call.

    A slot is reserved before any work is spent on a frame, so that a frame that cannot be handled
    soon is refused at once.
    """

    def __init__(
        self,
        session: Session,
        room: int,
        called: Callable[[int], None] = lambda size: None,
        completed: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the thread; `room` is the number of slots.

        `called` is called with the number of streams of each call; `completed` when all its results
        are set.
        """
        self._session = session
        self._room = room
        self._called, self._completed = called, completed
        self._queue: deque[_Request] = deque()
        self._reserved = 0
        self._last = 1
        self._failing = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._closed

    @property
    def reserved(self) -> int:
        """Number of reserved slots."""
        return self._reserved

    def reserve(self, slots: int = 1) -> None:
        """Reserve slots.

        Raises:
            Overloaded: not so many slots are free.
        """
        with self._changed:
            if self._closed or self._reserved + slots > self._room:
                raise Overloaded
            self._reserved += slots

    def release(self, slots: int = 1) -> None:
        """Release reserved slots."""
        with self._changed:
            self._reserved -= slots

    def submit(self, requests: Sequence[tuple[Stream, Frames]]) -> list[Future[ModelOutput]]:
        """Submit frames `(time, height, width, channels)`, for which slots are reserved.

        A stream is submitted again only after its result.  A result is that of `Stream.push`; its
        slot is released when it is set.  If the call fails, the result is a `ModelFailed` and the
        stream's state has been reset.
        """
        new = [_Request(stream, frames, Future()) for stream, frames in requests]
        with self._changed:
            if self._closed:
                raise Overloaded
            self._queue.extend(new)
            self._changed.notify()
        return [request.answer for request in new]

    def close(self) -> None:
        """Cancel what waits, and end the thread."""
        with self._changed:
            self._closed = True
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify()
        for request in left:
            request.answer.cancel()
        self._completed()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._gather():
            pending = [
                request for request in batch if request.answer.set_running_or_notify_cancel()
            ]
            failed: ModelFailed | None = None
            answers: list[ModelOutput] = []
            try:
                answers = run_batch(
                    self._session, [(request.stream, request.frames) for request in pending]
                )
            except Exception as error:
                failed = ModelFailed(" ".join(str(error).split()) or type(error).__name__)
                if not self._failing:  # a repeated failure is logged once
                    _LOG.error("the model failed: %s", failed)
                # Some streams may have been updated by the failed call: their state is undefined.
                for request in pending:
                    request.stream.reset()
            if pending:
                self._failing = failed is not None
                self._called(len(pending))
            # First, so that a client that submits again at once finds a free slot.
            self.release(len(batch))
            for number, request in enumerate(pending):
                if failed is not None:
                    request.answer.set_exception(failed)
                else:
                    request.answer.set_result(answers[number])
            self._completed()

    def _gather(self) -> list[_Request]:
        """Wait for the requests of the next batch; empty when closed."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            until = time.monotonic() + MAX_WAIT_SECONDS
            while len(self._queue) < self._last and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch: list[_Request] = []
            frames = 0
            while self._queue and not self._closed:
                frames += len(self._queue[0].frames)
                if batch and frames > MAX_BATCH_FRAMES:
                    break
                batch.append(self._queue.popleft())
            self._last = len(batch)
            return batch


class ResultRelay:
    """Results for waiting tasks, handed over in batches.

    Waking the event loop is a system call that releases the GIL: one for each of eight results of a
    call would make two threads contend for it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()

    def future(self) -> "asyncio.Future[Any]":
        """Return the future a task waits for; called in the loop."""
        self._loop = asyncio.get_running_loop()
        return self._loop.create_future()

    def put(
        self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None = None
    ) -> None:
        """Store a result or an error, from any thread, until `send`."""
        self._left.append((future, result, error))

    def send(self) -> None:
        """Set the stored results in the loop; called from any thread."""
        if self._left and self._loop is not None:
            # In a closed loop nothing waits any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._left:
            future, result, error = self._left.popleft()
            if future.done():  # cancelled
                continue
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
