"""Augmenters tried before the training: which of imgaug's work with this NumPy and OpenCV."""

import inspect
from typing import Any

import numpy as np

from seqvision.data.augment.build import name_of, one_line
from seqvision.data.augment.draw import seeded
from seqvision.data.augment.plan import leaves
from seqvision.errors import DataError
from seqvision_edge.opencv import cv2

# Odd sizes, so that a crop to a multiple or to a power is seen; some break only on larger images.
_SMALL, _LARGE = (27, 21), (97, 129)
_DRAWS = 6


def try_out(augmenter: Any, where: str) -> None:
    """Run an augmenter, or those that it holds, on images of two sizes and several draws.

    Raises:
        DataError: one does not work here, or changes the size; it names the augmenter.
    """
    for leaf in leaves(augmenter):
        for draw in range(_DRAWS):
            trouble = _trouble(leaf, (*_SMALL, 3), draw)
            if trouble is None and draw < 2:
                trouble = _trouble(leaf, (*_LARGE, 3), draw)
            if trouble is not None:
                raise DataError(f"{where}: {name_of(leaf)} {trouble}")


def needs_colour(augmenter: Any) -> bool:
    """Return whether an augmenter that works on RGB does not on one grey channel."""
    return any(_trouble(augmenter, (*_SMALL, 1), draw) for draw in range(_DRAWS))


def _trouble(augmenter: Any, shape: tuple[int, int, int], seed: int) -> str | None:
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    try:
        with seeded(augmenter, seed):
            varied = augmenter.augment_image(image)
    except ImportError as error:
        return f"needs a package that is not here ({one_line(error).partition('. ')[0]})"
    except Exception as error:  # whatever an unmaintained library raises on newer parts
        return (
            f"does not work with NumPy {np.__version__} and OpenCV {cv2.__version__} "
            f"({type(error).__name__}: {one_line(error)})"
        )
    if varied.dtype != np.uint8:
        return f"makes {varied.dtype} of uint8"
    if varied.shape != shape:
        can_keep = "keep_size" in inspect.signature(type(augmenter)).parameters
        return (
            f"changes the size ({shape[1]}×{shape[0]} to {varied.shape[1]}×{varied.shape[0]}); "
            + ("give it keep_size: true" if can_keep else "put it into KeepSizeByResize")
        )
    return None
