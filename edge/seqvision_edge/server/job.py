"""One request's work in a thread: it ends when its time is up, or when its client has left."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager

from fastapi import HTTPException, Request

from seqvision_edge.server.batching import Batcher, Overloaded
from seqvision_edge.session import Answer, Frames, Stream

# How often a thread that waits looks whether it still should.
_PAUSE = 0.005
_LOOK = 0.1
_WATCH = 0.2


class Job:
    """Deadline and end of a request's work: all parts of it, decoding and inference, look at them.

    Its time begins with `begin`, which may come again: the wait for a thread does not count, nor
    does the start of a child that decodes, which has a deadline of its own.

    Attributes:
        ticks: of the model's clock that its clips have lasted so far.
        values: probabilities that its timelines have so far.
    """

    def __init__(self, seconds: float) -> None:
        """Allow `seconds` of work."""
        self._seconds = seconds
        self._until: float | None = None
        self._stopped = threading.Event()
        self.ticks = self.values = 0

    def begin(self) -> None:
        """Let its time begin, also anew."""
        self._until = time.monotonic() + self._seconds

    def stop(self) -> None:
        """Let the work end at its next look."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether the work is no longer needed."""
        return self._stopped.is_set()

    @property
    def seconds_left(self) -> float:
        """How long it may go on, at least 0: also for a child that decodes for it."""
        return self._seconds if self._until is None else max(0.0, self._until - time.monotonic())

    def check(self) -> None:
        """Go on only where the work is needed and there is time.

        Raises:
            HTTPException: 503 the client has left or the server ends, 413 the time is up.
        """
        if self.is_stopped:
            raise HTTPException(503, "the server ends")
        if not self.seconds_left:
            raise HTTPException(413, f"it takes longer than {self._seconds:g} s: send it in parts")

    def infer(self, batcher: Batcher, inputs: Sequence[tuple[Stream, Frames]]) -> list[Answer]:
        """Return the model's answers for frames of streams; see `Batcher.ask`.

        Raises:
            HTTPException: as `check` does; what the model has not begun then is taken back.
        """
        self._reserve(batcher, len(inputs))
        answers = batcher.submit(inputs)
        try:
            return [self._answer(answer) for answer in answers]
        finally:
            for answer in answers:
                answer.cancel()

    def _reserve(self, batcher: Batcher, slots: int) -> None:
        """Wait for places: the threads that may are few."""
        while True:
            self.check()
            try:
                batcher.reserve(slots)
            except Overloaded:
                self._stopped.wait(_PAUSE)
            else:
                return

    def _answer(self, future: "Future[Answer]") -> Answer:
        while True:
            try:
                return future.result(_LOOK)
            except NotYet:
                self.check()
            except CancelledError:
                raise HTTPException(503, "the server ends") from None


@contextmanager
def stopped_with(job: Job, request: Request, ended: threading.Event) -> Iterator[None]:
    """Stop a job when the client, whose body has been read, leaves, or when the server ends."""
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
