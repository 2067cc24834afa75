"""`/v1/record`: one take over a WebSocket, kept whole or not at all.

A text `{"label": …, "person": …}`, answered with `ready`; then messages of 8 bytes of time and a
JPEG, as `/v1/live` takes them, every one of them kept; then the text `{"keep": true}`, answered
with the take.  Whoever leaves before that has recorded nothing.
"""

import asyncio
import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from seqvision_edge.card import MAX_LABEL_LENGTH
from seqvision_edge.errors import RecordingError
from seqvision_edge.recording.new_take import NewTake
from seqvision_edge.recording.take import Take
from seqvision_edge.serve.guard import TRY_LATER, Left
from seqvision_edge.serve.live import BAD_DATA, NORMAL, STAMP, Ended, stamp_of
from seqvision_edge.serve.patience import within
from seqvision_edge.serve.pictures import decode_picture
from seqvision_edge.serve.recorder import Recorder
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.takes import taken

_LONGEST = 4 * MAX_LABEL_LENGTH
_Text = Annotated[str, Field(max_length=_LONGEST)]
# A label and a person; an encoder may write each letter as two escapes, \ud83d\ude00.
_MOST_TEXT = 2 * 12 * _LONGEST + 1000


class Begin(BaseModel):
    """What a take is to be."""

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
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, Left):
                await _say(socket, {"type": "error", "message": refused.detail})
            code, reason = NORMAL, ""
        except (WebSocketDisconnect, Left):
            return
        finally:
            recorder.release_slot()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, Left):
            await socket.close(code, reason)

    return router


async def _record(socket: WebSocket, service: Service, recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    begin = _begun(await _next(socket, service))
    await loop.run_in_executor(recorder.threads, recorder.refuse_when_full)
    new = recorder.takes.begin(begin.label, begin.person)
    # One call at a time; one that still runs when the client leaves is waited for.
    busy: asyncio.Future[Any] | None = None
    try:
        await _say(socket, {"type": "ready"})
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
        await _say(socket, {**reply, "frames": new.frames, "seconds": round(new.seconds, 3)})
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
        message = await within(socket.receive(), seconds)
    except asyncio.TimeoutError:
        raise Ended(NORMAL, f"nothing for {seconds:g} s") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", NORMAL))
    data = message.get("bytes")
    return message.get("text") or "" if data is None else data


def _begun(text: str | bytes) -> Begin:
    """Read what a take is to be."""
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


async def _say(socket: WebSocket, record: dict[str, object]) -> None:
    await socket.send_text(to_json(record).decode())
