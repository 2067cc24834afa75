"""The web server of a run: a page with its sources and events."""

import sys
import threading
from collections.abc import Sequence
from socket import socket

from typing_extensions import Self

from seqvision_edge.card import Decision
from seqvision_edge.command_line import print_text
from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Step
from seqvision_edge.server.app import Served
from seqvision_edge.server.auth import access_policy, server_url
from seqvision_edge.server.device_view import DeviceView
from seqvision_edge.server.http_server import Server, listen
from seqvision_edge.session import Session

_END_SECONDS = 1.4


class Page:
    """A sink that serves the newest picture, prediction, states and events of each source.

    The server runs in its own thread, and also answers requests about the model.
    """

    def __init__(
        self,
        address: tuple[str, int],
        session: Session,
        token: str | None,
        program: str,
        decision: Decision | None = None,
        sources: Sequence[str] = (),
    ) -> None:
        """Serve at `address`, host and port.

        `program` is the prefix of printed lines; `decision` has the thresholds of the events;
        `sources` are the names of the sources.
        """
        self._address = address
        self._session = session
        self._token = token
        self._program = program
        self._decision = decision
        self._newest = DeviceView(sources, session.card.image)
        self._socket: socket | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        host, port = self._address
        entry = access_policy(host, self._token)
        self._socket = listen(host, port, f"--web {host}:{port}", SinkError)
        served = Served(
            self._session,
            names=entry.names,
            key=entry.key,
            watching=self._newest,
            decision=self._decision,
        )
        self._server = Server(served)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="page", daemon=True
        )
        self._thread.start()
        if entry.made:
            self._print(f"token: {entry.made}")
        self._print(server_url(host, self._socket.getsockname()[1]))
        return self

    def write(self, step: Step) -> None:
        """Keep the contents of the step, and push it to the connected clients."""
        self._newest.write(step)

    def __exit__(self, *_: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_END_SECONDS)
        if self._socket is not None:
            self._socket.close()

    def _print(self, text: str) -> None:
        print_text(f"{self._program}: {text}", sys.stderr)
