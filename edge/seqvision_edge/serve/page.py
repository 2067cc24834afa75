"""The page and its files, and the list of routes: nothing comes from elsewhere."""

import hashlib
from html import escape
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, HTTPException, Request
from starlette.responses import HTMLResponse, Response

from seqvision_edge.serve import web
from seqvision_edge.serve.shapes import faults

FOLDER: Final = Path(__file__).parent / "page"
# The system's own table is not the same on every machine; with nosniff a wrong one breaks the page.
TYPES: Final = {
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
LIVE: Final = (
    "WebSocket",
    "/v1/live",
    "Binary messages of 8 bytes of time (seconds, float64, little endian) and a JPEG; the newest "
    "is answered in JSON: answer or waiting, then event and source.",
)


def login_page(wrong: bool = False) -> bytes:
    """Return the page that asks for the token; `wrong` says that the one before was not it."""
    content = (FOLDER / "login.html").read_bytes()
    return content.replace(b" hidden", b"") if wrong else content


def routes(app: FastAPI, folder: Path = FOLDER) -> APIRouter:
    """Return the routes of the page; what is in the folder is known from the start."""
    router = APIRouter(include_in_schema=False)
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in TYPES
    }

    @router.get("/")
    def index(request: Request) -> Response:
        return _file(files["index.html"], request)

    @router.get("/page/vendor/{name}", responses=faults(404))
    def vendor(name: str, request: Request) -> Response:
        path = web.find(name)
        if path is None:
            raise HTTPException(404, "not here; get it with: edge-serve --fetch-web")
        return _file(path, request)

    @router.get("/page/{name:path}", responses=faults(404))
    def file(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404, "no such file")
        return _file(files[name], request)

    @router.get("/docs")
    def docs() -> Response:
        return HTMLResponse(_docs(app.openapi()))

    return router


def _file(path: Path, request: Request) -> Response:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, media_type=TYPES[path.suffix], headers={"etag": tag})


def _docs(document: dict[str, Any]) -> str:
    """Return the OpenAPI document as a page to read."""
    rows = [
        (method.upper(), path, route.get("description", ""), route.get("parameters", []))
        for path, methods in document["paths"].items()
        for method, route in methods.items()
    ]
    parts = [_route(*row) for row in (*rows, (*LIVE, []))]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>edge-serve</title>'
        '<link rel="stylesheet" href="/page/plain.css"><body><main>'
        '<h1>edge-serve</h1><p>The whole document: <a href="/openapi.json">openapi.json</a></p>'
        f"{''.join(parts)}</main></body></html>"
    )


def _route(method: str, path: str, about: str, parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<li><code>{escape(each['name'])}</code> "
        f"({escape(each['in'])}) {escape(each.get('description', ''))}</li>"
        for each in parameters
    )
    listed = f"<ul>{rows}</ul>" if rows else ""
    return f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(about)}</p>{listed}"
