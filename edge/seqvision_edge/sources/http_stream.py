"""A stream over HTTP: one authorized request (Basic, Digest) and the bytes of its answer.

The request is ours and not FFmpeg's: FFmpeg's reader of MJPEG refuses much that cameras send, and
its errors hide what a server answered.  No redirect is followed, and a user and password go only to
the address that they were given for.
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
# What a URL may hold as it is; `%` because it is encoded already.
_LEGAL = "!#$%&'()*+,/:;=?@[]~"

# What a server may ask for, the stronger first.
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_SESSION = "-SESS"


class HttpStream:
    """The body of an answer, as a file that gives at once what has come.

    Attributes:
        kind: the media type, without its parameters, in small letters; "" where none is given.
        fault: why it ended, where that was no ordinary end.
        deadline: when it ends for want of a whole picture, by the monotonic clock; None: never.
    """

    def __init__(self, url: str, open_timeout: float, read_timeout: float) -> None:
        """Send the request and read the head of the answer; timeouts in seconds.

        Raises:
            StreamFault: there is no stream, and why.
        """
        self._ahead = b""
        try:
            connection, answer = _ask(url, open_timeout)
            # The answer keeps the connection's socket alive.
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
        """Return the first `count` bytes, less where it ends before; `read` gives them again."""
        while len(self._ahead) < count and (more := self._receive(_CHUNK)):
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int = _CHUNK) -> bytes:
        """Return what has come, at most `count` bytes; wait for at least one; b"" at the end."""
        if self._ahead:
            ready, self._ahead = self._ahead[:count], self._ahead[count:]
            return ready
        return self._receive(count)

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()

    def _receive(self, count: int) -> bytes:
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.fault = StreamFault("no_keyframe")
            return b""
        try:
            return bytes(self._answer.read1(count))
        except (OSError, ValueError, http.client.HTTPException) as error:
            # FFmpeg reads through this, and would print an exception of ours.
            self.fault = StreamFault("timeout" if isinstance(error, TimeoutError) else "ended")
            return b""


def _ask(url: str, timeout: float) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Send the request; once more with user and password, where the server demands them."""
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
        # The socket is asked for, as the answer takes it away from the connection.
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
    """Return the Authorization header that answers the strongest known WWW-Authenticate header.

    None where no way is known, or where none is named.
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
    # A server that names no quality of protection is of RFC 2069.
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
