"""The URL of an output: checked before the run, its secrets kept out of every message."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from seqvision_edge.errors import SinkError


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where another program listens.

    Attributes:
        shown: scheme, host and port: what messages may say.  The rest of a URL may be a secret.
        scheme: in small letters.
        host: a name or an address.
        port: the URL's own, or that of the scheme.
        target: path and query, as they were written.
        user: None where the URL names none.
        password: None where the URL names none.
    """

    shown: str
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)


def web_address(flag: str, url: str, ports: dict[str, int]) -> WebAddress:
    """Read a URL; `ports` has the schemes that are possible, with their usual ports.

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
