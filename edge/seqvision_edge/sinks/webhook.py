"""Post each event to an HTTP server, with bounded time and queue."""

import base64
import contextlib
import http.client
import json
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from seqvision_edge import __version__
from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Record, Step, message
from seqvision_edge.http_client import route_to, shut_down, time_limit
from seqvision_edge.tls import trusting

# Time limit of each network operation, and of a whole attempt: a server may send byte by byte.
CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPT_SECONDS = 3.0, 5.0, 15.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# A server that cannot be reached is retried without limit.  If it received the event but did not
# answer properly, this very event may be the cause, and must not block the others.
_TRIES = 8
_ITS_OWN_FAULT = (408, 425, 429, *range(500, 600))
_ANSWER_BYTES = 1 << 16


class Webhook:
    """An outlet that posts events as JSON, retried until accepted.

    Each has an Idempotency-Key, the same in every attempt, so that a server recognises an event
    whose response was lost.  Redirects are not followed: events go only to the given URL.
    """

    def __init__(self, url: str, states: bool = False) -> None:
        """Post to `url`; `states` also posts the new states of sources.

        Raises:
            SinkError: not an http or https URL.
        """
        self._address = web_address("--webhook", url, {"http": 80, "https": 443})
        self.name = f"--webhook {self._address.shown}"
        self.trouble = ""
        self._states = states
        self._context = trusting() if self._address.scheme == "https" else None
        self._left = threading.Event()
        self._line: Callable[[], socket.socket | None] = lambda: None

    def open(self) -> None:
        """Do nothing: a server that is down now may be up later."""

    def pick(self, step: Step) -> Iterator[Record]:
        """Return the events to act on now, and the new states if enabled."""
        for state in step.changed if self._states else ():
            yield message(step.source, state)
        for event in step.fired:
            yield message(step.source, event)

    def send(self, record: Record) -> None:
        """Post until accepted.  Raises SinkError when refused, or when the run is over."""
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
            # Jitter: many devices that lost one server must not all retry at the same moment.
            self._left.wait(longest * random.uniform(0.7, 1.0))
        raise SinkError(self.trouble or "the run was over")

    def stop(self) -> None:
        """End the waiting, and the current attempt."""
        self._left.set()
        shut_down(self._line())

    def close(self) -> None:
        """Do nothing: no connection is kept between two posts."""

    def _post(self, body: bytes, key: str) -> int:
        """Post once and return the status of the response.

        Raises:
            _NotReached: the server did not receive the event.
            _NoAnswer: it may have received it, but sent no complete response in time.
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
            # The response takes over the socket of the connection.
            self._line = lambda: kept
            try:
                kept.settimeout(ANSWER_SECONDS)
                target, headers = route.prefix + address.target, self._headers(key) | route.headers
                connection.request("POST", target, body, headers)
                answer = opened.enter_context(connection.getresponse())
                if expired.is_set() or self._left.is_set():
                    # The connection was closed within the header, whose rest is unknown.
                    raise TimeoutError
            except (OSError, http.client.HTTPException) as error:
                late = TimeoutError() if expired.is_set() else error
                raise _NoAnswer(reason(late)) from None
            with contextlib.suppress(OSError, http.client.HTTPException):
                # Only the status matters; the rest is read so that the server can finish.
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
    """The server did not receive the event."""


class _NoAnswer(Exception):  # noqa: N818
    """The server may have received the event, but sent no valid response."""


def reason(error: BaseException) -> str:
    """Return in a few words why another program cannot be reached."""
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


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The address of another program.

    Attributes:
        shown: scheme, host and port, for messages.  The rest of a URL may be a secret.
        scheme: in lower case.
        host: a name or an address.
        port: from the URL, or the scheme's default.
        target: path and query, unchanged.
        user: None if the URL has none.
        password: None if the URL has none.
    """

    shown: str
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)


def web_address(flag: str, url: str, ports: dict[str, int]) -> WebAddress:
    """Parse a URL; `ports` maps the allowed schemes to their default ports.

    Raises:
        SinkError: it is not such a URL.
    """
    schemes = " or ".join(f"{scheme}://" for scheme in ports)
    wrong = SinkError(f"{flag}: not a URL; it begins with {schemes} and names a host")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    odd = any(letter.isspace() or not letter.isprintable() for letter in url)
    if parts.scheme not in ports or not host or port == 0 or odd or not url.isascii():
        raise wrong
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return WebAddress(
        shown=f"{parts.scheme}://{_host(host)}" + (f":{port}" if port else ""),
        scheme=parts.scheme,
        host=host,
        port=port or ports[parts.scheme],
        target=_target(parts),
        user=user,
        password=password,
    )


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
