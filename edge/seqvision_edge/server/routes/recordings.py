"""`/v1/record` and `/v1/takes`: takes recorded in a browser, listed, relabelled, deleted.

A text message `{"label": …, "person": …}`, answered with `ready`; then messages of 8 bytes of time
and a JPEG, as in `/v1/live`, all of which are kept; then the text `{"keep": true}`, answered with
the take.  A client that disconnects before that has recorded nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Query, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json
from starlette.responses import FileResponse, StreamingResponse

from seqvision_edge.card import MAX_LABEL_LENGTH
from seqvision_edge.errors import RecordingError
from seqvision_edge.recording.take_list import Take
from seqvision_edge.recording.writer import NewTake
from seqvision_edge.server import static_files
from seqvision_edge.server.middleware import TRY_LATER, Disconnected, with_timeout
from seqvision_edge.server.recorder import Recorder
from seqvision_edge.server.routes.live import BAD_DATA, NORMAL, STAMP, Ended, stamp_of
from seqvision_edge.server.schemas import ResponseModel, faults
from seqvision_edge.server.service import Service
from seqvision_edge.server.sse import closing
from seqvision_edge.server.upload_decoding import decode_picture

_LONGEST = 4 * MAX_LABEL_LENGTH
_Text = Annotated[str, Field(max_length=_LONGEST)]
# A label and a person; an encoder may write each character as two escapes, \ud83d\ude00.
_MOST_TEXT = 2 * 12 * _LONGEST + 1000

Result = TypeVar("Result")
_LONGEST_PATH = 1024
_Path = Annotated[str, Query(max_length=_LONGEST_PATH, description="as given by the list")]
_BOUNDARY = "take"


class Begin(BaseModel):
    """The first message of a recording."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: _Text
    person: _Text = ""


def routes(service: Service, recorder: Recorder) -> APIRouter:
    """Return the route by which a page records."""
    router = APIRouter()

    @router.websocket("/v1/record")
    async def record(socket: WebSocket) -> None:
        """Record one take."""
        await socket.accept()
        try:
            recorder.reserve_slot()
        except HTTPException as full:
            await socket.close(TRY_LATER, full.detail)
            return
        try:
            await _record(socket, service, recorder)
            code, reason = NORMAL, ""
        except Ended as end:
            code, reason = end.args
        except (HTTPException, RecordingError) as refused:
            if isinstance(refused, RecordingError):
                refused = recorder.refusal(refused)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, Disconnected):
                await _send(socket, {"type": "error", "message": refused.detail})
            code, reason = NORMAL, ""
        except (WebSocketDisconnect, Disconnected):
            return
        finally:
            recorder.release_slot()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, Disconnected):
            await socket.close(code, reason)

    return router


async def _record(socket: WebSocket, service: Service, recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    begin = _begun(await _next(socket, service))
    await loop.run_in_executor(recorder.threads, recorder.refuse_when_full)
    new = recorder.takes.begin(begin.label, begin.person)
    # One call at a time; one still running when the client disconnects is awaited.
    busy: asyncio.Future[Any] | None = None
    try:
        await _send(socket, {"type": "ready"})
        size = 0
        while not isinstance(data := await _next(socket, service), str):
            size += len(data)
            if size > recorder.bounds.bytes:
                raise HTTPException(413, f"a take has at most {recorder.bounds.bytes} bytes")
            busy = loop.run_in_executor(recorder.threads, _write, new, data, service, recorder)
            await asyncio.shield(busy)
        if not _keeps(data):
            raise Ended(BAD_DATA, 'send pictures, then {"keep": true}')
        busy = loop.run_in_executor(recorder.threads, new.keep)
        take: Take = await asyncio.shield(busy)
        reply = {"type": "take", **taken(take).model_dump()}
        await _send(socket, {**reply, "frames": new.frames, "seconds": round(new.seconds, 3)})
    finally:
        if busy is not None and not busy.done():
            await asyncio.wait([busy])
        with contextlib.suppress(RuntimeError):  # the threads have ended with the server
            await loop.run_in_executor(recorder.threads, new.discard)


def _write(new: NewTake, data: bytes, service: Service, recorder: Recorder) -> None:
    if len(data) <= STAMP.size:
        raise HTTPException(422, "a message is 8 bytes of time, then a JPEG")
    stamp = stamp_of(data)
    new.write(decode_picture(data[STAMP.size :], service.limits), stamp)
    if new.seconds > recorder.bounds.seconds:
        raise HTTPException(413, f"a take has at most {recorder.bounds.seconds:g} s")


async def _next(socket: WebSocket, service: Service) -> str | bytes:
    """Return the next message, text or binary."""
    seconds = service.limits.stall_seconds
    try:
        message = await with_timeout(socket.receive(), seconds)
    except asyncio.TimeoutError:
        raise Ended(NORMAL, f"no message for {seconds:g} s") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", NORMAL))
    data = message.get("bytes")
    return message.get("text") or "" if data is None else data


def _begun(text: str | bytes) -> Begin:
    """Parse the first message."""
    try:
        if isinstance(text, bytes) or len(text) > _MOST_TEXT:
            raise ValueError
        return Begin.model_validate_json(text)
    except (ValidationError, ValueError):
        raise Ended(BAD_DATA, 'the first message is {"label": "...", "person": "..."}') from None


def _keeps(text: str) -> bool:
    try:
        return bool(from_json(text[:_MOST_TEXT]) == {"keep": True})
    except ValueError:
        return False


async def _send(socket: WebSocket, record: dict[str, object]) -> None:
    await socket.send_text(to_json(record).decode())


class TakeSchema(ResponseModel):
    """One take."""

    path: str
    label: str
    person: str


class TakeList(ResponseModel):
    """The takes, the labels to choose from, and the limits of one take."""

    folder: str
    takes: list[TakeSchema]
    labels: list[str]
    seconds: float


class NewLabel(ResponseModel):
    """Another label for a take."""

    label: Annotated[str, Field(max_length=4 * MAX_LABEL_LENGTH)]


def take_routes(service: Service, recorder: Recorder) -> APIRouter:
    """Return the routes of takes; a server without a recorder does not have them."""
    router = APIRouter()

    async def work(act: Callable[..., Result], *given: object) -> Result:
        """Run a function that reads or writes the folder in a thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(recorder.threads, act, *given)
        except RecordingError as error:
            raise recorder.refusal(error) from None

    @router.get("/record", include_in_schema=False)
    def index() -> FileResponse:
        return FileResponse(
            static_files.FOLDER / "record.html", media_type=static_files.MEDIA_TYPES[".html"]
        )

    @router.get("/v1/takes", response_model=TakeList, responses=faults(422))
    async def listed() -> TakeList:
        """Return the takes in the order in which they were recorded."""
        takes = await work(recorder.takes.all)
        labels = dict.fromkeys((*service.session.card.labels, *(take.label for take in takes)))
        return TakeList(
            folder=recorder.takes.folder.name,
            takes=[taken(take) for take in takes],
            labels=list(labels),
            seconds=recorder.bounds.seconds,
        )

    @router.get("/v1/takes/film", responses=faults(404, 422), response_class=StreamingResponse)
    async def film(path: _Path) -> StreamingResponse:
        """Play a take once, at its own speed: a multipart stream of JPEG pictures."""
        take = await work(recorder.find, path)
        recorder.reserve_slot()
        pictures = recorder.film(take)
        try:
            first = await work(next, pictures, None)
        except BaseException:
            recorder.release_slot()
            raise
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        parts = _parts(first, pictures, work, service)
        return closing(parts, kind, recorder.release_slot)

    @router.patch("/v1/takes", response_model=TakeSchema, responses=faults(404, 415, 422))
    async def relabel(path: _Path, named: NewLabel) -> TakeSchema:
        """Give a take another label; its path changes with it."""
        take = await work(recorder.find, path)
        return taken(await work(recorder.takes.relabel, take, named.label))

    @router.delete("/v1/takes", status_code=204, responses=faults(404, 422))
    async def delete(path: _Path) -> Response:
        """Delete a take and its file."""
        take = await work(recorder.find, path)
        await work(recorder.takes.delete, take)
        return Response(status_code=204)

    return router


def taken(take: Take) -> TakeSchema:
    """Return a take as plain data."""
    return TakeSchema(path=take.path, label=take.label, person=take.person)


async def _parts(
    first: tuple[float, bytes] | None,
    pictures: Generator[tuple[float, bytes], None, None],
    work: Callable[..., Awaitable[Any]],
    service: Service,
) -> AsyncGenerator[bytes, None]:
    """Yield pictures as the parts of a multipart response, which a browser plays."""
    began = time.monotonic()
    given = first
    try:
        yield f"--{_BOUNDARY}\r\n".encode()
        while given is not None and not service.ended.is_set():
            moment, data = given
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            yield head.encode() + data + f"\r\n--{_BOUNDARY}\r\n".encode()
            try:
                given = await work(next, pictures, None)
            except HTTPException:
                return  # damaged from here on: what was shown stays
    finally:
        with contextlib.suppress(ValueError):  # a thread is reading it, though nothing needs it now
            pictures.close()
