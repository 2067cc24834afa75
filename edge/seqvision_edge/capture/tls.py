"""TLS connections to cameras: what is checked, and why one cannot be made."""

import os
import socket
import ssl
from urllib.parse import urlsplit

from seqvision_edge.capture.reach import PORTS
from seqvision_edge.trust import CA_FILE


def camera_context() -> ssl.SSLContext:
    """Return how certificates of cameras are checked: by `SEQVISION_CA_FILE`, else not at all.

    Raises:
        OSError: the file has no certificates.
    """
    file = os.environ.get(CA_FILE)
    if file:
        return ssl.create_default_context(cafile=file)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Nothing is proven by such a connection, and old cameras know nothing newer.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def check_tls(url: str, timeout: float) -> str | None:
    """Return "tls" where no TLS connection can be made with the server of a URL; else None."""
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
