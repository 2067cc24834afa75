"""uvicorn around an application: our socket, bounded connections, an end within two seconds."""

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

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.names import printable
from seqvision_edge.serve.app import Served
from seqvision_edge.serve.protocol import protocol
from seqvision_edge.serve.websocket import websocket_protocol

_GRACE_SECONDS = 1
_PING_SECONDS = 20.0
_BACKLOG = 128
_MOST_LINES, _LINES_SECONDS = 1000, 0.3


def listen(
    host: str, port: int, where: str = "", refusal: type[SeqvisionError] = SeqvisionError
) -> socket.socket:
    """Return a socket that is bound to an address; port 0 takes a free one.

    Args:
        host, port: the address.
        where: how the options say it.
        refusal: what is raised.

    Raises:
        SeqvisionError: the address is not one of this machine, or is taken.
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
    """Whether a line of uvicorn's log is about a fault of the server.

    Neither what a client sent is one, nor what is cut off because the server is to end.
    """
    return not record.getMessage().startswith(
        ("Invalid UTF-8 sequence received from client", "Cancel ")
    )


class HarmlessLines(logging.Formatter):
    """Lines of a log, and tracebacks below them, that may hold what a client sent."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text with what would steer a terminal spelt out."""
        return printable(super().format(record), "\n\t")


class PatientLines(logging.Handler):
    """Writes the log's lines to standard error in a thread of its own.

    A terminal that is paused, or a pipe whose reader stalls, takes none: a client that can cause
    lines would hold the whole server with them.  Then the newest lines are lost.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(HarmlessLines())
        self._lines: queue.Queue[str] = queue.Queue(_MOST_LINES)
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line behind the others, unless too many wait already."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(self.format(record))
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Give the lines that wait a little time to be written."""
        until = time.monotonic() + seconds
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)

    def _write(self) -> None:
        while True:
            # Not by sys.stderr: a thread that waits in it would hold its lock at the end.
            data = f"{self._lines.get()}\n".encode(errors="backslashreplace")
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(2, data) :]
            self._lines.task_done()


class Server(uvicorn.Server):
    """A server that tells its application of its end before it waits for the last answers."""

    def __init__(self, served: Served) -> None:
        limits = served.service.limits
        # Otherwise anybody could write lines, and tracebacks, with each body or text that is none.
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        logging.getLogger("uvicorn.error").addFilter(_is_of_ours)
        # What prints them where the program that uses this package has set up no logging.
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
                # A few compressed bytes may be very many.
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
            KeyboardInterrupt: a signal ended it; whatever else its handler raises.
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
        # Before the event loop exists: a signal that comes while it is made, or while it is closed,
        # would leave half of it, and tracebacks of what cannot be deleted.
        handlers = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            super().run(sockets)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if self._captured_signals:
            signal.raise_signal(self._captured_signals[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End within the two seconds that it takes; pressed again and again, no sooner.

        uvicorn's own second Ctrl-C leaves the application in the middle of its end.
        """
        self._captured_signals.append(sig)
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `run` handles signals, from earlier on and until later."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what listens or decodes is stopped first."""
        self._served.service.end()
        await super().shutdown(sockets)
