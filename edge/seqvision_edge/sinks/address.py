"""Where an output listens."""

from ipaddress import ip_address

from seqvision_edge.errors import SinkError

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
    try:
        number = int(port) if port.isascii() and port.isdigit() else -1
        known = host if host in ("", "localhost") else str(ip_address(host))
    except ValueError:
        number, known = -1, ""
    if not 0 <= number <= 65535:
        raise SinkError(f"{flag} {text}: give ADDRESS:PORT, such as {LOOPBACK}:{usual}")
    return (LOOPBACK if known in ("", "localhost") else known), number
