import numpy as np
import pytest

from seqvision.data.augment import Augmenter, Preset, mirror_labels, refuse_unsafe_flip
from seqvision.errors import DataError

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), np.uint8)
STILL = np.repeat(PICTURE, 9, axis=0)


def without_noise(name: str) -> Augmenter:
    from seqvision.compat import iaa

    augmenter = Augmenter(name)
    preset = augmenter._preset
    augmenter._preset = Preset(preset.geometry, preset.colour, iaa.Identity())
    return augmenter


@pytest.mark.parametrize("name", ["light", "strong"])
def test_geometry_and_colour_are_one_draw_for_all_frames_of_a_clip(name: str) -> None:
    augmenter = without_noise(name)
    changed = 0
    for seed in range(8):
        frames, _ = augmenter(STILL, 0, seed)
        assert frames.shape == STILL.shape
        assert frames.dtype == np.uint8
        assert (frames == frames[:1]).all(), "a still clip stays still"
        changed += bool((frames != STILL).any())
    assert changed == 8, "and each clip is varied"


@pytest.mark.parametrize("name", ["light", "strong"])
def test_sensor_noise_is_drawn_for_every_frame(name: str) -> None:
    augmenter = Augmenter(name)
    moving = [
        bool((frames != frames[:1]).any())
        for frames in (augmenter(STILL, 0, seed)[0] for seed in range(30))
    ]
    assert 3 <= sum(moving) <= 27, "noise is on some clips, not on all"


def test_the_same_seed_gives_the_same_clip_and_another_seed_another() -> None:
    first, second = Augmenter("strong"), Augmenter("strong")
    second(STILL, 0, 99)
    assert np.array_equal(first(STILL, 0, 5)[0], second(STILL, 0, 5)[0])
    assert not np.array_equal(first(STILL, 0, 5)[0], first(STILL, 0, 6)[0])


def test_none_changes_nothing() -> None:
    frames, label = Augmenter("none")(STILL, 1, 3)
    assert np.array_equal(frames, STILL)
    assert label == 1


@pytest.mark.parametrize("frames", [1, 2, 40])
def test_grey_clips_and_clips_of_any_length_are_varied_too(frames: int) -> None:
    clip = np.repeat(PICTURE[..., :1], frames, axis=0)
    varied, _ = Augmenter("strong")(clip, 0, 1)
    assert varied.shape == (frames, 24, 32, 1)


def test_a_mirrored_clip_gets_the_mirrored_label() -> None:
    labels = ["left", "none", "right"]
    augmenter = Augmenter("none", flip=True, swap=mirror_labels(labels, ["left:right"]))
    seen = set()
    for seed in range(20):
        for label in range(3):
            frames, answer = augmenter(STILL, label, seed)
            mirrored = np.array_equal(frames, STILL[:, :, ::-1])
            assert mirrored or np.array_equal(frames, STILL)
            assert labels[answer] == (
                {"left": "right", "right": "left"}.get(labels[label], "none")
                if mirrored
                else labels[label]
            )
            seen.add(mirrored)
    assert seen == {True, False}


def test_an_unsafe_flip_is_refused_by_the_label_that_it_would_ruin() -> None:
    labels = ["none", "rotate_cw", "rotate_ccw", "swipe-left", "swipe-right"]
    with pytest.raises(DataError, match="rotate_cw"):
        refuse_unsafe_flip(labels, mirror_labels(labels, ["swipe-left:swipe-right"]))
    pairs = mirror_labels(labels, ["swipe-left:swipe-right", "rotate_cw:rotate_ccw"])
    refuse_unsafe_flip(labels, pairs)
    with pytest.raises(DataError, match="--swap up:down"):
        mirror_labels(labels, ["up:down"])
