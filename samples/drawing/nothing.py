"""What comes between gestures: the motions that are none of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from drawing.performer import Performer
from drawing.trajectory import (
    Pose,
    Track,
    Trajectory,
    ease,
    glide,
    join,
    somewhere,
    still,
    sway,
    withdrawn,
)

FASTEST = 0.16
"""Pictures that a hand crosses from one frame to the next, on the average of a motion."""


def draw_nothing(
    rng: np.random.Generator, performer: Performer, frames: int, at: Pose | None = None
) -> Trajectory:
    """Draw what comes between gestures: a motion that is none, and what often follows it.

    A live run sees most of them in part, and above all hands that enter and leave. It begins (or,
    for a hand that enters, ends) at the pose `at`, or anywhere.
    """
    first = round(frames * rng.uniform(0.35, 0.65))
    kind = str(rng.choice(list(NONE_KINDS), p=_NONE_SHARES))
    motion = draw_none(kind, rng, performer, first, at)
    away = kind in ("absent", "leave")
    follows = str(rng.choice(["absent", "enter", "enter"] if away else ["rest", "creep", "leave"]))
    # A hand comes back to where it was; what follows continues from where the motion ended.
    at = motion.pose(0 if away else -1)
    return join([motion, draw_none(follows, rng, performer, frames - first, at)])


def draw_none(
    kind: str, rng: np.random.Generator, performer: Performer, frames: int, at: Pose | None = None
) -> Trajectory:
    """Draw a motion of one of `NONE_KINDS`, at a pose or anywhere."""
    return NONE_KINDS[kind](rng, at or somewhere(rng, performer), frames)


def _absent(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """No hand."""
    return still(pose, frames, visible=False)


def _rest(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that keeps still."""
    return still(pose, frames)


def _fidget(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that shakes and shifts around one place."""
    share = np.linspace(0.0, 1.0, frames)
    x, y, size, turn = (sway(rng, share, 1.0, 5.0) for _ in range(4))
    much = rng.uniform(0.4, 1.0, size=4)
    return Trajectory(
        pose.x + 0.03 * much[0] * x,
        pose.y + 0.03 * much[1] * y,
        pose.scale * np.exp(0.06 * much[2] * size),
        pose.angle + 0.14 * much[3] * turn,
        np.ones(frames, np.bool_),
    )


def _wander(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that strays slowly without a direction."""
    share = np.linspace(0.0, 1.0, frames)
    x, y, size, turn = (sway(rng, share, 0.3, 1.2) for _ in range(4))
    return Trajectory(
        pose.x + 0.06 * x,
        pose.y + 0.06 * y,
        pose.scale * np.exp(0.06 * size),
        pose.angle + 0.12 * turn,
        np.ones(frames, np.bool_),
    )


def _there_and_back(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that goes somewhere, or turns, or comes nearer, and takes it back."""
    bump = np.sin(math.pi * ease(np.linspace(0.0, 1.0, frames), 0.5)) ** 2
    return _in_one_way(rng, pose, (bump - 0.5) * rng.choice([-1.0, 1.0]), 0.7)


def _wave(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that waves, nods or beckons."""
    turns = rng.uniform(1.6, 3.2)
    swing = np.sin(2 * math.pi * (turns * np.linspace(0.0, 1.0, frames) + rng.random()))
    return _in_one_way(rng, pose, 0.5 * swing, 0.4)


def _in_one_way(rng: np.random.Generator, pose: Pose, course: Track, much: float) -> Trajectory:
    """Follow a course (-0.5 to 0.5) in place, size or turn; `much` 1 is as wide as a gesture."""
    x, y = np.full(len(course), pose.x), np.full(len(course), pose.y)
    scale, angle = np.full(len(course), pose.scale), np.full(len(course), pose.angle)
    much = much * float(rng.uniform(0.6, 1.0))
    way = int(rng.integers(4))
    if way == 0:
        x = 0.5 + 0.6 * (pose.x - 0.5) + 0.5 * much * course
    elif way == 1:
        y = 0.5 + 0.6 * (pose.y - 0.5) + 0.5 * much * course
    elif way == 2:
        scale = pose.scale * 2.0 ** (much * course)
    else:
        angle = pose.angle * 0.6 + 1.5 * much * course
    return Trajectory(x, y, scale, angle, np.ones(len(course), np.bool_))


def _creep(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that is slowly moved to a place nearby."""
    way, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.16)
    end = Pose(
        pose.x + reach * math.cos(way),
        pose.y + reach * math.sin(way),
        pose.scale * math.exp(rng.uniform(-0.15, 0.15)),
        pose.angle + rng.uniform(-0.25, 0.25),
    )
    return glide(pose, end, frames)


def _leave(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that is pulled back out of the picture."""
    rest = int(frames * rng.uniform(0.0, 0.35))
    gone = int(frames * rng.uniform(0.0, 0.3))
    # From far up the way is long: no hand is faster than so many pictures a frame.
    far = math.hypot(withdrawn(pose).x - pose.x, withdrawn(pose).y - pose.y)
    spare = max(0, frames - math.ceil(far / FASTEST))
    if rest + gone > spare:
        rest = spare * rest // (rest + gone)
        gone = min(gone, spare - rest)
    path = glide(pose, withdrawn(pose), frames - rest - gone)
    return join([still(pose, rest), path, still(withdrawn(pose), gone)])


def _enter(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that comes into the picture."""
    return _leave(rng, pose, frames).reversed()


NONE_KINDS: dict[str, Callable[[np.random.Generator, Pose, int], Trajectory]] = {
    "absent": _absent,
    "rest": _rest,
    "fidget": _fidget,
    "wander": _wander,
    "there_and_back": _there_and_back,
    "wave": _wave,
    "creep": _creep,
    "leave": _leave,
    "enter": _enter,
}
_NONE_SHARES = (0.06, 0.08, 0.12, 0.1, 0.1, 0.12, 0.1, 0.18, 0.14)
