"""Serve the page and its files, and the API documentation: nothing is loaded from elsewhere."""

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, HTTPException, Request
from starlette.responses import HTMLResponse, Response

from seqvision_edge.server import web_runtime
from seqvision_edge.server.openapi_page import api_page
from seqvision_edge.server.schemas import faults

FOLDER: Final = Path(__file__).parent / "static"
# Not the system's table, which differs between machines; with nosniff a wrong type breaks the page.
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def login_page(wrong: bool = False) -> bytes:
    """Return the login page; `wrong` adds that the last token was wrong."""
    content = (FOLDER / "login.html").read_bytes()
    return content.replace(b" hidden", b"") if wrong else content


def routes(app: FastAPI, folder: Path = FOLDER) -> APIRouter:
    """Return the routes of the page; the files of the folder are listed once, at the start."""
    router = APIRouter(include_in_schema=False)
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in MEDIA_TYPES
    }

    @router.get("/")
    def index(request: Request) -> Response:
        return _file(files["index.html"], request)

    @router.get("/page/vendor/{name}", responses=faults(404))
    def vendor(name: str, request: Request) -> Response:
        path = web_runtime.find(name)
        if path is None:
            raise HTTPException(404, "not installed; get it with: edge-serve --fetch-web-runtime")
        return _file(path, request)

    @router.get("/page/{name:path}", responses=faults(404))
    def file(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404, "no such file")
        return _file(files[name], request)

    @router.get("/docs")
    def docs(request: Request) -> Response:
        return HTMLResponse(api_page(app.openapi(), request.url.netloc))

    return router


def _file(path: Path, request: Request) -> Response:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, media_type=MEDIA_TYPES[path.suffix], headers={"etag": tag})
