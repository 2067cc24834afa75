"""The hand: a shaded cut-out built from rounded bones.

The hand's own frame has its origin at the middle of the palm, x to the right, y down, fingers
up, the thumb on the left; 1 is about the distance from wrist to middle fingertip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from drawing.cut_out import CutOut, Floats, make_cut_out
from drawing.performer import Colour, Performer

UNIT = 128
"""Pixels to one hand length in the finest cut-out."""
LEFT, RIGHT, TOP, BOTTOM = -0.625, 0.625, -0.875, 0.875
"""What the cut-out covers, in hand lengths."""
SLEEVE_FROM = 0.56
"""Where the sleeve begins, in hand lengths below the middle of the palm."""


@dataclass(frozen=True)
class Bone:
    """A rounded, tapering bar from one point to another, in hand lengths."""

    start: tuple[float, float]
    end: tuple[float, float]
    start_radius: float
    end_radius: float


@dataclass(frozen=True)
class Posture:
    """How the fingers are held.

    `spread` is 0 for closed fingers and about 1 for an open hand; `reach` is each finger's
    length from index to little, 1 stretched and about 0.4 curled in; `palm` is which side shows.
    """

    spread: float
    reach: tuple[float, float, float, float]
    thumb: float
    palm: bool


def draw_posture(rng: np.random.Generator, performer: Performer) -> Posture:
    """Draw a way of holding the fingers, mostly an open hand."""
    kind = rng.choice(["open", "flat", "relaxed", "two_fingers"], p=[0.45, 0.25, 0.2, 0.1])
    low, high = {
        "open": (0.85, 1.2),
        "flat": (0.1, 0.35),
        "relaxed": (0.4, 0.8),
        "two_fingers": (0.4, 0.9),
    }[str(kind)]
    reach = {
        "open": (1.0, 1.0, 1.0, 1.0),
        "flat": (1.0, 1.0, 1.0, 1.0),
        "relaxed": (0.92, 0.85, 0.8, 0.78),
        "two_fingers": (1.0, 1.0, 0.42, 0.42),
    }[str(kind)]
    return Posture(
        spread=performer.finger_spread * float(rng.uniform(low, high)),
        reach=reach,
        thumb=float(rng.uniform(0.5, 1.0)),
        palm=bool(rng.random() < 0.6),
    )


def draw_hand(rng: np.random.Generator, performer: Performer, posture: Posture) -> CutOut:
    """Build the shaded cut-out of a performer's hand, wrist and sleeve, with a soft shadow."""
    x, y = _grid()
    fingers = _fingers(posture)
    skin_distance, skin_height = _solid(x, y, [*_palm(), *fingers])
    arm_distance, arm_height = _solid(x, y, [Bone((0.0, 0.26), (0.0, 1.6), 0.118, 0.165)])
    skin_distance = _smooth_min(skin_distance, arm_distance, 0.05)
    height = np.maximum(skin_height, arm_height)
    colour = np.broadcast_to(_vary(rng, performer.hand, 7), (*x.shape, 3)).copy()
    if performer.gloved:
        colour[y > 0.36] *= 0.72
    elif posture.palm:
        _crease(colour)
    else:
        _paint_nails(colour, fingers)
    distance = skin_distance

    sleeve_distance, sleeve_height = _solid(x, y, [Bone((0.0, 0.7), (0.0, 1.6), 0.185, 0.2)])
    sleeve_distance = np.maximum(sleeve_distance, SLEEVE_FROM - y)
    sleeve = np.clip(0.5 - sleeve_distance * UNIT, 0.0, 1.0)[..., None]
    cloth = np.broadcast_to(_vary(rng, performer.sleeve, 10), colour.shape)
    colour += sleeve * (_patterned(cloth, x, y, performer.sleeve_pattern) - colour)
    colour *= 1.0 - 0.25 * sleeve * (np.abs(y - SLEEVE_FROM - 0.045) < 0.008)[..., None]
    height = np.where(sleeve_distance < 0, np.maximum(height, sleeve_height + 0.03), height)
    distance = np.minimum(distance, sleeve_distance)

    colour = _light(colour, height, distance, performer)
    return _cut_out(colour, np.clip(0.5 - distance * UNIT, 0.0, 1.0))


def _grid() -> tuple[Floats, Floats]:
    """Return x and y of every pixel of the finest cut-out, in hand lengths."""
    columns = round((RIGHT - LEFT) * UNIT)
    rows = round((BOTTOM - TOP) * UNIT)
    x = LEFT + (np.arange(columns, dtype=np.float32) + 0.5) / UNIT
    y = TOP + (np.arange(rows, dtype=np.float32) + 0.5) / UNIT
    across, down = np.meshgrid(x, y)
    return across.astype(np.float32), down.astype(np.float32)


def _palm() -> list[Bone]:
    """Return the bars that fill the palm and the ball of the thumb."""
    return [
        Bone((-0.045, 0.25), (-0.13, -0.09), 0.095, 0.082),
        Bone((0.0, 0.22), (-0.01, -0.10), 0.11, 0.09),
        Bone((0.045, 0.25), (0.125, -0.04), 0.095, 0.08),
        Bone((-0.06, 0.2), (-0.16, 0.08), 0.1, 0.075),
    ]


def _fingers(posture: Posture) -> list[Bone]:
    """Return two bars for each finger and the thumb, tips last in each pair."""
    bones = []
    roots = ((-0.15, -0.13), (-0.05, -0.16), (0.055, -0.145), (0.15, -0.08))
    lengths = (0.40, 0.45, 0.41, 0.31)
    leans = (-0.24, -0.05, 0.14, 0.36)
    for (x, y), full, lean, reach in zip(roots, lengths, leans, posture.reach, strict=True):
        angle = lean * (0.15 + 0.85 * posture.spread)
        length = full * reach
        radius = 0.056 if full > 0.35 else 0.048
        middle = (x + math.sin(angle) * length / 2, y - math.cos(angle) * length / 2)
        bend = angle * 0.85
        tip = (middle[0] + math.sin(bend) * length / 2, middle[1] - math.cos(bend) * length / 2)
        bones += [Bone((x, y), middle, radius * 1.06, radius)]
        bones += [Bone(middle, tip, radius, radius * 0.84)]
    angle = -0.45 - 0.55 * posture.thumb
    knuckle = (-0.15 + 0.17 * math.sin(angle), 0.09 - 0.17 * math.cos(angle))
    tip = (knuckle[0] + 0.15 * math.sin(angle * 0.7), knuckle[1] - 0.15 * math.cos(angle * 0.7))
    bones += [Bone((-0.14, 0.1), knuckle, 0.075, 0.06), Bone(knuckle, tip, 0.06, 0.05)]
    return bones


def _solid(x: Floats, y: Floats, bones: list[Bone]) -> tuple[Floats, Floats]:
    """Return the signed distance to the outline (inside is negative) and the height above it."""
    distance = np.full(x.shape, 9.0, np.float32)
    height = np.zeros(x.shape, np.float32)
    for bone in bones:
        near = _around(bone)
        dx, dy = bone.end[0] - bone.start[0], bone.end[1] - bone.start[1]
        from_x, from_y = x[near] - bone.start[0], y[near] - bone.start[1]
        along = np.clip((from_x * dx + from_y * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        off = np.hypot(from_x - along * dx, from_y - along * dy)
        radius = bone.start_radius + along * (bone.end_radius - bone.start_radius)
        outline = np.asarray(off - radius, np.float32)
        distance[near] = _smooth_min(distance[near], outline, 0.018)
        bulge = np.sqrt(np.maximum(radius * radius - off * off, 0.0))
        height[near] = np.maximum(height[near], bulge)
    return distance, height


def _around(bone: Bone) -> tuple[slice, slice]:
    """Return the rows and columns of the finest cut-out that a bar can reach."""
    reach = max(bone.start_radius, bone.end_radius) + 0.06
    slices = []
    for axis, least in ((1, TOP), (0, LEFT)):
        low, high = sorted((bone.start[axis], bone.end[axis]))
        first = max(0, math.floor((low - reach - least) * UNIT))
        slices.append(slice(first, max(first, math.ceil((high + reach - least) * UNIT))))
    return slices[0], slices[1]


def _smooth_min(first: Floats, second: Floats, blend: float) -> Floats:
    """Return the smaller of two distances, rounded over where they are within `blend`."""
    near = np.maximum(blend - np.abs(first - second), 0.0) / blend
    return np.asarray(np.minimum(first, second) - near * near * blend / 4, np.float32)


def _vary(rng: np.random.Generator, colour: Colour, by: float) -> Floats:
    """Return a colour a little lighter or darker and a little off its hue."""
    varied = np.array(colour) + rng.normal(0, by) + rng.normal(0, by / 2, 3)
    return np.asarray(np.clip(varied, 12, 250), np.float32)


def _patterned(colour: Floats, x: Floats, y: Floats, stripes: int) -> Floats:
    """Return a sleeve's colour at each point, `(height, width, 3)`, with so many stripes a hand."""
    if not stripes:
        return colour
    wave = np.sin(2 * math.pi * stripes * (y + 0.25 * x))
    return np.asarray(colour * (1.0 - 0.35 * np.clip(3 * wave, -1, 1)[..., None]), np.float32)


def _crease(colour: Floats) -> None:
    """Darken the lines of the palm, in place."""
    lines = np.zeros(colour.shape[:2], np.float32)
    curves = (
        ((-0.2, 0.0), (-0.1, 0.02), (0.02, 0.1), (0.06, 0.2)),
        ((-0.19, -0.03), (-0.05, 0.0), (0.1, 0.07)),
        ((0.19, -0.01), (0.08, -0.05), (-0.04, -0.1)),
    )
    for curve in curves:
        points = (np.array(curve) - (LEFT, TOP)) * UNIT * 16
        cv2.polylines(lines, [points.astype(np.int32)], False, 1.0, 2, cv2.LINE_AA, 4)
    colour *= 1.0 - 0.2 * cv2.GaussianBlur(lines, (0, 0), 1.2)[..., None]


def _paint_nails(colour: Floats, fingers: list[Bone]) -> None:
    """Lighten a nail near each fingertip, in place."""
    nails = np.zeros(colour.shape[:2], np.float32)
    for bone in fingers[1::2]:
        dx, dy = bone.end[0] - bone.start[0], bone.end[1] - bone.start[1]
        centre = ((bone.end[0] - LEFT) * UNIT * 16, (bone.end[1] - TOP) * UNIT * 16)
        axes = (bone.end_radius * UNIT * 16 * 0.55, bone.end_radius * UNIT * 16 * 0.68)
        turn = math.degrees(math.atan2(dy, dx)) + 90
        cv2.ellipse(
            nails,
            (round(centre[0]), round(centre[1])),
            (round(axes[0]), round(axes[1])),
            turn, 0, 360, 1.0, -1, cv2.LINE_AA, 4,
        )  # fmt: skip
    colour += 0.28 * nails[..., None] * (np.array((255, 226, 220), np.float32) - colour)


def _light(colour: Floats, height: Floats, distance: Floats, performer: Performer) -> Floats:
    """Shade a coloured shape by its relief, from the performer's light."""
    relief = cv2.GaussianBlur(height, (0, 0), 2.2) * UNIT
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=1 / 8)
    steep = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    light_x, light_y = math.sin(performer.light_from) * 0.6, -math.cos(performer.light_from) * 0.6
    facing = np.clip((-slope_x * light_x - slope_y * light_y + 0.8) / steep, 0.0, 1.0)
    # Edges turn away from the viewer: darker there, so that neighbouring fingers stay apart.
    rim = np.clip(-distance / 0.03, 0.0, 1.0)
    shade = (0.5 + 0.6 * facing) * (0.72 + 0.28 * rim)
    gleam = 30.0 * np.clip(facing - 0.86, 0.0, 1.0) / 0.14
    return np.asarray(np.clip(colour * shade[..., None] + gleam[..., None], 0, 255), np.float32)


def _cut_out(colour: Floats, cover: Floats) -> CutOut:
    """Premultiply, put a soft shadow underneath, and make the levels."""
    shift = np.array([[1.0, 0.0, 0.05 * UNIT], [0.0, 1.0, 0.05 * UNIT]])
    moved = cv2.warpAffine(cover, shift, cover.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    shadow = 0.35 * cv2.GaussianBlur(moved, (0, 0), 0.035 * UNIT)
    alpha = cover + (1.0 - cover) * shadow
    rgba = np.dstack([colour * cover[..., None], alpha * 255.0]).astype(np.float32)
    # Only the arm at the bottom may go on past the cut-out.
    rgba[:4] = rgba[:, :4] = rgba[:, -4:] = 0.0
    rgba[-4:] = rgba[-4]
    return make_cut_out(rgba, UNIT, LEFT, TOP)
