"""One picture of a source, and when it was taken."""

from dataclasses import dataclass
from typing import Final

from seqvision_edge.errors import SourceError
from seqvision_edge.preprocess import Image

# Of one frame; 8K (7680 x 4320) fits.  A file of a few kilobytes can claim frames of gigabytes.
MAX_PIXELS: Final = 1 << 25


class FrameRefused(SourceError):  # noqa: N818
    """A frame is of a pixel format that cannot be converted, or too large."""


class FrameTooLarge(FrameRefused):
    """A frame has more pixels than may be read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        bgr: `(height, width, 3)` uint8, as OpenCV gives it; of a live source at most as large as
            people look at it.
        time: seconds since the source began, rising: by the stream's own timestamps for files, by
            the monotonic clock at arrival for live sources.
        index: the number of the frame in its source, from 0; frames that were lost are counted.
        name: of the file that is this frame; None where one file or stream holds many.
        image: `(height, width, channels)` uint8, the frame as the model reads it, where the process
            that captured it has made it already; else None.  Of a still image that its sender has
            cut already, all its steps: `(steps, height, width, channels)`.
        duration: seconds for which a file says that it is shown; 0 where that is not known.
        repeated: the frame before, which stands still, again: at a tick of the model's clock.
        arrived: the monotonic clock when a live source gave it; None for recorded ones.
    """

    bgr: Image
    time: float
    index: int
    name: str | None = None
    image: Image | None = None
    duration: float = 0.0
    repeated: bool = False
    arrived: float | None = None
