"""Which frames are seen: only timestamps change, the live runner's sampler chooses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvision.config import AugmentOptions
from seqvision.data.augment import (
    Augmenter,
    TemporalOptions,
    draw_frames,
    make_augmenter,
    reversal_labels,
)
from seqvision.data.dataset import ClipDataset
from seqvision.data.decode import Decoded
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec, VideoSequence
from seqvision_edge.sampling import window

IMAGE = ImageSpec(height=8, width=8, channels=3, fit="stretch")
VIDEO = VideoSequence(kind="video", fps=10.0, frames=16)


def draw(
    count: int,
    rate: float,
    frames: int,
    timing: TemporalOptions,
    seed: int = 0,
    reversible: bool = False,
) -> tuple[list[int], bool]:
    """Draw from a clip of `count` frames at `rate`, for a model at 10 fps."""
    generator = np.random.default_rng(seed)
    chosen, backwards = draw_frames(
        np.arange(count) / rate, 10, frames, timing, generator, reversible
    )
    return chosen.tolist(), backwards


chances = st.floats(0, 0.99)
factors = st.floats(0.1, 10)


@settings(max_examples=300, deadline=None)
@given(
    gaps=st.lists(st.floats(0, 3), min_size=0, max_size=60),
    fps=st.floats(0.5, 60),
    frames=st.integers(1, 40),
    speed=st.tuples(factors, factors).map(sorted),
    crop=st.floats(0.01, 1),
    drop=chances,
    reverse=chances,
    seed=st.integers(0, 1000),
)
def test_any_draw_gives_between_one_and_window_frames(
    gaps: list[float], fps: float, frames: int, speed: list[float], crop: float, drop: float,
    reverse: float, seed: int,
) -> None:  # fmt: skip
    times = np.concatenate([[5.0], 5.0 + np.cumsum(gaps)])
    timing = TemporalOptions(speed=tuple(speed), crop=crop, drop=drop, reverse=reverse)
    generator = np.random.default_rng(seed)
    chosen, backwards = draw_frames(times, fps, frames, timing, generator, True)
    assert 1 <= len(chosen) <= frames
    assert chosen.min() >= 0
    assert chosen.max() < len(times)
    steps = np.diff(chosen)
    assert (steps <= 0).all() if backwards else (steps >= 0).all()


def test_without_timing_options_the_window_is_unchanged() -> None:
    for count, rate in ((30, 30), (5, 5), (100, 10), (1, 10), (40, 12.5)):
        clip = Decoded(
            np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), np.arange(count) / rate
        )
        for seed in range(5):
            start = np.random.default_rng(seed).random()
            expected = window(clip, 10, 8, start)[:, 0, 0, 0].tolist()
            assert draw(count, rate, 8, TemporalOptions(), seed)[0] == expected


def test_speed_scales_the_span_of_a_window() -> None:
    assert draw(100, 10, 5, TemporalOptions(speed=(2, 2)))[0][:5] == [
        draw(100, 10, 5, TemporalOptions(speed=(2, 2)))[0][0] + 2 * n for n in range(5)
    ]
    half, _ = draw(100, 10, 6, TemporalOptions(speed=(0.5, 0.5)))
    assert half[-1] - half[0] in (2, 3)
    assert len(draw(10, 10, 16, TemporalOptions(speed=(2, 2)))[0]) == 5, (
        "a short clip comes out shorter"
    )
    assert len(draw(10, 10, 16, TemporalOptions(speed=(0.5, 0.5)))[0]) == 16, (
        "or longer, to the window"
    )
    spans = [
        np.ptp(draw(100, 10, 16, TemporalOptions(speed=(0.5, 2)), seed)[0]) for seed in range(60)
    ]
    assert min(spans) < 12
    assert max(spans) > 24


def test_a_crop_keeps_at_least_its_fraction() -> None:
    seen = [draw(41, 10, 100, TemporalOptions(crop=0.5), seed)[0] for seed in range(100)]
    for chosen in seen:
        assert chosen == list(range(chosen[0], chosen[-1] + 1)), "one piece"
        assert chosen[-1] - chosen[0] >= 0.5 * 40 - 2
    assert min(map(len, seen)) < 25
    assert max(map(len, seen)) > 36
    assert min(chosen[0] for chosen in seen) == 0
    assert max(chosen[-1] for chosen in seen) == 40


def test_a_missing_frame_is_replaced_as_in_a_live_run() -> None:
    """Live, a frame that comes after a silence answers the ticks that have come due."""
    from seqvision_edge.sampling import Sampler

    for seed in range(20):
        chosen, _ = draw(30, 10, 100, TemporalOptions(drop=0.3), seed)
        assert chosen[0] == 0
        kept = sorted(set(chosen))
        gaps = np.diff(kept)
        assert gaps.max() <= 2, "never two in a row: that would be a gap, and a new beginning"
        sampler = Sampler(10)
        live = [frame for frame in kept for _ in range(sampler.take(frame / 10))]
        assert chosen == live
    missing = [
        1 - len(set(draw(200, 10, 500, TemporalOptions(drop=0.2), seed)[0])) / 200
        for seed in range(9)
    ]
    assert 0.1 < np.mean(missing) < 0.2


def test_a_reversed_clip_starts_at_its_end() -> None:
    timing = TemporalOptions(reverse=0.99)
    assert draw(8, 10, 20, timing, 1, True) == ([7, 6, 5, 4, 3, 2, 1, 0], True)
    assert draw(8, 10, 20, timing, 1, False) == (list(range(8)), False)
    forwards = [draw(8, 10, 20, TemporalOptions(reverse=0.5), seed, True)[1] for seed in range(60)]
    assert 15 < sum(forwards) < 45
    chosen, _ = draw(20, 20, 20, timing, 1, True)
    assert chosen[0] == 19, "it begins where the clip ends"
    assert len(chosen) == 10, "at the model's rate, not the clip's"


LABELS = ["clap", "none", "zoom_in", "zoom_out"]


def test_only_named_labels_are_reversed_and_exchanged() -> None:
    options = AugmentOptions(
        augment="none", reverse=True, reverse_swap=("zoom_in:zoom_out", "clap")
    )
    augmenter = make_augmenter(options, LABELS)
    frames = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    clips = [Decoded(frames, np.arange(12) / 10, f"{label}") for label in range(4)]
    data = ClipDataset(clips, list(range(4)), IMAGE, VIDEO, augmenter, seed=1)
    partner = {"clap": "clap", "zoom_in": "zoom_out", "zoom_out": "zoom_in"}
    seen = set()
    for epoch in range(20):
        for index, label in enumerate(LABELS):
            pixels, answer = data[epoch, index]
            backwards = bool(pixels[0, 0, 0, 0] > pixels[-1, 0, 0, 0])
            assert LABELS[answer] == (partner[label] if backwards else label)
            seen.add((label, backwards))
    assert seen == {(label, way) for label in partner for way in (True, False)} | {("none", False)}


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        ((), "--reverse: name the labels that may be played backwards: --reverse-swap"),
        (("zoom_in",), "--reverse-swap zoom_in: zoom_in is another movement when played backwards"),
        (("zoom_in:zoom_in",), "zoom_in is another movement"),
        (("zoom_in:zoom_up",), "--reverse-swap zoom_in:zoom_up: no label 'zoom_up'; did you mean"),
        (("clop",), "--reverse-swap clop: write two labels with a colon"),
    ],
)
def test_a_reversal_that_makes_a_label_wrong_is_refused(
    swap: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make_augmenter(AugmentOptions(reverse=True, reverse_swap=swap), LABELS)


def test_a_reversal_in_the_yaml_needs_labels_too() -> None:
    with pytest.raises(DataError, match="--reverse: name the labels"):
        make_augmenter(AugmentOptions(augment={"time": {"reverse": 0.5}}), LABELS)
    assert reversal_labels(LABELS, ["clap:clap", "zoom_in:zoom_out"]) == {0: 0, 2: 3, 3: 2}


def test_an_item_with_timing_depends_only_on_seed_epoch_and_clip() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    clips = [Decoded(frames, np.arange(60) / 20, key) for key in ("a", "b")]
    timing = {"time": {"speed": [0.5, 2], "crop": 0.5, "drop": 0.3}}
    one, two = (
        ClipDataset(clips, [0, 0], IMAGE, VIDEO, Augmenter(timing), seed=4) for _ in range(2)
    )
    two[0, 1]
    assert torch.equal(one[3, 1][0], two[3, 1][0])
    drawn = {one[epoch, 0][0][:, 0, 0, 0].numpy().tobytes() for epoch in range(30)}
    assert len(drawn) > 25
