"""HTTP connections opened by this device: their proxy and their time limits.

Used for webhooks and for streams of cameras.  The standard library's timeouts restart with each
byte, so a server that sends byte by byte can hold a request for ever; `time_limit` ends it.
"""

import base64
import contextlib
import http.client
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

# A TLS handshake replaces its socket, so a single shutdown may come too early.
_AGAIN_SECONDS = 0.1
_LOCAL_ENDINGS = (".local", ".localhost", ".lan", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Route:
    """A connection not yet opened, and what a request through it needs.

    Attributes:
        connection: to the server, or to its proxy.
        prefix: the prefix of a request's target, if a proxy needs one.
        headers: headers for the proxy.
    """

    connection: http.client.HTTPConnection
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def route_to(
    scheme: str, host: str, port: int, timeout: float, context: ssl.SSLContext | None
) -> Route:
    """Return how to reach a server.

    Args:
        scheme: http or https.
        host: its name or address.
        port: its port.
        timeout: seconds for the connection, and for each read from it.
        context: the TLS context; for https only.
    """
    proxy = proxy_of(scheme, host)
    at = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
    account = _account(proxy) if proxy else {}
    if scheme == "https":
        secure = http.client.HTTPSConnection(at[0], at[1], timeout=timeout, context=context)
        if proxy:
            secure.set_tunnel(host, port, account)
        return Route(secure)
    plain = http.client.HTTPConnection(at[0], at[1], timeout=timeout)
    named = f"[{host}]" if ":" in host else host
    return Route(plain, f"http://{named}:{port}", account) if proxy else Route(plain)


def proxy_of(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment sets for a host, None if none is used.

    `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are used, in either case.  Local hosts never use a
    proxy: addresses of a private network, and names that no public server has.
    """
    if is_private_host(host) or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy:
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # A proxy of another kind is not supported; bypassing it would be wrong for the user's data.
    if not usable:
        raise OSError(f"the proxy of {scheme.upper()}_PROXY is not http://HOST:PORT")
    return parts


def set_ffmpeg_proxy(scheme: str, host: str) -> None:
    """Set the proxy of `proxy_of` for FFmpeg, which reads this process's environment."""
    proxy = proxy_of(scheme, host)
    if proxy is None:
        os.environ.pop("http_proxy", None)
    else:
        os.environ["http_proxy"] = proxy.geturl()


def is_private_host(host: str) -> bool:
    """Return whether a host is in the local network, by its address or its name."""
    name = host.strip("[]").rstrip(".").casefold()
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return "." not in name or name.endswith(_LOCAL_ENDINGS)
    return not address.is_global


@contextlib.contextmanager
def time_limit(
    seconds: float, line: Callable[[], socket.socket | None]
) -> Iterator[threading.Event]:
    """Shut a connection down once the block has taken too long, whatever it waits for.

    Args:
        seconds: the limit for the whole block.
        line: returns the current socket.

    Yields:
        An event that is set when the time was over.
    """
    done, expired = threading.Event(), threading.Event()

    def watch() -> None:
        if done.wait(seconds):
            return
        expired.set()
        while True:
            shut_down(line())
            if done.wait(_AGAIN_SECONDS):
                return

    threading.Thread(target=watch, name="time limit", daemon=True).start()
    try:
        yield expired
    finally:
        done.set()


def shut_down(line: socket.socket | None) -> None:
    """Close a connection from which another thread may be reading."""
    if line is not None:
        # The plain socket's method: that of TLS would destroy the other thread's state.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)


def _account(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    account = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(account.encode()).decode()}"}
