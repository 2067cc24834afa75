"""Still images cut into sequences."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.card import (
    ChannelSequence,
    ImageSpec,
    PatchSequence,
    StripSequence,
    WindowSequence,
)
from seqvision_edge.frame import Image
from seqvision_edge.still_images import cut_steps, image_steps, sized


def spec(height: int, width: int, channels: int = 1) -> ImageSpec:
    return ImageSpec.model_validate(
        {"height": height, "width": width, "channels": channels, "fit": "stretch"}
    )


def strip(kind: str, steps: int = 100, longer: str = "crop") -> StripSequence:
    return StripSequence.model_validate({"kind": kind, "steps": steps, "longer": longer})


def windows(along: str, stride: int, **more: Any) -> WindowSequence:
    reported = {"kind": "windows", "along": along, "stride": stride, "steps": 100, "longer": "crop"}
    return WindowSequence.model_validate({**reported, **more})


def numbered(height: int, width: int) -> Image:
    """Return a grey image whose pixels encode their row and column: 10 × row + column."""
    rows, columns = np.mgrid[:height, :width]
    return (10 * rows + columns).astype(np.uint8)[:, :, None]


def test_rows_come_from_the_top_and_columns_from_the_left() -> None:
    image = numbered(4, 3)
    rows = cut_steps(image, spec(1, 3), strip("rows"))
    assert rows.shape == (4, 1, 3, 1)
    assert rows[:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    columns = cut_steps(image, spec(4, 1), strip("columns"))
    assert columns.shape == (3, 4, 1, 1)
    assert columns[:, 3, 0, 0].tolist() == [30, 31, 32]


def test_the_missing_rows_of_the_last_step_are_black() -> None:
    rows = cut_steps(numbered(5, 3), spec(2, 3), strip("rows"))
    assert rows.shape == (3, 2, 3, 1)
    assert rows[2, :, 2, 0].tolist() == [42, 0]


def test_windows_overlap_along_their_side_and_reach_its_end() -> None:
    image = numbered(2, 9)
    seen = cut_steps(image, spec(2, 4), windows("width", 2))
    assert seen.shape == (4, 2, 4, 1)
    assert seen[:, 0, :, 0].tolist() == [
        [0, 1, 2, 3],
        [2, 3, 4, 5],
        [4, 5, 6, 7],
        [6, 7, 8, 0],
    ]
    downwards = cut_steps(image.transpose(1, 0, 2), spec(4, 2), windows("height", 2))
    assert np.array_equal(downwards, seen.transpose(0, 2, 1, 3))


def test_an_image_shorter_than_a_window_is_one_step() -> None:
    assert cut_steps(numbered(2, 3), spec(2, 4), windows("width", 2))[:, 0, :, 0].tolist() == [
        [0, 1, 2, 0]
    ]


@pytest.mark.parametrize(("order", "second"), [("raster", [20, 22, 24]), ("snake", [24, 22, 20])])
def test_patches_are_read_row_by_row_or_to_and_fro(order: str, second: list[int]) -> None:
    grid = PatchSequence.model_validate(
        {"kind": "patches", "rows": 2, "columns": 3, "order": order}
    )
    seen = cut_steps(numbered(4, 6), spec(2, 2), grid)
    assert seen.shape == (6, 2, 2, 1)
    assert seen[:3, 0, 0, 0].tolist() == [0, 2, 4]
    assert seen[3:, 0, 0, 0].tolist() == second
    assert seen[0, :, :, 0].tolist() == [[0, 1], [10, 11]]


def test_channels_are_red_green_and_blue_of_a_picture_in_opencv_order() -> None:
    bgr = np.zeros((6, 8, 3), np.uint8)
    bgr[:] = (10, 20, 30)
    seen = image_steps(bgr, spec(3, 4), ChannelSequence(kind="channels"))
    assert seen.shape == (3, 3, 4, 1)
    assert [int(channel.mean()) for channel in seen] == [30, 20, 10]


@pytest.mark.parametrize("shape", [(30, 50), (30, 50, 3), (30, 50, 4)])
def test_grey_colour_and_alpha_images_are_all_read(shape: tuple[int, ...]) -> None:
    bgr = np.full(shape, 200, np.uint8)
    assert image_steps(bgr, spec(15, 5), strip("columns")).shape == (5, 15, 5, 1)
    assert image_steps(bgr, spec(15, 5, 3), strip("columns")).shape == (5, 15, 5, 3)


def test_a_strip_keeps_its_aspect_ratio_whatever_its_size() -> None:
    columns = strip("columns")
    for height, width in ((64, 19), (64, 287), (128, 574), (32, 10)):
        image = sized(np.zeros((height, width, 3), np.uint8), spec(64, 4), columns)
        assert image.shape == (64, round(width * 64 / height), 1)
    assert sized(np.zeros((70, 20, 3), np.uint8), spec(2, 10), strip("rows")).shape == (35, 10, 1)


def test_of_a_long_image_the_middle_is_read_or_steps_at_equal_distances() -> None:
    image = numbered(1, 9)
    assert cut_steps(image, spec(1, 1), strip("columns", 3))[:, 0, 0, 0].tolist() == [3, 4, 5]
    first = cut_steps(image, spec(1, 1), strip("columns", 3), start=0.0)
    assert first[:, 0, 0, 0].tolist() == [0, 1, 2]
    apart = cut_steps(image, spec(1, 1), strip("columns", 3, "subsample"))
    assert apart[:, 0, 0, 0].tolist() == [0, 4, 8]


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(1, 12),
    stride=st.integers(1, 12),
    most=st.integers(1, 8),
    longer=st.sampled_from(["crop", "subsample"]),
    start=st.floats(0, 1),
)
def test_any_image_gives_one_to_the_most_steps_of_the_right_size(
    height: int, width: int, size: int, stride: int, most: int, longer: str, start: float
) -> None:
    image = np.ones((height, width, 1), np.uint8)
    seen = cut_steps(
        image, spec(height, size), windows("width", stride, steps=most, longer=longer), start
    )
    assert seen.shape[1:] == (height, size, 1)
    assert 1 <= len(seen) <= most
    assert seen.flags.c_contiguous
