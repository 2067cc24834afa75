"""How the hand moves: one trajectory for each gesture.

Opposite gestures share one family of trajectories and differ only in the order of time, so that
no single frame distinguishes them: `swipe_left` is `swipe_right` played backwards.
"""

from __future__ import annotations

import math

import numpy as np

from drawing.nothing import draw_nothing
from drawing.performer import Performer
from drawing.trajectory import Pose, Track, Trajectory, ease, somewhere, tremble

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
SMALLEST, LARGEST = 0.28, 0.88
"""Hand lengths in a zoom, in picture heights."""


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
        motion = draw_nothing(rng, performer, 2 * frames, _after_a_gesture(rng, performer))
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
    start = somewhere(rng, performer)
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


def _after_a_gesture(rng: np.random.Generator, performer: Performer) -> Pose | None:
    """Draw where a gesture left the hand, which is then taken back; at times None, for anywhere."""
    if rng.random() < 0.3:
        return None
    # From far up the way out of the picture looks most like a gesture.
    shares = [2.0 if _FAMILIES[label][0] == "along" else 1.0 for label in GESTURES]
    label = str(rng.choice(GESTURES, p=np.divide(shares, sum(shares))))
    gesture = draw_gesture(label, rng, performer, np.array([0.0, 1.0]))
    return gesture.pose(int(rng.integers(2)))


def is_backwards(label: str) -> bool:
    """Return whether a label is its family's motion reversed."""
    return _FAMILIES[label][1]


def pauses_progress(rng: np.random.Generator, frames: int) -> Track:
    """Return a progress from 0 to 1 with a short rest before and after the motion."""
    before, after = rng.uniform(0.04, 0.22, size=2)
    share = (np.linspace(0.0, 1.0, frames) - before) / (1.0 - before - after)
    return ease(np.clip(share, 0.0, 1.0), float(rng.uniform(0.3, 1.0)))


def _room_for(rng: np.random.Generator, reach: float, edge: float) -> float:
    """Draw the middle of a path of this reach that stays `edge` away from the picture's ends."""
    slack = max(0.0, 0.5 - edge - reach / 2)
    return 0.5 + float(rng.uniform(-slack, slack))
