"""A cut-out: a shape with transparency, at several levels of fineness, laid on pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Picture = NDArray[np.float32]
"""A picture being painted: (height, width, 3), RGB, 0-255."""


@dataclass(frozen=True)
class CutOut:
    """A shape to lay on pictures.

    `levels` are premultiplied RGBA (height, width, 4), 0-255, each half as fine as the one
    before; `unit` is the pixels to one length unit in the finest, `left` and `top` its corner
    in such units.
    """

    levels: tuple[NDArray[np.uint8], ...]
    unit: float
    left: float
    top: float


def lay(
    picture: Picture,
    shape: CutOut,
    centre: tuple[float, float],
    unit: float,
    angle: float = 0.0,
    mirrored: bool = False,
) -> None:
    """Paint a cut-out onto a picture, in place.

    `centre` is where the shape's origin goes, in pixels; `unit` the pixels to one of its length
    units there; `angle` its turn in radians, clockwise as seen. What the cut-out's last row shows
    is endless, which is how an arm reaches the edge of the picture.
    """
    level = int(np.clip(math.floor(math.log2(shape.unit / unit)), 0, len(shape.levels) - 1))
    pixels = shape.unit / 2**level
    cos, sin = math.cos(angle) * pixels / unit, math.sin(angle) * pixels / unit
    flip = -1.0 if mirrored else 1.0
    # From a pixel of the picture back to one of the cut-out.
    matrix = np.array([[flip * cos, flip * sin, 0.0], [-sin, cos, 0.0]])
    matrix[:, 2] = -matrix[:, :2] @ np.array(centre)
    matrix[:, 2] += np.array([-shape.left, -shape.top]) * pixels - 0.5
    height, width = picture.shape[:2]
    laid = cv2.warpAffine(
        shape.levels[level],
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    rows = np.flatnonzero(laid[..., 3].any(axis=1))
    if rows.size:
        # Most of the time is spent in here: leave out the rows that the shape does not reach.
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        picture[part] *= 1.0 - laid[part, :, 3:] * np.float32(1 / 255)
        picture[part] += laid[part, :, :3]


def make_cut_out(rgba: Floats, unit: float, left: float, top: float, levels: int = 3) -> CutOut:
    """Make the coarser levels of a premultiplied RGBA picture (height, width, 4), 0-255."""
    made = [np.round(np.clip(rgba, 0, 255)).astype(np.uint8)]
    for _ in range(levels - 1):
        height, width = made[-1].shape[:2]
        half = cv2.resize(made[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        made.append(np.asarray(half, np.uint8))
    return CutOut(tuple(made), unit, left, top)
