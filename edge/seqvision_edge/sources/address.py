"""The address of a source: a camera, a file, a network stream, a pipe."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from seqvision_edge.regions import Region


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a source, and its name in messages.

    Attributes:
        kind: `camera` (a number or a device), `stream` (a URL), `path` (a file, a folder, a
            pattern) or `pipe` (standard input).
        name: the name in every output: without secrets.
        where: what is opened; contains a URL's user and password, so it is never printed.
        regions: the parts of its picture that the model reads, each; none: all of it.
    """

    kind: Literal["camera", "stream", "path", "pipe"]
    name: str
    where: str | int = field(repr=False)
    regions: "tuple[Region, ...]" = ()


def camera(index: int) -> Address:
    """Return the address of a camera of this machine."""
    return Address("camera", f"camera {index}", index)


def is_playlist(url: str) -> bool:
    """Return whether a URL is an HTTP Live Streaming playlist: a list of short files."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.path.lower().endswith(".m3u8")
