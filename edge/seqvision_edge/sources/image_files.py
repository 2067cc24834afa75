"""Image files in natural order, as a source of constant speed."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Image

_USUAL = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Phones, scanners and video tools write these too, and OpenCV reads them.
_OTHERS = (
    ".avif",
    ".dib",
    ".jfif",
    ".jp2",
    ".jpe",
    ".pbm",
    ".pgm",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
)
IMAGE_SUFFIXES = frozenset((*_USUAL, *_OTHERS))
_KINDS_SHOWN = 3


class ImageFiles:
    """A source: one frame per image, `1 / fps` apart.

    An image that cannot be read leaves its place in time empty and is counted in `damaged`.
    """

    live = False

    def __init__(self, name: str, files: Iterable[Path], fps: float) -> None:
        """Take the images among `files`; `name` is used in messages.

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

    @property
    def incomplete(self) -> str | None:
        """After the last frame: how many images could not be read; None when all could."""
        if not self.damaged:
            return None
        return f"decoded {self.decoded} of {self.claimed} images"

    def stop(self) -> None:
        """Nothing waits: reading a file ends by itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between two images."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            SourceError: not one of the images can be read.
        """
        for index, file in enumerate(self.files):
            bgr = _read(file)
            if bgr is None:
                self.damaged += 1
                continue
            self.decoded += 1
            yield Frame(bgr, index / self.fps, index, file.name)
        if not self.decoded:
            if len(self.files) == 1:
                raise SourceError(f"{self.name}: not an image that OpenCV can read")
            raise SourceError(f"{self.name}: OpenCV can read none of its {self.claimed} images")


def natural_order(file: Path) -> list[str | int]:
    """Return a sort key that puts `2.jpg` before `10.jpg`."""
    # Text and numbers alternate in what split returns, so equal places have equal types.
    return [
        int(part) if place % 2 else part.lower()
        for place, part in enumerate(re.split(r"(\d+)", str(file)))
    ]


def decode_image(data: NDArray[np.uint8]) -> Image | None:
    """Return the bytes of an image file as `(height, width, 3)` BGR, grey or with alpha or not.

    None where OpenCV cannot read them.
    """
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    # OpenCV's stubs hide that it may be None.
    return np.asarray(bgr, np.uint8) if isinstance(bgr, np.ndarray) else None


def _read(file: Path) -> Image | None:
    try:
        return decode_image(np.fromfile(file, np.uint8))
    except OSError:
        return None


def _contents(files: list[Path]) -> str:
    """Say what is there instead of images: "4 .txt, 1 folder"."""
    kinds = Counter("folder" if file.is_dir() else file.suffix or "other" for file in files)
    said = [f"{count} {kind}" for kind, count in kinds.most_common(_KINDS_SHOWN)]
    rest = kinds.total() - sum(count for _, count in kinds.most_common(_KINDS_SHOWN))
    if rest:
        said.append(f"{rest} more")
    return ", ".join(said) or "it is empty"


def _accepted() -> str:
    return "give " + " ".join(suffix[1:] for suffix in _USUAL) + " files"
