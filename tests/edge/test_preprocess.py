"""Preprocessing converts a frame to a step."""

from typing import Any

import numpy as np
import pytest

from seqvision_edge.card import ImageSpec
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare


def spec(**changes: Any) -> ImageSpec:
    return ImageSpec(**{"height": 24, "width": 32, "channels": 3, "fit": "stretch", **changes})


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (10, 12), (24, 32), (1, 900), (37, 41)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_frame_gets_the_size_of_the_card(
    fit: str, shape: tuple[int, int], channels: int
) -> None:
    step = prepare(np.zeros((*shape, 3), np.uint8), spec(fit=fit, channels=channels))
    assert step.shape == (24, 32, channels)
    assert step.dtype == np.uint8
    assert step.flags.c_contiguous


def test_colours_are_turned_from_bgr_to_rgb() -> None:
    frame = np.full((48, 64, 3), (10, 20, 30), np.uint8)
    assert prepare(frame, spec())[0, 0].tolist() == [30, 20, 10]


def test_a_grey_frame_and_one_with_alpha_are_the_frame_without() -> None:
    grey = np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)
    colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    with_alpha = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA)
    np.testing.assert_array_equal(prepare(grey, spec()), prepare(colour, spec()))
    np.testing.assert_array_equal(prepare(with_alpha, spec()), prepare(colour, spec()))


def test_stretch_shows_the_whole_frame_and_crop_its_middle() -> None:
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, :80] = frame[:, -80:] = 255
    square = {"height": 20, "width": 20}
    stretched = prepare(frame, spec(fit="stretch", **square))
    assert stretched[:, 0].min() == 255
    assert stretched[:, -1].min() == 255
    assert prepare(frame, spec(fit="crop", **square)).max() == 0


def test_pad_keeps_the_shape_between_black_bars() -> None:
    step = prepare(np.full((100, 200, 3), 200, np.uint8), spec(fit="pad", height=20, width=20))
    assert step[:5].max() == 0
    assert step[-5:].max() == 0
    assert step[5:15].min() == 200


@pytest.mark.parametrize("shape", [(480, 640), (121, 163), (60, 64)])
def test_shrinking_does_not_alias(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    # A photograph has no detail at the pixel scale; a little blur makes noise like one.
    noise = cv2.GaussianBlur(rng.integers(0, 255, (*shape, 3)).astype(np.uint8), (0, 0), 2)
    ours = prepare(noise, spec()).astype(int)
    exact = cv2.resize(noise, (32, 24), interpolation=cv2.INTER_AREA)[:, :, ::-1].astype(int)
    plain = cv2.resize(noise, (32, 24), interpolation=cv2.INTER_LINEAR)[:, :, ::-1].astype(int)
    assert np.abs(ours - exact).mean() < 3
    assert np.abs(ours - exact).mean() <= np.abs(plain - exact).mean()


def test_a_frame_of_the_right_size_is_not_resampled() -> None:
    frame = np.random.default_rng(2).integers(0, 255, (24, 32, 3), np.uint8)
    np.testing.assert_array_equal(prepare(frame, spec()), frame[:, :, ::-1])
