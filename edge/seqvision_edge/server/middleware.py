"""Checks of every request before a route handles it: host, origin, token, size, time.

Host → Origin → token → concurrency → size and pace of the body.  It wraps the whole application,
so that no route that is added later can bypass it.
"""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

from fastapi import HTTPException
from starlette.requests import ClientDisconnect

from seqvision_edge.server.auth import AllowedHosts, Key, is_same_origin
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.metrics import ServerMetrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOGIN = "/v1/login"
TRY_LATER = 1013
SERVICE_RESTART = 1012

# Files of the login page, served without one: they contain nothing secret.
_OPEN = frozenset({"/page/style.css", "/page/icon.svg"})
# Of a body: adapted so that parsing a piece takes some milliseconds.
_SMALLEST_PIECE, _FIRST_PIECE, _LARGEST_PIECE = 2 << 10, 16 << 10, 64 << 10
_QUICK_SECONDS, _SLOW_SECONDS = 0.001, 0.004
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        b"connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        b"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # With no-referrer a form of our own page would be sent with the origin "null".
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)

_LOG = logging.getLogger(__name__)

Result = TypeVar("Result")


class Disconnected(OSError):  # noqa: N818
    """The client does not read the response."""


class RequestMiddleware:
    """ASGI middleware that checks every request."""

    def __init__(
        self,
        app: App,
        names: AllowedHosts,
        key: Key | None,
        limits: Limits,
        figures: ServerMetrics,
        login_page: bytes = b"",
    ) -> None:
        """Guard `app`; without a key, every client that reaches the server may use it."""
        self._app, self._names, self._key = app, names, key
        self._limits, self._figures, self._login_page = limits, figures, login_page
        self._busy = self._bytes = 0
        self.turn = asyncio.Lock()
        figures.gauge("seqvision_clients", "Requests and WebSockets now", lambda: self._busy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._limits.stall_seconds)
        began = time.monotonic()
        self._busy += 1
        try:
            await self._pass(scope, receive, answer)
        except Disconnected:
            pass  # returning closes the connection
        except asyncio.CancelledError:
            # What is still running a second after the shutdown began is not an error to log.
            await _end(scope, answer)
        except ClientDisconnect:
            # Log the route's pattern: the path is chosen by the client.
            client = (scope.get("client") or ("a client",))[0]
            _LOG.warning("%s %s: %s disconnected before the body ended", *_route(scope), client)
        finally:
            self._busy -= 1
            method, route = _route(scope)
            self._figures.request(route, method, answer.code, time.monotonic() - began)

    async def _pass(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        headers = dict(scope["headers"])
        refused = self._refusal(scope, headers)
        if refused is None and self._busy > self._limits.clients:
            refused = 429, f"too many clients, at most {self._limits.clients}"
        if refused is not None:
            await self._refuse(scope, headers, receive, answer, *refused)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, answer.send)
            return
        body = _Body(receive, self._most_bytes(scope, headers), self._limits, self)
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > body.most:
            await self._refuse(scope, headers, receive, answer, 413, body.too_large)
            return
        try:
            await self._app(scope, body.receive, answer.send)
        finally:
            self._bytes -= body.size

    def reserve_bytes(self, count: int) -> bool:
        """Reserve memory for so many bytes of a body; return False if too many are in use."""
        self._bytes += count
        return self._bytes <= self._limits.bytes_at_once

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Return the status and the message for a request that is not allowed."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._names.allow(hosts[0].decode("latin-1")):
            return 421, "Host header not allowed; add it with --allow-host"
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and not _is_ours(headers, hosts[0].decode("latin-1")):
            return 403, "cross-origin request not allowed"
        is_login = scope["path"] == LOGIN and scope.get("method") == "POST"
        is_open = is_login or (scope["path"] in _OPEN and scope.get("method") == "GET")
        if self._key is not None and not is_open and not self._key.opens(headers):
            return 401, "access token required: Authorization: Bearer TOKEN"
        return None

    def _most_bytes(self, scope: Scope, headers: dict[bytes, bytes]) -> int:
        """Return the maximum size of a request's body in bytes."""
        path, limits = scope["path"], self._limits
        if scope["method"] != "POST":
            return limits.small_bytes
        if path == "/v1/predict":
            is_json = headers.get(b"content-type", b"").lower().startswith(b"application/json")
            return limits.json_bytes if is_json else limits.video_bytes
        if path.startswith("/v1/streams/"):
            return limits.picture_bytes
        return limits.small_bytes

    async def _refuse(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        answer: "_Answer",
        code: int,
        reason: str,
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            if code == 429:
                await answer.send({"type": "websocket.accept"})
                close = {"type": "websocket.close", "code": TRY_LATER, "reason": reason}
                await answer.send(close)
                return
            kind = "websocket.http.response"
            if kind not in scope.get("extensions", {}):
                await answer.send({"type": "websocket.close", "code": 1008, "reason": reason})
                return
        else:
            kind = "http.response"
        content, media = json.dumps({"detail": reason}).encode(), b"application/json"
        # A browser gets the login page; other clients get the plain message.
        if code == 401 and self._login_page and b"text/html" in headers.get(b"accept", b""):
            content, media = self._login_page, b"text/html; charset=utf-8"
        lines = [(b"content-type", media)]
        if scope["type"] == "http":  # for a WebSocket the library writes it
            lines.append((b"content-length", str(len(content)).encode()))
        if code == 401:
            lines.append((b"www-authenticate", b"Bearer"))
        if code == 429:
            lines.append((b"retry-after", b"1"))
        await answer.send({"type": f"{kind}.start", "status": code, "headers": lines})
        await answer.send({"type": f"{kind}.body", "body": content})


class _Body:
    """The body of a request as it is received: bounded in size and time."""

    def __init__(
        self, receive: Receive, most: int, limits: Limits, guard: RequestMiddleware
    ) -> None:
        self._receive, self._limits, self._guard = receive, limits, guard
        self._until = time.monotonic() + limits.body_seconds
        self._whole = False
        self._rest = memoryview(b"")
        self._most_piece = _FIRST_PIECE
        self._given_at: float | None = None
        self.most = most
        self.size = 0

    @property
    def too_large(self) -> str:
        return f"the body is larger than {self.most} bytes"

    async def receive(self) -> Message:
        """Return the next part of the body; after the last one, the disconnect message.

        Raises:
            HTTPException: 413 too large, 429 too many bytes in all bodies, 408 too slow.
        """
        self._adapt()
        if self._rest:
            return await self._piece()
        if self._whole:
            return await self._receive()
        left = min(self._limits.stall_seconds, self._until - time.monotonic())
        try:
            message = await with_timeout(self._receive(), left)
        except asyncio.TimeoutError:
            raise HTTPException(
                408, "the body was sent too slowly", headers={"connection": "close"}
            ) from None
        if message["type"] != "http.request":
            return message
        self._whole = not message.get("more_body", False)
        content = message.get("body", b"")
        self.size += len(content)
        has_room = self._guard.reserve_bytes(len(content))
        if self.size > self.most:
            raise HTTPException(413, self.too_large)
        if not has_room:
            raise HTTPException(429, "too many bytes in flight", headers={"retry-after": "1"})
        self._rest = memoryview(content)
        return await self._piece()

    def _adapt(self) -> None:
        """Choose the size of the next piece by the time it took to parse the last one."""
        if self._given_at is None:
            return
        spent, self._given_at = time.thread_time() - self._given_at, None
        if spent > _SLOW_SECONDS:
            self._most_piece = max(_SMALLEST_PIECE, self._most_piece // 2)
        elif spent < _QUICK_SECONDS:
            self._most_piece = min(_LARGEST_PIECE, 2 * self._most_piece)

    async def _piece(self) -> Message:
        """Return the next piece of the received data.

        Parsing a form may take long per byte: one piece of all bodies is parsed at a time, then
        everything else has its turn.
        """
        async with self._guard.turn:
            await asyncio.sleep(0)
        piece, self._rest = bytes(self._rest[: self._most_piece]), self._rest[self._most_piece :]
        self._given_at = time.thread_time()
        more = bool(self._rest) or not self._whole
        return {"type": "http.request", "body": piece, "more_body": more}


class _Answer:
    """The response being sent: with the common headers, and bounded in time."""

    def __init__(self, scope: Scope, send: Send, seconds: float) -> None:
        self._send, self._seconds = send, seconds
        self._is_page = scope["path"] == "/" or scope["path"].startswith("/page/")
        self.code = 0

    async def send(self, message: Message) -> None:
        """Send a message; a client that does not read it in time is dropped."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.code = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers()]}
        elif kind == "websocket.accept":
            self.code = 101
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        elif kind == "websocket.close":
            self.code = self.code or 403
        try:
            await with_timeout(self._send(message), self._seconds)
        except asyncio.TimeoutError:
            raise Disconnected from None
        except RuntimeError:
            if kind != "websocket.send":
                raise
            raise Disconnected from None  # closed by uvicorn: invalid client data

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        kept = b"no-cache" if self._is_page else b"no-store"
        return (*HEADERS, (b"cache-control", kept))


async def _end(scope: Scope, answer: "_Answer") -> None:
    """Respond that the server is shutting down, or end a response that has begun."""
    messages: list[Message]
    if scope["type"] == "websocket":
        messages = [{"type": "websocket.close", "code": SERVICE_RESTART}]
    elif answer.code:
        messages = [{"type": "http.response.body", "body": b""}]
    else:
        content = json.dumps({"detail": "the server is shutting down"}).encode()
        lines = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        messages = [
            {"type": "http.response.start", "status": 503, "headers": lines},
            {"type": "http.response.body", "body": content},
        ]
    with contextlib.suppress(Exception):  # the client may have disconnected
        for message in messages:
            await answer.send(message)


def _route(scope: Scope) -> tuple[str, str]:
    """Return the method and the pattern of the route that matches a request."""
    return scope.get("method", "WEBSOCKET"), getattr(scope.get("route"), "path", "other")


def _is_ours(headers: dict[bytes, bytes], host: str) -> bool:
    """Return whether a state-changing request comes from our own page, or from no page."""
    origin = headers.get(b"origin")
    if origin is not None:
        return is_same_origin(origin.decode("latin-1"), host)
    return headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")


if sys.version_info >= (3, 11):

    async def with_timeout(awaited: Awaitable[Result], seconds: float) -> Result:
        """Return the result of an awaitable, with a timeout.

        It costs a fifth of `asyncio.wait_for`, which created a task each time until Python 3.12.

        Raises:
            asyncio.TimeoutError: the result did not come in time.
        """
        async with asyncio.timeout(seconds):
            return await awaited

else:
    with_timeout = asyncio.wait_for
