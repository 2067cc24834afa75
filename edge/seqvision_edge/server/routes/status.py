"""`/v1/model`, `/v1/sources`, `/v1/login`, `/healthz`, `/metrics`: model, sources and health."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic_core import from_json
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from seqvision_edge import __version__
from seqvision_edge.server.auth import COOKIE, Key
from seqvision_edge.server.device_view import DeviceSources
from seqvision_edge.server.middleware import LOGIN
from seqvision_edge.server.schemas import Health, ModelSchema, SourcesSchema, faults
from seqvision_edge.server.service import Service
from seqvision_edge.server.sse import EventQueue, MaxRate, Record, kinds, sse_response
from seqvision_edge.server.static_files import login_page

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def routes(service: Service, key: Key | None) -> APIRouter:
    """Return the routes about the server itself."""
    router = APIRouter()

    @router.get("/v1/model", response_model=ModelSchema, responses=faults())
    def model() -> ModelSchema:
        """Return the model's card and the limits of the server."""
        return model_info(service)

    @router.get("/v1/model/file", responses=faults(404, 409), response_class=FileResponse)
    def file() -> FileResponse:
        """Return model.onnx itself, for pages that run it."""
        if service.model_file is None:
            raise HTTPException(404, "this server does not serve its model file")
        return service.model_file.response()

    @router.get("/healthz", response_model=Health, responses=faults(503))
    def health() -> Health:
        """Return whether the model runs."""
        if not service.batcher.is_alive:
            raise HTTPException(503, "the model is not running")
        return Health(status="ok")

    @router.get("/metrics", responses=faults(), response_class=Response)
    def metrics() -> Response:
        """Return counters in the text format of Prometheus."""
        return Response(service.figures.text(), media_type=_METRICS)

    @router.post(
        LOGIN,
        status_code=204,
        responses=faults(415, 422) | {303: {"description": "for a form: to the page"}},
        openapi_extra={"requestBody": _login_body()},
    )
    async def login(request: Request) -> Response:
        """Exchange the token for a cookie, which scripts of a page cannot read."""
        token, is_form = await _token(request)
        if key is not None and not key.is_token(token):
            if is_form:  # a user may try again
                return HTMLResponse(login_page(wrong=True), 401)
            raise HTTPException(401, "wrong token")
        answer = RedirectResponse("/", 303) if is_form else Response(status_code=204)
        if key is not None:
            secure = request.url.scheme == "https"
            answer.set_cookie(
                COOKIE, key.cookie, path="/", httponly=True, samesite="strict", secure=secure
            )
        return answer

    return router


def model_info(service: Service) -> ModelSchema:
    """Return the card without its origin, which may name people and paths."""
    session, card = service.session, service.session.card
    limits = service.limits
    return ModelSchema(
        model=Path(session.where).name,
        version=__version__,
        device=session.device,
        labels=list(card.labels),
        sequence=card.sequence.model_dump(),
        image=None if card.vectors else card.image.model_dump(),
        state=card.state.kind,
        decision=service.decision.model_dump(),
        precision=card.graph.precision if card.graph else None,
        created=card.origin.created,
        limits=dataclasses.asdict(limits),
        recording_enabled=service.recorder is not None,
    )


async def _token(request: Request) -> tuple[str, bool]:
    """Return the token of a body, and whether a form sent it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    token: object
    if kind == "application/json":
        try:
            given = from_json(await request.body())
        except ValueError:
            given = None
        token = given.get("token") if isinstance(given, dict) else None
    elif kind == "application/x-www-form-urlencoded":
        token = (await request.form(max_files=0, max_fields=4)).get("token")
    else:
        raise HTTPException(415, "send application/json or a form")
    if not isinstance(token, str):
        raise HTTPException(422, '{"token": "..."} is missing')
    return token, kind != "application/json"


def _login_body() -> dict[str, object]:
    token = {"type": "string"}
    form = {"type": "object", "required": ["token"], "properties": {"token": token}}
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"required": True, "content": {kind: {"schema": form} for kind in kinds}}


def source_routes(service: Service) -> APIRouter:
    """Return the routes of a device's sources; without a device they return 404."""
    router = APIRouter()

    def watching() -> DeviceSources:
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
        queue = EventQueue(kinds(predictions), max_rate)
        seen = watching()
        if name not in {source["name"] for source in seen.sources()}:
            raise HTTPException(404, "no such source")

        def listen(push: Callable[[Record], None]) -> Callable[[], None]:
            return seen.listen(name, push)

        return sse_response(listen, queue, service.queues)

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
            raise HTTPException(404, "no picture yet")
        return Response(content, media_type="image/jpeg")

    return router
