"""A POST for each event, to a server that may be slow, down or broken for a while."""

import base64
import contextlib
import http.client
import json
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from seqvision_edge import __version__
from seqvision_edge.errors import SinkError
from seqvision_edge.http_client import route_to, shut_down, time_limit
from seqvision_edge.sinks.records import Record, message
from seqvision_edge.sinks.web_address import web_address
from seqvision_edge.step import Step
from seqvision_edge.trust import trusting

# Each waiting has its own limit, and all of one attempt together: a server may drip bytes for ever.
CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPT_SECONDS = 3.0, 5.0, 15.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# A server that cannot be reached is asked for ever.  One that took the event and gave no good
# answer may mean this very event, which must not hold up the others.
_TRIES = 8
_ITS_OWN_FAULT = (408, 425, 429, *range(500, 600))
_ANSWER_BYTES = 1 << 16


class Webhook:
    """An outlet that posts events as JSON, each until it is accepted.

    Each has an Idempotency-Key, the same in every attempt, so that a server that did take it before
    its answer got lost can tell.  Redirects are not followed: events go where the user said.
    """

    def __init__(self, url: str, states: bool = False) -> None:
        """Post to `url`; `states` posts the new states of sources too.

        Raises:
            SinkError: not a URL of http or https.
        """
        self._address = web_address("--webhook", url, {"http": 80, "https": 443})
        self.name = f"--webhook {self._address.shown}"
        self.trouble = ""
        self._states = states
        self._context = trusting() if self._address.scheme == "https" else None
        self._left = threading.Event()
        self._line: Callable[[], socket.socket | None] = lambda: None

    def open(self) -> None:
        """Nothing: a server that is down now may come later."""

    def pick(self, step: Step) -> Iterator[Record]:
        """Return the events to act on now, and the new states if they were asked for."""
        for state in step.changed if self._states else ():
            yield message(step.source, state)
        for event in step.fired:
            yield message(step.source, event)

    def send(self, record: Record) -> None:
        """Post until it is accepted.  Raises SinkError when it is refused, or the run is over."""
        body = json.dumps(record).encode()
        attempt = faults = 0
        while not self._left.is_set():
            try:
                status = self._post(body, record["id"])
            except _NotReached as error:
                self.trouble = str(error)
            except _NoAnswer as error:
                faults += 1
                self.trouble = str(error)
                if faults == _TRIES:
                    raise SinkError(self.trouble) from None
            else:
                if 200 <= status < 300:
                    self.trouble = ""
                    return
                faults += 1
                self.trouble = f"the server answers {status}"
                if status not in _ITS_OWN_FAULT or faults == _TRIES:
                    raise SinkError(self.trouble)
            longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempt, 10))
            attempt += 1
            # Many devices that lost one server must not all come back at the same moment.
            self._left.wait(longest * random.uniform(0.7, 1.0))
        raise SinkError(self.trouble or "the run was over")

    def stop(self) -> None:
        """End the waiting, and the attempt that goes on."""
        self._left.set()
        shut_down(self._line())

    def close(self) -> None:
        """Nothing is open between two posts."""

    def _post(self, body: bytes, key: str) -> int:
        """Post once and return the status of the answer.

        Raises:
            _NotReached: the server did not get the event.
            _NoAnswer: it may have got it, and gave no whole answer in time.
        """
        address = self._address
        with contextlib.ExitStack() as opened:
            try:
                route = route_to(
                    address.scheme, address.host, address.port, CONNECT_SECONDS, self._context
                )
                connection = route.connection
                opened.callback(connection.close)
                self._line = lambda: connection.sock
                expired = opened.enter_context(time_limit(ATTEMPT_SECONDS, lambda: self._line()))
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                raise _NotReached(reason(error)) from None
            kept = connection.sock
            # The answer takes the socket away from the connection.
            self._line = lambda: kept
            try:
                kept.settimeout(ANSWER_SECONDS)
                target, headers = route.prefix + address.target, self._headers(key) | route.headers
                connection.request("POST", target, body, headers)
                answer = opened.enter_context(connection.getresponse())
                if expired.is_set() or self._left.is_set():
                    # The connection was closed within the head, whose rest is unknown.
                    raise TimeoutError
            except (OSError, http.client.HTTPException) as error:
                late = TimeoutError() if expired.is_set() else error
                raise _NoAnswer(reason(late)) from None
            with contextlib.suppress(OSError, http.client.HTTPException):
                # The status is all that counts; the rest is read so that the server can end it.
                answer.read(_ANSWER_BYTES)
            return answer.status

    def _headers(self, key: str) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Connection": "close",
            "Idempotency-Key": key,
            "User-Agent": f"seqvision-edge/{__version__}",
        }
        if self._address.user is not None:
            pair = f"{self._address.user}:{self._address.password or ''}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers


class _NotReached(Exception):  # noqa: N818
    """The server did not get the event."""


class _NoAnswer(Exception):  # noqa: N818
    """The server may have got the event, and did not answer as one should."""


def reason(error: BaseException) -> str:
    """Return in few words why another program cannot be reached."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, OSError) and str(error) and type(error) is OSError:
        return str(error)
    return f"it breaks off ({type(error).__name__})"
