"""Augmenters that move pixels, as one matrix per draw; parameters mean what imgaug says."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from seqvision.compat import iaa, imgaug
from seqvision.data.augment.draw import Drawn, drawn
from seqvision.data.augment.pixels import IDENTITY, Edge, Matrix, mirror_matrix, multiply
from seqvision.data.augment.work import Step, Work
from seqvision_edge.opencv import cv2

_AFFINE = (
    iaa.Affine, iaa.Rotate, iaa.ScaleX, iaa.ScaleY, iaa.ShearX, iaa.ShearY, iaa.TranslateX,
    iaa.TranslateY,
)  # fmt: skip
_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "symmetric": cv2.BORDER_REFLECT,
    "reflect": cv2.BORDER_REFLECT_101,
    "wrap": cv2.BORDER_WRAP,
    "replicate": cv2.BORDER_REPLICATE,
}
_ORDERS = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR, 3: cv2.INTER_CUBIC}


def warp_step(augmenter: Any) -> Step | None:
    """Return the augmenter as a matrix, or None where it is not one."""
    kind = type(augmenter)
    if kind in _AFFINE and _is_for_opencv(augmenter):
        return _affine(augmenter)
    if kind in (iaa.Fliplr, iaa.Flipud):
        return _mirror(augmenter, horizontal=kind is iaa.Fliplr)
    if kind is iaa.PerspectiveTransform and augmenter.keep_size and not augmenter.fit_output:
        return _perspective(augmenter)
    return None


def _is_for_opencv(augmenter: Any) -> bool:
    order = augmenter.order
    orders = getattr(order, "a", [getattr(order, "value", None)])
    plain = not augmenter.fit_output and augmenter.backend != "skimage"
    return plain and all(order in _ORDERS for order in orders)


def affine_matrix(
    height: int,
    width: int,
    scale: tuple[float, float] = (1.0, 1.0),
    shift: tuple[float, float] = (0.0, 0.0),
    rotate: float = 0.0,
    shear: tuple[float, float] = (0.0, 0.0),
) -> Matrix:
    """Return the matrix of imgaug's Affine: shear along y, along x, scale, rotate, shift.

    Args:
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        scale: factors along x and y.
        shift: to the right and down, in pixels.
        rotate: clockwise, in degrees, about the frame's centre.
        shear: along x and y, in degrees.
    """
    turn = math.radians(rotate)
    cos, sin = math.cos(turn), math.sin(turn)
    along_x, along_y = math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    a, b = scale[0] * cos, -scale[1] * (along_x * cos + sin)
    d, e = scale[0] * sin, -scale[1] * (along_x * sin - cos)
    a, d = a + b * along_y, d + e * along_y
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return (
        (a, b, x + shift[0] - a * x - b * y),
        (d, e, y + shift[1] - d * x - e * y),
        IDENTITY[2],
    )


def _affine(augmenter: Any) -> Step:
    scale = _pair(augmenter.scale)
    shift = _pair(augmenter.translate[:2] if augmenter.translate[1] else augmenter.translate[0])
    is_share = augmenter.translate[2] == "percent"
    shear = _pair(augmenter.shear)
    if type(augmenter.shear) is imgaug.parameters.Deterministic:
        # A plain number shears along x alone.
        along_x = drawn(augmenter.shear)
        shear = lambda random: (along_x(random), 0.0)  # noqa: E731
    rotate, edge = drawn(augmenter.rotate), _edge(augmenter)

    def step(work: Work) -> None:
        random = work.random
        _, height, width, _ = work.shape
        x, y = shift(random)
        moved = (x * width, y * height) if is_share else (x, y)
        turn = rotate(random)
        matrix = affine_matrix(height, width, scale(random), moved, turn, shear(random))
        work.warp(matrix, edge(random))

    return step


def _mirror(augmenter: Any, horizontal: bool) -> Step:
    p = drawn(augmenter.p)

    def step(work: Work) -> None:
        if p(work.random) >= 0.5:
            _, height, width, _ = work.shape
            upside_down: Matrix = (IDENTITY[0], (0.0, -1.0, height - 1.0), IDENTITY[2])
            work.warp(mirror_matrix(width) if horizontal else upside_down)

    return step


def _perspective(augmenter: Any) -> Step:
    spread, edge = drawn(augmenter.scale), _edge(augmenter)

    def step(work: Work) -> None:
        random = work.random
        _, height, width, _ = work.shape
        deviation = spread(random)
        jitter = [[abs(random.gauss(0.0, deviation)) % 1 for _ in "xy"] for _ in range(4)]
        matrix = perspective_matrix(height, width, jitter)
        if matrix is not None:
            work.warp(matrix, edge(random))

    return step


def perspective_matrix(height: int, width: int, jitter: list[list[float]]) -> Matrix | None:
    """Return the matrix of imgaug's PerspectiveTransform, back at the frame's size.

    Args:
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        jitter: how far each corner moves inwards along x and y, as a share, clockwise from the top
            left.

    Returns:
        None where less than two pixels would be left.
    """
    ends = ((0, 0), (1, 0), (1, 1), (0, 1))
    points = [
        (abs(x - dx) * width, abs(y - dy) * height)
        for (x, y), (dx, dy) in zip(ends, jitter, strict=True)
    ]
    # Corners that crossed are taken in the order in which they now stand.
    left_top, right_bottom = min(points, key=sum), max(points, key=sum)
    right_top = min(points, key=lambda point: point[1] - point[0])
    left_bottom = max(points, key=lambda point: point[1] - point[0])
    wide = int(max(math.dist(left_top, right_top), math.dist(left_bottom, right_bottom)))
    high = int(max(math.dist(right_top, right_bottom), math.dist(left_top, left_bottom)))
    if wide < 2 or high < 2:
        return None
    seen = np.float32([left_top, right_top, right_bottom, left_bottom])  # type: ignore[arg-type]
    target = np.float32([(0, 0), (wide, 0), (wide, high), (0, high)])  # type: ignore[arg-type]
    rows = cv2.getPerspectiveTransform(seen, target).tolist()
    across, down = width / wide, height / high
    resize: Matrix = (
        (across, 0.0, across / 2 - 0.5),
        (0.0, down, down / 2 - 0.5),
        IDENTITY[2],
    )
    return multiply(resize, (tuple(rows[0]), tuple(rows[1]), tuple(rows[2])))


def _pair(parameter: Any) -> Drawn:
    """Draw x and y, each for itself; a parameter that is not a pair is one draw for both."""
    if isinstance(parameter, tuple):
        x, y = drawn(parameter[0]), drawn(parameter[1])
        return lambda random: (x(random), y(random))
    both = drawn(parameter)
    return lambda random: (both(random),) * 2


def _edge(augmenter: Any) -> Callable[[Random], Edge]:
    mode, fill = drawn(augmenter.mode), drawn(augmenter.cval)
    order = drawn(augmenter.order) if hasattr(augmenter, "order") else lambda random: 1

    def edge(random: Random) -> Edge:
        named = mode(random)
        # Perspective's mode may also be OpenCV's own number.
        border = _BORDERS[named] if isinstance(named, str) else int(named)
        flags = _ORDERS[order(random)]
        if border != cv2.BORDER_CONSTANT:
            return Edge(border, flags=flags)
        return Edge(border, (*(float(int(fill(random))) for _ in "rgb"), 0.0), flags)

    return edge
