"""Open sources by their addresses."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from seqvision_edge.capture.address import Address
from seqvision_edge.capture.capture import WHOLE, Capture, FrameFormat
from seqvision_edge.errors import SourceError
from seqvision_edge.names import deduplicate
from seqvision_edge.preprocess import ValueRange
from seqvision_edge.sources import IMAGE_FPS, Source, open_path
from seqvision_edge.sources.pipe import Rate, open_standard_input
from seqvision_edge.sources.watched import Timeouts, Watched


@dataclass(frozen=True, slots=True)
class Manner:
    """How sources are to be read.

    Attributes:
        image_fps: frames per second of what has no times: images, standard input; `arrival`: when
            they come through standard input.  None: 30 of images, and demanded of standard input.
        value_range: which values of pictures with more than 8 bits are black and white.
        stdin_size: width and height of the raw frames of standard input; None: not raw.
        wanted: how the frames of live sources are to be made.
        patience: how long live sources may be silent.
    """

    image_fps: Rate | None = None
    value_range: ValueRange | None = None
    stdin_size: tuple[int, int] | None = None
    wanted: FrameFormat = WHOLE
    patience: Timeouts = field(default_factory=Timeouts)


def refuse_missing(addresses: Sequence[Address]) -> None:
    """Refuse a missing camera before a model is loaded.

    Raises:
        SourceError: a camera of this machine is missing, or may not be opened.
    """
    for address in addresses:
        if address.kind == "camera":
            Capture(address).refuse_missing()


def open_sources(addresses: Sequence[Address], manner: Manner) -> list[Source]:
    """Open them all, under names that differ; none stays open where one cannot be opened.

    Raises:
        SourceError: one of them cannot be opened.
    """
    if sum(address.kind == "pipe" for address in addresses) > 1:
        raise SourceError("standard input can be one source only; - is there more than once")
    names = deduplicate([address.name for address in addresses])
    with contextlib.ExitStack() as opened:
        sources = [
            # Its context is for the run; here it is only closed if the next one fails.
            opened.push(_open(replace(address, name=name), manner))
            for address, name in zip(addresses, names, strict=True)
        ]
        opened.pop_all()
    return sources


def _open(address: Address, manner: Manner) -> Source:
    if address.kind in ("camera", "stream"):
        return Watched(address, manner.wanted, manner.patience)
    if address.kind == "pipe":
        return open_standard_input(address.name, manner.image_fps, manner.stdin_size)
    if isinstance(manner.image_fps, str):
        raise SourceError(f"--image-fps {manner.image_fps}: only standard input has arrival times")
    source = open_path(str(address.where), manner.image_fps or IMAGE_FPS, manner.value_range)
    source.name = address.name
    return source
