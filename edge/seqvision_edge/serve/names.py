"""By which names a server may be called, and which pages may speak to it.

A page of the internet can make a browser here send requests: to an address of this machine, or to
a name of its own that it lets point here.  What it cannot do is to choose `Host` and `Origin`.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Names:
    """Names that may stand in `Host`.

    `addresses` lets any address in numbers stand there too: no name was made to point here then.
    """

    allowed: frozenset[str]
    addresses: bool = False

    def allow(self, host: str) -> bool:
        """Whether a `Host` header is one of this server's."""
        name = _split(f"http://{host}")[0]
        return name in self.allowed or (self.addresses and is_address(name))


def is_address(name: str) -> bool:
    """Whether a host is written in numbers."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Whether only this machine itself reaches a host to which a server is bound."""
    return host in LOCAL or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` was served under this `Host` header."""
    scheme = origin.partition("://")[0]
    if scheme not in _PORTS:
        return False
    page = _split(origin)
    return page[0] != "" and page == _split(f"{scheme}://{host}")


def _split(url: str) -> tuple[str, int]:
    """Return host and port; an empty host for what is not `scheme://host[:port]`."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):
        return "", 0
    is_plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return (parts.hostname or "" if is_plain else "", port)
