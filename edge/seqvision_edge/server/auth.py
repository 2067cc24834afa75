"""Access control: host names, origins, the token and its cookie.

A web page can make the browser send requests to this machine: to its address, or to a name that
the attacker points at it (DNS rebinding).  It cannot choose the headers `Host` and `Origin`.
"""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from seqvision_edge.errors import SeqvisionError

_NEEDED = ("fastapi", "uvicorn", "websockets", "python_multipart")

COOKIE = "seqvision"
SHORTEST = 16
_MOST_COOKIES = 200
_MOST_OF_OURS = 4

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS = {"http": 80, "https": 443}


class Key:
    """The access token, and the per-process secret that represents it in a cookie."""

    def __init__(self, token: str) -> None:
        self._token = _hash(token)
        self.cookie = secrets.token_urlsafe(32)

    def is_token(self, given: str) -> bool:
        """Return whether this is the token, in constant time."""
        return hmac.compare_digest(_hash(given), self._token)

    def opens(self, headers: dict[bytes, bytes]) -> bool:
        """Return whether a request with these headers has the token or the cookie."""
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(token.strip()):
            return True
        return any(
            hmac.compare_digest(_hash(held), _hash(self.cookie))
            for held in _cookies(headers.get(b"cookie", b"").decode("latin-1"))
        )


@dataclass(frozen=True)
class AllowedHosts:
    """The allowed values of `Host`.

    `addresses` also allows any IP address: DNS rebinding needs a name.
    """

    allowed: frozenset[str]
    addresses: bool = False

    def allow(self, host: str) -> bool:
        """Return whether a `Host` header is allowed."""
        name = _split(f"http://{host}")[0]
        return name in self.allowed or (self.addresses and is_address(name))


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The allowed host names of a server, and the token that it requires, if any.

    `made` is a generated token, which has to be shown to the user.
    """

    names: AllowedHosts
    key: Key | None
    made: str | None = None


def refuse_without_server(program: str) -> None:
    """Refuse if the packages of the extra `serve` are not installed.

    Raises:
        SeqvisionError: a package is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SeqvisionError(
            f"{program}: {', '.join(missing)} is missing, of the extra seqvision-edge[serve]; "
            "in the repository's folder: pip install -c constraints.txt './edge[serve]'"
        )


def read_token(token: str | None, flag: str) -> str | None:
    """Return the token given by an option, or read from the variable of `env:NAME`.

    Raises:
        SeqvisionError: the variable is not set, or the token is too short.
    """
    where = flag
    if token is not None and token.startswith("env:"):
        name = token.removeprefix("env:")
        token, where = os.environ.get(name), f"{flag} env:{name}"
        if token is None:
            raise SeqvisionError(f"{where}: that variable is not set")
    if token is not None and not re.fullmatch(rf"[!-~]{{{SHORTEST},}}", token):
        raise SeqvisionError(
            f"{where}: a token has at least {SHORTEST} plain characters, no spaces"
        )
    return token


def access_policy(host: str, token: str | None, further_names: Iterable[str] = ()) -> AccessPolicy:
    """Return the access policy of an address: any other than loopback requires a token."""
    own = {host.lower(), *(name.lower() for name in further_names)}
    everywhere = is_address(host) and not is_loopback(host)
    names = AllowedHosts(frozenset(LOCAL | own), addresses=everywhere)
    made = new_token() if token is None and not is_loopback(host) else None
    token = token or made
    return AccessPolicy(names, Key(token) if token else None, made)


def server_url(host: str, port: int) -> str:
    """Return the URL of a server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _cookies(header: str) -> list[str]:
    """Return the values of our cookie; a browser may send several, for different paths.

    Python's own parser takes time quadratic in the length of the header (CVE-2024-7592), before any
    token is checked.  Our values are plain, so that nothing needs to be unquoted.
    """
    pairs = (part.strip().partition("=") for part in header.split(";", _MOST_COOKIES))
    return [value for name, _, value in pairs if name == COOKIE][:_MOST_OF_OURS]


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(32)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def is_address(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host to which a server is bound is reachable only from this machine."""
    return host in LOCAL or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether a page of `origin` was served under this `Host` header."""
    scheme = origin.partition("://")[0]
    if scheme not in _PORTS:
        return False
    page = _split(origin)
    return page[0] != "" and page == _split(f"{scheme}://{host}")


def _split(url: str) -> tuple[str, int]:
    """Return host and port; an empty host if it is not `scheme://host[:port]`."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):
        return "", 0
    is_plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return (parts.hostname or "" if is_plain else "", port)
