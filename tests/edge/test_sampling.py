"""Frames are selected by timestamp, at the same rate for every source."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.sampling import Sampler, select_frames


def times(fps: float, seconds: float) -> list[float]:
    return [index / fps for index in range(round(fps * seconds))]


@pytest.mark.parametrize(
    ("source", "model", "first"),
    [
        (30, 30, [0, 1, 2, 3, 4]),
        (30, 15, [0, 2, 4, 6, 8]),
        (30, 10, [0, 2, 5, 8, 11]),
        (25, 10, [0, 2, 5, 7, 10]),
        (24, 10, [0, 2, 4, 7, 9]),
        (10, 10, [0, 1, 2, 3, 4]),
        (10, 20, [0, 1, 1, 2, 2]),
        (5, 20, [0, 1, 1, 1, 1]),
    ],
)
def test_a_source_is_brought_to_the_rate_of_the_model(
    source: float, model: float, first: list[int]
) -> None:
    assert select_frames(times(source, 4), model)[:5].tolist() == first


@pytest.mark.parametrize("source", [7, 12.5, 15, 23.976, 25, 29.97, 30, 50, 60, 240])
@pytest.mark.parametrize("model", [5, 8, 10, 15, 30])
def test_every_source_gives_the_same_ticks_per_second(source: float, model: float) -> None:
    assert len(select_frames(times(source, 10), model)) == pytest.approx(
        10 * model, abs=model / source + 1
    )


def test_jitter_of_a_third_of_a_period_never_doubles_or_drops_a_frame() -> None:
    rng = np.random.default_rng(0)
    shaken = np.arange(300) / 10 + rng.uniform(-0.017, 0.017, 300)
    sampler = Sampler(10)
    assert {sampler.take(time) for time in shaken - shaken[0]} == {1}


def test_dropped_frames_do_not_change_the_speed() -> None:
    all_frames = np.arange(300) / 30
    kept = np.random.default_rng(1).random(300) > 0.4
    kept[0] = True
    chosen = all_frames[kept][select_frames(all_frames[kept], 10)]
    ticks = np.arange(len(chosen)) / 10
    assert np.abs(chosen - ticks).max() < 0.2


@given(
    st.lists(st.floats(0.001, 2), min_size=1, max_size=60),
    st.floats(1, 60),
)
def test_choosing_from_a_clip_is_looping_over_a_live_sampler(gaps: list[float], fps: float) -> None:
    clip = np.cumsum([0.0, *gaps])
    sampler = Sampler(fps)
    looped = [index for index, time in enumerate(clip) for _ in range(sampler.take(float(time)))]
    assert select_frames(clip, fps).tolist() == looped
    assert looped[0] == 0


def gaps_in(stamps: list[float], fps: float, source_fps: float | None = None) -> list[float]:
    sampler = Sampler(fps, source_fps)
    found = []
    for time in stamps:
        if sampler.is_gap(time):
            found.append(time)
            sampler.restart()
        sampler.take(time)
    return found


@pytest.mark.parametrize(
    ("stamps", "source_fps", "found"),
    [
        (times(30, 3), 30, []),
        ([*times(30, 2), 2.2], 30, []),
        ([*times(30, 2), 2.4], 30, [2.4]),
        (times(2, 10), 2, []),
        ([0.0, 0.1, 0.2, 0.1], 10, [0.1]),
        # A source that claims 30 frames per second and gives 2 is understood after one silence.
        (times(2, 10), 30, [0.5]),
    ],
    ids=["steady", "hiccup", "gap", "slow", "backwards", "liar"],
)
def test_a_gap_is_a_silence_that_is_unusual_for_the_source(
    stamps: list[float], source_fps: float, found: list[float]
) -> None:
    assert gaps_in(stamps, 10, source_fps) == found


def test_after_a_gap_the_first_frame_answers_one_tick_not_the_silence() -> None:
    sampler = Sampler(10, 30)
    for time in times(30, 2):
        sampler.take(time)
    assert sampler.is_gap(7.0)
    sampler.restart()
    assert sampler.take(7.0) == 1


def test_time_that_starts_over_starts_a_new_grid() -> None:
    sampler = Sampler(10)
    assert [sampler.take(time) for time in (5.0, 5.1, 0.0, 0.1)] == [1, 1, 1, 1]


def test_a_long_frame_of_a_recording_answers_its_ticks() -> None:
    stamps = [*times(10, 0.5), 1.5, 1.6]
    assert select_frames(stamps, 10, source_fps=10).tolist() == [0, 1, 2, 3, *[4] * 11, 5, 6]
    # Without a declared rate, the next frame answers them, as for a live source.
    assert select_frames(stamps, 10).tolist() == [0, 1, 2, 3, 4, *[5] * 11, 6]


def test_the_last_frame_of_a_recording_is_shown_until_its_end() -> None:
    assert select_frames([0.0, 0.1], 10, source_fps=10, end=0.2).tolist() == [0, 1]
    assert select_frames([0.0, 0.1], 10, source_fps=10, end=1.0).tolist() == [0, *[1] * 9]
    assert select_frames([0.0], 10, source_fps=25, end=3.0).tolist() == [0] * 30


@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=60), st.floats(1, 60), st.floats(1, 60))
def test_stills_change_which_frame_answers_and_never_how_many_ticks(
    gaps: list[float], fps: float, source_fps: float
) -> None:
    clip = np.cumsum([0.0, *gaps])
    live, recorded = select_frames(clip, fps), select_frames(clip, fps, source_fps)
    assert len(recorded) == len(live)
    assert (recorded <= live).all()
    assert (np.diff(recorded) >= 0).all()


@pytest.mark.parametrize(("source", "model"), [(30, 15), (25, 10), (15, 15), (10, 20), (5, 20)])
def test_a_steady_recording_has_no_stills_however_slow(source: float, model: float) -> None:
    stamps = times(source, 4)
    steady = select_frames(stamps, model, source_fps=source, end=4.0)
    assert steady.tolist() == select_frames(stamps, model).tolist()


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Sampler(0)
