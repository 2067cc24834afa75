"""The window that training chooses: clips fill it for streams, and else fit into it."""

import numpy as np
import pytest

from seqvision.config import ClipOptions
from seqvision.training.sequence_planning import regular_ticks, settle_video
from seqvision_edge.card import VideoSequence
from seqvision_edge.sampling import select_frames

WIDEST = VideoSequence(kind="video", fps=1.0, frames=16)
RATES = (15.0, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0)


def lengths(seconds: list[float], fps: float) -> list[tuple[int, float]]:
    return [(round(each * fps), round(each * fps) / fps) for each in seconds]


@pytest.mark.parametrize("background", ["none", None])
@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0, 1.4, 2.0, 3.0, 10.0, 61.0])
def test_clips_of_one_length_fill_the_window(
    seconds: float, fps: float, background: str | None
) -> None:
    clips = lengths([seconds] * 5, fps)
    window = settle_video(WIDEST, ClipOptions(), clips, background)
    (count, _), *_ = clips
    times = np.arange(count) / fps
    ticks = len(select_frames(times, window.fps))
    assert ticks == regular_ticks(*clips[0], window.fps)
    assert window.frames <= ticks <= window.frames + 1
    assert window.frames == 16 or window.fps == pytest.approx(fps, abs=0.06)
    assert window.frames / window.fps > 0.7 * seconds, "it sees most of a clip"


@pytest.mark.parametrize("given", [{}, {"fps": 5.0}, {"fps": 12.5}, {"frames": 8}])
@pytest.mark.parametrize("seed", range(5))
def test_three_quarters_of_mixed_clips_fill_the_window(seed: int, given: dict[str, float]) -> None:
    generator = np.random.default_rng(seed)
    clips = [
        *lengths(generator.uniform(1, 4, 13).tolist(), 30),
        *lengths(generator.uniform(1, 4, 12).tolist(), 15),
    ]
    options = ClipOptions(**given)
    begun = WIDEST.model_copy(update=given)
    window = settle_video(begun, options, clips, "none")
    full = [regular_ticks(*clip, window.fps) >= window.frames for clip in clips]
    assert sum(full) >= 0.75 * len(clips)
    for name, value in given.items():
        assert getattr(window, name) == value


def test_given_options_stay_and_still_images_have_no_length() -> None:
    given = VideoSequence(kind="video", fps=7.0, frames=40)
    assert settle_video(given, ClipOptions(fps=7, frames=40), lengths([1.0] * 4, 30), None) == given
    assert settle_video(WIDEST, ClipOptions(), [(1, 0.0)] * 4, None).frames == 16


@pytest.mark.parametrize("seed", range(5))
def test_nine_tenths_of_the_clips_fit_where_there_is_no_background(seed: int) -> None:
    generator = np.random.default_rng(seed)
    clips = lengths(generator.normal(0.9, 0.15, 40).clip(0.5, 1.5).tolist(), 25)
    window = settle_video(WIDEST, ClipOptions(), clips, None)
    ticks = [regular_ticks(*clip, window.fps) for clip in clips]
    assert sum(each <= window.frames for each in ticks) >= 0.9 * len(clips)
    live = settle_video(WIDEST, ClipOptions(), clips, "none")
    assert live.fps == window.fps
    assert live.frames <= 16 < window.frames < 2 * live.frames


def test_one_long_clip_makes_no_long_window() -> None:
    clips = lengths([1.0, 1.0, 1.0, 30.0, 60.0, 60.0], 30)
    assert settle_video(WIDEST, ClipOptions(), clips, None).frames == 32
