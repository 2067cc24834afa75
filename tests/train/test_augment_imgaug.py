"""The fast ways give what imgaug gives; which of imgaug's augmenters can be used."""

import functools
import json
from random import Random
from typing import Any

import numpy as np
import pytest

from seqvision.compat import iaa
from seqvision.data.augment import Augmenter
from seqvision.data.augment.build import build, names, needs_colour, plan_clip, plan_frames, try_out
from seqvision.data.augment.ops import add_noise
from seqvision.data.augment.pixels import ClipEdit, Step
from seqvision.errors import DataError
from seqvision_edge.opencv import cv2

GENERATOR = np.random.default_rng(0)
# Soft, so that half a pixel or another rounding is a small difference, and a whole pixel a big one.
SOFT = cv2.GaussianBlur(GENERATOR.integers(0, 256, (61, 83, 3), np.uint8), (0, 0), 3)
SOFT = cv2.normalize(SOFT, None, 0, 255, cv2.NORM_MINMAX)
NOISY = GENERATOR.integers(0, 256, (40, 50, 3), np.uint8)

WARPS: list[dict[str, Any]] = [
    {"Affine": {"rotate": 17, "mode": "edge"}},
    {"Affine": {"rotate": -33, "mode": "reflect", "scale": {"x": 0.8, "y": 1.3}}},
    {"Affine": {"scale": 1.2, "translate_px": {"x": 5, "y": -3}}},
    {"Affine": {"translate_percent": {"x": 0.1, "y": -0.2}, "mode": "symmetric"}},
    {"Affine": {"translate_percent": 0.1, "mode": "wrap"}},
    {"Affine": {"shear": 12, "mode": "edge"}},
    {"Affine": {"shear": {"x": 9, "y": -14}, "rotate": 20, "scale": 0.9, "mode": "edge"}},
    {"Affine": {"shear": {"choice": [11, 11]}, "mode": "edge"}},
    {"Affine": {"rotate": 10, "cval": 200, "order": 0}},
    {"Affine": {"rotate": 10, "order": 3, "mode": "edge"}},
    {"Rotate": {"rotate": 45}},
    {"ShearX": {"shear": 20}},
    {"ShearY": {"shear": 20}},
    {"ScaleX": {"scale": 1.4}},
    {"ScaleY": {"scale": 0.6}},
    {"TranslateX": {"px": 7}},
    {"TranslateY": {"percent": 0.15}},
    {"Fliplr": 1.0},
    {"Flipud": 1.0},
]


def run(items: list[Any], frames: np.ndarray, seed: int = 0, section: str = "clip") -> np.ndarray:
    work = ClipEdit(frames, Random(seed))
    for step in planned(json.dumps(items), section):
        step(work)
    return work.frames()


@functools.cache
def planned(items: str, section: str) -> list[Step]:
    plan = plan_clip if section == "clip" else plan_frames
    return plan(build(json.loads(items), "test"), needs_colour)


@pytest.mark.parametrize("item", WARPS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(61, 83), (28, 19)])
def test_a_warp_equals_that_of_imgaug(
    item: dict[str, Any], channels: int, size: tuple[int, int]
) -> None:
    frame = np.ascontiguousarray(SOFT[: size[0], : size[1], :channels])
    (augmenter,) = build([item], "test")
    expected = augmenter.augment_image(frame).astype(int)
    frames = run([item], np.stack([frame] * 5))
    assert frames.shape == (5, *frame.shape)
    for varied in frames:
        off = np.abs(varied.astype(int) - expected)
        # The nearest pixel may be the neighbour where two are equally near.
        assert np.quantile(off, 0.998) <= (40 if "order" in str(item) else 8)
        assert off.mean() < 0.3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_warped_frames_keep_their_order(channels: int, count: int) -> None:
    frames = np.stack([np.roll(SOFT, 8 * n, axis=1) for n in range(count)])[..., :channels]
    items = [{"Affine": {"rotate": 12, "mode": "edge"}}, {"Add": 5}, {"GaussianBlur": 0.8}]
    together = run(items, np.ascontiguousarray(frames)).astype(int)
    for number, frame in enumerate(frames):
        alone = run(items, np.ascontiguousarray(frame[None]))[0]
        assert np.abs(together[number] - alone).max() <= 1


def test_perspective_equals_that_of_imgaug() -> None:
    from seqvision.data.augment.ops import perspective_matrix

    augmenter = iaa.PerspectiveTransform(scale=0.0, mode="replicate")
    jitter = [[0.25, 0.3], [0.32, 0.22], [0.33, 0.28], [0.3, 0.24]]

    class Fixed:
        def draw_samples(self, size: tuple[int, ...], random_state: Any) -> np.ndarray:
            return np.float32([jitter]).reshape(size)

    augmenter.jitter = Fixed()
    expected = augmenter.augment_image(SOFT).astype(int)
    matrix = perspective_matrix(61, 83, jitter)
    assert matrix is not None
    work = ClipEdit(SOFT[None], Random(0))
    work.warp(matrix)
    off = np.abs(work.frames()[0].astype(int) - expected)[2:-2, 2:-2]
    assert off.mean() < 1.25
    assert off.max() < 9
    assert run([{"PerspectiveTransform": 0.4}], SOFT[None], 3).shape == SOFT[None].shape
    assert perspective_matrix(3, 3, [[0.45, 0.45]] * 4) is None, "less than two pixels are left"


def test_consecutive_warps_are_one_interpolation() -> None:
    turns = [{"Affine": {"rotate": 5, "mode": "edge"}} for _ in range(4)]
    once = run([{"Affine": {"rotate": 20, "mode": "edge"}}], SOFT[None])
    assert np.abs(run(turns, SOFT[None]).astype(int) - once).max() <= 1
    there_and_back = [{"Affine": {"rotate": 20}}, "Fliplr", "Fliplr", {"Affine": {"rotate": -20}}]
    assert np.abs(run(there_and_back, SOFT[None]).astype(int) - SOFT).max() <= 1
    # Another edge ends the row: what the first one cut off is gone.
    there = {"Affine": {"translate_px": {"x": 20, "y": 0}}}
    back = {"Affine": {"translate_px": {"x": -15, "y": 0}, "mode": "edge"}}
    moved = run([there, back], np.full((1, 61, 83, 3), 255, np.uint8))
    assert (moved[0, :, :5] == 0).all()
    assert (moved[0, :, 5:] == 255).all()


def test_mirrors_and_warps_keep_their_order() -> None:
    shift = {"Affine": {"translate_px": {"x": 10, "y": 0}}}
    flip_first = run(["Fliplr", shift], SOFT[None])[0]
    assert np.array_equal(flip_first[:, 10:], SOFT[:, ::-1][:, :-10])
    shift_first = run([shift, "Fliplr"], SOFT[None])[0]
    assert np.array_equal(shift_first[:, :-10], SOFT[:, ::-1][:, 10:])


TABLES: list[Any] = [
    {"Multiply": 1.37},
    {"Multiply": 0.61},
    {"Add": -30},
    {"Add": 45},
    {"GammaContrast": 1.6},
    {"LinearContrast": 0.5},
    {"LinearContrast": 1.8},
    {"LogContrast": 0.9},
    {"SigmoidContrast": {"gain": 7, "cutoff": 0.4}},
    {"Invert": 1.0},
    {"Solarize": {"p": 1.0, "threshold": 100}},
    {"pillike.EnhanceBrightness": 1.3},
    {"pillike.Solarize": {"p": 1.0, "threshold": 90}},
]


@pytest.mark.parametrize("item", TABLES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_lookup_table_equals_imgaug(item: Any, channels: int) -> None:
    frame = np.ascontiguousarray(NOISY[..., :channels])
    (augmenter,) = build([item], "test")
    expected = augmenter.augment_image(frame)
    for varied in run([item], np.stack([frame] * 3)):
        assert np.array_equal(varied, expected)


def test_consecutive_lookup_tables_keep_their_order() -> None:
    items = [{"Multiply": 1.5}, {"Add": -60}, {"Invert": 1.0}, {"GammaContrast": 0.8}]
    expected = NOISY
    for augmenter in build(items, "test"):
        expected = augmenter.augment_image(expected)
    assert np.array_equal(run(items, NOISY[None])[0], expected)


@pytest.mark.parametrize("size", [(61, 83), (20, 20)])
def test_in_place_steps_equal_imgaug(
    size: tuple[int, int],
) -> None:
    frame = np.ascontiguousarray(SOFT[: size[0], : size[1]])
    items = ["Fliplr", {"Multiply": 1.3}, {"Grayscale": 0.5}, {"Add": -20}, {"GammaContrast": 1.2}]
    expected = frame
    for augmenter in build(items, "test"):
        expected = augmenter.augment_image(expected)
    given = np.stack([frame] * 3)
    for varied in run(items, given):
        assert np.abs(varied.astype(int) - expected).max() <= 2
    assert (given == frame).all(), "the given frames are not written to"


def test_per_channel_draws_one_value_for_each_channel() -> None:
    flat = np.full((2, 4, 4, 3), 100, np.uint8)
    item = {"Add": {"value": [-90, 90], "per_channel": True}}
    differing = [len({*run([item], flat, seed)[0, 0, 0].tolist()}) for seed in range(10)]
    assert max(differing) == 3
    mixed = [item, {"Multiply": 0.5}, {"Multiply": {"mul": [0.5, 1.5], "per_channel": True}}]
    assert run([*mixed, *mixed], flat, 1).shape == flat.shape
    together = {"Add": [-90, 90]}
    assert all(len({*run([together], flat, seed)[0, 0, 0].tolist()}) == 1 for seed in range(10))


def test_grey_and_blur_equal_imgaug() -> None:
    for item, most in (({"Grayscale": 0.7}, 1), ({"GaussianBlur": 1.1}, 0)):
        (augmenter,) = build([item], "test")
        off = run([item], np.stack([NOISY] * 2)).astype(int) - augmenter.augment_image(NOISY)
        assert np.abs(off).max() <= most
    assert np.array_equal(run([{"Grayscale": 1.0}], NOISY[None, ..., :1]), NOISY[None, ..., :1])


@pytest.mark.parametrize("is_colour", [False, True])
def test_noise_has_the_given_mean_and_deviation(is_colour: bool) -> None:
    flat = np.full((6, 90, 110, 3), 128, np.uint8)
    noise = add_noise(flat, 4.0, 9.0, is_colour, Random(1), np.empty_like(flat)).astype(float) - 128
    assert abs(noise.mean() - 4) < 0.3
    assert abs(noise.std() - 9) < 0.3
    assert (noise[..., 0] == noise[..., 2]).all() != is_colour
    # Every frame has its own: no two are alike, nor correlated.
    related = np.corrcoef(noise.reshape(6, -1)) - np.eye(6)
    assert np.abs(related).max() < 0.05


def test_noise_stays_within_black_and_white() -> None:
    for value in (0, 255):
        flat = np.full((2, 40, 40, 1), value, np.uint8)
        noisy = add_noise(flat, 0, 30, True, Random(1), flat)
        assert abs(int(np.median(noisy)) - value) < 3, "no value wraps around"


def test_a_range_is_drawn_evenly_and_a_choice_from_its_values() -> None:
    dark = np.full((1, 1, 1, 1), 100, np.uint8)
    values = [int(run([{"Multiply": [0.5, 1.5]}], dark, seed)[0, 0, 0, 0]) for seed in range(400)]
    assert 50 <= min(values) < 60
    assert 140 < max(values) <= 150
    assert abs(np.mean(values) - 100) < 5
    chosen = {int(run([{"Add": {"choice": [5, 60]}}], dark, s)[0, 0, 0, 0]) for s in range(40)}
    assert chosen == {105, 160}
    whole = {int(run([{"Add": [-1, 1]}], dark, s)[0, 0, 0, 0]) for s in range(60)}
    assert whole == {99, 100, 101}


@pytest.mark.parametrize("section", ["clip", "frame"])
def test_containers_of_augmenters_choose_as_in_imgaug(section: str) -> None:
    flat = np.full((3, 4, 4, 1), 100, np.uint8)

    def seen(item: Any) -> set[int]:
        clips = [run([item], flat, seed, section) for seed in range(60)]
        assert all((clip == clip[0, 0, 0, 0]).all() for clip in clips), "the choice is the clip's"
        return {int(clip[0, 0, 0, 0]) for clip in clips}

    one, two, four = {"Add": 1}, {"Add": 2}, {"Add": 4}
    three = [one, two, four]
    assert seen({"OneOf": three}) == {101, 102, 104}
    assert seen({"Sequential": three}) == {107}
    assert seen({"Sequential": {"children": three, "random_order": True}}) == {107}
    assert seen({"Sometimes": {"p": 0.5, "then_list": [one, two], "else_list": four}}) == {103, 104}
    assert seen({"Sometimes": {"p": 0.5, "then_list": [one]}}) == {100, 101}
    assert seen({"SomeOf": {"n": 2, "children": three}}) == {103, 105, 106}
    assert seen({"SomeOf": {"n": [0, 1], "children": three}}) == {100, 101, 102, 104}
    some = {"n": {"tuple": [2, None]}, "children": three, "random_order": True}
    assert seen({"SomeOf": some}) == {103, 105, 106, 107}
    assert seen({"SomeOf": {"n": None, "children": three}}) == {107}


def test_imgaug_draws_once_per_clip_or_once_per_frame() -> None:
    still = np.stack([SOFT] * 4)
    for item in ("PiecewiseAffine", "MotionBlur", "AddToHue", "CoarseDropout", "SaltAndPepper"):
        per_clip, per_frame = run([item], still, 2), run([item], still, 2, "frame")
        assert (per_clip == per_clip[:1]).all(), item
        assert (per_frame != per_frame[:1]).any(), item
    shaken = run([{"Affine": {"translate_px": [-5, 5]}}], still, 2, "frame")
    assert (shaken != shaken[:1]).any()


# What an augmenter needs beyond its defaults; None where a YAML cannot say it.
_NEEDS: dict[str, Any] = {
    "BlendAlphaBoundingBoxes": {"labels": "a", "foreground": ["Fliplr"]},
    "BlendAlphaCheckerboard": {"nb_rows": 2, "nb_cols": 2, "foreground": ["Fliplr"]},
    "BlendAlphaMask": None,
    "BlendAlphaRegularGrid": {"nb_rows": 2, "nb_cols": 2, "foreground": ["Fliplr"]},
    "BlendAlphaSegMapClassIds": {"class_ids": 1, "foreground": ["Fliplr"]},
    "CenterCropToAspectRatio": 1.0,
    "CenterCropToFixedSize": {"width": 20, "height": 20},
    "CenterCropToMultiplesOf": {"width_multiple": 4, "height_multiple": 4},
    "CenterCropToPowersOf": {"width_base": 2, "height_base": 2},
    "CenterPadToAspectRatio": 1.0,
    "CenterPadToFixedSize": {"width": 200, "height": 200},
    "CenterPadToMultiplesOf": {"width_multiple": 4, "height_multiple": 4},
    "CenterPadToPowersOf": {"width_base": 2, "height_base": 2},
    "ChangeColorspace": "HSV",
    "CloudLayer": {
        "intensity_mean": 200, "intensity_freq_exponent": -2, "intensity_coarse_scale": 2,
        "alpha_min": 0, "alpha_multiplier": 0.3, "alpha_size_px_max": 8, "alpha_freq_exponent": -2,
        "sparsity": 1, "density_multiplier": 0.7,
    },
    "CropToAspectRatio": 1.0,
    "CropToFixedSize": {"width": 20, "height": 20},
    "CropToMultiplesOf": {"width_multiple": 4, "height_multiple": 4},
    "CropToPowersOf": {"width_base": 2, "height_base": 2},
    "KeepSizeByResize": [{"CropToSquare": {}}],
    "OneOf": ["Fliplr"],
    "PadToAspectRatio": 1.0,
    "PadToFixedSize": {"width": 200, "height": 200},
    "PadToMultiplesOf": {"width_multiple": 4, "height_multiple": 4},
    "PadToPowersOf": {"width_base": 2, "height_base": 2},
    "RainLayer": {
        "density": 0.1, "density_uniformity": 0.9, "drop_size": 0.1, "drop_size_uniformity": 0.5,
        "angle": 10, "speed": 0.1, "blur_sigma_fraction": 0.001,
    },
    "RemoveCBAsByOutOfImageFraction": 0.5,
    "ReplaceElementwise": {"mask": 0.1, "replacement": [0, 255]},
    "Resize": 0.5,
    "SnowflakesLayer": {
        "density": 0.1, "density_uniformity": 0.9, "flake_size": 0.5, "flake_size_uniformity": 0.5,
        "angle": 10, "speed": 0.01, "blur_sigma_fraction": 0.001,
    },
    "SomeOf": {"n": 1, "children": ["Fliplr"]},
    "Sometimes": {"p": 0.5, "then_list": ["Fliplr"]},
    "Voronoi": None,
    "WithColorspace": {"to_colorspace": "HSV", "children": [{"Add": 5}]},
    "WithPolarWarping": ["Fliplr"],
}  # fmt: skip
_BLENDS = {name: {"foreground": ["Fliplr"]} for name in names() if name.startswith("BlendAlpha")}
_CHANGES_SIZE = {
    *(f"{where}{how}To{what}" for where in ("", "Center") for how in ("Crop", "Pad")
      for what in ("AspectRatio", "FixedSize", "MultiplesOf", "PowersOf", "Square")),
    "Jigsaw", "Resize",
}  # fmt: skip
_NOT_FOR_CLIPS = {"Augmenter", "Lambda", "AssertLambda", "AssertShape",
                  "SaveDebugImageEveryNBatches", "BlendAlphaBoundingBoxes",
                  "BlendAlphaSegMapClassIds", "BlendAlphaMask", "Voronoi"}  # fmt: skip


def refusal(name: str) -> str | None:
    """Return why an augmenter cannot be used, or None after it varied clips of several shapes."""
    item: Any = {name: {**_BLENDS, **_NEEDS}[name]} if name in {**_BLENDS, **_NEEDS} else name
    if item == {name: None}:
        return "cannot be said in a YAML"
    clips = [np.stack([SOFT[:40, :31]] * 2), np.stack([NOISY[:28, :28, :1]] * 2), SOFT[None]]
    try:
        (augmenter,) = build([item], "test")
        try_out(augmenter, "test")
        for clip in clips:
            for section in ("clip", "frame"):
                varied = run([item], clip, 1, section)
                assert varied.shape == clip.shape
                assert varied.dtype == np.uint8
    except DataError as error:
        return str(error)
    return None


@pytest.mark.slow
def test_every_imgaug_augmenter_is_usable_or_refused_by_name() -> None:
    refused = {name: why for name in sorted(names()) if (why := refusal(name)) is not None}
    print(f"{len(names()) - len(refused)} of {len(names())} augmenters can be used; not these:")
    for name, why in refused.items():
        print(f"  {name}: {why}")
        assert name.removeprefix("imgcorruptlike.") in why or "YAML" in why
        assert "\n" not in why
    broken = set(refused) - _CHANGES_SIZE - _NOT_FOR_CLIPS
    broken -= {name for name in broken if name.startswith("imgcorruptlike.")}
    assert refused.keys() >= _CHANGES_SIZE | _NOT_FOR_CLIPS
    # What breaks with newer parts may be more or less with other versions of them.
    assert broken <= {"pillike.Autocontrast", "ElasticTransformation", "ChangeColorTemperature"}


def test_an_augmenter_that_raises_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, batch: Any, **_: Any) -> Any:
        if batch.images[0].shape[0] > 90:
            raise AttributeError("module 'numpy' has no attribute 'sctypes'\nsecond line")
        return batch

    monkeypatch.setattr(iaa.ElasticTransformation, "_augment_batch_", broken)
    inside = {"Sometimes": {"p": 0.01, "then_list": ["Fliplr", "ElasticTransformation"]}}
    with pytest.raises(
        DataError,
        match=r"augment: clip\[1\]: ElasticTransformation does not work with NumPy .* and OpenCV "
        r".* \(AttributeError: module 'numpy' has no attribute 'sctypes' second line\)",
    ):
        Augmenter({"clip": ["Fliplr", inside]})


def test_an_augmenter_that_changes_the_dtype_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def to_float(self: Any, batch: Any, **_: Any) -> Any:
        batch.images = [image.astype(np.float32) for image in batch.images]
        return batch

    monkeypatch.setattr(iaa.Emboss, "_augment_batch_", to_float)
    with pytest.raises(DataError, match=r"clip\[0\]: Emboss makes float32 of uint8"):
        Augmenter({"clip": ["Emboss"]})
