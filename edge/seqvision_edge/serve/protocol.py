"""uvicorn's HTTP protocol, with bounds to what costs more than its bytes.

Connections that bring no whole request end; the chunks of a body are counted; requests that come
before the answer to the one before wait outside.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from seqvision_edge.serve.guard import HEADERS
from seqvision_edge.serve.limits import Limits
from seqvision_edge.serve.transport import BoundedTransport

# A browser opens some connections that it does not use.
_CONNECTIONS_PER_CLIENT = 4


# Of a WebSocket's handshake; `websockets` reads 128 headers of 8 KiB, a browser sends some 20.
_MOST_HEADERS = 100
_LONGEST_HEADER = 8_000
# Of requests that wait for the answer to the one before.
_MOST_PIPELINED = 64 << 10
_MOST_HEAD = 16 << 10


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


class _Counted(h11.Connection):
    """An HTTP connection that takes no more chunks of a body than its size is worth.

    A chunk of one byte costs as much as one of 64 kB.
    """

    def __init__(self, limits: Limits, most_bytes: int) -> None:
        super().__init__(h11.SERVER, most_bytes)
        self._limits = limits
        self._chunks = self._bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._bytes += len(event.data)
            if self._chunks > self._limits.chunks + self._bytes // self._limits.chunk_bytes:
                raise h11.RemoteProtocolError("too many small chunks")
        return event


def protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Return the class for connections with these limits."""

    class Bounded(H11Protocol):
        """A connection: its head must come in time, and a body that nobody wants must end."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.conn = _Counted(limits, _MOST_HEAD)
            self._timer: asyncio.TimerHandle | None = None
            self._timed: str | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            # What takes nothing of an answer is left by the guard; this ends what nobody guards.
            self._line = BoundedTransport(
                transport, self.loop, 1.5 * limits.stall_seconds, self._may_send_more
            )
            super().connection_made(self._line)  # type: ignore[arg-type]
            if len(self.connections) > _CONNECTIONS_PER_CLIENT * limits.clients:
                transport.abort()
                return
            self._watch()

        def data_received(self, data: bytes) -> None:
            if self._line.is_lingering:
                return
            super().data_received(data)
            self._bound_pipeline()
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._bound_pipeline()
            self._watch()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._line.pause_writing()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._line.resume_writing()

        def _may_send_more(self) -> bool:
            is_ours = self.transport.get_protocol() is self
            return is_ours and self.conn.their_state not in (h11.IDLE, h11.CLOSED)

        def _bound_pipeline(self) -> None:
            """Read no further requests while some wait: uvicorn reads on at every answer."""
            waiting = self.conn.trailing_data[0] if self.conn.their_state is h11.DONE else b""
            if len(waiting) > _MOST_PIPELINED:
                self._line.pause_reading("pipeline")
            else:
                self._line.resume_reading("pipeline")

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            # The WebSocket's own parser stops at these without an answer or an end.
            if _is_odd_handshake(event):
                self._refuse(400, "not a WebSocket handshake that this server reads")
                return
            super().handle_websocket_upgrade(event)
            self._stop()
            transport, upgraded = self.transport, self.transport.get_protocol()

            def end_unanswered() -> None:
                if not getattr(upgraded, "handshake_complete", True):
                    transport.abort()

            self.loop.call_later(limits.head_seconds, end_unanswered)

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, msg)

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
            elif (
                self.conn.their_state is h11.IDLE
                and self.cycle.response_complete
                and self.timeout_keep_alive_task is None
            ):
                # The rest of a body that came after its answer: uvicorn's own timer is gone then.
                awaited = "another head"
            if awaited == self._timed:
                return
            self._stop()
            self._timed = awaited
            if awaited is not None:
                # The guard ends a slow body that somebody reads; this ends one that nobody does.
                seconds = 1.5 * limits.body_seconds if awaited == "body" else limits.head_seconds
                self._timer = self.loop.call_later(seconds, self._too_slow)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._timed = None

        def _too_slow(self) -> None:
            if self.transport.is_closing():
                return
            if self._timed == "head" and self.conn.our_state is h11.IDLE:
                self._refuse(408, "the request was sent too slowly")
            elif self._timed == "another head":
                self.transport.close()
            else:
                self.transport.abort()

        def _refuse(self, code: int, words: str) -> None:
            """Answer what never became a request, and end the connection."""
            body = words.encode("ascii")
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *HEADERS,
            ]
            is_request = self.conn.our_state is h11.SEND_RESPONSE
            if is_request or self.conn.our_state is h11.IDLE:
                is_head = is_request and self.scope["method"] == "HEAD"
                for event in (
                    h11.Response(status_code=code, headers=headers, reason=b""),
                    h11.Data(data=b"" if is_head else body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            if self.cycle is not None and not self.cycle.response_complete:
                # What works on the request must neither wait for its rest nor answer it.
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self.transport.close()

    return Bounded
