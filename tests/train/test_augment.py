"""What an augmented clip is: one movement for all its frames, from its seed alone."""

import pickle
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from seqvision.compat import imgaug
from seqvision.config import AugmentOptions
from seqvision.data.augment import (
    Augmenter,
    TemporalOptions,
    make_augmenter,
    mirror_labels,
    refuse_unsafe_flip,
)
from seqvision.data.augment.recipe import read_content
from seqvision.data.dataset import ClipDataset, EpochSampler, collate
from seqvision.data.decode import Decoded
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec, VideoSequence

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8)
STILL = np.repeat(PICTURE, 9, axis=0)


def without_noise(name: str) -> Augmenter:
    return Augmenter({**read_content(name), "frame": []})


@pytest.mark.parametrize("name", ["light", "strong"])
@pytest.mark.parametrize("shape", [(9, 48, 64, 3), (9, 48, 64, 1), (9, 28, 28, 1), (9, 19, 64, 3)])
def test_geometry_and_colour_are_one_draw_for_all_frames_of_a_clip(
    name: str, shape: tuple[int, ...]
) -> None:
    augmenter = without_noise(name)
    still = np.repeat(PICTURE[:, : shape[1], : shape[2], : shape[3]], 9, axis=0)
    changed = 0
    for seed in range(8):
        frames, _ = augmenter(still, 0, seed)
        assert frames.shape == still.shape
        assert frames.dtype == np.uint8
        assert (frames == frames[:1]).all(), "a still clip stays still"
        changed += bool((frames != still).any())
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
    for seed in range(20):
        assert np.array_equal(first(STILL, 0, seed)[0], second(STILL, 0, seed)[0])
    assert not np.array_equal(first(STILL, 0, 5)[0], first(STILL, 0, 6)[0])


IMGAUG_STEPS = {  # what only imgaug itself can do, in both sections
    "clip": [
        "MotionBlur",
        {"SomeOf": {"n": [1, 2], "children": ["Rain", "AddToHue", "PiecewiseAffine"]}},
        {"PerspectiveTransform": 0.1},
    ],
    "frame": [{"CoarseDropout": {"p": 0.2, "size_percent": 0.3}}, "SaltAndPepper"],
}


HASHED = """
import hashlib, numpy as np
from seqvision.data.augment import Augmenter
still = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
found = []
for augment in ("strong", ASKED):
    augmenter = Augmenter(augment)
    clips = [augmenter(still, 0, seed)[0].tobytes() for seed in range(6)]
    found.append(hashlib.sha256(b"".join(clips)).hexdigest())
"""


def test_a_seed_gives_the_same_clip_in_another_process() -> None:
    here: dict[str, Any] = {"ASKED": IMGAUG_STEPS}
    exec(HASHED, here)
    code = f"import numpy; numpy.random.seed(7); ASKED = {IMGAUG_STEPS!r}\n{HASHED}print(*found)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == here["found"]
    assert len(set(here["found"])) == 2


def test_batches_are_the_same_with_any_number_of_workers() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    clips = [Decoded(frames, np.arange(30) / 10, f"{key}") for key in range(6)]
    image = ImageSpec(height=16, width=16, channels=3, fit="stretch")
    video = VideoSequence(kind="video", fps=10.0, frames=8)
    data = ClipDataset(clips, [0] * 6, image, video, Augmenter("strong", flip=True), seed=2)
    batches = []
    for workers in (0, 1, 2):
        order = EpochSampler(data, 2, shuffle=True)
        order.set_epoch(3)
        loader = DataLoader(data, 2, sampler=order, collate_fn=collate, num_workers=workers)
        batches.append(torch.cat([batch.inputs for batch in loader]))
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[2])


def test_an_augmenter_can_be_sent_to_spawned_workers() -> None:
    augmenter = Augmenter(IMGAUG_STEPS, True, {0: 1, 1: 0}, TemporalOptions(drop=0.5), {0: 0})
    copy = pickle.loads(pickle.dumps(augmenter))
    assert copy.made_from() == augmenter.made_from()
    for seed in range(4):
        frames, label = augmenter(STILL, 0, seed)
        assert np.array_equal(copy(STILL, 0, seed)[0], frames)
        assert copy(STILL, 0, seed)[1] == label


def test_global_random_generators_are_neither_changed_nor_used() -> None:
    def states() -> str:
        own = imgaug.random.get_global_rng().state
        return repr((np.random.get_state()[1].tolist(), random.getstate(), own))

    before = states()
    augmenter = Augmenter(IMGAUG_STEPS)
    clips = [augmenter(STILL, 0, seed)[0] for seed in range(4)]
    assert states() == before
    np.random.seed(5)
    random.seed(5)
    imgaug.random.seed(5)
    assert all(np.array_equal(augmenter(STILL, 0, seed)[0], clips[seed]) for seed in range(4))


def test_augment_none_returns_an_equal_copy() -> None:
    frames, label = Augmenter("none")(STILL, 1, 3)
    assert np.array_equal(frames, STILL)
    assert label == 1
    frames[:] = 0
    assert STILL.any(), "the decoded clip is not written to"


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("size", [(48, 64), (19, 64), (64, 19), (28, 28), (5, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_clips_of_any_length_and_size_are_varied(
    frames: int, size: tuple[int, int], channels: int
) -> None:
    clip = np.zeros((frames, *size, channels), np.uint8)
    for augment in ("light", "strong"):
        varied, _ = Augmenter(augment)(clip, 0, 1)
        assert varied.shape == clip.shape


def test_read_only_frames_are_varied(tmp_path) -> None:  # type: ignore[no-untyped-def]
    STILL.tofile(tmp_path / "clip.u8")
    mapped = np.memmap(tmp_path / "clip.u8", np.uint8, "r", shape=STILL.shape)
    for seed in range(4):
        varied = Augmenter("strong")(mapped, 0, seed)[0]
        assert type(varied) is np.ndarray
        assert np.array_equal(varied, Augmenter("strong")(STILL, 0, seed)[0])


@pytest.mark.parametrize("name", ["light", "strong"])
def test_presets_stay_within_the_image_and_leave_no_black_border(name: str) -> None:
    grey = np.full((2, 64, 64, 3), 128, np.uint8)
    augmenter = without_noise(name)
    for seed in range(60):
        varied = augmenter(grey, 0, seed)[0].astype(int)
        # A plain picture stays plain: whatever comes from beyond its edge is the edge itself.
        assert np.ptp(varied[0], axis=(0, 1)).max() <= 1
        assert 40 <= varied.min() <= varied.max() <= 240
    square = np.zeros((1, 64, 64, 1), np.uint8)
    square[:, 24:40, 24:40] = 255
    for seed in range(60):
        assert (augmenter(square, 0, seed)[0] > 100).sum() >= 60, "the hand stays in the picture"


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


def test_an_unsafe_flip_is_refused_with_its_label() -> None:
    labels = ["none", "rotate_cw", "rotate_ccw", "swipe-left", "swipe-right"]
    with pytest.raises(DataError, match="rotate_cw"):
        refuse_unsafe_flip(labels, mirror_labels(labels, ["swipe-left:swipe-right"]))
    pairs = mirror_labels(labels, ["swipe-left:swipe-right", "rotate_cw:rotate_ccw"])
    refuse_unsafe_flip(labels, pairs)
    for swap in ("up:down", "none", "none:"):
        with pytest.raises(DataError, match=f"--swap {swap}"):
            mirror_labels(labels, [swap])


def test_labels_with_a_colon_in_their_name_can_be_swapped() -> None:
    labels = ["a:left", "a:right"]
    assert mirror_labels(labels, ["a:left:a:right"]) == {0: 1, 1: 0}


def test_mirror_augmenters_are_refused_where_a_label_names_a_side() -> None:
    def options(name: str) -> AugmentOptions:
        return AugmentOptions(augment={"clip": [{"Sometimes": {"p": 0.5, "then_list": [name]}}]})

    with pytest.raises(DataError, match=r"--augment: Fliplr makes the label go_left wrong; --flip"):
        make_augmenter(options("Fliplr"), ["go_left", "none"])
    with pytest.raises(DataError, match="Flipud makes the label point up wrong"):
        make_augmenter(options("Flipud"), ["none", "point up"])
    assert make_augmenter(options("Fliplr"), ["clap", "none"]) is not None


def test_without_augmentation_there_is_no_augmenter() -> None:
    labels = ["a", "b"]
    assert make_augmenter(AugmentOptions(augment="none"), labels) is None
    for options in (
        AugmentOptions(augment="none", flip=True),
        AugmentOptions(augment="none", drop=0.1),
        AugmentOptions(),
    ):
        assert make_augmenter(options, labels) is not None
