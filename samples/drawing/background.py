"""What is behind the hand: rooms that drift a little, and people passing by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drawing.cut_out import CutOut, Floats, Picture, lay, make_cut_out

ROOM_LUMA, ROOM_CONTRAST = (28.0, 62.0), 12.0
"""Mean and spread of a room's lightness, 0-255: the lamp is on the hand, the room is dim."""
MARGIN = 0.12
"""How far a room reaches past each side of the picture, in picture sizes."""


@dataclass(frozen=True)
class Drift:
    """A slow sway: a sum of sines, unit size, of `rates` in turns a second."""

    rates: NDArray[np.float64]
    phases: NDArray[np.float64]

    def __call__(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sway at some times, (time,), within -1 to 1."""
        turns = 2 * math.pi * seconds[:, None] * self.rates + self.phases
        return np.asarray(np.sin(turns).mean(axis=1))


@dataclass(frozen=True)
class PasserBy:
    """Someone crossing behind the hand: from `start` (seconds) for `seconds`, in pictures."""

    shape: CutOut
    start: float
    seconds: float
    leftwards: bool
    y: float
    size: float


@dataclass(frozen=True)
class Room:
    """A room larger than the picture (height, width, 3) and the way the camera sways in it.

    `sway` is the reach of the sway in picture sizes; `offset` the view's fixed place (-1 to 1).
    """

    image: NDArray[np.uint8]
    drift_x: Drift
    drift_y: Drift
    sway: float
    offset: tuple[float, float]


def draw_drift(rng: np.random.Generator, slow: float, fast: float) -> Drift:
    """Draw a sway of three sines with rates between `slow` and `fast` turns a second."""
    return Drift(rng.uniform(slow, fast, 3), rng.uniform(0, 2 * math.pi, 3))


def draw_room(rng: np.random.Generator, room_seed: int, size: tuple[int, int]) -> Room:
    """Draw the room of `room_seed` as one clip sees it; `size` is the picture's width, height.

    The seed fixes the room, `rng` only the view of it.
    """
    width, height = (math.ceil(side * (1 + 2 * MARGIN)) for side in size)
    fixed = np.random.default_rng(room_seed)
    kind: Callable[[np.random.Generator, int, int], Floats] = _KINDS[
        int(fixed.integers(len(_KINDS)))
    ]
    image = kind(fixed, width, height)
    image = _soften(image, height / 120 * float(fixed.uniform(0.5, 1.6)))
    image = _dim(image, float(fixed.uniform(*ROOM_LUMA)))
    if rng.random() < 0.3:
        image = np.ascontiguousarray(image[:, ::-1])
    return Room(
        image=np.clip(image, 0, 255).astype(np.uint8),
        drift_x=draw_drift(rng, 0.03, 0.25),
        drift_y=draw_drift(rng, 0.03, 0.25),
        sway=float(rng.uniform(0.0, 0.05)),
        offset=(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))),
    )


def corners(room: Room, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the view's top left corner in the room at some times: (time, 2), picture sizes."""
    free = MARGIN - room.sway
    x = MARGIN + free * room.offset[0] + room.sway * room.drift_x(seconds)
    y = MARGIN + free * room.offset[1] + room.sway * room.drift_y(seconds)
    return np.stack([x, y], axis=1)


def view(room: Room, corner: NDArray[np.float64], size: tuple[int, int]) -> Picture:
    """Return the picture of the room from a corner, (height, width, 3), RGB, 0-255."""
    width, height = size
    matrix = np.array([[1.0, 0.0, corner[0] * width], [0.0, 1.0, corner[1] * height]])
    picture = cv2.warpAffine(
        room.image,
        matrix,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return picture.astype(np.float32)


def draw_passer_by(rng: np.random.Generator, start: float, seconds: float) -> PasserBy:
    """Draw someone out of focus who crosses the picture in the given time."""
    unit = 48
    rgba = np.zeros((unit * 3, unit * 2, 4), np.float32)
    cover = np.zeros(rgba.shape[:2], np.float32)
    cv2.ellipse(cover, (unit, round(unit * 0.55)), (11, 14), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cv2.ellipse(cover, (unit, unit * 2), (26, 56), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cover[-unit // 2 :] *= np.linspace(1, 0, unit // 2, dtype=np.float32)[:, None]
    cover = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(2.0, 4.5))) * rng.uniform(0.6, 0.95)
    rgba[..., :3] = _muted(rng, 0.08, 0.26)
    rgba[..., :3] *= cover[..., None]
    rgba[..., 3] = cover * 255
    rgba[:3] = rgba[-3:] = 0.0
    rgba[:, :3] = rgba[:, -3:] = 0.0
    return PasserBy(
        shape=make_cut_out(rgba, unit, -1.0, -1.0),
        start=start,
        seconds=seconds,
        leftwards=bool(rng.random() < 0.5),
        y=float(rng.uniform(0.3, 0.6)),
        size=float(rng.uniform(0.3, 0.6)),
    )


def lay_passer_by(picture: Picture, passer: PasserBy, seconds: float) -> None:
    """Paint a passer-by as seen at a time, in place; nothing outside their time."""
    done = (seconds - passer.start) / passer.seconds
    if not 0.0 <= done <= 1.0:
        return
    height, width = picture.shape[:2]
    across = -0.4 + 1.8 * (1.0 - done if passer.leftwards else done)
    bob = 0.012 * math.sin(2 * math.pi * 1.8 * seconds)
    centre = (across * width, (passer.y + bob) * height)
    lay(picture, passer.shape, centre, passer.size * height)


def _dim(image: Floats, luma: float) -> Floats:
    """Give a room its mean lightness, and the low contrast of what is far from the lamp."""
    spread = min(1.0, ROOM_CONTRAST / max(float(image.std()), 1.0))
    return np.asarray(luma + spread * (image - image.mean()), np.float32)


def _soften(image: Floats, sigma: float) -> Floats:
    """Put a picture out of focus by this many pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _muted(rng: np.random.Generator, dark: float = 0.25, bright: float = 0.9) -> Floats:
    """Draw a muted colour with a value between `dark` and `bright` (0-1)."""
    hue, saturation = rng.uniform(0, 360), rng.uniform(0.05, 0.42)
    hsv = np.array([[[hue, saturation, rng.uniform(dark, bright)]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] * 255, np.float32)


def _gradient(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Blend two colours across the picture, in a random direction."""
    angle = rng.uniform(0, 2 * math.pi)
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    ramp = 0.5 + 0.5 * (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2)
    first, second = _muted(rng), _muted(rng)
    return np.asarray(first + ramp[..., None] * (second - first), np.float32)


def _blobs(rng: np.random.Generator, width: int, height: int) -> Floats:
    """A gradient with soft spots of light and shade."""
    image = _gradient(rng, width, height)
    for _ in range(int(rng.integers(4, 10))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.uniform(0.05, 0.2) * width), int(rng.uniform(0.05, 0.25) * height))
        layer = image.copy()
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(layer, centre, axes, turn, 0, 360, _muted(rng).tolist(), -1, cv2.LINE_AA)
        cover = float(rng.uniform(0.25, 0.75))
        image = np.asarray(image + cover * (layer - image), np.float32)
    return _soften(image, height / 120 * float(rng.uniform(1, 5)))


def _stripes(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Striped wallpaper or a curtain."""
    angle = float(rng.choice([0.0, math.pi / 2, rng.uniform(0, math.pi)]))
    x, y = np.meshgrid(np.arange(width) / height, np.arange(height) / height)
    wave = np.sin(2 * math.pi * rng.uniform(3, 9) * (x * math.cos(angle) + y * math.sin(angle)))
    sharp = np.clip(wave * rng.uniform(0.7, 4.0), -1, 1)[..., None]
    image = _gradient(rng, width, height)
    return np.asarray(np.clip(image + sharp * rng.uniform(8, 24), 0, 255), np.float32)


def _clouds(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Leaves, plaster or cloth: noise of several sizes between two colours."""
    mix = np.zeros((height, width), np.float32)
    for cells, weight in ((4, 1.0), (9, 0.6), (20, 0.35)):
        grid = rng.standard_normal((cells, cells + cells // 3)).astype(np.float32)
        mix += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    first, second = _muted(rng), _muted(rng)
    ramp = np.clip(0.5 + 0.3 * mix, 0, 1)[..., None]
    return np.asarray(first + ramp * (second - first), np.float32)


def _furnished(rng: np.random.Generator, width: int, height: int) -> Floats:
    """A wall with a floor, a window or a door, pictures and a shelf of books."""
    image = _gradient(rng, width, height)
    floor = int(rng.uniform(0.7, 0.95) * height)
    image[floor:] = 0.5 * image[floor:] + 0.5 * _muted(rng, 0.2, 0.6)
    image[floor : floor + max(1, height // 60)] *= 0.75
    _box(image, rng, (0.05, 0.55), (0.1, 0.25), (0.2, 0.3), (0.35, 0.5), _muted(rng, 0.75, 1.0))
    for _ in range(int(rng.integers(1, 4))):
        _box(image, rng, (0.0, 0.85), (0.05, 0.4), (0.1, 0.2), (0.1, 0.25), _muted(rng))
    top, x = int(rng.uniform(0.45, 0.6) * height), int(rng.uniform(0.0, 0.6) * width)
    end = x + int(0.35 * width)
    cv2.rectangle(image, (x, top), (end, top + height // 40), _muted(rng).tolist(), -1)
    while x < end:
        thick = int(rng.integers(3, 7)) * width // 200 + 1
        tall = int(rng.uniform(0.08, 0.16) * height)
        cv2.rectangle(image, (x, top - tall), (x + thick, top), _muted(rng).tolist(), -1)
        x += thick + 1
    return image


def _bokeh(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Lights out of focus before a dim wall."""
    image = _gradient(rng, width, height) * np.float32(0.6)
    for _ in range(int(rng.integers(8, 18))):
        layer = image.copy()
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.uniform(0.02, 0.09) * width)
        cv2.circle(layer, centre, radius, _muted(rng, 0.6, 1.0).tolist(), -1, cv2.LINE_AA)
        image += float(rng.uniform(0.15, 0.6)) * (layer - image)
    return image


def _box(
    image: Floats,
    rng: np.random.Generator,
    left: tuple[float, float],
    top: tuple[float, float],
    wide: tuple[float, float],
    tall: tuple[float, float],
    colour: Floats,
) -> None:
    """Draw a framed rectangle, its sides between the given shares of the picture, in place."""
    rows, columns = image.shape[:2]
    x, y = int(rng.uniform(*left) * columns), int(rng.uniform(*top) * rows)
    corner = (x + int(rng.uniform(*wide) * columns), y + int(rng.uniform(*tall) * rows))
    cv2.rectangle(image, (x, y), corner, colour.tolist(), -1)
    frame = (colour * 0.55).tolist()
    cv2.rectangle(image, (x, y), corner, frame, max(1, rows // 70), cv2.LINE_AA)


_KINDS = (_blobs, _stripes, _clouds, _furnished, _furnished, _bokeh, _gradient)
