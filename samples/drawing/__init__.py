"""Draw the sample clips: a hand, a room behind it, a motion, and the frames they make."""

from drawing.hard_world import HARD, PLAIN, WORLDS, harden_performer
from drawing.motion import LABELS, NONE, draw_trajectory
from drawing.performer import Performer, make_performer
from drawing.scene import draw_clip
from drawing.session import Event, draw_session
from drawing.trajectory import Pose, Trajectory

__all__ = [
    "HARD",
    "LABELS",
    "NONE",
    "PLAIN",
    "WORLDS",
    "Event",
    "Performer",
    "Pose",
    "Trajectory",
    "draw_clip",
    "draw_session",
    "draw_trajectory",
    "harden_performer",
    "make_performer",
]
