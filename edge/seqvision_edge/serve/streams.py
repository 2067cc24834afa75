"""`/v1/streams`: pictures posted one by one to a stream that remembers the past."""

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import StreamingResponse

from seqvision_edge.numerals import PLAIN, number
from seqvision_edge.serve.feed import MOST_SECONDS, Sample, StreamFeed
from seqvision_edge.serve.hearing import EventQueue, MaxRate, Record, kinds, sse_response
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.shapes import Opened, Records, faults

# Requests that wait for the one before them, on one stream.
_MOST_WAITING = 4
_MOST_PARTS = 16
_ENDED: Record = {"type": "source", "state": "ended", "reason": "", "message": ""}


@dataclass
class _Open:
    """One stream: posts take turns, listeners get the records of each."""

    feed: StreamFeed
    used: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    frames: int = 0
    listeners: list[Callable[[Record], None]] = field(default_factory=list)
    ears: set[EventQueue] = field(default_factory=set)
    closed: bool = False

    def publish(self, messages: list[Record]) -> None:
        for hear in list(self.listeners):
            for record in messages:
                hear(record)

    def listen(self, hear: Callable[[Record], None]) -> Callable[[], None]:
        self.listeners.append(hear)
        return lambda: self.listeners.remove(hear)


class Streams:
    """The open streams by their random names; idle ones are closed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: dict[str, _Open] = {}
        self._others = 0
        service.figures.gauge("seqvision_streams", "Open streams", self._count)

    def open(self) -> str:
        """Open a stream and return its name.

        Raises:
            HTTPException: 429, as many are open as may be.
        """
        self.reserve_slot()
        self._others -= 1
        name = secrets.token_urlsafe(18)
        self._open[name] = _Open(StreamFeed(self._service, name), time.monotonic())
        return name

    def get(self, name: str) -> _Open:
        """Return a stream.

        Raises:
            HTTPException: 404, it is not open, or no longer.
        """
        if name not in self._open:
            raise HTTPException(404, "no such stream is open")
        return self._open[name]

    def close(self, name: str) -> list[Record]:
        """Close a stream; its listeners hear the event that was going on, and the end."""
        stream = self.get(name)
        del self._open[name]
        messages = stream.feed.end()
        since = round(time.monotonic() - stream.used, 3)
        stream.publish([*messages, {**_ENDED, "since": since, "attempt": 0}])
        stream.closed = True
        for ear in list(stream.ears):
            ear.end()
        return messages

    def reserve_slot(self) -> None:
        """Count a stream of another kind, until `release_slot`.

        Raises:
            HTTPException: 429, as many are open as may be.
        """
        if self._count() >= self._service.limits.streams:
            raise HTTPException(429, "enough streams are open", headers={"retry-after": "5"})
        self._others += 1

    def release_slot(self) -> None:
        """Count a stream of another kind no more."""
        self._others -= 1

    async def expire(self) -> None:
        """Close what is idle, for ever."""
        seconds = self._service.limits.idle_seconds
        while True:
            await asyncio.sleep(min(1.0, seconds / 4))
            oldest = time.monotonic() - seconds
            for name, stream in list(self._open.items()):
                if stream.used < oldest and not stream.waiting:
                    self.close(name)

    def _count(self) -> int:
        return len(self._open) + self._others


def routes(service: Service, streams: Streams) -> APIRouter:
    """Return the routes of streams."""
    router = APIRouter()

    @router.post("/v1/streams", status_code=201, response_model=Opened, responses=faults())
    async def open_stream() -> Opened:
        """Open a stream; it is closed when no frame comes for `idle_seconds`."""
        return Opened(id=streams.open(), idle_seconds=service.limits.idle_seconds)

    @router.post(
        "/v1/streams/{id}/frames",
        response_model=Records,
        responses=faults(404, 422, 500),
        openapi_extra={"requestBody": _body()},
    )
    async def push(
        id: str,
        request: Request,
        x_timestamp: Annotated[float | None, PLAIN, Header(description="seconds, rising")] = None,
        timestamp: Annotated[float | None, PLAIN, Query(description="the same, as a query")] = None,
    ) -> Records:
        """Push a picture (JPEG or PNG), or several as parts of a form; return their records.

        Without a timestamp a picture is of the moment at which it came; parts of a form have
        each an `X-Timestamp` of their own.
        """
        stream = streams.get(id)
        if stream.waiting >= _MOST_WAITING:
            raise HTTPException(429, "the stream's frames before are not answered yet")
        stream.waiting += 1
        try:
            given = await _pictures(request, _first(timestamp, x_timestamp))
            said: list[Record] = []
            async with stream.turn:
                for data, stamp in given:
                    sample = Sample(data, stamp, time.monotonic(), stream.frames)
                    stream.frames += 1
                    brought = await stream.feed.push(sample)
                    stream.publish(brought)
                    said += brought
        finally:
            stream.waiting -= 1
            stream.used = time.monotonic()
        return Records(records=said)

    @router.get(
        "/v1/streams/{id}/events",
        responses=faults(404, 422),
        response_class=StreamingResponse,
    )
    async def events(
        id: str,
        predictions: Annotated[bool, Query(description="predictions too")] = False,
        max_rate: MaxRate = None,
    ) -> StreamingResponse:
        """Stream events and states (server-sent events)."""
        stream = streams.get(id)
        ear = EventQueue(kinds(predictions), max_rate)

        def listen(hear: Callable[[Record], None]) -> Callable[[], None]:
            stop = stream.listen(hear)
            stream.ears.add(ear)
            if stream.closed:
                ear.end()

            def leave() -> None:
                stream.ears.discard(ear)
                stop()

            return leave

        return sse_response(listen, ear, service.ears)

    @router.delete("/v1/streams/{id}", response_model=Records, responses=faults(404))
    async def close(id: str) -> Records:
        """Close a stream and return its running event."""
        async with streams.get(id).turn:
            return Records(records=streams.close(id))

    return router


async def _pictures(request: Request, stamp: float | None) -> list[tuple[bytes, float | None]]:
    """Return the pictures of a body with their times."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return [(await request.body(), checked(stamp))]
    async with request.form(max_files=_MOST_PARTS, max_fields=0) as form:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        if not files:
            raise HTTPException(422, "no picture in it")
        stamps = [_number(file.headers.get("x-timestamp")) for file in files]
        if len(files) == 1:
            stamps = [_first(stamps[0], stamp)]
        elif None in stamps:
            raise HTTPException(422, "several parts: each needs its X-Timestamp")
        return [
            (await file.read(), checked(each)) for file, each in zip(files, stamps, strict=True)
        ]


def checked(stamp: float | None) -> float | None:
    """Return a client's time in seconds.

    Raises:
        HTTPException: 422, it is not a time.
    """
    if stamp is not None and not (math.isfinite(stamp) and abs(stamp) <= MOST_SECONDS):
        raise HTTPException(422, "a timestamp is a number of seconds")
    return stamp


def _number(text: str | None) -> float | None:
    value = None if text is None else number(text)
    return math.nan if value is None and text is not None else value


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _body() -> dict[str, object]:
    picture = {"schema": {"type": "string", "format": "binary"}}
    parts = {"type": "array", "minItems": 1, "items": picture["schema"]}
    form = {"type": "object", "required": ["frame"], "properties": {"frame": parts}}
    content = {
        "image/jpeg": picture,
        "image/png": picture,
        "multipart/form-data": {"schema": form},
    }
    return {"required": True, "content": content}
