"""Landmarks in the features of a model: which points they are, and where they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from colour_model import make_card
from numpy.typing import NDArray

from seqvision_edge.card import ImageSpec, ModelCard
from seqvision_edge.frame import Frame, Step
from seqvision_edge.landmarks import (
    BODY,
    BODY_BONES,
    BODY_MIRROR,
    BODY_POINTS,
    HAND_BONES,
    HAND_POINTS,
    PER_BODY,
    PER_HAND,
    Layout,
    draw_skeletons,
    is_found,
    layout,
    newest_features,
    presence,
    skeletons_in,
)
from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.preprocess import prepare
from seqvision_edge.server.device_view import DeviceView
from seqvision_edge.types import SourceState


def spec(fit: str) -> ImageSpec:
    return ImageSpec.model_validate({"height": 240, "width": 320, "channels": 3, "fit": fit})


def features_at(
    pixels: tuple[float, float], size: float = 40.0, there: float = 1.0
) -> NDArray[np.float32]:
    """Return one hand whose wrist is at these pixels of a step of 320 × 240, its points upwards."""
    values = np.zeros(PER_HAND, np.float32)
    values[1 : 3 * HAND_POINTS : 3] = -np.linspace(0, 1, HAND_POINTS)
    values[63:65] = (np.array(pixels) - (160, 120)) / 160
    values[65], values[66] = 4 * size / 320, 1
    return values * there


def body_at(
    pixels: tuple[float, float], size: float = 40.0, there: float = 1.0
) -> NDArray[np.float32]:
    """Return a body whose root is at these pixels of a step of 320 × 240, its points downwards.

    Its ankles are not seen.
    """
    marks = np.zeros((BODY_POINTS, 3), np.float32)
    marks[:, 1], marks[:, 2] = np.linspace(-1, 1, BODY_POINTS), 1
    marks[-2:] = 0
    root = (np.array(pixels) - (160, 120)) / 160
    return np.array([*marks.reshape(-1), *root, 4 * size / 320, 1], np.float32) * there


def card_of_hands(
    hands: int = 1, motion: str = "auto", fit: str = "pad", encoder: str = "hands"
) -> ModelCard:
    card = make_card()
    options = {"model": {"encoder": encoder, "hands": hands, "motion": motion}}
    origin = card.origin.model_copy(update={"options": options})
    width = {"hands": 0, "pose": -hands * PER_HAND}.get(encoder, 0) + hands * PER_HAND
    width += PER_BODY if "pose" in encoder else 0
    state = card.state.model_copy(
        update={
            "tensors": (
                card.state.tensors[0].model_copy(update={"axes": ("batch", "kept", width)}),
            )
        }
    )
    return card.model_copy(update={"origin": origin, "state": state, "image": spec(fit)})


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(640, 480), (640, 360), (360, 640), (1000, 200)])
def test_points_are_where_preprocessing_put_the_picture(fit: str, size: tuple[int, int]) -> None:
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    dot = round(0.45 * width), round(0.55 * height)
    reach = max(size) // 40
    picture[dot[1] - reach : dot[1] + reach, dot[0] - reach : dot[0] + reach] = 255
    step = prepare(picture, spec(fit))[..., 0].astype(float)
    rows, columns = np.indices(step.shape) + 0.5
    seen = (columns * step).sum() / step.sum(), (rows * step).sum() / step.sum()
    (hand,) = skeletons_in(features_at(seen), spec(fit), size)
    assert hand.points[0] * size == pytest.approx(dot, abs=0.012 * max(size))


def test_a_faint_presence_does_not_move_the_points_and_an_absent_hand_has_none() -> None:
    (whole,) = skeletons_in(features_at((50, 200)), spec("pad"), (320, 240))
    (faint,) = skeletons_in(features_at((50, 200), there=0.6), spec("pad"), (320, 240))
    np.testing.assert_allclose(whole.points, faint.points, atol=1e-6)
    assert whole.points[0] * (320, 240) == pytest.approx((50, 200), abs=1e-3)
    assert whole.points[-1] * (320, 240) == pytest.approx((50, 160), abs=1e-3)
    assert skeletons_in(features_at((50, 200), there=0.4), spec("pad"), (320, 240)) == []
    assert skeletons_in(np.full(2 * PER_HAND, np.nan, np.float32), spec("pad"), (320, 240)) == []


def test_a_body_lies_where_its_points_are_and_what_is_not_seen_is_not_shown() -> None:
    both = np.concatenate((np.zeros(PER_HAND, np.float32), features_at((9, 9)), body_at((160, 90))))
    body, hand = skeletons_in(both, spec("pad"), (320, 240))
    assert (body.slot, hand.slot) == (BODY, 1)
    assert body.points[0] * (320, 240) == pytest.approx((160, 50), abs=1e-3)
    assert body.shown.tolist() == [True] * 15 + [False] * 2
    (faint,) = skeletons_in(body_at((160, 90), there=0.6), spec("pad"), (320, 240))
    np.testing.assert_allclose(faint.points[:15], body.points[:15], atol=1e-6)
    assert skeletons_in(body_at((160, 90), there=0.4), spec("pad"), (320, 240)) == []
    picture = np.zeros((240, 320, 3), np.uint8)
    draw_skeletons(picture, [body])
    rows = picture.max(axis=2).any(axis=1).nonzero()[0]
    assert (rows.min(), rows.max()) == pytest.approx((50, 90 + 40 * (14 / 8 - 1)), abs=4)


@pytest.mark.parametrize(
    ("width", "hands", "body"),
    [(67, 1, False), (134, 2, False), (55, 0, True), (122, 1, True), (189, 2, True)],
)
def test_a_width_stands_for_one_layout_and_finds_its_parts(
    width: int, hands: int, body: bool
) -> None:
    assert layout(width) == Layout(hands, body)
    features = np.zeros((2, width), np.float32)
    features[1] = 1
    assert presence(features).tolist() == [[0] * (hands + body), [1] * (hands + body)]
    for part in Layout(hands, body).names:
        assert is_found(features, part).tolist() == [False, True]


@pytest.mark.parametrize("width", [0, 54, 66, 201, 256])
def test_other_widths_are_no_landmarks(width: int) -> None:
    with pytest.raises(ValueError, match="are no landmarks"):
        layout(width)


@pytest.mark.parametrize("encoder", ["pose", "hands+pose"])
def test_the_state_of_a_model_of_poses_has_them(encoder: str) -> None:
    card = card_of_hands(encoder=encoder)
    width = PER_BODY + (PER_HAND if "hands" in encoder else 0)
    past = np.arange(2 * width, dtype=np.float32).reshape(1, 2, width)
    found = newest_features(card, (past,))
    assert found is not None
    assert (found[0], len(found)) == (width, width)


def test_two_slots_are_told_apart() -> None:
    both = np.concatenate((np.zeros(PER_HAND, np.float32), features_at((9, 9))))
    (hand,) = skeletons_in(both, spec("pad"), (320, 240))
    assert hand.slot == 1
    assert presence(both).tolist() == [0, 1]


def test_the_newest_features_come_from_the_state_or_are_none() -> None:
    past = np.arange(2 * PER_HAND, dtype=np.float32).reshape(1, 2, PER_HAND)
    found = newest_features(card_of_hands(), (past,))
    assert found is not None
    assert found[0] == PER_HAND
    assert newest_features(card_of_hands(), (past[:, :0],)) is None, "the start of a stream"
    assert newest_features(card_of_hands(motion="none"), (past,)) is None, "not features"
    other = card_of_hands(hands=2).model_copy(update={"state": card_of_hands().state})
    assert newest_features(other, (past,)) is None, "of another width"
    assert newest_features(make_card(), (past,)) is None, "no landmarks"


@pytest.mark.parametrize("size", [None, (900, 480), (300, 900)])
def test_a_skeleton_lies_on_its_hand_in_any_window(size: tuple[int, int] | None) -> None:
    card = card_of_hands()
    frame = Frame(np.full((480, 640, 3), 90, np.uint8), 1.0, 0)
    plain = Step(source="a", frame=frame, state=SourceState("live"), answered=True)
    seen = replace(plain, landmarks=features_at((160, 140), size=30))
    one, other = (Overlay(card).draw(step, size) for step in (plain, seen))
    rows, columns, _ = (one != other).nonzero()
    scale = min(one.shape[1] / 640, one.shape[0] / 480)
    wrist = one.shape[1] / 2, one.shape[0] / 2 + 40 * scale
    assert rows.max() == pytest.approx(wrist[1], abs=6 * scale + 2)
    assert rows.min() == pytest.approx(wrist[1] - 60 * scale, abs=6 * scale + 2)
    assert columns.mean() == pytest.approx(wrist[0], abs=3)


def test_the_skeleton_of_a_region_lies_in_its_part_of_the_picture() -> None:
    """In the window, in a saved video and on the page of a device."""
    card = card_of_hands()
    frame = Frame(np.full((480, 640, 3), 90, np.uint8), 1.0, 0)
    plain = Step(source="a", frame=frame, state=SourceState("live"), answered=True)
    # The right half, of which the lower half: 320x240 pixels, as many as the step has.
    corners = ((0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0))
    region = replace(plain, frame=None, view="desk", outline=corners)
    seen = replace(region, landmarks=features_at((160, 140), size=30))
    quiet, drawn = (replace(plain, views=(each,)) for each in (region, seen))
    page = DeviceView(["a"], spec("pad"))
    pictures = [Overlay(card).draw(quiet, None), Overlay(card).draw(drawn, None)]
    for number, step in enumerate((quiet, drawn)):
        page.write(replace(step, frame=replace(frame, index=number)))
        content = page.picture("a")
        assert content is not None
        pictures.append(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))
    for one, other in (pictures[:2], pictures[2:]):
        rows, columns = (np.abs(one.astype(int) - other).max(axis=2) > 60).nonzero()
        assert (rows.min(), rows.max()) == pytest.approx((240 + 110, 240 + 140), abs=5)
        assert columns.mean() == pytest.approx(320 + 160, abs=3)


def test_a_skeleton_of_an_earlier_frame_is_fainter() -> None:
    hands = skeletons_in(features_at((160, 140)), spec("pad"), (320, 240))
    pictures = [np.full((240, 320, 3), 90, np.uint8) for _ in range(2)]
    draw_skeletons(pictures[0], hands)
    draw_skeletons(pictures[1], hands, held=True)
    strong, faint = (np.abs(one.astype(int) - 90).sum() for one in pictures)
    assert 0 < faint < 0.6 * strong


def test_points_far_outside_are_drawn_without_an_error() -> None:
    values = features_at((160, 140))
    values[:63] *= 1e30
    draw_skeletons(np.zeros((240, 320, 3), np.uint8), skeletons_in(values, spec("pad"), (320, 240)))
    assert max(max(bone) for bone in HAND_BONES) == HAND_POINTS - 1
    assert max(max(bone) for bone in BODY_BONES) == BODY_POINTS - 1
    assert [BODY_MIRROR[other] for other in BODY_MIRROR] == list(range(BODY_POINTS))


def test_the_page_of_a_device_shows_the_skeleton() -> None:
    view = DeviceView(["a"], spec("pad"))
    frame = Frame(np.full((240, 320, 3), 90, np.uint8), 1.0, 0)
    step = Step(source="a", frame=frame, state=SourceState("live"), answered=True)
    view.write(step)
    plain = view.picture("a")
    view.write(replace(step, frame=replace(frame, index=1), landmarks=features_at((160, 140))))
    drawn = view.picture("a")
    assert plain is not None
    assert drawn is not None
    before, after = (
        cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in (plain, drawn)
    )
    changed = np.abs(before.astype(int) - after).max(axis=2) > 60
    rows, columns = changed.nonzero()
    assert (rows.min(), rows.max()) == pytest.approx((100, 140), abs=5)
    assert columns.mean() == pytest.approx(160, abs=3)
    assert (frame.bgr == 90).all(), "the frame is shared with other outputs"
