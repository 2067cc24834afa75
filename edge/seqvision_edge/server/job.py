"""The work of one request in a thread: ended at its deadline, or when the client disconnects."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager

from fastapi import HTTPException, Request

from seqvision_edge.server.batching import Batcher, Overloaded
from seqvision_edge.session import Frames, ModelOutput, Stream

# How often a waiting thread checks whether to stop.
_PAUSE = 0.005
_POLL_SECONDS = 0.1
_WATCH = 0.2


class Job:
    """Deadline and cancellation of a request's work, checked by decoding and inference.

    The time starts with `begin`, which may be called again: waiting for a thread does not count,
    nor does the start of a decoding child, which has a deadline of its own.

    Attributes:
        ticks: of the model's clock, in all its clips so far.
        values: probabilities in its timelines so far.
    """

    def __init__(self, seconds: float) -> None:
        """Allow `seconds` of work."""
        self._seconds = seconds
        self._until: float | None = None
        self._stopped = threading.Event()
        self.ticks = self.values = 0

    def begin(self) -> None:
        """Start the time, also again."""
        self._until = time.monotonic() + self._seconds

    def stop(self) -> None:
        """Let the work end at its next check."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether the work is no longer needed."""
        return self._stopped.is_set()

    @property
    def seconds_left(self) -> float:
        """Return the remaining time, at least 0: also for a child that decodes for it."""
        return self._seconds if self._until is None else max(0.0, self._until - time.monotonic())

    def check(self) -> None:
        """Raise unless the work is still needed and in time.

        Raises:
            HTTPException: 503 the client has left or the server shuts down, 413 the time is up.
        """
        if self.is_stopped:
            raise HTTPException(503, "the server is shutting down")
        if not self.seconds_left:
            raise HTTPException(413, f"it takes longer than {self._seconds:g} s: send it in parts")

    def infer(self, batcher: Batcher, inputs: Sequence[tuple[Stream, Frames]]) -> list[ModelOutput]:
        """Return the model's results for frames of streams; see `Batcher.submit`.

        Raises:
            HTTPException: as `check` does; pending requests are then cancelled.
        """
        self._reserve(batcher, len(inputs))
        answers = batcher.submit(inputs)
        try:
            return [self._answer(answer) for answer in answers]
        finally:
            for answer in answers:
                answer.cancel()

    def _reserve(self, batcher: Batcher, slots: int) -> None:
        """Wait for slots; only a few threads can wait here."""
        while True:
            self.check()
            try:
                batcher.reserve(slots)
            except Overloaded:
                self._stopped.wait(_PAUSE)
            else:
                return

    def _answer(self, future: "Future[ModelOutput]") -> ModelOutput:
        while True:
            try:
                return future.result(_POLL_SECONDS)
            except NotYet:
                self.check()
            except CancelledError:
                raise HTTPException(503, "the server is shutting down") from None


@contextmanager
def stopped_with(job: Job, request: Request, ended: threading.Event) -> Iterator[None]:
    """Stop a job when the client disconnects (after its body was read), or at shutdown."""
    watch = asyncio.ensure_future(_watch(job, request, ended))
    try:
        yield
    finally:
        job.stop()
        watch.cancel()


async def _watch(job: Job, request: Request, ended: threading.Event) -> None:
    left = asyncio.ensure_future(request.receive())
    try:
        while not left.done() and not ended.is_set():
            await asyncio.wait([left], timeout=_WATCH)
        job.stop()
    finally:
        left.cancel()
