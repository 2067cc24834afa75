"""Where a source is: a camera, a file, a stream of the network, a pipe."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where a source is, and how it is called.

    Attributes:
        kind: `camera` (a number or a device), `stream` (a URL), `path` (a file, a folder, a
            pattern) or `pipe` (standard input).
        name: what every output calls it: without secrets.
        where: what is opened; a URL's user and password are in here, so it is never shown.
    """

    kind: Literal["camera", "stream", "path", "pipe"]
    name: str
    where: str | int = field(repr=False)


def camera(index: int) -> Address:
    """Return the address of a camera of this machine."""
    return Address("camera", f"camera {index}", index)


def is_playlist(url: str) -> bool:
    """Whether a URL is one of HTTP Live Streaming: a list of short files."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.path.lower().endswith(".m3u8")
