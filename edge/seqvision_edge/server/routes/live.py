"""`/v1/live`: pictures over a WebSocket; the newest one is classified."""

import asyncio
import contextlib
import math
import struct
import time

from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect
from pydantic_core import from_json, to_json

from seqvision_edge.server.batching import MODEL_FAILED, ModelFailed, Overloaded
from seqvision_edge.server.middleware import TRY_LATER, Disconnected, with_timeout
from seqvision_edge.server.routes.streams import MOST_SECONDS, Sample, StreamFeed, Streams
from seqvision_edge.server.service import Service

STAMP = struct.Struct("<d")
_UNSUPPORTED, BAD_DATA, _GOING_AWAY, NORMAL = 1003, 1007, 1001, 1000
# A full queue is often full only briefly: pictures that arrive meanwhile are skipped.
_MAX_BUSY_SECONDS = 2.0
_PAUSE = 0.02


class Ended(Exception):  # noqa: N818
    """The server ends the connection, with a close code and a reason."""


class _Newest:
    """The newest picture; one that is not taken in time is dropped."""

    def __init__(self) -> None:
        self._sample: Sample | None = None
        self._came = asyncio.Event()
        self.dropped = 0

    def put(self, sample: Sample) -> None:
        self.dropped += self._sample is not None
        self._sample = sample
        self._came.set()

    async def take(self) -> Sample:
        await self._came.wait()
        self._came.clear()
        sample, self._sample = self._sample, None
        assert sample is not None
        return sample


def routes(service: Service, streams: Streams) -> APIRouter:
    """Return the route of live pictures."""
    router = APIRouter()

    @router.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        """Classify the newest picture: 8 bytes of time (float64, little endian), then a JPEG.

        A first message `{"frames": "prepared"}` selects pixels instead of JPEGs, sized and
        cropped as the model reads them, so that a client running the model can compare.
        """
        await socket.accept()
        try:
            streams.reserve_slot()
        except HTTPException as full:
            await socket.close(TRY_LATER, full.detail)
            return
        newest = _Newest()
        tasks = [
            asyncio.ensure_future(_read(socket, newest, service)),
            asyncio.ensure_future(_answer(socket, newest, service)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            streams.release_slot()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            service.figures.frames("dropped", newest.dropped)
        for end in ends:
            if isinstance(end, Ended):
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                    await socket.close(*end.args)
            elif isinstance(end, Exception) and not isinstance(
                end, (WebSocketDisconnect, Disconnected)
            ):
                raise end

    return router


async def _read(socket: WebSocket, newest: _Newest, service: Service) -> None:
    """Read every message at once, so that an old picture never delays a new one."""
    index = 0
    prepared = False
    idle = service.limits.idle_seconds
    while True:
        try:
            message = await with_timeout(socket.receive(), idle)
        except asyncio.TimeoutError:
            raise Ended(NORMAL, f"no frame for {idle:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", _GOING_AWAY))
        data = message.get("bytes")
        if data is None:
            if index:
                raise Ended(_UNSUPPORTED, "after the first message, send binary ones")
            prepared = _are_prepared(message.get("text") or "")
            continue
        if len(data) <= STAMP.size:
            raise Ended(BAD_DATA, "a message is 8 bytes of time, then a JPEG")
        stamp = stamp_of(data)
        newest.put(Sample(data[STAMP.size :], stamp, time.monotonic(), index, prepared))
        index += 1
        # Pictures that arrived together are all queued: an idle model takes the first one.
        await asyncio.sleep(0)


def stamp_of(data: bytes) -> float:
    """Return the time of a message in seconds."""
    stamp: float = STAMP.unpack_from(data)[0]
    if not math.isfinite(stamp) or abs(stamp) > MOST_SECONDS:
        raise Ended(BAD_DATA, "the time is a number of seconds")
    return stamp


def _are_prepared(text: str) -> bool:
    """Return whether a client's first message selects prepared frames."""
    try:
        content = from_json(text)
    except ValueError:
        content = None
    for name in ("jpeg", "prepared"):
        if content == {"frames": name}:
            return name == "prepared"
    raise Ended(_UNSUPPORTED, 'send {"frames": "jpeg"} or {"frames": "prepared"}')


async def _answer(socket: WebSocket, newest: _Newest, service: Service) -> None:
    """Classify one picture after the other, always the newest."""
    feed: StreamFeed | None = None
    worked = time.monotonic()
    while True:
        sample = await newest.take()
        if feed is None:
            # Prepared pixels are a whole picture already.
            feed = StreamFeed(service, "live", () if sample.prepared else service.regions)
        try:
            messages = await feed.push(sample)
        except HTTPException as refused:
            messages = [{"type": "error", "frame": sample.index, "message": refused.detail}]
        except ModelFailed:
            messages = [{"type": "error", "frame": sample.index, "message": MODEL_FAILED}]
        except Overloaded:
            if time.monotonic() - worked > _MAX_BUSY_SECONDS:
                raise Ended(TRY_LATER, "the model is overloaded") from None
            newest.dropped += 1
            await asyncio.sleep(_PAUSE)
            continue
        worked = time.monotonic()
        for record in messages:
            await socket.send_text(to_json(record).decode())
