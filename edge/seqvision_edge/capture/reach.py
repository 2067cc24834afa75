"""Whether the server of a URL takes connections: asked before a process is started for it."""

import socket
import threading
from urllib.parse import urlsplit

from seqvision_edge.capture.stream_fault import StreamFault, of_error
from seqvision_edge.http_client import proxy_of

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_LOOK = 0.1
_LONGEST = 3.0


def check_reachable(url: str, timeout: float, left: threading.Event) -> None:
    """Connect to the server of a URL and hang up; return at once when `left` is set.

    Raises:
        StreamFault: it cannot be reached, and why.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme in ("http", "https") and proxy_of(parts.scheme, host):
        return
    seconds = min(timeout, _LONGEST)
    answer: list[str] = []
    # To ask for a name can take long and cannot be interrupted: nobody waits for this thread.
    asking = threading.Thread(
        target=lambda: answer.append(_connect(host, port, seconds)), name="reach", daemon=True
    )
    asking.start()
    waited = 0.0
    while asking.is_alive() and waited < seconds + 2 * _LOOK and not left.is_set():
        asking.join(_LOOK)
        waited += _LOOK
    reason = answer[0] if answer else "timeout"
    if reason and not left.is_set():
        raise StreamFault(reason)


def _connect(host: str, port: int, timeout: float) -> str:
    """Return the word for why nobody can connect; "" where one can."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        reason = of_error(error)
        return "refused" if reason == "unreadable" else reason
    except UnicodeError as error:
        return of_error(error)
    return ""
