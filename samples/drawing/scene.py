"""Frames: a hand on its trajectory, in a room, in some light, through a noisy camera."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drawing.background import (
    Drift,
    PasserBy,
    Room,
    corners,
    draw_drift,
    draw_passer_by,
    draw_room,
    lay_passer_by,
    view,
)
from drawing.cut_out import CutOut, Floats, lay
from drawing.hand import draw_hand, draw_posture
from drawing.hard_world import Unrest, draw_hard_room, draw_unrest
from drawing.motion import LABELS, NONE, draw_trajectory
from drawing.performer import Performer
from drawing.trajectory import Trajectory

Frame = NDArray[np.uint8]
"""One picture: (height, width, 3), RGB."""
Size = tuple[int, int]
"""Width and height in pixels."""

SIZE: Size = (160, 120)


@dataclass(frozen=True)
class Scene:
    """All that a take shows apart from the motion.

    `light` (height, width, 3) multiplies the picture, `flicker` sways it by `unsteady`;
    `grain` is a stock of sensor noise larger than the picture; `unrest` is the hard world's.
    """

    room: Room
    hand: CutOut
    mirrored: bool
    light: Floats
    flicker: Drift
    unsteady: float
    grain: Floats
    passers: tuple[PasserBy, ...]
    unrest: Unrest | None = None


def draw_clip(
    label: str, performer: Performer, seed: int | Sequence[int], size: Size = SIZE
) -> tuple[NDArray[np.uint8], float]:
    """Draw one labelled clip: frames (time, height, width, 3), RGB, and frames per second.

    The same arguments give the same pixels. All labels of one seed are one take: the same
    person, room, light and hand, and opposite gestures the same path, so that nothing but the
    order of the frames distinguishes them. Sensor noise and passers-by are each clip's.
    """
    words = (seed,) if isinstance(seed, int) else tuple(seed)
    motion, fps = draw_trajectory(label, performer, words)
    scene = _take(performer, words, size)
    rng = np.random.default_rng([*words, 3, LABELS.index(label)])
    often = 0.5 if label == NONE else 0.12
    if rng.random() < often:
        seconds = float(rng.uniform(1.0, 3.5))
        passer = draw_passer_by(rng, float(rng.uniform(-0.6, 0.3)) * seconds, seconds)
        scene = replace(scene, passers=(passer,))
    scene = with_unrest(scene, performer, words, len(motion) / fps)
    return np.stack(list(render(scene, motion, fps, rng, size))), fps


@lru_cache(maxsize=1)
def _take(performer: Performer, words: tuple[int, ...], size: Size) -> Scene:
    """Draw the looks of a take; kept, because its clips are usually drawn one after another."""
    return draw_scene(np.random.default_rng([*words, 2]), performer, size)


def with_unrest(
    scene: Scene, performer: Performer, words: tuple[int, ...], seconds: float
) -> Scene:
    """Return a scene with all that happens in it, in the hard world; in the plain one as it is."""
    if not performer.hard:
        return scene

    def other_hand(rng: np.random.Generator) -> CutOut:
        return draw_hand(rng, performer, draw_posture(rng, performer))

    return replace(scene, unrest=draw_unrest(words, performer, seconds, other_hand))


def draw_scene(
    rng: np.random.Generator, performer: Performer, size: Size, passers: Sequence[PasserBy] = ()
) -> Scene:
    """Draw the looks of a performer's take."""
    room_seed = int(rng.choice(performer.rooms))
    grain = rng.standard_normal((size[1] + 64, size[0] + 64, 3), np.float32)
    return Scene(
        room=(draw_hard_room if performer.hard else draw_room)(rng, room_seed, size),
        hand=draw_hand(rng, performer, draw_posture(rng, performer)),
        mirrored=performer.left_handed,
        light=_draw_light(rng, performer, size),
        flicker=draw_drift(rng, 0.1, 1.5),
        unsteady=float(rng.uniform(0.0, 0.05)),
        grain=grain * np.float32(rng.uniform(1.0, 4.0)),
        passers=tuple(passers),
    )


def render(
    scene: Scene, motion: Trajectory, fps: float, rng: np.random.Generator, size: Size
) -> Iterator[Frame]:
    """Paint the frames of a motion one by one."""
    width, height = size
    times = np.arange(len(motion)) / fps
    views = corners(scene.room, times)
    strength = 1.0 + scene.unsteady * scene.flicker(times)
    for index in range(len(motion)):
        picture = view(scene.room, views[index], size)
        seconds, unrest = float(times[index]), scene.unrest
        for passer in scene.passers:
            lay_passer_by(picture, passer, seconds)
        if unrest:
            unrest.behind(picture, seconds)
        if motion.visible[index]:
            pose = motion.pose(index)
            centre = (pose.x * width, pose.y * height)
            lay(picture, scene.hand, centre, pose.scale * height, pose.angle, scene.mirrored)
        if unrest:
            unrest.before(picture, seconds)
            picture *= np.float32(unrest.light(seconds))
            picture = unrest.shaken(picture, seconds)
        picture *= scene.light * np.float32(strength[index])
        left, top = rng.integers(0, 64, size=2)
        picture += scene.grain[top : top + height, left : left + width]
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _draw_light(rng: np.random.Generator, performer: Performer, size: Size) -> Floats:
    """Draw a light that falls off across the picture, in the performer's strength and tint."""
    across = np.linspace(-1, 1, size[0])[None, :]
    down = np.linspace(-1, 1, size[1])[:, None]
    angle = performer.light_from + rng.normal(0, 0.3)
    slope = rng.uniform(0.0, 0.18) * (across * math.sin(angle) - down * math.cos(angle))
    fall = rng.uniform(0.0, 0.12) * (across**2 + down**2)
    strength = performer.brightness * rng.uniform(0.9, 1.1) * (1.0 + slope - fall)
    warmth = 0.08 * float(np.clip(performer.warmth + rng.normal(0, 0.3), -1.2, 1.2))
    tint = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    return np.asarray(strength[..., None] * tint, np.float32)
