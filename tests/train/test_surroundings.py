"""Windows at every offset around a part of a video, labelled by what they show of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import square_clip, write_video
from trainings import options, train

from seqvision.data.augment import Augmenter
from seqvision.data.cache import Cache
from seqvision.data.clip_views import view
from seqvision.data.clips import Clip, Cut
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.surroundings import Surroundings, load_surroundings
from seqvision.training.data import load_dataset
from seqvision.training.model_io import load_model
from seqvision_edge.card import ImageSpec, VideoSequence
from seqvision_edge.video_writer import VideoWriter

IMAGE = ImageSpec(height=16, width=16, channels=3, fit="stretch")
VIDEO = VideoSequence(kind="video", fps=10.0, frames=10)
NONE, WAVE = 0, 1


def numbered(frames: int, fps: float = 10.0) -> Decoded:
    """Return a clip whose pixels are the frame's number."""
    pixels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    times = np.arange(frames) / fps
    whole = np.broadcast_to(pixels, (frames, 16, 16, 3))
    return Decoded(whole, times, "a", source_fps=fps, end=frames / fps)


def windows(around: Surroundings, label: int, count: int = 2000) -> list[tuple[float, float, int]]:
    """Return begin, end and label of drawn windows; those of the part alone are left out."""
    generator = np.random.default_rng(0)
    drawn = [around.draw(1.0, label, generator) for _ in range(count)]
    shown = [(found[0].frames[:, 0, 0, 0] / 10, found[1]) for found in drawn if found]
    return [(float(times[0]), float(times[-1]) + 0.1, of) for times, of in shown]


def test_a_label_is_drawn_in_proportion_to_what_a_window_shows_of_the_gesture() -> None:
    """From 2 s before to 2 s after a gesture of half a second; the window is a second."""
    drawn = windows(Surroundings(numbered(45), 2.0, 2.5, NONE), WAVE)
    shares = np.array([max(0.0, min(b, 2.5) - max(a, 2.0)) / 0.5 for a, b, _ in drawn])
    waves = np.array([label == WAVE for _, _, label in drawn])
    # A frame is a fifth of the gesture: the border of a bin is that wrong.
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        inside = (shares >= low) & (shares < high)
        assert inside.sum() > 50, "no windows at such an offset"
        assert low - 0.2 < waves[inside].mean() < high + 0.2, (low, high)
    assert waves[shares > 0.99].mean() > 0.8
    ends = [end for _, end, _ in drawn]
    assert min(ends) < 2.2
    assert max(ends) > 3.3, "windows from the first frame of the gesture to its last"


def test_what_is_between_gestures_is_background_in_every_window() -> None:
    drawn = windows(Surroundings(numbered(45), 1.0, 3.0, NONE), NONE, 200)
    assert {label for *_, label in drawn} == {NONE}
    assert all(end - begin == pytest.approx(1.0, abs=0.11) for begin, end, _ in drawn)


def test_without_a_background_a_window_shows_half_of_the_gesture_at_least() -> None:
    drawn = windows(Surroundings(numbered(45), 2.0, 2.5, None), WAVE, 300)
    assert {label for *_, label in drawn} == {WAVE}
    assert all(min(b, 2.5) - max(a, 2.0) >= 0.14 for a, b, _ in drawn)


@pytest.mark.parametrize("augmenter", [None, Augmenter("none"), Augmenter("light")])
def test_a_view_depends_on_its_draw_alone_and_shows_what_is_around(
    augmenter: Augmenter | None,
) -> None:
    whole = numbered(45)
    part = replace(whole, frames=whole.frames[20:25], times=whole.times[:5], end=0.5)
    around = Surroundings(whole, 2.0, 2.5, NONE)
    seen = [view(part, WAVE, IMAGE, VIDEO, augmenter, (0, epoch), around) for epoch in range(40)]
    again = view(part, WAVE, IMAGE, VIDEO, augmenter, (0, 7), around)
    assert np.array_equal(again[0], seen[7][0])
    assert again[1] == seen[7][1]
    assert {label for _, label in seen} == {NONE, WAVE}
    assert all(1 <= len(steps) <= VIDEO.frames for steps, _ in seen)
    assert any(len(steps) == VIDEO.frames for steps, _ in seen), "none is longer than the part"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 6 seconds at 10 fps that get brighter: a frame is 4 levels."""
    path = tmp_path_factory.mktemp("video") / "take.mp4"
    film = VideoWriter(path, "--output", 10.0)
    film.open()
    for number in range(60):
        film.write(np.full((64, 64, 3), 4 * number, np.uint8))
    film.close()
    return path


@pytest.mark.parametrize("in_frames", [False, True])
def test_surroundings_end_at_the_next_gesture(video: Path, tmp_path: Path, in_frames: bool) -> None:
    def part(label: str, start: float, end: float) -> Clip:
        unit = 10 if in_frames else 1
        return Clip(video, label, cut=Cut(unit * start, unit * end, in_frames))

    clips = [part("wave", 1.0, 1.5), part("none", 1.5, 3.0), part("wave", 3.0, 3.6)]
    store = Store(Cache(tmp_path, 1), IMAGE, 30.0, VIDEO)
    clips, decoded, broken = decode_all(store, clips, lambda *_: None)
    assert not broken
    found = load_surroundings(store, clips, decoded, 2.0, "none", ("none", "wave"), lambda *_: None)
    first, between, second = (each for each in found if each)
    for around, (begin, end) in (
        (first, (0.0, 3.0)), (between, (1.5, 3.0)), (second, (1.5, 5.6)),
    ):  # fmt: skip
        levels = np.asarray(around.clip.frames)[[0, -1], 8, 8, 0].astype(float)
        assert levels == pytest.approx([40 * begin, 40 * end - 4], abs=6)
        assert around.background == 0
    assert (first.start, first.end) == pytest.approx((1.0, 1.5), abs=0.11)
    assert (second.start, second.end) == pytest.approx((1.5, 2.1), abs=0.11)


def test_a_clip_that_is_no_part_has_no_surroundings(video: Path, tmp_path: Path) -> None:
    store = Store(Cache(tmp_path, 1), IMAGE, 30.0, VIDEO)
    clips, decoded, _ = decode_all(store, [Clip(video, "wave")], lambda *_: None)
    assert load_surroundings(store, clips, decoded, 1.0, None, ("wave",), lambda *_: None) == [None]


def test_a_training_learns_from_what_is_around_and_says_where_nothing_is(
    video: Path, tmp_path: Path
) -> None:
    rows = [
        f"{video},{label},{group},{begin / 10},{begin / 10 + 0.5}"
        for begin, label, group in (
            (0, "none", "a"), (8, "wave", "a"), (16, "none", "b"), (24, "wave", "b"),
            (32, "none", "c"), (40, "wave", "c"), (48, "none", "d"), (54, "wave", "d"),
        )
    ]  # fmt: skip
    listed = tmp_path / "parts.csv"
    listed.write_text("\n".join(["path,label,group,start,end", *rows]))
    given = options(listed, tmp_path, 2, augmentation={"context": 1.0})
    data = load_dataset(given)
    assert all(data.around)
    assert not any("--context" in note for note in data.notes)
    trained = train(given)
    _, card = load_model(trained.model)
    assert card.origin.options["augmentation"]["context"] == 1.0  # type: ignore[index,call-overload]
    whole = tmp_path / "whole"
    for label, direction in (("none", 0), ("wave", 1)):
        for number in range(3):
            clip = square_clip(direction, 10 * number + direction, 8)
            write_video(whole / label / f"{number}.mp4", clip)
    data = load_dataset(options(whole, tmp_path, 1, augmentation={"context": 1.0}))
    assert any("--context has no effect" in note for note in data.notes)
