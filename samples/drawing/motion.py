"""How the hand moves: one trajectory for each gesture, and the motions that are none.

Opposite gestures share one family of trajectories and differ only in the order of time, so that
no single frame can tell them apart: `swipe_left` is `swipe_right` played backwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawing.background import draw_drift
from drawing.performer import Performer

Track = NDArray[np.float64]
"""One value per frame: (time,)."""

NONE = "none"
LABELS = (
    "swipe_left",
    "swipe_right",
    "swipe_up",
    "swipe_down",
    "zoom_in",
    "zoom_out",
    "rotate_cw",
    "rotate_ccw",
    NONE,
)
GESTURES = LABELS[:-1]
FRAME_RATES = (10, 12, 15, 20, 24, 25, 30)
SHORTEST, LONGEST = 12, 40
"""Frames in the clip of a gesture; those in which nothing happens are twice as long."""

# Label to (family, played backwards): the forward label moves right, down, nearer, clockwise.
_FAMILIES = {
    "swipe_right": ("across", False),
    "swipe_left": ("across", True),
    "swipe_down": ("along", False),
    "swipe_up": ("along", True),
    "zoom_in": ("nearer", False),
    "zoom_out": ("nearer", True),
    "rotate_cw": ("turn", False),
    "rotate_ccw": ("turn", True),
    NONE: (NONE, False),
}

HEIGHT_TO_WIDTH = 0.75
"""The usual shape of a picture, for motions along the arm."""
SMALLEST, LARGEST = 0.28, 0.88
"""Hand lengths in a zoom, in picture heights."""


@dataclass(frozen=True)
class Pose:
    """Where the hand is in the picture.

    `x`, `y` are the palm's middle (shares of width and height), `scale` the hand's length
    (a share of the height), `angle` its turn from fingers-up (radians, clockwise as seen).
    """

    x: float
    y: float
    scale: float
    angle: float


@dataclass(frozen=True)
class Trajectory:
    """A pose for every frame, each track (time,); where `visible` is false there is no hand."""

    x: Track
    y: Track
    scale: Track
    angle: Track
    visible: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.x)

    def pose(self, frame: int) -> Pose:
        """Return the pose at a frame; negative numbers count from the end."""
        return Pose(
            float(self.x[frame]),
            float(self.y[frame]),
            float(self.scale[frame]),
            float(self.angle[frame]),
        )

    def reversed(self) -> Trajectory:
        """Return the same motion played backwards."""
        return Trajectory(
            self.x[::-1], self.y[::-1], self.scale[::-1], self.angle[::-1], self.visible[::-1]
        )


def draw_timing(rng: np.random.Generator, performer: Performer) -> tuple[int, float]:
    """Draw a clip's number of frames and its frames per second."""
    fps = int(rng.choice(FRAME_RATES))
    seconds = float(rng.uniform(0.9, 1.9)) / performer.tempo
    return int(np.clip(round(seconds * fps), SHORTEST, LONGEST)), float(fps)


def draw_trajectory(
    label: str, performer: Performer, seed: tuple[int, ...]
) -> tuple[Trajectory, float]:
    """Draw the motion of a clip: one pose per frame, and the frames per second.

    With the same performer and seed, opposite labels give the same poses in opposite order.
    """
    family, backwards = _FAMILIES[label]
    rng = np.random.default_rng([*seed, 1])
    frames, fps = draw_timing(rng, performer)
    if family == NONE:
        motion = draw_nothing(rng, performer, 2 * frames)
    else:
        motion = draw_gesture(label, rng, performer, pauses_progress(rng, frames))
    motion = tremble(motion, rng, fps)
    return (motion.reversed() if backwards else motion), fps


def draw_gesture(
    label: str, rng: np.random.Generator, performer: Performer, progress: Track
) -> Trajectory:
    """Draw the forward motion of a label's family along a progress that goes from 0 to 1.

    The caller plays it backwards for the labels that are so: see `is_backwards`.
    """
    family, _ = _FAMILIES[label]
    start = _somewhere(rng, performer)
    centred = progress - 0.5
    bow = 4.0 * progress * (1.0 - progress)
    # Every gesture strays a little in what it does not mean.
    x = start.x + rng.uniform(-0.05, 0.05) * centred + rng.uniform(-0.03, 0.03) * bow
    y = start.y + rng.uniform(-0.05, 0.05) * centred + rng.uniform(-0.03, 0.03) * bow
    scale = start.scale * np.exp(rng.uniform(-0.07, 0.07) * centred)
    angle = start.angle + rng.uniform(-0.12, 0.12) * centred
    if family == "across":
        reach = rng.uniform(0.48, 0.66)
        x = _room_for(rng, reach, 0.12) + reach * centred
        y = y + rng.uniform(-0.05, 0.05) * bow
    elif family == "along":
        reach = rng.uniform(0.50, 0.68)
        y = _room_for(rng, reach, 0.12) + reach * centred
        x = x + rng.uniform(-0.05, 0.05) * bow
    elif family == "nearer":
        ratio = rng.uniform(2.1, 2.8)
        low, high = SMALLEST * math.sqrt(ratio), LARGEST / math.sqrt(ratio)
        middle = math.exp(rng.uniform(math.log(low), math.log(high)))
        scale = performer.hand_size * middle * ratio**centred
    else:
        angle = start.angle * 0.6 + math.radians(rng.uniform(90.0, 120.0)) * centred
    return Trajectory(x, y, scale, angle, np.ones(len(progress), np.bool_))


def is_backwards(label: str) -> bool:
    """Tell whether a label is its family's motion played backwards."""
    return _FAMILIES[label][1]


def pauses_progress(rng: np.random.Generator, frames: int) -> Track:
    """Return a progress from 0 to 1 with a short rest before and after the motion."""
    before, after = rng.uniform(0.04, 0.22, size=2)
    share = (np.linspace(0.0, 1.0, frames) - before) / (1.0 - before - after)
    return ease(np.clip(share, 0.0, 1.0), float(rng.uniform(0.3, 1.0)))


def ease(share: Track, softness: float) -> Track:
    """Round off the start and the end of a motion; 0 is abrupt, 1 is as smooth as an arm's."""
    smooth = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
    return np.asarray(share + softness * (smooth - share))


def tremble(motion: Trajectory, rng: np.random.Generator, fps: float) -> Trajectory:
    """Add the small unrest of a living hand."""
    seconds = np.arange(len(motion)) / fps
    sway = [_sway(rng, seconds, 0.3, 2.5) for _ in range(4)]
    much = float(rng.uniform(0.3, 1.0))
    return Trajectory(
        motion.x + 0.008 * much * sway[0],
        motion.y + 0.010 * much * sway[1],
        motion.scale * np.exp(0.015 * much * sway[2]),
        motion.angle + 0.04 * much * sway[3],
        motion.visible,
    )


def draw_nothing(rng: np.random.Generator, performer: Performer, frames: int) -> Trajectory:
    """Draw what comes between gestures: a motion that is none, and what often follows it.

    Who watches all the time sees most of them in part, and hands that come and go above all.
    """
    first = round(frames * rng.uniform(0.35, 0.65))
    kind = str(rng.choice(list(NONE_KINDS), p=_NONE_SHARES))
    motion = draw_none(kind, rng, performer, first)
    away = kind in ("absent", "leave")
    follows = str(rng.choice(["absent", "enter", "enter"] if away else ["rest", "creep", "leave"]))
    # A hand comes back to where it was; what follows goes on from where the motion ended.
    at = motion.pose(0 if away else -1)
    return join([motion, draw_none(follows, rng, performer, frames - first, at)])


def draw_none(
    kind: str, rng: np.random.Generator, performer: Performer, frames: int, at: Pose | None = None
) -> Trajectory:
    """Draw a motion of one of `NONE_KINDS`, at a pose or anywhere."""
    return NONE_KINDS[kind](rng, at or _somewhere(rng, performer), frames)


def still(pose: Pose, frames: int, visible: bool = True) -> Trajectory:
    """Hold one pose."""
    ones = np.ones(frames)
    return Trajectory(
        pose.x * ones,
        pose.y * ones,
        pose.scale * ones,
        pose.angle * ones,
        np.full(frames, visible, np.bool_),
    )


def glide(start: Pose, end: Pose, frames: int) -> Trajectory:
    """Move evenly from one pose to another."""
    share = ease(np.linspace(0.0, 1.0, frames), 0.4)
    return Trajectory(
        start.x + (end.x - start.x) * share,
        start.y + (end.y - start.y) * share,
        start.scale * (end.scale / start.scale) ** share,
        start.angle + (end.angle - start.angle) * share,
        np.ones(frames, np.bool_),
    )


def withdrawn(pose: Pose) -> Pose:
    """Return the pose pulled back along the arm until the fingertips are out of the picture."""
    reach = 0.85 * pose.scale
    sin, cos = math.sin(pose.angle), math.cos(pose.angle)
    down = (1.0 + reach - pose.y) / cos if cos > 0.1 else math.inf
    beyond = pose.x if sin > 0 else 1.0 - pose.x
    aside = (beyond / HEIGHT_TO_WIDTH + reach) / abs(sin) if abs(sin) > 0.1 else math.inf
    away = min(down, aside)
    return Pose(pose.x - away * sin * HEIGHT_TO_WIDTH, pose.y + away * cos, pose.scale, pose.angle)


def _somewhere(rng: np.random.Generator, performer: Performer) -> Pose:
    """Draw a pose from the whole range that gestures cover."""
    scale = math.exp(rng.uniform(math.log(0.46), math.log(0.66)))
    return Pose(
        float(rng.uniform(0.27, 0.73)),
        float(rng.uniform(0.34, 0.66)),
        performer.hand_size * scale,
        math.radians(float(rng.uniform(-30.0, 30.0))),
    )


def _room_for(rng: np.random.Generator, reach: float, edge: float) -> float:
    """Draw the middle of a path of this reach that stays `edge` away from the picture's ends."""
    slack = max(0.0, 0.5 - edge - reach / 2)
    return 0.5 + float(rng.uniform(-slack, slack))


def _sway(rng: np.random.Generator, seconds: Track, slow: float, fast: float) -> Track:
    """Return a smooth random unrest of about unit size at the given times."""
    return 2.0 * draw_drift(rng, slow, fast)(seconds)


def _absent(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """No hand."""
    return still(pose, frames, visible=False)


def _rest(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that keeps still."""
    return still(pose, frames)


def _fidget(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that shakes and shifts around one place."""
    share = np.linspace(0.0, 1.0, frames)
    x, y, size, turn = (_sway(rng, share, 1.0, 5.0) for _ in range(4))
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
    x, y, size, turn = (_sway(rng, share, 0.3, 1.2) for _ in range(4))
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
    path = glide(pose, withdrawn(pose), frames - rest - gone)
    return join([still(pose, rest), path, still(withdrawn(pose), gone)])


def _enter(rng: np.random.Generator, pose: Pose, frames: int) -> Trajectory:
    """A hand that comes into the picture."""
    return _leave(rng, pose, frames).reversed()


def join(parts: list[Trajectory]) -> Trajectory:
    """Play trajectories one after another."""
    return Trajectory(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.scale for part in parts]),
        np.concatenate([part.angle for part in parts]),
        np.concatenate([part.visible for part in parts]),
    )


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
_NONE_SHARES = (0.1, 0.1, 0.12, 0.1, 0.1, 0.12, 0.1, 0.1, 0.16)
