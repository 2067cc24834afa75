"""What an HTTP server says to a request, where FFmpeg keeps it to itself."""

import http.client
import ssl
from urllib.parse import urlsplit

from seqvision_edge.capture.reach import PORTS
from seqvision_edge.capture.stream_fault import of_status


def ask(url: str, timeout: float) -> str | None:
    """Return the word for why the server gives no video; None where that is not its reason.

    No redirect is followed, no password is sent, and nothing but the status is read.
    """
    parts = urlsplit(url)
    address = parts.hostname or "", parts.port or PORTS[parts.scheme]
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # Nothing that is secret goes there, and cameras sign their certificates themselves.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(*address, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(*address, timeout=timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path)
        reason = of_status(connection.getresponse().status)
    except TimeoutError:
        return "timeout"
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    # With the password, which FFmpeg did send, it may have been content.
    return None if reason == "unauthorized" and parts.username is not None else reason
