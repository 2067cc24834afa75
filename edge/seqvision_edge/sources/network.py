"""Connections to cameras: reachability of the server, and its TLS."""

import os
import socket
import ssl
import threading
from urllib.parse import urlsplit

from seqvision_edge.http_client import proxy_of
from seqvision_edge.sources.faults import StreamFault, of_error
from seqvision_edge.tls import CA_FILE

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_LOOK = 0.1
_LONGEST = 3.0


def check_reachable(url: str, timeout: float, left: threading.Event) -> None:
    """Connect to the server of a URL and disconnect; return at once when `left` is set.

    Raises:
        StreamFault: it cannot be reached, with the reason.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme in ("http", "https") and proxy_of(parts.scheme, host):
        return
    seconds = min(timeout, _LONGEST)
    answer: list[str] = []
    # Resolving a name can take long and cannot be interrupted: this thread is never joined.
    resolver = threading.Thread(
        target=lambda: answer.append(_connect(host, port, seconds)), name="reach", daemon=True
    )
    resolver.start()
    waited = 0.0
    while resolver.is_alive() and waited < seconds + 2 * _LOOK and not left.is_set():
        resolver.join(_LOOK)
        waited += _LOOK
    reason = answer[0] if answer else "timeout"
    if reason and not left.is_set():
        raise StreamFault(reason)


def _connect(host: str, port: int, timeout: float) -> str:
    """Return the error code of a failed connection; "" if it succeeds."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        reason = of_error(error)
        return "refused" if reason == "unreadable" else reason
    except UnicodeError as error:
        return of_error(error)
    return ""


def camera_context() -> ssl.SSLContext:
    """Return the TLS context for cameras: verified by `SEQVISION_CA_FILE`, else not at all.

    Raises:
        OSError: the file has no certificates.
    """
    file = os.environ.get(CA_FILE)
    if file:
        return ssl.create_default_context(cafile=file)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Such a connection is not authenticated anyway, and old cameras support nothing newer.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def check_tls(url: str, timeout: float) -> str | None:
    """Return "tls" if no TLS connection to the server of a URL can be made; else None."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        with (
            socket.create_connection((host, port), timeout) as connection,
            camera_context().wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLError:
        return "tls"
    except OSError:
        return None
