"""Image files in natural order, as a source of constant rate; JPEG pictures of an MJPEG stream."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.files import IMAGE_SUFFIXES, USUAL_IMAGE_SUFFIXES
from seqvision_edge.frame import Frame, Image
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import ValueRange, to_8_bit

_KINDS_SHOWN = 3
PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
_SCAN: Final = b"\xff\xda"
# Encoders make about ten.
MOST_SCANS: Final = 64
# A truncated PNG: the part that is there may be read.
_MOST_MISSING: Final = 1 << 20

START = b"\xff\xd8\xff"
# A picture without an end by this size does not come from a camera.
LARGEST = 1 << 25
_START_OF_IMAGE, _END_OF_IMAGE = 0xD8, 0xD9
# FF 00 is an escaped byte of the data, FF D0 to FF D7 are restart markers.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
# These have no length; every other marker does.
_BARE = (0x01, _START_OF_IMAGE, _END_OF_IMAGE)


class ImageFiles:
    """A source: one frame per image, `1 / fps` apart.

    An unreadable image leaves a gap at its time, and is counted in `damaged`.
    """

    live = False

    def __init__(
        self,
        name: str,
        files: Iterable[Path],
        fps: float,
        value_range: ValueRange | None = None,
    ) -> None:
        """Take the images among `files`; `name` is used in messages.

        `value_range` holds the black and white values of images with more than 8 bits.

        Raises:
            SourceError: no image among them.
        """
        if not fps > 0:
            raise ValueError(f"fps is {fps}, must be above 0")
        files = [file for file in files if not file.name.startswith(".")]
        self.name = name
        self.fps = fps
        self.files = sorted(
            (file for file in files if file.suffix.lower() in IMAGE_SUFFIXES), key=natural_order
        )
        if not self.files:
            raise SourceError(f"{name}: no images here ({_contents(files)}); {_accepted()}")
        self.note = ""
        self.claimed: int | None = len(self.files)
        self.decoded = 0
        self.damaged = 0
        self.deep = False
        self._value_range = value_range

    @property
    def incomplete(self) -> str | None:
        """After the last frame: how many images could not be read; None if all could."""
        if not self.damaged:
            return None
        return f"decoded {self.decoded} of {self.claimed} images"

    def stop(self) -> None:
        """Do nothing: reading a file never blocks for long."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file stays open between two images."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            SourceError: none of the images can be read.
        """
        for index, file in enumerate(self.files):
            values = read_values(file)
            if values is None:
                self.damaged += 1
                continue
            self.deep |= values.dtype != np.uint8
            bgr = to_8_bit(values, self._value_range)
            self.decoded += 1
            yield Frame(bgr, index / self.fps, index, file.name)
        if not self.decoded:
            if len(self.files) == 1:
                raise SourceError(f"{self.name}: not an image that OpenCV can read")
            raise SourceError(f"{self.name}: OpenCV can read none of its {self.claimed} images")


def natural_order(file: Path) -> list[str | int]:
    """Return a sort key that puts `2.jpg` before `10.jpg`."""
    # Text and numbers alternate in what split returns, so equal positions have equal types.
    return [
        int(part) if index % 2 else part.lower()
        for index, part in enumerate(re.split(r"(\d+)", str(file)))
    ]


def decode_image(data: NDArray[np.uint8], value_range: ValueRange | None = None) -> Image | None:
    """Decode an image file's bytes to `(height, width, 3)` BGR, also from grey or with alpha.

    None if OpenCV cannot decode them.  `value_range` is that of `to_8_bit`.
    """
    values = _decode_values(data)
    return None if values is None else to_8_bit(values, value_range)


def read_values(file: Path) -> NDArray[Any] | None:
    """Return an image as stored, `(height, width, 3)` BGR of its own type; None if damaged."""
    try:
        return _decode_values(np.fromfile(file, np.uint8))
    except OSError:
        return None


def _decode_values(data: NDArray[np.uint8]) -> NDArray[Any] | None:
    if _claims_too_much(data.tobytes()):
        return None
    for how in (cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, cv2.IMREAD_UNCHANGED):
        try:
            image = cv2.imdecode(data, how)
        except cv2.error:
            continue
        # OpenCV's stubs hide that it may be None.  Grey float images have no colour to decode.
        if isinstance(image, np.ndarray):
            return _three_channels(image)
    return None


def _claims_too_much(data: bytes) -> bool:
    """Return whether a picture claims more pixels than its bytes allow, or takes minutes to decode.

    OpenCV allocates a PNG chunk before checking that it exists, and processes all pixels of a JPEG
    again for every scan of ten bytes.
    """
    if data.startswith(PNG):
        at = len(PNG)
        while at + 8 <= len(data):
            at += 12 + int.from_bytes(data[at : at + 4], "big")
            if at > len(data) + _MOST_MISSING:
                return True
    return has_too_many_scans(data)


def has_too_many_scans(data: bytes) -> bool:
    """Return whether a JPEG has more scans than any encoder makes; False for other formats."""
    return data.startswith(JPEG) and data.count(_SCAN) > MOST_SCANS


def _three_channels(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim == 3 and image.shape[2] >= 3:
        return np.ascontiguousarray(image[..., :3])
    return np.repeat(image.reshape(*image.shape[:2], -1)[..., :1], 3, axis=2)


def _contents(files: list[Path]) -> str:
    """Return a summary of other files instead of images: "4 .txt, 1 folder"."""
    kinds = Counter("folder" if file.is_dir() else file.suffix or "other" for file in files)
    counts = [f"{count} {kind}" for kind, count in kinds.most_common(_KINDS_SHOWN)]
    rest = kinds.total() - sum(count for _, count in kinds.most_common(_KINDS_SHOWN))
    if rest:
        counts.append(f"{rest} more")
    return ", ".join(counts) or "it is empty"


def _accepted() -> str:
    return "give " + " ".join(suffix[1:] for suffix in USUAL_IMAGE_SUFFIXES) + " files"


def pictures(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each picture, and whether it is complete: one may be truncated.

    Bytes between two pictures are skipped.
    """
    data = bytearray()
    at = 0  # where the next marker is searched; 0 before a picture begins
    for chunk in chunks:
        data += chunk
        while True:
            if not at:
                begin = data.find(START)
                # Its first bytes may have been received already.
                del data[: begin if begin >= 0 else -len(START)]
                if begin < 0:
                    break
                at = 2
            found = _MARKER.search(data, at)
            if found is None:
                at = max(at, len(data) - 1)
                break
            marker, end = found[1][0], found.end()
            if marker == _END_OF_IMAGE:
                yield bytes(data[:end]), True
                del data[:end]
                at = 0
            elif marker == _START_OF_IMAGE:
                yield bytes(data[: found.start()]), False
                del data[: found.start()]
                at = 0
            elif marker in _BARE:
                at = end
            elif len(data) < end + 2:
                break
            elif data[end : end + 2] == START[:2]:
                # Truncated before its length: decoded as one, the next picture would hide others.
                yield bytes(data[:end]), False
                del data[:end]
                at = 0
            else:
                at = end + int.from_bytes(data[end : end + 2], "big")
        if at and len(data) > LARGEST:
            yield b"", False
            data.clear()
            at = 0
    if at:
        yield bytes(data), False
