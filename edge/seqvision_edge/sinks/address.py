"""Where an output listens."""

from ipaddress import ip_address

from seqvision_edge.errors import SinkError
from seqvision_edge.numerals import whole_number

LOOPBACK = "127.0.0.1"


def listen_address(flag: str, text: str, usual: int) -> tuple[str, int]:
    """Read `HOST:PORT`; a port alone is one of the loopback interface.

    Args:
        flag: the option that says it, for the refusal.
        text: what was given.
        usual: the port of the example in the refusal.

    Raises:
        SinkError: it is not such an address.
    """
    host, colon, port = text.rpartition(":")
    host = host.strip("[]") if colon else ""
    number = whole_number(port)
    try:
        known = host if host in ("", "localhost") else str(ip_address(host))
    except ValueError:
        number, known = None, ""
    if number is None or number > 65535:
        raise SinkError(f"{flag} {text}: give ADDRESS:PORT, such as {LOOPBACK}:{usual}")
    return (LOOPBACK if known in ("", "localhost") else known), number
