"""`/v1/sources`: the sources of a running device, for a page that shows them."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from starlette.responses import Response, StreamingResponse

from seqvision_edge.serve.hearing import EventQueue, MaxRate, Record, kinds, sse_response
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.shapes import SourcesSchema, faults
from seqvision_edge.serve.watching import Watching


def routes(service: Service) -> APIRouter:
    """Return the routes of a device's sources; without a device there are none (404)."""
    router = APIRouter()

    def watching() -> Watching:
        if service.watching is None:
            raise HTTPException(404, "this server has no sources of its own")
        return service.watching

    @router.get("/v1/sources", response_model=SourcesSchema, responses=faults(404))
    def sources() -> SourcesSchema:
        """Return the state and the newest prediction of each source."""
        return SourcesSchema(sources=watching().sources())

    @router.get(
        "/v1/sources/{name:path}/events",
        responses=faults(404, 422),
        response_class=StreamingResponse,
    )
    async def events(
        name: str,
        predictions: Annotated[bool, Query(description="predictions too")] = False,
        max_rate: MaxRate = None,
    ) -> StreamingResponse:
        """Stream the events and states of a source (server-sent events)."""
        ear = EventQueue(kinds(predictions), max_rate)
        seen = watching()
        if name not in {source["name"] for source in seen.sources()}:
            raise HTTPException(404, "no such source")

        def listen(hear: Callable[[Record], None]) -> Callable[[], None]:
            return seen.listen(name, hear)

        return sse_response(listen, ear, service.ears)

    @router.get(
        "/v1/sources/{name:path}/picture",
        responses=faults(404),
        response_class=Response,
    )
    def picture(name: str) -> Response:
        """Return the newest picture of a source as JPEG."""
        try:
            content = watching().picture(name)
        except KeyError:
            raise HTTPException(404, "no such source") from None
        if content is None:
            raise HTTPException(404, "no picture has come yet")
        return Response(content, media_type="image/jpeg")

    return router
