"""Where the hand is at every frame, and what trajectories are put together from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawing.background import draw_drift
from drawing.performer import Performer

Track = NDArray[np.float64]
"""One value per frame: (time,)."""
HEIGHT_TO_WIDTH = 0.75
"""The usual shape of a picture, for motions along the arm."""


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


def ease(share: Track, softness: float) -> Track:
    """Round off the start and the end of a motion; 0 is abrupt, 1 is as smooth as an arm's."""
    smooth = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
    return np.asarray(share + softness * (smooth - share))


def tremble(motion: Trajectory, rng: np.random.Generator, fps: float) -> Trajectory:
    """Add the small unrest of a living hand."""
    seconds = np.arange(len(motion)) / fps
    unrest = [sway(rng, seconds, 0.3, 2.5) for _ in range(4)]
    much = float(rng.uniform(0.3, 1.0))
    return Trajectory(
        motion.x + 0.008 * much * unrest[0],
        motion.y + 0.010 * much * unrest[1],
        motion.scale * np.exp(0.015 * much * unrest[2]),
        motion.angle + 0.04 * much * unrest[3],
        motion.visible,
    )


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


def join(parts: list[Trajectory]) -> Trajectory:
    """Play trajectories one after another."""
    return Trajectory(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.scale for part in parts]),
        np.concatenate([part.angle for part in parts]),
        np.concatenate([part.visible for part in parts]),
    )


def somewhere(rng: np.random.Generator, performer: Performer) -> Pose:
    """Draw a pose from the whole range that gestures cover."""
    scale = math.exp(rng.uniform(math.log(0.46), math.log(0.66)))
    return Pose(
        float(rng.uniform(0.27, 0.73)),
        float(rng.uniform(0.34, 0.66)),
        performer.hand_size * scale,
        math.radians(float(rng.uniform(-30.0, 30.0))),
    )


def sway(rng: np.random.Generator, seconds: Track, slow: float, fast: float) -> Track:
    """Return a smooth random unrest of about unit size at the given times."""
    return 2.0 * draw_drift(rng, slow, fast)(seconds)
