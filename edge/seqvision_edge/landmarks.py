"""What the features of a model of landmarks are, and the points that they stand for.

Hands come first, 67 features each; then a body, 55 features.  The first of two hands is the
person's left hand, in a picture that is not mirrored.

A hand:

    0–62   x, y, z of the 21 points, relative to the wrist, in sizes of the hand
    63, 64 x, y of the wrist: 0 is the picture's centre, −1 to 1 its longer side
    65     the hand's size: 4 is the picture's longer side
    66     presence, 0 to 1

A body:

    0–50   x, y of the 17 points, relative to the root, in sizes of the torso; and how far each is
           seen, 0 to 1, by which its x and y are multiplied
    51, 52 x, y of the root: 0 is the picture's centre, −1 to 1 its longer side
    53     the torso's size: 4 is the picture's longer side
    54     presence, 0 to 1

All are multiplied by the presence, so a hand or a body that is not there is all zeros.  The size of
a hand is the distance from the wrist to the middle finger's root, or across the palm where that is
longer.  The root of a body is between the hips, or between the shoulders where hips are not seen;
the size of a torso is the distance of these two, or 1.4 times that of the shoulders where that is
longer.  Points are not turned: which way a hand points is part of a gesture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import ImageSpec, ModelCard
from seqvision_edge.frame import Image, Step
from seqvision_edge.opencv import cv2

HAND_POINTS: Final = 21
PER_HAND: Final = 3 * HAND_POINTS + 4
HAND_BONES: Final = (
    (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11),
    (11, 12), (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (17, 18), (18, 19), (19, 20),
    (0, 17),
)  # fmt: skip
# As COCO numbers them: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, each left
# before right.
BODY_POINTS: Final = 17
PER_BODY: Final = 3 * BODY_POINTS + 4
BODY_BONES: Final = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
# Which point each one is in a mirror.
BODY_MIRROR: Final = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
BODY: Final = 2
# What is looked for, in a sentence.
IN_WORDS: Final = {"hands": "hands", "body": "a body"}
# A hand or body of less presence is not drawn, nor is a point that is seen less.
SHOWN: Final = 0.5
# The person's left hand, the right hand, the body (RGB), and a dark edge around each.
_COLOURS: Final = ((255, 150, 40), (60, 170, 255), (110, 230, 140))
_EDGE: Final = (26, 18, 15)
_FAINT: Final = 0.45
_SMALL: Final = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """What the features of a model describe: so many hands, then perhaps a body."""

    hands: int
    body: bool

    @property
    def width(self) -> int:
        """How many features there are."""
        return self.hands * PER_HAND + self.body * PER_BODY

    @property
    def names(self) -> tuple[str, ...]:
        """What is looked for: hands, body."""
        return ("hands",) * bool(self.hands) + ("body",) * self.body


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A hand or a body in a picture.

    Attributes:
        slot: 0 the left hand or the only one, 1 the right hand, 2 (BODY) a body.
        points: `(points, 2)`, 0 to 1 of width and height.
        shown: which points are seen.
    """

    slot: int
    points: NDArray[np.float32]
    shown: NDArray[np.bool_]

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs of points that belong together."""
        return BODY_BONES if self.slot == BODY else HAND_BONES


def layout(width: int) -> Layout:
    """Return what so many features describe; each width stands for one layout."""
    hands, rest = divmod(width, PER_HAND)
    if hands > 2 or rest not in (0, PER_BODY) or not width:
        raise ValueError(f"{width} features are no landmarks")
    return Layout(hands, rest > 0)


def layout_of(card: ModelCard) -> Layout | None:
    """Return what the features of a model describe; None: they are no landmarks."""
    model = card.origin.options.get("model")
    encoder = model.get("encoder") if isinstance(model, dict) else None
    if not isinstance(model, dict) or encoder not in ("hands", "pose", "hands+pose"):
        return None
    if encoder == "pose":
        return Layout(0, True)
    hands = model.get("hands")
    if not isinstance(hands, int) or hands not in (1, 2):
        return None
    return Layout(hands, encoder == "hands+pose")


def newest_features(
    card: ModelCard, state: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32] | None:
    """Return the landmarks `(features,)` of the newest step, from the state that it left.

    None if the model has none, or keeps only what its head reads of them (`--motion none`).
    """
    described, model = layout_of(card), card.origin.options.get("model")
    if described is None or not isinstance(model, dict) or model.get("motion") == "none":
        return None
    for tensor, values in zip(card.state.tensors, state, strict=True):
        axes = ("batch", "kept", described.width)
        if tensor.axes == axes and values.ndim == 3 and values.shape[1]:
            newest: NDArray[np.float32] = values[0, -1]
            return newest
    return None


def presence(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(…, features)` → the presence of each hand, then of the body, `(…, parts)`."""
    described = layout(features.shape[-1])
    last = [PER_HAND * (hand + 1) - 1 for hand in range(described.hands)]
    found: NDArray[np.float32] = features[..., [*last, -1] if described.body else last]
    return found


def is_found(features: NDArray[np.float32], part: str) -> NDArray[np.bool_]:
    """`(…, features)` → whether there is a hand, or a body (a name of `Layout.names`), `(…)`."""
    there = presence(features)
    hands = layout(features.shape[-1]).hands
    shown = there[..., :hands] if part == "hands" else there[..., hands:]
    return np.asarray((shown >= SHOWN).any(axis=-1))


def skeletons_in(
    features: NDArray[np.float32], image: ImageSpec, size: tuple[int, int]
) -> list[Skeleton]:
    """Return the hands and the body that the features of one step stand for, the body first.

    Args:
        features: `(features,)`.
        image: how a picture became a step.
        size: width and height of the picture.
    """
    described = layout(len(features))
    split = described.hands * PER_HAND
    found = []
    if described.body and features[-1] >= SHOWN:
        values = features[split:] / features[-1]
        points = values[: 3 * BODY_POINTS].reshape(BODY_POINTS, 3)
        seen = points[:, 2:]
        shown = seen[:, 0] >= SHOWN
        found.append((BODY, points[:, :2] / np.maximum(seen, 1e-6), values[-4:], shown))
    for slot, values in enumerate(features[:split].reshape(-1, PER_HAND)):
        if values[-1] >= SHOWN:
            values = values / values[-1]
            points = values[: 3 * HAND_POINTS].reshape(HAND_POINTS, 3)[:, :2]
            found.append((slot, points, values[-4:], np.ones(HAND_POINTS, np.bool_)))
    longest = max(image.width, image.height)
    skeletons = []
    for slot, points, (*place, scale, _), shown in found:
        points = np.array(place) / 2 + points * scale / 4  # from the centre, in longer sides
        pixels = points * longest / (image.width, image.height)
        inside = (_in_picture(pixels, image, size) + 0.5).astype(np.float32)
        skeletons.append(Skeleton(slot, inside, shown))
    return skeletons


def _in_picture(
    points: NDArray[np.floating], image: ImageSpec, size: tuple[int, int]
) -> NDArray[np.floating]:
    """Points of a step, −0.5 to 0.5 of its sides → of the picture's, as `preprocess` made it."""
    step, picture = image.width / image.height, size[0] / size[1]
    if image.fit == "stretch" or step == picture:
        return points
    wide = picture > step
    if image.fit == "pad":  # bars above and below a picture that is wider
        return points * ((1.0, picture / step) if wide else (step / picture, 1.0))
    return points * ((step / picture, 1.0) if wide else (1.0, picture / step))


def draw_landmarks(
    picture: Image, steps: Sequence[Step], image: ImageSpec, size: tuple[int, int]
) -> None:
    """Draw the skeletons of the views of a source on its BGR picture.

    Between two ticks of the model's clock they are those of the tick before, and faint.

    Args:
        picture: the whole frame, in any size.
        steps: those of its views, or the one of a source without views.
        image: how a view's picture became a step.
        size: width and height of the frame.
    """
    whole = np.array(picture.shape[1::-1])
    for step in steps:
        if step.landmarks is None:
            continue
        corners = np.array(step.outline or ((0, 0), (1, 1)))
        low, high = corners.min(axis=0), corners.max(axis=0)
        (left, top), (right, bottom) = np.rint(low * whole), np.rint(high * whole)
        part = picture[int(top) : int(bottom), int(left) : int(right)]
        width, height = np.maximum(1, np.rint((high - low) * size)).tolist()
        skeletons = skeletons_in(step.landmarks, image, (int(width), int(height)))
        if part.size:
            draw_skeletons(part, skeletons, held=not step.answered)


def draw_skeletons(picture: Image, skeletons: Sequence[Skeleton], held: bool = False) -> None:
    """Draw skeletons on a BGR picture, whose size they are relative to.

    Args:
        picture: `(height, width, 3)`, changed in place.
        skeletons: from `skeletons_in`.
        held: they are of an earlier frame, and drawn faintly.
    """
    height, width = picture.shape[:2]
    unit = max(1, round(min(height, width) / 240))
    strokes = [(unit + 2, _EDGE), (unit, None)]
    if min(height, width) < _SMALL:  # edges and dots would hide the fingers
        del strokes[0]
    drawn = picture.copy() if held else picture
    for skeleton in skeletons:
        # Sixteenths of a pixel; a damaged model must not give what OpenCV cannot draw.
        at = np.nan_to_num(skeleton.points).clip(-1, 2) * (width, height) * 16
        points = [(round(float(x)), round(float(y))) for x, y in at]
        ink = _COLOURS[skeleton.slot][::-1]
        bones = [bone for bone in skeleton.bones if skeleton.shown[list(bone)].all()]
        for thickness, colour in strokes:
            for begin, end in bones:
                shade = colour or ink
                cv2.line(drawn, points[begin], points[end], shade, thickness, cv2.LINE_AA, 4)
        for point, shown in zip(points, skeleton.shown, strict=True):
            if shown and len(strokes) > 1:
                cv2.circle(drawn, point, 16 * unit, (255, 255, 255), -1, cv2.LINE_AA, 4)
    if held:
        cv2.addWeighted(drawn, _FAINT, picture, 1 - _FAINT, 0, picture)
