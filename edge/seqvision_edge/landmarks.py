"""What the features of a model of landmarks are, and the points that they stand for.

A hand has 67 features.  With `hands` slots they stand one after the other; the first of two is the
person's left hand, in a picture that is not mirrored.

    0–62   x, y, z of the 21 points, relative to the wrist, in sizes of the hand
    63, 64 x, y of the wrist: 0 is the picture's centre, −1 to 1 its longer side
    65     the hand's size: 4 is the picture's longer side
    66     presence, 0 to 1

All are multiplied by the presence, so a hand that is not there is all zeros.  The size of a hand is
the distance from the wrist to the middle finger's root, or across the palm where that is longer.
Points are not turned: which way a hand points is part of a gesture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import ImageSpec, ModelCard
from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2

HAND_POINTS: Final = 21
PER_HAND: Final = 3 * HAND_POINTS + 4
HAND_BONES: Final = (
    (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11),
    (11, 12), (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (17, 18), (18, 19), (19, 20),
    (0, 17),
)  # fmt: skip
# A hand of less presence is not drawn, and a frame without any counts as one without hands.
SHOWN: Final = 0.5
# The person's left hand, the right hand (RGB), and a dark edge around both.
_COLOURS: Final = ((255, 150, 40), (60, 170, 255))
_EDGE: Final = (26, 18, 15)
_FAINT: Final = 0.45
_SMALL: Final = 200


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand in a picture: which slot, and its points `(21, 2)`, 0 to 1 of width and height."""

    slot: int
    points: NDArray[np.float32]


def hand_count(card: ModelCard) -> int:
    """Return how many hands the features of a model describe; 0: they are no landmarks."""
    model = card.origin.options.get("model")
    if not isinstance(model, dict) or model.get("encoder") != "hands":
        return 0
    count = model.get("hands")
    return count if isinstance(count, int) and count in (1, 2) else 0


def newest_features(
    card: ModelCard, state: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32] | None:
    """Return the landmarks `(hands × 67,)` of the newest step, from the state that it left.

    None if the model has none, or keeps only what its head reads of them (`--motion none`).
    """
    width = hand_count(card) * PER_HAND
    model = card.origin.options.get("model")
    if not width or not isinstance(model, dict) or model.get("motion") == "none":
        return None
    for tensor, values in zip(card.state.tensors, state, strict=True):
        if tensor.axes == ("batch", "kept", width) and values.ndim == 3 and values.shape[1]:
            newest: NDArray[np.float32] = values[0, -1]
            return newest
    return None


def presence(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(…, hands × 67)` → the presence of each hand, `(…, hands)`."""
    return features[..., PER_HAND - 1 :: PER_HAND]


def hands_in(features: NDArray[np.float32], image: ImageSpec, size: tuple[int, int]) -> list[Hand]:
    """Return the hands that the features of one step stand for.

    Args:
        features: `(hands × 67,)`.
        image: how a picture became a step.
        size: width and height of the picture.
    """
    longest = max(image.width, image.height)
    found = []
    for slot, values in enumerate(features.reshape(-1, PER_HAND)):
        there = float(values[-1])
        if not there >= SHOWN:
            continue
        values = values / there
        points = values[: 3 * HAND_POINTS].reshape(HAND_POINTS, 3)[:, :2]
        points = values[63:65] / 2 + points * values[65] / 4  # from the centre, in longer sides
        pixels = points * longest / (image.width, image.height)
        found.append(Hand(slot, (_in_picture(pixels, image, size) + 0.5).astype(np.float32)))
    return found


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


def draw_hands(picture: Image, hands: Sequence[Hand], held: bool = False) -> None:
    """Draw skeletons on a BGR picture, whose size they are relative to.

    Args:
        picture: `(height, width, 3)`, changed in place.
        hands: from `hands_in`.
        held: they are of an earlier frame, and drawn faintly.
    """
    height, width = picture.shape[:2]
    unit = max(1, round(min(height, width) / 240))
    strokes = [(unit + 2, _EDGE), (unit, None)]
    if min(height, width) < _SMALL:  # edges and dots would hide the fingers
        del strokes[0]
    drawn = picture.copy() if held else picture
    for hand in hands:
        # Sixteenths of a pixel; a damaged model must not give what OpenCV cannot draw.
        at = hand.points.clip(-1, 2) * (width, height) * 16
        points = [(round(float(x)), round(float(y))) for x, y in at]
        ink = _COLOURS[hand.slot][::-1]
        for thickness, colour in strokes:
            for begin, end in HAND_BONES:
                shade = colour or ink
                cv2.line(drawn, points[begin], points[end], shade, thickness, cv2.LINE_AA, 4)
        for point in points if len(strokes) > 1 else ():
            cv2.circle(drawn, point, 16 * unit, (255, 255, 255), -1, cv2.LINE_AA, 4)
    if held:
        cv2.addWeighted(drawn, _FAINT, picture, 1 - _FAINT, 0, picture)
