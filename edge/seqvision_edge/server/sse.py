"""Server-sent events: the queue of one client and the records in it."""

import asyncio
import contextlib
import json
import math
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from seqvision_edge.frame import Frame, Step

Record = dict[str, Any]
# Takes a callback for records, returns the function that unsubscribes it.
Subscribe = Callable[[Callable[[Record], None]], Callable[[], None]]

# A page can notice a lost server only by silence: no other signal reaches it.
ALIVE_SECONDS = 2.0
MAX_QUEUED = 256
_REPLACEABLE = frozenset({"prediction", "waiting"})

MaxRate = Annotated[
    float | None,
    Query(
        ge=0.1,
        le=1000,
        description="maximum predictions per second, the newest; events and states are all sent",
    ),
]


class EventQueue:
    """A client's queue of records; if the client is too slow, the oldest are dropped."""

    def __init__(self, kinds: frozenset[str], max_rate: float | None = None) -> None:
        """Create a queue of records of these types, in the event loop.

        `max_rate` is the maximum number of predictions a second: the newest ones are sent, and all
        other records.
        """
        self._kinds = kinds
        self._seconds = 0.0 if max_rate is None else 1 / max_rate
        self._due = -math.inf
        self._records: deque[Record] = deque(maxlen=MAX_QUEUED)
        self._lock = threading.Lock()
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.ended = False

    def push(self, record: Record) -> None:
        """Add a record, from any thread."""
        if record["type"] in self._kinds:
            with self._lock:
                is_newer = self._seconds and record["type"] in _REPLACEABLE
                replaces = is_newer and self._drop(record.get("view"))
                self._records.append(record)
            if not replaces:
                self._wake()

    def end(self) -> None:
        """Send what is queued, and then no more."""
        self.ended = True
        self._wake()

    async def take(self, seconds: float) -> list[Record]:
        """Return the queued records, waiting at most so many seconds."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            until = min(end, self._due) if self._records else end
            if until > now:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._came.wait(), until - now)
            self._came.clear()
            with self._lock:
                if records := self._take_what_is_due():
                    return records
            if self.ended or time.monotonic() >= end:
                return []

    def _take_what_is_due(self) -> list[Record]:
        """Remove and return all records, unless there is only a prediction that is not yet due."""
        now = time.monotonic()
        only_predictions = all(record["type"] in _REPLACEABLE for record in self._records)
        if only_predictions and now < self._due and not self.ended:
            return []
        records = list(self._records)
        self._records.clear()
        if any(record["type"] in _REPLACEABLE for record in records):
            self._due = now + self._seconds
        return records

    def _drop(self, view: str | None) -> bool:
        """Remove the queued prediction of a view; return whether there was one."""
        for index, record in enumerate(self._records):
            if record["type"] in _REPLACEABLE and record.get("view") == view:
                del self._records[index]
                return True
        return False

    def _wake(self) -> None:
        # In a closed loop no client is listening any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._came.set)


def sse_response(
    subscribe: Subscribe, queue: EventQueue, queues: set[EventQueue]
) -> StreamingResponse:
    """Return an endless response: one event per record, and `alive` in between."""

    async def lines() -> AsyncGenerator[str, None]:
        stop = subscribe(queue.push)
        queues.add(queue)
        try:
            yield "retry: 1000\n\n"
            while True:
                is_last = queue.ended
                records = await queue.take(0 if is_last else ALIVE_SECONDS)
                for record in records:
                    yield f"data: {json.dumps(record, ensure_ascii=False)}\n\n"
                if is_last:
                    return
                if not records:
                    yield "event: alive\ndata: {}\n\n"
        finally:
            queues.discard(queue)
            stop()

    return closing(lines(), "text/event-stream")


def closing(
    parts: AsyncGenerator[Any, None], kind: str, after: Callable[[], None] = lambda: None
) -> StreamingResponse:
    """Return a streaming response that closes its generator as soon as the client disconnects.

    `after` is called at its end, even if it never began.
    """
    return _Closing(parts, kind, after)


class _Closing(StreamingResponse):
    def __init__(
        self, parts: AsyncGenerator[Any, None], kind: str, after: Callable[[], None]
    ) -> None:
        super().__init__(parts, media_type=kind)
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._after()

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        finally:
            assert isinstance(self.body_iterator, AsyncGenerator)
            await self.body_iterator.aclose()


def kinds(predictions: bool) -> frozenset[str]:
    """Return the types of records that a client subscribes to."""
    return frozenset({"event", "source", *(("prediction", "waiting") if predictions else ())})


def step_records(step: Step) -> list[dict[str, Any]]:
    """Return the records of a step: of its frame, then its events, then the states of its source.

    A frame has a prediction, of each region where there are some, or the fill of the window: while
    that fills, and between two ticks of the model's clock.
    """
    plain: list[dict[str, Any]] = []
    own = [part.prediction for part in step.parts if part.answered and part.prediction]
    if own:
        plain += [prediction.to_json() for prediction in own]
    elif step.frame is not None and not step.is_quiet:
        plain.append(_waiting(step.frame, step.window_fill))
    plain += [event.to_json() for event in step.events]
    plain += [state.to_json() for state in step.changed]
    return plain


def _waiting(frame: Frame, window_fill: float) -> dict[str, Any]:
    return {
        "type": "waiting",
        "time": round(frame.time, 3),
        "frame": frame.index,
        "window_fill": round(window_fill, 3),
    }
