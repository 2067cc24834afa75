"""uvicorn's HTTP protocol, with an end to connections that bring no whole request."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from seqvision_edge.serve.guard import HEADERS
from seqvision_edge.serve.limits import Limits

# A browser opens some connections that it does not use.
_CONNECTIONS_PER_CLIENT = 4


# Of a WebSocket's handshake; `websockets` reads 128 headers of 8 KiB, a browser sends some 20.
_MOST_HEADERS = 100
_LONGEST_HEADER = 8_000


def _is_odd_handshake(request: h11.Request) -> bool:
    """Whether a request to become a WebSocket has a body, or more than a handshake needs."""
    names = {name for name, _ in request.headers}
    return (
        request.method != b"GET"
        or not names.isdisjoint((b"content-length", b"transfer-encoding"))
        or len(request.headers) > _MOST_HEADERS
        or len(request.target) > _LONGEST_HEADER
        or any(len(name) + len(value) > _LONGEST_HEADER for name, value in request.headers)
    )


def protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Return the class for connections with these limits."""

    class Bounded(H11Protocol):
        """A connection: its head must come in time, and a body that nobody wants must end."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self._timer: asyncio.TimerHandle | None = None
            self._timed: str | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > _CONNECTIONS_PER_CLIENT * limits.clients:
                transport.abort()
                return
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            # The WebSocket's own parser stops at these without an answer or an end.
            if _is_odd_handshake(event):
                self._say(400, "not a WebSocket handshake that this server reads")
                return
            super().handle_websocket_upgrade(event)
            self._stop()
            transport, upgraded = self.transport, self.transport.get_protocol()

            def end_unanswered() -> None:
                if not getattr(upgraded, "handshake_complete", True):
                    transport.abort()

            self.loop.call_later(limits.head_seconds, end_unanswered)

        def send_400_response(self, msg: str) -> None:
            self._say(400, msg)

        def _watch(self) -> None:
            """Give the part of a request that is awaited now its time."""
            if self.transport.get_protocol() is not self or self.transport.is_closing():
                self._stop()
                return
            awaited: str | None = None
            if self.conn.their_state is h11.SEND_BODY:
                awaited = "body"
            elif self.conn.their_state is h11.IDLE and (
                self.cycle is None or self.conn.trailing_data[0]
            ):
                awaited = "head"
            if awaited == self._timed:
                return
            self._stop()
            self._timed = awaited
            if awaited is not None:
                # The guard ends a slow body that somebody reads; this ends one that nobody does.
                seconds = limits.head_seconds if awaited == "head" else 1.5 * limits.body_seconds
                self._timer = self.loop.call_later(seconds, self._too_slow)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._timed = None

        def _too_slow(self) -> None:
            if self.transport.is_closing():
                return
            if self._timed == "head" and self.conn.our_state is h11.IDLE:
                self._say(408, "the request came too slowly")
            else:
                self.transport.abort()

        def _say(self, code: int, words: str) -> None:
            """Answer what never became a request, and end the connection."""
            body = words.encode("ascii")
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *HEADERS,
            ]
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                for event in (
                    h11.Response(status_code=code, headers=headers, reason=b""),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Bounded
