"""HTTP connections that this device opens: through which proxy, and for how long at most.

Used for webhooks and for streams of cameras.  The standard library's timeouts begin anew with each
byte, so a server that drips can hold a request for ever; `time_limit` ends it.
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

# A handshake of TLS hands its socket on, so one closing may come a moment too early.
_AGAIN_SECONDS = 0.1
_LOCAL_ENDINGS = (".local", ".localhost", ".lan", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Route:
    """A connection that is still to be opened, and what a request through it needs.

    Attributes:
        connection: to the server, or to a proxy in front of it.
        prefix: what comes before the target of a request, where a proxy is used for it.
        headers: headers for the proxy.
    """

    connection: http.client.HTTPConnection
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def route_to(
    scheme: str, host: str, port: int, timeout: float, context: ssl.SSLContext | None
) -> Route:
    """Return how a server is reached.

    Args:
        scheme: http or https.
        host: its name or address.
        port: its port.
        timeout: seconds for the connection, and for each reading from it.
        context: how the certificate is checked; for https only.
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
    """Return the proxy that the environment names for a host, None where none is used.

    `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` count, in either case.  What is local never goes
    through a proxy: addresses of a private network, and names that no public server has.
    """
    if is_local(host) or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy:
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # A proxy of another kind cannot be used; going round it is no way out for the user's data.
    if not usable:
        raise OSError(f"the proxy of {scheme.upper()}_PROXY is not http://HOST:PORT")
    return parts


def set_ffmpeg_proxy(scheme: str, host: str) -> None:
    """Let FFmpeg, which reads this process's environment, take the proxy that `proxy_of` names."""
    proxy = proxy_of(scheme, host)
    if proxy is None:
        os.environ.pop("http_proxy", None)
    else:
        os.environ["http_proxy"] = proxy.geturl()


def is_local(host: str) -> bool:
    """Whether a host is in the own network, by its address or its name."""
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
    """Shut a connection down once the block has taken so long, whatever it waits for then.

    Args:
        seconds: for all of it.
        line: returns the socket that is in use at that moment.

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
    """End a connection that another thread may be reading from."""
    if line is not None:
        # The plain socket's own: that of TLS would take the other thread's state away.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)


def _account(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    account = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(account.encode()).decode()}"}
