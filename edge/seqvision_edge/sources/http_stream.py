"""A stream over HTTP: one authorized request (Basic, Digest) and the body of its response.

The request is made here, not by FFmpeg: FFmpeg's MJPEG reader refuses much that cameras send, and
its errors hide the server's response.  No redirect is followed, and user and password are sent only
to the address they were given for.
"""

import base64
import hashlib
import http.client
import secrets
import time
from collections.abc import Sequence
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from seqvision_edge.http_client import route_to
from seqvision_edge.sources.faults import StreamFault, of_error, of_status
from seqvision_edge.sources.network import PORTS, camera_context

_CHUNK = 1 << 16
# Characters of a URL that are not quoted; `%` because it is encoded already.
_LEGAL = "!#$%&'()*+,/:;=?@[]~"

# The digest algorithms, the stronger first.
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_SESSION = "-SESS"


class HttpStream:
    """The body of a response, as a file that returns data as soon as it is received.

    Attributes:
        kind: the media type in lower case, without parameters; "" if none is given.
        fault: why it ended, if not regularly.
        deadline: time limit for a complete picture, by the monotonic clock; None: none.
    """

    def __init__(self, url: str, open_timeout: float, read_timeout: float) -> None:
        """Send the request and read the header of the response; timeouts in seconds.

        Raises:
            StreamFault: there is no stream, with the reason.
        """
        self._ahead = b""
        try:
            connection, answer = _open_request(url, open_timeout)
            # The response keeps the connection's socket open.
            connection.sock.settimeout(read_timeout)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise StreamFault(of_error(error)) from None
        self._connection, self._answer = connection, answer
        self.kind = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        self.fault: StreamFault | None = None
        self.deadline: float | None = None
        reason = of_status(answer.status)
        if reason:
            self.close()
            raise StreamFault(reason)

    def peek(self, count: int) -> bytes:
        """Return the first `count` bytes, fewer at the end; `read` returns them again."""
        while len(self._ahead) < count and (more := self._receive(_CHUNK)):
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int = _CHUNK) -> bytes:
        """Return received data, at most `count` bytes; wait for at least one; b"" at the end."""
        if self._ahead:
            ready, self._ahead = self._ahead[:count], self._ahead[count:]
            return ready
        return self._receive(count)

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()
        self._connection.close()

    def _receive(self, count: int) -> bytes:
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.fault = StreamFault("no_keyframe")
            return b""
        try:
            return bytes(self._answer.read1(count))
        except (OSError, ValueError, http.client.HTTPException) as error:
            # FFmpeg reads through this, and would print an exception.
            self.fault = StreamFault("timeout" if isinstance(error, TimeoutError) else "ended")
            return b""


def _open_request(
    url: str, timeout: float
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Send the request; repeat it with user and password if the server requires them."""
    parts = urlsplit(url)
    target = quote(parts.path or "/", _LEGAL)
    if parts.query:
        target += f"?{quote(parts.query, _LEGAL)}"
    headers = {"User-Agent": "seqvision", "Accept": "*/*", "Connection": "close"}
    connection, answer = _send(parts, target, headers, timeout)
    if answer.status == http.client.UNAUTHORIZED and parts.username is not None:
        demands = answer.headers.get_all("WWW-Authenticate") or []
        user, password = unquote(parts.username), unquote(parts.password or "")
        word = authorization([str(each) for each in demands], "GET", target, user, password)
        if word:
            answer.close()
            connection.close()
            connection, answer = _send(parts, target, {**headers, "Authorization": word}, timeout)
    return connection, answer


def _send(
    parts: SplitResult, target: str, headers: dict[str, str], timeout: float
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    context = camera_context() if parts.scheme == "https" else None
    route = route_to(parts.scheme, host, port, timeout, context)
    connection, target = route.connection, route.prefix + target
    headers = headers | route.headers
    try:
        # Get the socket now: the response takes it over from the connection.
        connection.connect()
        kept = connection.sock
        connection.request("GET", target, headers={**headers, "Host": _host_header(parts)})
        answer = connection.getresponse()
        connection.sock = kept
    except BaseException:
        connection.close()
        raise
    return connection, answer


def _host_header(parts: SplitResult) -> str:
    return str(parts.netloc.rpartition("@")[2])


def authorization(
    demands: Sequence[str], method: str, target: str, user: str, password: str
) -> str | None:
    """Return the Authorization header for the strongest supported WWW-Authenticate header.

    None if no scheme is supported, or none is given.
    """
    challenges = [each.strip().partition(" ") for each in demands]
    digests = [_parameters(rest) for scheme, _, rest in challenges if scheme.lower() == "digest"]
    for name in _HASHES:
        for given in digests:
            algorithm = given.get("algorithm", "MD5").upper()
            if algorithm.removesuffix(_SESSION) == name and "nonce" in given:
                return _digest(given, algorithm, method, target, user, password)
    if any(scheme.lower() == "basic" for scheme, _, _ in challenges):
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return None


def _parameters(text: str) -> dict[str, str]:
    pairs = [each for each in parse_http_list(text) if "=" in each]
    return {name.strip().lower(): value for name, value in parse_keqv_list(pairs).items()}


def _digest(
    given: dict[str, str], algorithm: str, method: str, target: str, user: str, password: str
) -> str:
    def digest(*parts: str) -> str:
        make = _HASHES[algorithm.removesuffix(_SESSION)]
        return make(":".join(parts).encode()).hexdigest()

    realm, nonce = given.get("realm", ""), given["nonce"]
    own, count = secrets.token_hex(8), "00000001"
    account = digest(user, realm, password)
    if algorithm.endswith(_SESSION):
        account = digest(account, nonce, own)
    request = digest(method, target)
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": target}
    # A server without qop follows RFC 2069.
    if "qop" in given:
        proof = digest(account, nonce, count, own, "auth", request)
        bare = f", qop=auth, nc={count}"
        fields["cnonce"] = own
    else:
        proof, bare = digest(account, nonce, request), ""
    fields["response"] = proof
    if "opaque" in given:
        fields["opaque"] = given["opaque"]
    quoted = ", ".join(f'{name}="{value}"' for name, value in fields.items())
    return f"Digest {quoted}, algorithm={given.get('algorithm', 'MD5')}{bare}"
