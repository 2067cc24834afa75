"""Predictions over time become one event per gesture.  Ten predictions per second in every row."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from colour_model import card_data
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.card import Decision
from seqvision_edge.events import NOTHING, EventDetector, EventUpdate
from seqvision_edge.types import Event

WAVE, PUSH = "wave", "push"
LABELS = (WAVE, PUSH, "none")


def detector(lag: float = 0.0, **changes: Any) -> EventDetector:
    settings = {
        **card_data()["decision"],
        "smoothing_frames": 1,
        "minimum_seconds": 0.0,
        **changes,
    }
    return EventDetector(Decision.model_validate(settings), LABELS, lag)


def answer(wave: float, push: float = 0.0) -> list[float]:
    return [wave, push, 1 - wave - push]


def events_of(settings: dict[str, Any], waves: list[float], pushes: list[float]) -> list[Event]:
    judge = detector(**settings)
    events: list[Event] = []
    for tick, (wave, push) in enumerate(zip(waves, pushes, strict=True)):
        events += judge.step(tick / 10, answer(wave, push)).ended
    return events + list(judge.close(len(waves) / 10).ended)


# Enter is 0.6 and leave 0.4.
@pytest.mark.parametrize(
    ("settings", "waves", "pushes", "expected"),
    [
        ({}, [0, 0, 0, 0], None, []),
        ({}, [0, 0.9, 0.9, 0.1], None, [("wave", 0.1, 0.3)]),
        ({}, [0, 0.59, 0.59, 0], None, []),
        ({}, [0, 0.6, 0.4, 0.4, 0.39], None, [("wave", 0.1, 0.4)]),
        ({}, [0, 0.9, 0.5, 0.9, 0], None, [("wave", 0.1, 0.4)]),
        ({}, [0, 0.9, 0.3, 0.9, 0], None, [("wave", 0.1, 0.2), ("wave", 0.3, 0.4)]),
        ({}, [0, 0.9, 0.9], None, [("wave", 0.1, 0.2)]),
        ({"minimum_seconds": 0.3}, [0.9, 0.9, 0.9, 0], None, [("wave", 0.0, 0.3)]),
        ({"minimum_seconds": 0.3}, [0.9, 0.9, 0, 0], None, []),
        ({"cooldown_seconds": 0.3}, [0.9, 0, 0.9, 0.9, 0], None, [("wave", 0.0, 0.1)]),
        (
            {"cooldown_seconds": 0.3},
            [0.9, 0, 0.9, 0.9, 0.9, 0],
            None,
            [("wave", 0.0, 0.1), ("wave", 0.4, 0.5)],
        ),
        (
            {"cooldown_seconds": 0.3},
            [0.9, 0, 0, 0],
            [0, 0.9, 0.9, 0],
            [("wave", 0.0, 0.1), ("push", 0.1, 0.3)],
        ),
        (
            {},
            [0.9, 0.9, 0.3, 0.3, 0],
            [0, 0, 0.7, 0.7, 0],
            [("wave", 0.0, 0.2), ("push", 0.2, 0.4)],
        ),
        ({"enter": 0.4}, [0.5, 0.45, 0.45], [0, 0.44, 0], [("wave", 0.0, 0.2)]),
        ({"smoothing_frames": 3}, [0, 0, 0.9, 0, 0, 0], None, []),
        ({"smoothing_frames": 3}, [0, 0, 0.9, 0.9, 0.9, 0, 0], None, [("wave", 0.3, 0.6)]),
        ({"background": None}, [0, 0.1], None, [("none", 0.0, 0.1)]),
        ({"smoothing": "none", "smoothing_frames": 3}, [0, 0.6, 0], None, [("wave", 0.1, 0.2)]),
        (
            {"smoothing": "exponential", "smoothing_frames": 3},  # 0, 0.4, 0.6, 0.7, 0.35
            [0, 0.8, 0.8, 0.8, 0],
            None,
            [("wave", 0.2, 0.4)],
        ),
        ({"smoothing_frames": 3}, [0.6, 0.6, 0.6, 0.4, 0.4, 0.4, 0.3], None, [("wave", 0.0, 0.6)]),
        ({"enter": 0.5}, [0.5, 0.5, 0], [0.5, 0.5, 0], [("wave", 0.0, 0.2)]),
        ({"enter": 0.5}, [0.3, 0.5, 0], [0.7, 0.5, 0], [("push", 0.0, 0.2)]),
        ({"reject": 0.7}, [0.65, 0.69, 0.7, 0.5, 0], None, [("wave", 0.2, 0.3)]),
        (
            {"reject": 0.5},
            [0.9, 0.45, 0.9, 0],
            [0, 0.1, 0, 0],
            [("wave", 0, 0.1), ("wave", 0.2, 0.3)],
        ),
        (
            {"cooldown_seconds": 0.1},
            [0.9, 0.9, 0, 0.9, 0],
            None,
            [("wave", 0, 0.2), ("wave", 0.3, 0.4)],
        ),
    ],
    ids=[
        "nothing",
        "one",
        "below enter",
        "leave is the border",
        "a dip stays in the event",
        "a hole divides it",
        "the end closes it",
        "just long enough",
        "too short",
        "cooling down",
        "cooled down",
        "cooldown is per label",
        "a stronger label takes over",
        "a weaker one does not",
        "one flicker is smoothed away",
        "smoothing delays",
        "without a background every label counts",
        "unsmoothed",
        "smoothed exponentially",
        "a mean at the threshold is at it",
        "of equal labels the first",
        "an equal label does not take over",
        "an unknown answer begins nothing",
        "an unknown answer is none of the labels",
        "a cooldown is over at its end",
    ],
)
def test_events(
    settings: dict[str, Any],
    waves: list[float],
    pushes: list[float] | None,
    expected: list[tuple[str, float, float]],
) -> None:
    events = events_of(settings, waves, pushes or [0.0] * len(waves))
    assert [(event.label, event.start, event.end) for event in events] == expected


def test_an_event_has_its_peak() -> None:
    (event,) = events_of({}, [0.7, 0.8, 0.95, 0.6, 0], [0.0] * 5)
    assert (event.peak, event.confidence) == (0.2, 0.95)


def test_the_background_never_makes_an_event() -> None:
    assert events_of({"background": WAVE}, [1.0] * 9, [0.0] * 9) == []


def test_smoothed_probabilities_are_the_mean_of_the_newest_answers() -> None:
    judge = detector(smoothing_frames=2)
    assert judge.smoothed == {}
    for wave in (1.0, 0.2, 0.4):
        judge.step(0.0, answer(wave))
    assert judge.smoothed[WAVE] == pytest.approx(0.3)


def test_the_running_event_is_shown_once_it_counts() -> None:
    judge = detector(minimum_seconds=0.2)
    seen = []
    for tick in range(4):
        judge.step(tick / 10, answer(0.9))
        seen.append(judge.active and judge.active.end)
    assert seen == [None, None, 0.2, 0.3]


def test_closing_at_a_gap_keeps_the_event_and_forgets_the_answers() -> None:
    judge = detector(smoothing_frames=5)
    for tick in range(5):
        judge.step(tick / 10, answer(0.9))
    (event,) = judge.close(0.6).ended
    assert (event.end, event.reported_at) == (0.4, 0.6)
    assert judge.active is None
    assert judge.smoothed == {}
    assert judge.close(0.7) == NOTHING
    assert judge.step(0.0, answer(0.0)) == NOTHING


def test_an_unknown_answer_takes_its_share_of_the_mean() -> None:
    judge = detector(reject=0.5, smoothing_frames=2)
    judge.step(0.0, [0.8, 0.1, 0.1])
    judge.step(0.1, [0.4, 0.3, 0.3])
    assert judge.smoothed == pytest.approx({WAVE: 0.4, PUSH: 0.05, "none": 0.05})


def test_minimum_and_cooldown_are_times_however_often_answers_come() -> None:
    judge = detector(minimum_seconds=0.5, cooldown_seconds=1.0)
    events = []
    for time, wave in [
        (0.0, 0.9),
        (0.1, 0.9),
        (0.7, 0),
        (0.8, 0.9),
        (1.6, 0.9),
        (1.8, 0.9),
        (3, 0),
    ]:
        events += judge.step(time, answer(wave)).ended
    assert [(event.start, event.end) for event in events] == [(0.0, 0.7), (1.8, 3)]


def updates_of(
    judge: EventDetector, waves: list[float], pushes: list[float] | None = None
) -> list[EventUpdate]:
    """Return what each answer brings, and last what closing brings."""
    reported = [
        judge.step(tick / 10, answer(wave, push))
        for tick, (wave, push) in enumerate(zip(waves, pushes or [0.0] * len(waves), strict=True))
    ]
    return [*reported, judge.close(len(waves) / 10)]


def fired_at(reported: list[EventUpdate]) -> list[tuple[int, str]]:
    return [(tick, event.label) for tick, each in enumerate(reported) for event in each.fired]


# Smoothed over four answers, at least half a second: without early firing nothing comes before 0.5.
EARLY = {"early": 0.9, "smoothing_frames": 4, "minimum_seconds": 0.5, "cooldown_seconds": 0.6}


def test_a_sure_rise_fires_at_once_and_ends_as_one_event() -> None:
    judge = detector(**EARLY)
    reported = updates_of(judge, [0, 0, 0.5, 0.95, 1, 1, 1, 1, 0, 0, 0, 0])
    assert fired_at(reported) == [(3, WAVE)]
    (fired,) = reported[3].fired
    assert (fired.start, fired.end, fired.reported_at) == (0.3, 0.3, 0.3)
    assert fired.confidence == 0.95
    (ended,) = (event for each in reported for event in each.ended)
    assert (ended.start, ended.end, ended.reported_at) == (0.3, 1.0, 0.3)
    assert (ended.peak, ended.confidence) == (0.4, 1.0)


def test_an_event_that_fired_is_active_at_once() -> None:
    judge = detector(**EARLY)
    for tick, wave in enumerate((0, 0.5, 0.95)):
        assert judge.active is None
        judge.step(tick / 10, answer(wave))
    assert judge.active == Event(WAVE, 0.2, 0.2, 0.2, 0.95, 0.2)


@pytest.mark.parametrize(
    ("settings", "waves", "pushes", "fired"),
    [
        ({}, [0, 0, 0.99, 0, 0], None, []),
        ({}, [0, 0.3, 0.99, 0.2, 0], None, []),
        ({}, [0, 0.99, 0.98, 0, 0, 0], None, [(2, WAVE)]),
        ({}, [0, 0.5, 0.89, 0.89, 0], None, []),
        ({}, [0, 0.5, 0.8, 0.8, 0.9], None, [(4, WAVE)]),
        ({}, [0, 0.4, 0.9, 0], None, [(2, WAVE)]),
        ({}, [0.95, 0.97, 0.99], None, []),
        ({"background": WAVE}, [0, 0.5, 0.95, 1, 1, 1, 1, 1], None, []),
        ({}, [0, 0.5, 0.95, 0, 0, 0, 0.5, 0.95, 0, 0], None, [(2, WAVE)]),
        (
            {},
            [0, 0.5, 0.95, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.95, 0, 0],
            None,
            [(2, WAVE), (11, WAVE)],
        ),
        ({}, [0, 0.5, 0.95, 0.5, 0.95, 0.5, 0.95, 0], None, [(2, WAVE)]),
        ({}, [0, 0.5, 0.95, 1, 0.5, 0.02, 0], [0, 0, 0, 0, 0.5, 0.95, 0], [(2, WAVE), (5, PUSH)]),
        ({"reject": 0.5}, [0, 0.45, 0.95, 0.4], [0, 0.1, 0, 0.1], []),
    ],
    ids=[
        "one answer is a flicker",
        "so is one after a doubtful one",
        "two are sure",
        "not sure enough",
        "a slow rise",
        "at the thresholds",
        "no rise was seen",
        "never the background",
        "never within the cooldown",
        "after the cooldown",
        "never twice in one event",
        "another gesture at once",
        "an unknown answer is none to rise from",
    ],
)
def test_early_firing(
    settings: dict[str, Any],
    waves: list[float],
    pushes: list[float] | None,
    fired: list[tuple[int, str]],
) -> None:
    reported = updates_of(detector(**{**EARLY, **settings}), waves, pushes)
    assert fired_at(reported) == fired


def test_an_event_that_runs_already_fires_when_it_becomes_sure() -> None:
    reported = updates_of(detector(early=0.9, smoothing_frames=1), [0, 0.7, 0.8, 0.95, 0.95, 0])
    assert fired_at(reported) == [(3, WAVE)]
    assert [event.start for event in reported[3].fired] == [0.1]
    assert [(event.start, event.end) for event in reported[5].ended] == [(0.1, 0.5)]


def test_an_event_that_never_rises_surely_is_fired_at_its_end() -> None:
    reported = updates_of(detector(early=0.9), [0, 0.7, 0.8, 0.8, 0])
    assert fired_at(reported) == [(4, WAVE)]
    assert reported[4].ended == reported[4].fired


def test_a_fired_event_is_not_ended_by_an_older_mean() -> None:
    waves = [0.99] * 8 + [0.5, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]
    pushes = [0.0] * 8 + [0.5, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98]
    reported = updates_of(detector(early=0.9, smoothing_frames=8), waves, pushes)
    assert [(e.label, e.start, e.end) for each in reported for e in each.ended] == [
        (WAVE, 0.0, 0.9),
        (PUSH, 0.9, 1.6),
    ]
    assert fired_at(reported) == [(9, WAVE), (9, PUSH)]


# The mean is long: the wave is still at 0.92 when the push is sure, and at 0.87 one answer later.
LONG_WAVE = [0.99] * 18 + [0.5, 0.05, 0.1, 0.03]
SHORT_PUSH = [0.0] * 18 + [0.5, 0.9, 0.8, 0.95]


def test_a_sure_rise_ends_an_event_that_is_still_stronger() -> None:
    reported = updates_of(detector(**{**EARLY, "smoothing_frames": 20}), LONG_WAVE, SHORT_PUSH)
    assert fired_at(reported) == [(19, WAVE), (19, PUSH)]


def test_a_label_fires_again_only_after_it_was_low() -> None:
    settings = {**EARLY, "smoothing_frames": 20, "cooldown_seconds": 0.0}
    reported = updates_of(detector(**settings), LONG_WAVE, SHORT_PUSH)
    assert [(tick, event.label) for tick, each in enumerate(reported) for event in each.ended] == [
        (19, WAVE),
        (20, PUSH),
    ]
    assert fired_at(reported) == [(19, WAVE), (19, PUSH)]


def test_a_gap_ends_an_event_that_fired_without_firing_it_again() -> None:
    judge = detector(**EARLY)
    for tick, wave in enumerate((0, 0.5, 0.95)):
        judge.step(tick / 10, answer(wave))
    reported = judge.close(0.9)
    assert reported.fired == ()
    assert [(event.end, event.reported_at) for event in reported.ended] == [(0.2, 0.2)]
    assert judge.step(1.0, answer(0.95)) == NOTHING, "what was before the gap is no rise"


@pytest.mark.parametrize("early", [None, 0.9])
def test_event_times_are_shifted_and_reported_at_is_not(early: float | None) -> None:
    waves = [0, 0, 0.5, 0.95, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0.5, 0.95, 1, 1, 1]
    settings = {**EARLY, "early": early}
    reported = updates_of(detector(**settings), waves)
    lagging = updates_of(detector(lag=0.25, **settings), waves)
    assert sum(len(each.fired) for each in reported) == 1 + (early is not None)

    def moved(event: Event) -> Event:
        start, end, peak = (time - 0.25 for time in (event.start, event.end, event.peak))
        return replace(event, start=start, end=end, peak=peak)

    assert lagging == [
        EventUpdate(tuple(map(moved, each.ended)), tuple(map(moved, each.fired)))
        for each in reported
    ]


def test_the_running_event_lags_too() -> None:
    judge = detector(lag=0.25)
    for tick in range(3):
        judge.step(1 + tick / 10, answer(0.9))
    assert judge.active is not None
    assert (judge.active.start, judge.active.end) == (0.75, 0.95)


shares = st.tuples(*[st.integers(0, 8)] * 3).filter(any)
runs = st.lists(
    st.tuples(shares, st.integers(1, 4), st.sampled_from([0.05, 0.1, 0.4])), max_size=12
)
decisions = st.fixed_dictionaries(
    {
        "smoothing": st.sampled_from(["none", "mean", "exponential"]),
        "smoothing_frames": st.integers(1, 4),
        "reject": st.sampled_from([0.0, 0.5]),
        "enter": st.sampled_from([0.5, 0.6]),
        "leave": st.sampled_from([0.2, 0.5]),
        "early": st.sampled_from([None, 0.6, 0.9]),
        "minimum_seconds": st.sampled_from([0.0, 0.1, 0.3]),
        "cooldown_seconds": st.sampled_from([0.0, 0.3]),
        "background": st.sampled_from([None, "none"]),
    }
)


def timed(drawn: list[tuple[tuple[int, ...], int, float]]) -> list[tuple[float, list[float]]]:
    """Return answers with their times: each drawn one some times in a row."""
    answers: list[tuple[float, list[float]]] = []
    time = 0.0
    for share, times, pause in drawn:
        for _ in range(times):
            answers.append((time, [part / sum(share) for part in share]))
            time += pause
    return answers


@given(decisions, runs)
def test_events_keep_their_invariants_for_any_predictions(
    settings: dict[str, Any], drawn: list[tuple[tuple[int, ...], int, float]]
) -> None:
    judge = detector(**settings)
    answers = timed(drawn)
    last = answers[-1][0] if answers else 0.0
    reported = [judge.step(time, probabilities) for time, probabilities in answers]
    reported.append(judge.close(last))
    times = [*(time for time, _ in answers), last]
    ended = [event for each in reported for event in each.ended]
    fired = [event for each in reported for event in each.fired]

    # Each event is fired exactly once, when it says, and ends exactly once.
    when = {
        event.start: time
        for time, each in zip(times, reported, strict=True)
        for event in each.fired
    }
    assert [(event.label, event.start, event.reported_at) for event in ended] == [
        (event.label, event.start, event.reported_at) for event in fired
    ]
    assert all(event.reported_at == when[event.start] for event in ended)
    if settings["early"] is None:
        assert all(each.fired == each.ended for each in reported)
    for each in reported:
        for event in set(each.fired) & set(each.ended):
            assert event.seconds >= settings["minimum_seconds"] - 1e-6
    for event in ended:
        assert event.start <= event.peak <= event.end <= last
        assert event.start <= event.reported_at
        assert event.label != settings["background"]
        assert event.confidence >= settings["enter"] - 1e-6
    for earlier, later in itertools.pairwise(ended):
        assert earlier.end <= later.start
        if earlier.label == later.label:
            assert later.start >= earlier.end + settings["cooldown_seconds"] - 1e-6


@given(decisions, runs, st.integers(0, 48))
def test_reports_depend_on_past_predictions_alone(
    settings: dict[str, Any], drawn: list[tuple[tuple[int, ...], int, float]], cut: int
) -> None:
    answers = timed(drawn)
    whole, part = detector(**settings), detector(**settings)
    reported = [whole.step(*each) for each in answers]
    seen = []
    for each in answers[:cut]:
        seen.append(part.step(*each))
        assert set(part.smoothed) == set(LABELS)
        assert part.active is None or part.active.end == each[0]
    assert seen == reported[:cut]


@given(decisions, runs, runs)
def test_a_gap_resets_all_state(
    settings: dict[str, Any],
    before: list[tuple[tuple[int, ...], int, float]],
    after: list[tuple[tuple[int, ...], int, float]],
) -> None:
    used, new = detector(**settings), detector(**settings)
    for each in timed(before):
        used.step(*each)
    used.close(1e3)
    assert [used.step(*each) for each in timed(after)] == [new.step(*each) for each in timed(after)]
