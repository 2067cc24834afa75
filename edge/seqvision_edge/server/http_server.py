"""uvicorn with a bounded HTTP protocol, its own socket, and shutdown within two seconds.

Connections that send no complete request are closed; the chunks of a body are counted; pipelined
requests are not read before the previous response is sent.
"""

import asyncio
import contextlib
import errno
import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import HANDLED_SIGNALS

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.sanitize import printable
from seqvision_edge.server.app import Served
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.middleware import HEADERS
from seqvision_edge.server.transport import BoundedTransport
from seqvision_edge.server.websocket import websocket_protocol

_GRACE_SECONDS = 1
_PING_SECONDS = 20.0
_BACKLOG = 128
_MOST_LINES, _LINES_SECONDS = 1000, 0.3

# A browser opens some connections that it does not use.
_CONNECTIONS_PER_CLIENT = 4

# Of a WebSocket's handshake; `websockets` reads 128 headers of 8 KiB, a browser sends some 20.
_MOST_HEADERS = 100
_LONGEST_HEADER = 8_000
# Of pipelined requests, which wait for the previous response.
_MOST_PIPELINED = 64 << 10
_MOST_HEAD = 16 << 10


def listen(
    host: str, port: int, where: str = "", refusal: type[SeqvisionError] = SeqvisionError
) -> socket.socket:
    """Return a socket bound to an address; port 0 takes a free one.

    Args:
        host, port: the address.
        where: the address as given by the options, for messages.
        refusal: the exception type to raise.

    Raises:
        SeqvisionError: the address is not one of this machine, or in use.
    """
    where = where or f"--host {host} --port {port}"
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise refusal(f"{where}: no such host") from None
    opened = socket.socket(family, kind, number)
    try:
        # On Windows the same option would let two servers share a port.
        if hasattr(socket, "SO_REUSEPORT"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "another program uses it; choose another port" if taken else error.strerror
        raise refusal(f"{where}: {reason}") from None
    return opened


def _is_of_ours(record: logging.LogRecord) -> bool:
    """Return whether a line of uvicorn's log is about a fault of the server.

    Invalid client data and requests cancelled at shutdown are not.
    """
    return not record.getMessage().startswith(
        ("Invalid UTF-8 sequence received from client", "Cancel ")
    )


class HarmlessLines(logging.Formatter):
    """Format log lines and tracebacks that may contain text sent by a client."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text with control characters escaped."""
        return printable(super().format(record), "\n\t")


class PatientLines(logging.Handler):
    """Write log lines to standard error in a thread of its own.

    A paused terminal, or a pipe whose reader stalls, blocks writes: a client that can cause log
    lines could block the whole server.  The newest lines are dropped then.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(HarmlessLines())
        self._lines: queue.Queue[str] = queue.Queue(_MOST_LINES)
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, unless too many are waiting."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(self.format(record))
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait a limited time until the queued lines are written."""
        until = time.monotonic() + seconds
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)

    def _write(self) -> None:
        while True:
            # Not by sys.stderr: a thread blocked in it would hold its lock at exit.
            data = f"{self._lines.get()}\n".encode(errors="backslashreplace")
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(2, data) :]
            self._lines.task_done()


class Server(uvicorn.Server):
    """A server that notifies its application of the shutdown before waiting for open responses."""

    def __init__(self, served: Served) -> None:
        limits = served.service.limits
        # Otherwise any client could write lines and tracebacks with malformed requests.
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        logging.getLogger("uvicorn.error").addFilter(_is_of_ours)
        # Prints the log if the program that uses this package has configured no logging.
        if logging.lastResort is not None and not isinstance(logging.lastResort, PatientLines):
            logging.lastResort = PatientLines()
        super().__init__(
            uvicorn.Config(
                served.app,
                http=protocol(limits),
                ws=websocket_protocol(limits),
                ws_max_size=limits.picture_bytes + 8,
                ws_ping_interval=_PING_SECONDS,
                ws_ping_timeout=_PING_SECONDS,
                # A few compressed bytes may expand to very many.
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._served = served

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`; in the main thread, also until Ctrl-C or SIGTERM.

        Raises:
            KeyboardInterrupt: a signal ended it; or whatever else its handler raises.
        """
        try:
            self._run(sockets)
        finally:
            if isinstance(logging.lastResort, PatientLines):
                logging.lastResort.wait(_LINES_SECONDS)

    def _run(self, sockets: list[socket.socket] | None) -> None:
        if threading.current_thread() is not threading.main_thread():
            super().run(sockets)
            return
        # Before the event loop exists: a signal while it is created or closed would leave it half
        # built, with tracebacks from objects that cannot be finalized.
        handlers = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            super().run(sockets)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if self._captured_signals:
            signal.raise_signal(self._captured_signals[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down within two seconds; further signals do not make it faster.

        uvicorn's own second Ctrl-C aborts the application in the middle of its shutdown.
        """
        self._captured_signals.append(sig)
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `run` handles signals, from earlier on and until later."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down; event streams and decoders are stopped first."""
        self._served.service.end()
        await super().shutdown(sockets)


def _is_odd_handshake(request: h11.Request) -> bool:
    """Return whether a WebSocket upgrade request has a body, or more than a handshake needs."""
    names = {name for name, _ in request.headers}
    return (
        request.method != b"GET"
        or not names.isdisjoint((b"content-length", b"transfer-encoding"))
        or len(request.headers) > _MOST_HEADERS
        or len(request.target) > _LONGEST_HEADER
        or any(len(name) + len(value) > _LONGEST_HEADER for name, value in request.headers)
    )


class _Counted(h11.Connection):
    """An HTTP connection that limits the number of chunks of a body by its size.

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
    """Return the protocol class for connections with these limits."""

    class Bounded(H11Protocol):
        """A connection with time limits for its header and for an unread body."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.conn = _Counted(limits, _MOST_HEAD)
            self._timer: asyncio.TimerHandle | None = None
            self._timed: str | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            # The guard drops a client that does not read; this ends connections outside the guard.
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
            """Stop reading while pipelined requests wait: uvicorn resumes at every response."""
            waiting = self.conn.trailing_data[0] if self.conn.their_state is h11.DONE else b""
            if len(waiting) > _MOST_PIPELINED:
                self._line.pause_reading("pipeline")
            else:
                self._line.resume_reading("pipeline")

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            # The WebSocket's own parser stops at these without a response or a close.
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
            """Start the timer for the part of a request that is awaited now."""
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
                # The rest of a body after its response: uvicorn's own timer is gone then.
                awaited = "another head"
            if awaited == self._timed:
                return
            self._stop()
            self._timed = awaited
            if awaited is not None:
                # The guard ends a slow body that a route reads; this ends an unread one.
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
            """Respond to what never became a request, and close the connection."""
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
                # The route must neither wait for the rest of the request nor respond to it.
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self.transport.close()

    return Bounded
