"""The people in the clips: what stays the same from one clip of a person to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
"""Red, green, blue, each 0-255."""

SKIN_TONES: tuple[Colour, ...] = (
    (246, 212, 188),
    (233, 188, 158),
    (214, 163, 128),
    (198, 142, 108),
    (182, 128, 96),
    (166, 116, 88),
)
GLOVES: tuple[Colour, ...] = (
    (128, 178, 246),
    (120, 214, 160),
    (246, 140, 128),
    (246, 206, 104),
    (206, 160, 240),
    (232, 232, 236),
)

# A first word of its own keeps a performer's numbers apart from those of any clip.
_STREAM = 7001


@dataclass(frozen=True)
class Performer:
    """Hold what sets one person's clips apart from another's.

    `hand_size` and `tempo` are factors around 1; `brightness` multiplies the light, and
    `warmth` moves it from blue (-1) to orange (+1); `light_from` is the light's direction in
    radians, clockwise from above. `rooms` are the seeds of the rooms the person is filmed in.
    `hard` is whether they live in the hard world; `sleeve_pattern` is its stripes in a hand length.
    """

    name: str
    hand: Colour
    gloved: bool
    sleeve: Colour
    left_handed: bool
    hand_size: float
    finger_spread: float
    tempo: float
    brightness: float
    warmth: float
    light_from: float
    rooms: tuple[int, ...]
    sleeve_pattern: int = 0
    hard: bool = False


def make_performer(index: int, seed: int = 0) -> Performer:
    """Draw performer number `index` of the data set with this seed; no other one matters."""
    rng = np.random.default_rng([seed, _STREAM, index])
    gloved = bool(rng.random() < 0.35)
    colours = GLOVES if gloved else SKIN_TONES
    return Performer(
        name=f"p{index:02d}",
        hand=colours[int(rng.integers(len(colours)))],
        gloved=gloved,
        sleeve=_cloth(rng),
        left_handed=bool(rng.random() < 0.4),
        hand_size=float(rng.uniform(0.92, 1.08)),
        finger_spread=float(rng.uniform(0.7, 1.25)),
        tempo=float(rng.uniform(0.85, 1.2)),
        brightness=float(rng.uniform(0.82, 1.12)),
        warmth=float(rng.uniform(-1.0, 1.0)),
        light_from=float(rng.uniform(-1.1, 1.1)),
        rooms=tuple(int(room) for room in rng.integers(0, 2**31, size=4)),
    )


def _cloth(rng: np.random.Generator) -> Colour:
    """Draw a muted cloth colour."""
    red, green, blue = rng.integers(20, 75, size=3)
    return int(red), int(green), int(blue)
