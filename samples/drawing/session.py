"""A long take with everything in it: gestures, rests, idle stretches and other motion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drawing.background import PasserBy, draw_passer_by
from drawing.motion import GESTURES, draw_gesture, is_backwards
from drawing.nothing import draw_none
from drawing.performer import Performer
from drawing.scene import SIZE, Frame, Size, draw_scene, render, with_unrest
from drawing.trajectory import Pose, Trajectory, ease, glide, join, still, tremble, withdrawn

_STREAM = 7002
IDLE_SECONDS = 12.0
"""The long stretch in which nothing happens."""
SLOT_SECONDS = 4.9
"""About what one gesture takes with all that comes before and after it."""
STEADY_SECONDS = 2.5
"""The session's last stretch is kept free of gestures."""


@dataclass(frozen=True)
class Event:
    """A gesture in a session: the hand moves from `start` to `end`, in seconds."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Plan:
    """A session before it is painted."""

    motion: Trajectory
    events: tuple[Event, ...]
    passers: tuple[PasserBy, ...]


def draw_session(
    performer: Performer, seed: Sequence[int], seconds: float, fps: float, size: Size = SIZE
) -> tuple[Iterator[Frame], tuple[Event, ...]]:
    """Draw an untrimmed take: its frames, painted on demand, and its gestures."""
    rng = np.random.default_rng([*seed, _STREAM])
    plan = plan_session(rng, performer, seconds, fps)
    scene = draw_scene(rng, performer, size, plan.passers)
    scene = replace(scene, room=replace(scene.room, sway=min(scene.room.sway, 0.03)))
    scene = with_unrest(scene, performer, (*seed, _STREAM), seconds)
    return render(scene, plan.motion, fps, rng, size), plan.events


def plan_session(
    rng: np.random.Generator, performer: Performer, seconds: float, fps: float
) -> Plan:
    """Draw the motion of an untrimmed take of exactly this length, unpainted."""
    return _Planner(rng, performer, fps).plan(seconds)


class _Planner:
    """Put a session together from left to right; `_at` is where the hand is, if anywhere."""

    def __init__(self, rng: np.random.Generator, performer: Performer, fps: float) -> None:
        self._rng = rng
        self._performer = performer
        self._fps = fps
        self._parts: list[Trajectory] = []
        self._events: list[Event] = []
        self._passers: list[PasserBy] = []
        self._frames = 0
        self._at: Pose | None = None

    def plan(self, seconds: float) -> Plan:
        """Plan a session of exactly this length."""
        total = round(seconds * self._fps)
        self._nothing(0.8, 1.5)
        idle_at = 0.45 * seconds if seconds >= 3 * IDLE_SECONDS else math.inf
        deck: list[str] = []
        while self._seconds() + SLOT_SECONDS + STEADY_SECONDS < seconds:
            if self._seconds() >= idle_at:
                self._idle()
                idle_at = math.inf
                continue
            deck = deck or [str(label) for label in self._rng.permutation(GESTURES)]
            self._gesture(deck.pop())
            if self._rng.random() < 0.3:
                self._distract()
        self._withdraw()
        self._add(still(_NOWHERE, max(0, total - self._frames), visible=False))
        motion = tremble(_first(join(self._parts), total), self._rng, self._fps)
        return Plan(motion, tuple(self._events), tuple(self._passers))

    def _seconds(self) -> float:
        """Return the length so far."""
        return self._frames / self._fps

    def _between(self, low: float, high: float) -> int:
        """Draw a number of frames that take `low` to `high` seconds."""
        return max(2, round(float(self._rng.uniform(low, high)) * self._fps))

    def _add(self, part: Trajectory) -> None:
        """Play a part next."""
        self._parts.append(part)
        self._frames += len(part)

    def _nothing(self, low: float, high: float) -> None:
        """Keep still, or stay away, for a while."""
        frames = self._between(low, high)
        self._add(still(self._at or _NOWHERE, frames, visible=self._at is not None))

    def _idle(self) -> None:
        """Let nothing happen for long: the hand is away, and people may walk by."""
        self._withdraw()
        self._passers.append(draw_passer_by(self._rng, self._seconds() + 3.0, 4.0))
        self._nothing(IDLE_SECONDS, IDLE_SECONDS + 1.0)

    def _gesture(self, label: str) -> None:
        """Get the hand to where a gesture starts, rest, gesture, rest."""
        frames = self._between(0.6, 1.05)
        motion = self._nearest_gesture(label, frames)
        self._move_to(motion.pose(0))
        self._nothing(0.35, 0.7)
        start = self._seconds()
        self._add(motion)
        self._events.append(Event(label, round(start, 3), round(self._seconds(), 3)))
        self._at = motion.pose(-1)
        self._nothing(0.5, 0.9)

    def _nearest_gesture(self, label: str, frames: int) -> Trajectory:
        """Draw a few and keep the one that starts closest to where the hand is."""
        progress = ease(np.linspace(0.0, 1.0, frames), float(self._rng.uniform(0.4, 1.0)))
        drawn = [draw_gesture(label, self._rng, self._performer, progress) for _ in range(12)]
        if is_backwards(label):
            drawn = [motion.reversed() for motion in drawn]
        at = self._at
        return drawn[0] if at is None else min(drawn, key=lambda made: _apart(at, made.pose(0)))

    def _move_to(self, pose: Pose) -> None:
        """Drift slowly to a pose close by; to a far one, go out of the picture and come back."""
        if self._at is not None and _apart(self._at, pose) < 0.45:
            seconds = 0.8 + 4.0 * _apart(self._at, pose)
            self._add(glide(self._at, pose, self._between(seconds, seconds * 1.2)))
        else:
            if self._at is not None:
                self._withdraw()
                self._nothing(0.3, 0.7)
            self._add(glide(withdrawn(pose), pose, self._between(0.8, 1.3)))
        self._at = pose

    def _withdraw(self) -> None:
        """Pull the hand out of the picture, if it is there."""
        if self._at is not None:
            self._add(glide(self._at, withdrawn(self._at), self._between(0.8, 1.3)))
        self._at = None

    def _distract(self) -> None:
        """Move in a way that means nothing, or let someone walk by."""
        frames = self._between(1.4, 2.4)
        if self._at is None or self._rng.random() < 0.25:
            self._passers.append(draw_passer_by(self._rng, self._seconds(), 3.0))
            self._nothing(0.8, 1.5)
            return
        kind = str(self._rng.choice(["fidget", "wander", "wave"]))
        motion = draw_none(kind, self._rng, self._performer, frames, self._at)
        # The motion may start a little off the pose: get there without a jump.
        self._add(glide(self._at, motion.pose(0), self._between(0.5, 0.8)))
        self._add(motion)
        self._at = motion.pose(-1)


_NOWHERE = Pose(0.5, 2.5, 0.5, 0.0)


def _apart(first: Pose, second: Pose) -> float:
    """Return how far one pose is from another, all four of its numbers counted."""
    return (
        math.hypot(first.x - second.x, first.y - second.y)
        + 0.5 * abs(math.log(first.scale / second.scale))
        + 0.4 * abs(first.angle - second.angle)
    )


def _first(motion: Trajectory, frames: int) -> Trajectory:
    """Return the first frames of a motion."""
    return Trajectory(
        motion.x[:frames],
        motion.y[:frames],
        motion.scale[:frames],
        motion.angle[:frames],
        motion.visible[:frames],
    )
