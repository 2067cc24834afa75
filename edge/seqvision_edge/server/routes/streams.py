"""`/v1/streams`: pictures posted one by one to a stream that keeps its state."""

import asyncio
import math
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, HTTPException, Query, Request
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.responses import StreamingResponse

from seqvision_edge.card import ModelCard, TimedSequence, VectorSequence
from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.number_parsing import PLAIN, parse_number
from seqvision_edge.pipeline.views import Request as ViewRequest
from seqvision_edge.pipeline.views import make_views
from seqvision_edge.regions import MOST_REGIONS, Region
from seqvision_edge.runner import MAX_AGE
from seqvision_edge.server.batching import ModelFailed, ResultRelay
from seqvision_edge.server.schemas import Opened, Records, faults
from seqvision_edge.server.service import Service
from seqvision_edge.server.sse import EventQueue, MaxRate, Record, kinds, sse_response, step_records
from seqvision_edge.server.upload_decoding import FPS, UploadSource, decode_picture, regions_of
from seqvision_edge.session import Frames, ModelOutput
from seqvision_edge.sources.vectors import NO_PICTURE, checked_vector
from seqvision_edge.vector_text import VectorLine, json_line

# 4096 numbers of 32 characters.
_MOST_VECTOR_BYTES = 1 << 17
# Requests that wait for the previous one, on one stream.
_MOST_WAITING = 4
_MOST_PARTS = 16
_NO_REGIONS: list[str] = []
_ENDED: Record = {"type": "source", "state": "ended", "reason": "", "message": ""}

# Times since 1970 are far below it, and a float still has microsecond resolution.
MOST_SECONDS = 1e10


@dataclass(frozen=True, slots=True)
class Sample:
    """One received picture.

    Attributes:
        data: a JPEG or PNG file, or prepared pixels; of vectors JSON, or float32.
        stamp: the client's own time in seconds; None takes that of the arrival.
        arrived: the arrival by the monotonic clock.
        index: its number; numbers of dropped pictures are skipped.
        prepared: whether `data` is the model's input, `(height, width, channels)` of a frame, or
            `(steps, height, width, channels)` of a still image.
    """

    data: bytes
    stamp: float | None
    arrived: float
    index: int
    prepared: bool = False


class StreamFeed:
    """A client's stream: the pipeline with its state, and pending records."""

    def __init__(self, service: Service, name: str, regions: Sequence[Region] = ()) -> None:
        """Begin a stream of the whole picture, or of regions of it, each with its own state."""
        self._service = service
        self._slots = max(1, len(regions))
        self._began = time.monotonic()
        self._first: float | None = None
        self._lost: list[Record] = []
        sequence = service.session.card.sequence
        fps = sequence.fps if isinstance(sequence, TimedSequence) else FPS
        self._views = make_views(
            service.session,
            UploadSource(name, fps, live=True),
            regions,
            service.decision,
            MAX_AGE,
            lambda: time.monotonic() - self._began,
        )

    async def push(self, sample: Sample) -> list[Record]:
        """Process the next picture and return its records; one at a time.

        Raises:
            HTTPException: not a picture, or too large.
            Overloaded: the model's queue is full; the picture was not processed.
            ModelFailed: the running event has ended, which the next picture reports.
        """
        service = self._service
        service.batcher.reserve(self._slots)
        way = _PictureRequest(sample, service.relay.future())
        job = service.pictures.submit(self._go, way)
        try:
            outputs = await way.end
        except ModelFailed:
            assert way.frame is not None
            failed: list[ModelOutput] = [None] * len(way.answers)
            over = step_records(self._views.handle_outputs(way.frame, failed))
            self._lost += [record for record in over if record["type"] != "waiting"]
            raise
        except HTTPException:
            service.figures.frames("corrupt")
            raise
        except asyncio.CancelledError:
            if job.cancel():
                service.batcher.release(self._slots)
            for answer in way.answers:
                answer.cancel()
            raise
        service.figures.frames("used")
        assert way.frame is not None
        messages = step_records(self._views.handle_outputs(way.frame, outputs))
        lost, self._lost = self._lost, []
        return [*messages[:1], *lost, *messages[1:]]

    def end(self) -> list[Record]:
        """Return the records at the end of the stream: the running event."""
        return [*self._lost, *step_records(self._views.end())]

    def _go(self, way: "_PictureRequest") -> None:
        """Decode a picture in a thread and submit it: only the result returns to the loop."""
        service = self._service
        try:
            way.frame, requests = self._look(way.sample)
            answers = service.batcher.submit(requests) if requests else []
        except BaseException as error:
            service.batcher.release(self._slots)
            service.relay.put(way.end, None, error)
            service.relay.send()
            return
        way.answers, way.left = answers, len(answers)
        if len(answers) < self._slots:
            service.batcher.release(self._slots - len(answers))
        if not answers:
            service.relay.put(way.end, [])
            service.relay.send()
            return
        for answer in answers:
            answer.add_done_callback(lambda _: _relay(service.relay, way))
        if way.end.cancelled():
            for answer in answers:
                answer.cancel()

    def _look(self, sample: Sample) -> tuple[Frame, list[ViewRequest]]:
        """Return a picture as a frame, and what the model must encode."""
        service = self._service
        vectors = service.session.card.vectors
        image: Frames | None
        own_time = None
        if vectors is not None:
            line = _vector_of(sample, vectors)
            image, bgr, own_time = line.values, NO_PICTURE, line.time
        elif sample.prepared:
            image = steps_of(sample.data, self._service.session.card)
            bgr = image if image.ndim == 3 else image[0]
        else:
            image, bgr = (
                None,
                decode_picture(sample.data, service.limits, service.session.card.image.value_range),
            )
        given = own_time if sample.stamp is None else sample.stamp
        stamp = sample.arrived if given is None else given
        if self._first is None:
            self._first = stamp
        time = stamp - self._first
        frame = Frame(bgr, time, sample.index, image=image, arrived=sample.arrived)
        return frame, self._views.requests(frame)


@dataclass
class _Open:
    """One stream: posts take turns, listeners get the records of each."""

    feed: StreamFeed
    used: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    frames: int = 0
    listeners: list[Callable[[Record], None]] = field(default_factory=list)
    queues: set[EventQueue] = field(default_factory=set)
    closed: bool = False

    def publish(self, messages: list[Record]) -> None:
        for push in list(self.listeners):
            for record in messages:
                push(record)

    def listen(self, push: Callable[[Record], None]) -> Callable[[], None]:
        self.listeners.append(push)
        return lambda: self.listeners.remove(push)


class Streams:
    """The open streams by their random names; idle ones are closed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: dict[str, _Open] = {}
        self._others = 0
        service.figures.gauge("seqvision_streams", "Open streams", self._count)

    def open(self, regions: Sequence[Region] = ()) -> str:
        """Open a stream of the whole picture, or of regions of it, and return its name.

        Raises:
            HTTPException: 429, too many streams are open.
        """
        self.reserve_slot()
        self._others -= 1
        name = secrets.token_urlsafe(18)
        self._open[name] = _Open(
            StreamFeed(self._service, name, regions or self._service.regions), time.monotonic()
        )
        return name

    def get(self, name: str) -> _Open:
        """Return a stream.

        Raises:
            HTTPException: 404, it is not open, or no longer.
        """
        if name not in self._open:
            raise HTTPException(404, "no such stream")
        return self._open[name]

    def close(self, name: str) -> list[Record]:
        """Close a stream; its listeners get the running event, and the end."""
        stream = self.get(name)
        del self._open[name]
        messages = stream.feed.end()
        since = round(time.monotonic() - stream.used, 3)
        stream.publish([*messages, {**_ENDED, "since": since, "attempt": 0}])
        stream.closed = True
        for queue in list(stream.queues):
            queue.end()
        return messages

    def reserve_slot(self) -> None:
        """Count a WebSocket's stream, until `release_slot`.

        Raises:
            HTTPException: 429, too many streams are open.
        """
        if self._count() >= self._service.limits.streams:
            raise HTTPException(429, "too many open streams", headers={"retry-after": "5"})
        self._others += 1

    def release_slot(self) -> None:
        """Release the slot of a WebSocket's stream."""
        self._others -= 1

    async def expire(self) -> None:
        """Close idle streams, in an endless loop."""
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

    @router.post("/v1/streams", status_code=201, response_model=Opened, responses=faults(422))
    async def open_stream(
        region: Annotated[
            list[str],
            Query(
                max_length=MOST_REGIONS,
                description="a part of the picture with a state and events of its own, such as "
                "door=0.1,0.2,0.4,0.9; may be repeated",
            ),
        ] = _NO_REGIONS,
    ) -> Opened:
        """Open a stream; it is closed if no frame comes for `idle_seconds`.

        With regions, predictions and events have the name of theirs as `view`.
        """
        if region and service.session.card.vectors is not None:
            raise HTTPException(422, "region: the model reads vectors, not pictures")
        name = streams.open(regions_of(region))
        return Opened(id=name, idle_seconds=service.limits.idle_seconds)

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

        Of a model of vectors each is JSON: a list of numbers, null for missing ones.

        Without a timestamp, a picture's time is that of its arrival; parts of a form each need
        an `X-Timestamp` of their own.
        """
        stream = streams.get(id)
        if stream.waiting >= _MOST_WAITING:
            raise HTTPException(429, "earlier frames of the stream are still waiting")
        stream.waiting += 1
        try:
            given = await _pictures(request, _first(timestamp, x_timestamp))
            results: list[Record] = []
            async with stream.turn:
                for data, stamp in given:
                    sample = Sample(data, stamp, time.monotonic(), stream.frames)
                    stream.frames += 1
                    brought = await stream.feed.push(sample)
                    stream.publish(brought)
                    results += brought
        finally:
            stream.waiting -= 1
            stream.used = time.monotonic()
        return Records(records=results)

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
        queue = EventQueue(kinds(predictions), max_rate)

        def listen(push: Callable[[Record], None]) -> Callable[[], None]:
            stop = stream.listen(push)
            stream.queues.add(queue)
            if stream.closed:
                queue.end()

            def leave() -> None:
                stream.queues.discard(queue)
                stop()

            return leave

        return sse_response(listen, queue, service.queues)

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
    value = None if text is None else parse_number(text)
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
        "application/json": {"schema": {"type": "array", "items": {"type": ["number", "null"]}}},
        "multipart/form-data": {"schema": form},
    }
    return {"required": True, "content": content}


def steps_of(data: bytes, card: ModelCard) -> NDArray[np.uint8]:
    """Return prepared pixels, `(height, width, channels)` or those of all steps of a still image.

    Raises:
        HTTPException: 422, their number is not the card's.
    """
    spec, sequence = card.image, card.sequence
    size = spec.height * spec.width * spec.channels
    most = 1 if isinstance(sequence, TimedSequence) else sequence.window
    steps, rest = divmod(len(data), size)
    if rest or not 1 <= steps <= most:
        shape = f"{spec.height} x {spec.width} x {spec.channels}"
        times = "" if most == 1 else f", 1 to {most} times"
        raise HTTPException(422, f"{len(data)} bytes; prepared pixels are {shape}{times}")
    pixels = np.frombuffer(data, np.uint8).reshape(-1, spec.height, spec.width, spec.channels)
    return pixels[0] if isinstance(sequence, TimedSequence) else pixels


def _vector_of(sample: Sample, vectors: VectorSequence) -> VectorLine:
    """Return a received vector and its own time, if any: JSON, or float32 if it is prepared.

    Raises:
        HTTPException: 413 too large, 422 it is none.
    """
    if len(sample.data) > _MOST_VECTOR_BYTES:
        raise HTTPException(413, f"a vector has at most {_MOST_VECTOR_BYTES >> 10} kB")
    time = None
    try:
        if not sample.prepared:
            text = sample.data.decode("utf-8", errors="replace")
            line = json_line(text, "the vector")
            values, time = line.values, checked(line.time)
        elif len(sample.data) % 4:
            raise SourceError(f"{len(sample.data)} bytes are no float32 values")
        else:
            values = np.frombuffer(sample.data, "<f4")
        return VectorLine(checked_vector(values, vectors), time)
    except (SourceError, ValueError) as error:
        raise HTTPException(422, str(error)) from None


@dataclass(slots=True)
class _PictureRequest:
    """One picture being processed: `end` gets the results of the model, one per view that it ran.

    `left` counts the results that are not there yet.
    """

    sample: Sample
    end: "asyncio.Future[list[ModelOutput]]"
    frame: Frame | None = None
    answers: "list[Future[ModelOutput]]" = field(default_factory=list)
    left: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def _relay(post: ResultRelay, way: _PictureRequest) -> None:
    """Store the results for `ResultRelay.send`, with those of the same call, when all are there."""
    with way.lock:
        way.left -= 1
        if way.left:
            return
    if any(answer.cancelled() for answer in way.answers):
        post.put(way.end, None, asyncio.CancelledError())
    elif errors := [error for answer in way.answers if (error := answer.exception())]:
        post.put(way.end, None, errors[0])
    else:
        post.put(way.end, [answer.result() for answer in way.answers])
