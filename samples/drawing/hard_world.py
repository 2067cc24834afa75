"""What makes the hard world hard: people, rooms and cameras that differ as real ones do.

Skin from pale to dark, bare arms and patterned sleeves; lit rooms full of things, some of which
move; a second hand; people who cross close by; a camera held in a hand; light that changes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from drawing.background import (
    MARGIN,
    Drift,
    PasserBy,
    Room,
    draw_drift,
    draw_passer_by,
    lay_passer_by,
)
from drawing.cut_out import CutOut, Floats, Picture, lay, make_cut_out
from drawing.performer import Colour, Performer
from drawing.trajectory import HEIGHT_TO_WIDTH

PLAIN, HARD = "plain", "hard"
WORLDS = (PLAIN, HARD)

# First words that keep these numbers apart from those of the plain world.
_PERSON, _UNREST = 7003, 7004
_PALEST, _DARKEST = (250, 216, 192), (74, 46, 34)
_PASSER_EVERY = 7.0
"""Seconds between two people who pass, on average."""


@dataclass(frozen=True)
class Mover:
    """A thing behind the hand that swings around a point: a curtain, a fan, a screen, a pet.

    `x`, `y` and `reach` are in pictures, `size` in picture heights; `turns` swings a second.
    """

    shape: CutOut
    x: float
    y: float
    size: float
    reach: tuple[float, float, float]
    turns: float
    phase: float


@dataclass(frozen=True)
class OtherHand:
    """The performer's other hand, which strays slowly at the picture's edge."""

    shape: CutOut
    mirrored: bool
    x: float
    y: float
    scale: float
    angle: float
    drifts: tuple[Drift, Drift, Drift]


@dataclass(frozen=True)
class Unrest:
    """All that happens in a hard scene apart from the motion.

    `switches` are times at which the light changes to another strength, (time, factor); `shake` is
    how far the camera moves, in picture heights, along its three drifts: x, y and turn.
    """

    movers: tuple[Mover, ...]
    passers: tuple[PasserBy, ...]
    other_hand: OtherHand | None
    switches: tuple[tuple[float, float], ...]
    shake: float
    drifts: tuple[Drift, Drift, Drift]

    def behind(self, picture: Picture, seconds: float) -> None:
        """Paint what is behind the hand, in place."""
        height, width = picture.shape[:2]
        for mover in self.movers:
            swing = math.sin(2 * math.pi * mover.turns * seconds + mover.phase)
            across, down, turn = mover.reach
            centre = ((mover.x + across * swing) * width, (mover.y + down * swing) * height)
            lay(picture, mover.shape, centre, mover.size * height, turn * swing)
        for passer in self.passers:
            lay_passer_by(picture, passer, seconds)

    def before(self, picture: Picture, seconds: float) -> None:
        """Paint the other hand, in place."""
        other = self.other_hand
        if other is None:
            return
        height, width = picture.shape[:2]
        x, y, turn = (float(drift(np.array([seconds]))[0]) for drift in other.drifts)
        centre = ((other.x + 0.06 * x) * width, (other.y + 0.08 * y) * height)
        angle = other.angle + 0.25 * turn
        lay(picture, other.shape, centre, other.scale * height, angle, other.mirrored)

    def light(self, seconds: float) -> float:
        """Return what the light is multiplied by."""
        factor = 1.0
        for start, strength in self.switches:
            share = float(np.clip((seconds - start) / 0.25, 0.0, 1.0))
            factor += share * (strength - factor)
        return factor

    def shaken(self, picture: Picture, seconds: float) -> Picture:
        """Return the picture as a camera in a hand sees it."""
        height, width = picture.shape[:2]
        x, y, turn = (float(drift(np.array([seconds]))[0]) for drift in self.drifts)
        matrix = cv2.getRotationMatrix2D(
            (width / 2, height / 2), 60.0 * self.shake * turn, 1.0 + 2.0 * self.shake
        )
        matrix[:, 2] += (self.shake * height * x, self.shake * height * y)
        moved = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.float32)


def harden_performer(performer: Performer, index: int, seed: int) -> Performer:
    """Return a performer of the hard world: any skin, any sleeve or none, other hands and speed."""
    rng = np.random.default_rng([seed, _PERSON, index])
    gloved = bool(rng.random() < 0.2)
    share = rng.random()
    skin = [
        round(float(pale + share * (dark - pale) + rng.normal(0, 6)))
        for pale, dark in zip(_PALEST, _DARKEST, strict=True)
    ]
    hand = _any_colour(rng) if gloved else _colour(skin)
    bare = not gloved and bool(rng.random() < 0.35)
    return replace(
        performer,
        hand=hand,
        gloved=gloved,
        sleeve=hand if bare else _any_colour(rng),
        sleeve_pattern=0 if bare else int(rng.choice([0, 3, 5, 8])),
        hand_size=float(rng.uniform(0.78, 1.12)),
        tempo=float(rng.uniform(0.75, 1.3)),
        brightness=float(rng.uniform(0.65, 1.2)),
        warmth=float(rng.uniform(-2.5, 2.5)),
        hard=True,
    )


def draw_hard_room(rng: np.random.Generator, room_seed: int, size: tuple[int, int]) -> Room:
    """Draw a lit room with texture and things in it; `room_seed` fixes it, `rng` the view."""
    width, height = (math.ceil(side * (1 + 2 * MARGIN)) for side in size)
    fixed = np.random.default_rng(room_seed)
    wall: Callable[[np.random.Generator, int, int], Floats] = _WALLS[
        int(fixed.integers(len(_WALLS)))
    ]
    image = wall(fixed, width, height)
    for _ in range(int(fixed.integers(6, 22))):
        _put_thing(image, fixed)
    image = np.asarray(
        cv2.GaussianBlur(image, (0, 0), height / 120 * float(fixed.uniform(0.3, 1.0))), np.float32
    )
    image = image - image.mean() + float(fixed.uniform(70, 150))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return Room(
        image=np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8)),
        drift_x=draw_drift(rng, 0.03, 0.25),
        drift_y=draw_drift(rng, 0.03, 0.25),
        sway=float(rng.uniform(0.0, 0.05)),
        offset=(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))),
    )


def draw_unrest(
    words: tuple[int, ...],
    performer: Performer,
    seconds: float,
    draw_hand: Callable[[np.random.Generator], CutOut],
) -> Unrest:
    """Draw what happens in a scene of this length; `words` are its seed."""
    rng = np.random.default_rng([*words, _UNREST])
    passers = []
    at = float(rng.uniform(-2.0, _PASSER_EVERY))
    while at < seconds:
        takes = float(rng.uniform(1.0, 3.5))
        passers.append(_near(rng, draw_passer_by(rng, at, takes)))
        at += takes + float(rng.exponential(_PASSER_EVERY))
    switches = []
    at = float(rng.exponential(10.0))
    while at < seconds:
        switches.append((at, float(rng.uniform(0.6, 1.3))))
        at += 1.0 + float(rng.exponential(10.0))
    other = None
    if rng.random() < 0.4:
        left = performer.left_handed
        other = OtherHand(
            shape=draw_hand(rng),
            mirrored=not left,
            x=float(rng.uniform(0.78, 1.0) if left else rng.uniform(0.0, 0.22)),
            y=float(rng.uniform(0.62, 0.95)),
            scale=performer.hand_size * float(rng.uniform(0.38, 0.55)),
            angle=float(rng.uniform(-0.6, 0.6)),
            drifts=(_slow(rng), _slow(rng), _slow(rng)),
        )
    held = rng.random() < 0.5
    return Unrest(
        movers=tuple(_draw_mover(rng) for _ in range(int(rng.choice([0, 1, 2, 3])))),
        passers=tuple(passers),
        other_hand=other,
        switches=tuple(switches),
        shake=float(rng.uniform(0.01, 0.035)) if held else 0.0,
        drifts=(draw_drift(rng, 0.4, 3.0), draw_drift(rng, 0.4, 3.0), draw_drift(rng, 0.3, 2.0)),
    )


def _slow(rng: np.random.Generator) -> Drift:
    return draw_drift(rng, 0.08, 0.5)


def _near(rng: np.random.Generator, passer: PasserBy) -> PasserBy:
    """Return someone who passes closer, and in lighter clothes."""
    light = float(rng.uniform(1.0, 3.0))
    levels = []
    for level in passer.shape.levels:
        brighter = level.astype(np.float32)
        # Premultiplied: no colour may be more than its cover.
        brighter[..., :3] = np.minimum(brighter[..., :3] * light, brighter[..., 3:])
        levels.append(brighter.astype(np.uint8))
    shape = replace(passer.shape, levels=tuple(levels))
    return replace(passer, shape=shape, size=float(rng.uniform(0.4, 0.8)))


def _draw_mover(rng: np.random.Generator) -> Mover:
    """Draw a thing that swings: a board, a disc or a cushion."""
    unit = 64
    cover = np.zeros((unit, unit), np.float32)
    middle = (unit // 2, unit // 2)
    if rng.random() < 0.5:
        wide, tall = (int(side) for side in rng.integers(6, 26, size=2))
        corner = (middle[0] - wide, middle[1] - tall)
        cv2.rectangle(cover, corner, (middle[0] + wide, middle[1] + tall), 1.0, -1)
    else:
        wide, tall = (int(side) for side in rng.integers(8, 26, size=2))
        cv2.ellipse(cover, middle, (wide, tall), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    x, y = np.meshgrid(np.linspace(-1, 1, unit), np.linspace(-1, 1, unit))
    wave = np.sin(rng.uniform(4, 14) * (x * rng.uniform(-1, 1) + y))
    colour = np.array(_any_colour(rng), np.float32) + (rng.uniform(0, 40) * wave)[..., None]
    rgba = np.dstack([np.clip(colour, 0, 255) * cover[..., None], 255 * cover]).astype(np.float32)
    across, down = (float(reach) for reach in rng.uniform(-0.14, 0.14, size=2))
    return Mover(
        shape=make_cut_out(rgba, unit, -0.5, -0.5),
        x=float(rng.uniform(0.05, 0.95)),
        y=float(rng.uniform(0.05, 0.9)),
        size=float(rng.uniform(0.25, 0.8)),
        reach=(across * HEIGHT_TO_WIDTH, down, float(rng.uniform(-0.5, 0.5))),
        turns=float(rng.uniform(0.15, 0.9)),
        phase=float(rng.uniform(0, 2 * math.pi)),
    )


def _colour(values: list[int]) -> Colour:
    red, green, blue = (int(np.clip(value, 12, 252)) for value in values)
    return red, green, blue


def _any_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour of cloth or paint, from dark to light and from grey to strong."""
    hsv = np.array(
        [[[rng.uniform(0, 360), rng.uniform(0.0, 0.8), rng.uniform(0.15, 0.95)]]], np.float32
    )
    return _colour([round(255 * float(v)) for v in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]])


def _wood(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Boards: bands with a grain of their own."""
    image = np.zeros((height, width, 3), np.float32)
    colour = np.array(_any_colour(rng), np.float32)
    edges = np.linspace(0, width, int(rng.integers(3, 9)) + 1).astype(int)
    for left, right in itertools.pairwise(edges):
        grain = cv2.resize(
            rng.standard_normal((6, max(2, (right - left) // 2))).astype(np.float32),
            (int(right - left), height),
        )
        image[:, left:right] = colour * rng.uniform(0.8, 1.15) + 12 * grain[..., None]
        image[:, left : left + 1] *= 0.6
    return image


def _bricks(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Bricks or tiles, every second row shifted."""
    joint, colour = (np.array(_any_colour(rng), np.float32) for _ in range(2))
    image = np.broadcast_to(joint, (height, width, 3)).copy()
    tall = max(4, int(rng.uniform(0.06, 0.16) * height))
    wide = max(6, int(tall * rng.uniform(1.0, 2.6)))
    for row, top in enumerate(range(0, height, tall)):
        for left in range(-wide // 2 * (row % 2), width, wide):
            shade = (colour * rng.uniform(0.75, 1.2)).tolist()
            corner = (left + wide - 2, top + tall - 2)
            cv2.rectangle(image, (left + 1, top + 1), corner, shade, -1)
    return image


def _foliage(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Leaves or gravel: many small spots of two colours."""
    first, second = (np.array(_any_colour(rng), np.float32) for _ in range(2))
    mix = np.zeros((height, width), np.float32)
    for cells, weight in ((8, 0.6), (24, 0.8), (48, 0.6)):
        noise = rng.standard_normal((cells, cells + cells // 3)).astype(np.float32)
        mix += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(0.5 + 0.35 * mix, 0, 1)[..., None]
    return np.asarray(first + share * (second - first), np.float32)


def _cloth(rng: np.random.Generator, width: int, height: int) -> Floats:
    """A checked curtain in folds."""
    colour, other = (np.array(_any_colour(rng), np.float32) for _ in range(2))
    x, y = np.meshgrid(np.arange(width) / height, np.arange(height) / height)
    rate = rng.uniform(4, 10)
    checks = (np.sin(2 * math.pi * rate * x) > 0) ^ (np.sin(2 * math.pi * rate * y) > 0)
    folds = 1.0 + 0.2 * np.sin(2 * math.pi * rng.uniform(2, 6) * x + rng.uniform(0, 6))
    mix = float(rng.uniform(0.2, 0.8)) * checks
    return np.asarray((colour + mix[..., None] * (other - colour)) * folds[..., None], np.float32)


_WALLS = (_wood, _bricks, _foliage, _cloth)


def _put_thing(image: Floats, rng: np.random.Generator) -> None:
    """Put a box, a disc, a bar or a face-like spot of skin somewhere into a room, in place."""
    rows, columns = image.shape[:2]
    x, y = int(rng.integers(columns)), int(rng.integers(rows))
    size = float(rng.uniform(0.04, 0.22)) * rows
    colour = _any_colour(rng)
    kind = int(rng.integers(4))
    if kind == 0:
        corner = (x + int(size * rng.uniform(0.4, 2)), y + int(size * rng.uniform(0.4, 2)))
        cv2.rectangle(image, (x, y), corner, colour, -1)
        cv2.rectangle(image, (x, y), corner, tuple(c // 2 for c in colour), 1)
    elif kind == 1:
        cv2.circle(image, (x, y), int(size / 2) + 1, colour, -1, cv2.LINE_AA)
    elif kind == 2:
        way = rng.uniform(0, math.pi)
        end = (x + int(2.5 * size * math.cos(way)), y + int(2.5 * size * math.sin(way)))
        cv2.line(image, (x, y), end, colour, max(1, int(size / 5)), cv2.LINE_AA)
    else:
        share = rng.random()
        skin = _colour([round(p + share * (d - p)) for p, d in zip(_PALEST, _DARKEST, strict=True)])
        axes = (int(size * 0.4) + 1, int(size * 0.55) + 1)
        cv2.ellipse(image, (x, y), axes, float(rng.uniform(-30, 30)), 0, 360, skin, -1, cv2.LINE_AA)
