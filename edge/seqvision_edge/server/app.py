"""The ASGI application: session → routes → access checks around them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.requests import HTTPConnection
from starlette.responses import Response

from seqvision_edge import __version__
from seqvision_edge.card import Decision
from seqvision_edge.regions import Region
from seqvision_edge.renamed_options import QUERY, is_now
from seqvision_edge.server import static_files
from seqvision_edge.server.auth import LOCAL, AllowedHosts, Key
from seqvision_edge.server.batching import MODEL_FAILED, ModelFailed, Overloaded
from seqvision_edge.server.device_view import DeviceSources
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.middleware import RequestMiddleware
from seqvision_edge.server.recorder import Recorder
from seqvision_edge.server.routes import live, predict, recordings, status
from seqvision_edge.server.routes import streams as stream_routes
from seqvision_edge.server.routes.streams import Streams
from seqvision_edge.server.service import ServedFile, Service
from seqvision_edge.session import Session

_HERE = AllowedHosts(LOCAL)


class Served:
    """An ASGI application, and the shutdown of what it started.

    `inside` is the application without the access checks, for inspection; it is never served.
    """

    def __init__(
        self,
        session: Session,
        *,
        names: AllowedHosts = _HERE,
        key: Key | None = None,
        limits: Limits | None = None,
        watching: DeviceSources | None = None,
        file: Path | None = None,
        decision: Decision | None = None,
        recorder: Recorder | None = None,
        regions: Sequence[Region] = (),
    ) -> None:
        """Serve a model.

        Args:
            session: the loaded model; the server runs it in its own thread.
            names: the allowed `Host` headers.
            key: the token that every request must carry; None allows every client.
            limits: the bounds on requests.
            watching: the sources of a running device; None if there is none.
            file: the path of the model, for pages that run it themselves; None does not serve it.
            decision: how probabilities become events; None takes the card's.
            recorder: the takes recorded by pages; None disables these routes.
            regions: those of streams of pictures that ask for none of their own.
        """
        model_file = ServedFile(file) if file else None
        self.service = Service(
            session, limits or Limits(), watching, model_file, decision, recorder, regions
        )
        self.inside = _application(self.service, key)
        self.app = RequestMiddleware(
            self.inside,
            names,
            key,
            self.service.limits,
            self.service.figures,
            static_files.login_page(),
        )


def _refuse_old_query(request: HTTPConnection) -> None:
    for old, new in QUERY.items():
        if old in request.query_params:
            raise HTTPException(400, is_now(f"?{old}", f"?{new}"))


def _application(service: Service, key: Key | None) -> FastAPI:
    streams = Streams(service)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        expiry = asyncio.ensure_future(streams.expire())
        try:
            yield
        finally:
            expiry.cancel()
            service.close()

    app = FastAPI(
        title="edge-serve",
        version=__version__,
        description="A seqvision model behind HTTP.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        dependencies=[Depends(_refuse_old_query)],
    )
    app.include_router(predict.routes(service))
    app.include_router(stream_routes.routes(service, streams))
    app.include_router(live.routes(service, streams))
    app.include_router(status.source_routes(service))
    app.include_router(status.routes(service, key))
    if service.recorder is not None:
        app.include_router(recordings.routes(service, service.recorder))
        app.include_router(recordings.take_routes(service, service.recorder))
    app.include_router(static_files.routes(app))

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        refusal = HTTPException(429, "the model is overloaded", headers={"retry-after": "1"})
        return await http_exception_handler(request, refusal)

    @app.exception_handler(ModelFailed)
    async def failed(request: Request, error: ModelFailed) -> Response:
        return await http_exception_handler(request, HTTPException(500, MODEL_FAILED))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        loc = ".".join(str(part) for part in first["loc"])
        return await http_exception_handler(request, HTTPException(422, f"{loc}: {first['msg']}"))

    return app
