"""The certificates this device trusts: the system's and those in a file of the user."""

import os
import ssl

from seqvision_edge.errors import SinkError

# For the certificates of a private network.  A camera's stream is verified only if this is set; see
# `sources.ffmpeg`.
CA_FILE = "SEQVISION_CA_FILE"


def trusting() -> ssl.SSLContext:
    """Return the TLS context that verifies another program's certificate.

    Raises:
        SinkError: the user's file has no certificates.
    """
    context = ssl.create_default_context()
    file = os.environ.get(CA_FILE)
    if file:
        try:
            context.load_verify_locations(file)
        except OSError as error:
            why = error.strerror or str(error)
            raise SinkError(f"{CA_FILE} {file}: no certificates can be read ({why})") from None
    return context
