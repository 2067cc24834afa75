"""`/v1/takes`: what a page has recorded: listed, shown, given another label, deleted."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import Field
from starlette.responses import FileResponse, StreamingResponse

from seqvision_edge.card import MAX_LABEL_LENGTH
from seqvision_edge.errors import RecordingError
from seqvision_edge.recording.take import Take
from seqvision_edge.serve import page
from seqvision_edge.serve.hearing import closing
from seqvision_edge.serve.recorder import Recorder
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.shapes import Shape, faults

Result = TypeVar("Result")
_LONGEST_PATH = 1024
_Path = Annotated[str, Query(max_length=_LONGEST_PATH, description="as the list says it")]
_BOUNDARY = "take"


class Taken(Shape):
    """One take."""

    path: str
    label: str
    person: str


class Listed(Shape):
    """The takes, the labels to choose from, and the bounds of one take."""

    folder: str
    takes: list[Taken]
    labels: list[str]
    seconds: float


class Named(Shape):
    """Another label for a take."""

    label: Annotated[str, Field(max_length=4 * MAX_LABEL_LENGTH)]


def routes(service: Service, recorder: Recorder) -> APIRouter:
    """Return the routes of takes; a server without a recorder does not have them."""
    router = APIRouter()

    async def work(act: Callable[..., Result], *given: object) -> Result:
        """Do what reads or writes the folder in a thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(recorder.threads, act, *given)
        except RecordingError as error:
            raise recorder.refusal(error) from None

    @router.get("/record", include_in_schema=False)
    def index() -> FileResponse:
        return FileResponse(page.FOLDER / "record.html", media_type=page.TYPES[".html"])

    @router.get("/v1/takes", response_model=Listed, responses=faults(422))
    async def listed() -> Listed:
        """Return the takes in the order in which they came."""
        takes = await work(recorder.takes.all)
        labels = dict.fromkeys((*service.session.card.labels, *(take.label for take in takes)))
        return Listed(
            folder=recorder.takes.folder.name,
            takes=[taken(take) for take in takes],
            labels=list(labels),
            seconds=recorder.bounds.seconds,
        )

    @router.get("/v1/takes/film", responses=faults(404, 422), response_class=StreamingResponse)
    async def film(path: _Path) -> StreamingResponse:
        """Show a take once, at its own pace: JPEG pictures that replace each other."""
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

    @router.patch("/v1/takes", response_model=Taken, responses=faults(404, 415, 422))
    async def relabel(path: _Path, named: Named) -> Taken:
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


def taken(take: Take) -> Taken:
    """Return a take as plain data."""
    return Taken(path=take.path, label=take.label, person=take.person)


async def _parts(
    first: tuple[float, bytes] | None,
    pictures: Generator[tuple[float, bytes], None, None],
    work: Callable[..., Awaitable[Any]],
    service: Service,
) -> AsyncGenerator[bytes, None]:
    """Give pictures as parts of an answer that a browser shows as one picture that moves."""
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
        with contextlib.suppress(ValueError):  # a thread reads it just now, for nobody
            pictures.close()
