"""Routes about the server: `/v1/model`, `/healthz`, `/metrics`, `/v1/login`."""

import dataclasses
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from pydantic_core import from_json
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from seqvision_edge import __version__
from seqvision_edge.serve.guard import LOGIN
from seqvision_edge.serve.key import COOKIE, Key
from seqvision_edge.serve.page import login_page
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.shapes import About, Health, faults

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def routes(service: Service, key: Key | None) -> APIRouter:
    """Return the routes about the server itself."""
    router = APIRouter()

    @router.get("/v1/model", response_model=About, responses=faults())
    def model() -> About:
        """Return what the model is, and how much the server takes."""
        return about(service)

    @router.get("/v1/model/file", responses=faults(404, 409), response_class=FileResponse)
    def file() -> FileResponse:
        """Return model.onnx itself, for pages that run it."""
        if service.model_file is None:
            raise HTTPException(404, "this server keeps its model to itself")
        return service.model_file.response()

    @router.get("/healthz", response_model=Health, responses=faults(503))
    def health() -> Health:
        """Return whether the model answers."""
        if not service.batcher.is_alive:
            raise HTTPException(503, "the model does not answer")
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
        """Exchange the token for a cookie, which a page cannot read."""
        token, is_form = await _token(request)
        if key is not None and not key.is_token(token):
            if is_form:  # a person, who may try again
                return HTMLResponse(login_page(wrong=True), 401)
            raise HTTPException(401, "that is not the token")
        answer = RedirectResponse("/", 303) if is_form else Response(status_code=204)
        if key is not None:
            secure = request.url.scheme == "https"
            answer.set_cookie(
                COOKIE, key.cookie, path="/", httponly=True, samesite="strict", secure=secure
            )
        return answer

    return router


def about(service: Service) -> About:
    """Return the card without its origin, which may name people and paths."""
    session, card = service.session, service.session.card
    limits = service.limits
    return About(
        model=Path(session.where).name,
        version=__version__,
        device=session.device,
        labels=list(card.labels),
        sequence=card.sequence.model_dump(),
        image=card.image.model_dump(),
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
