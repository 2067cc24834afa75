"""Answers over time become one event per gesture.  Ten answers per second in every row."""

from typing import Any

import pytest
from colour_model import card_data

from seqvision_edge.card import Decision
from seqvision_edge.decision import NOTHING, Decider
from seqvision_edge.result import Event

WAVE, PUSH = "wave", "push"
LABELS = (WAVE, PUSH, "none")


def decider(**changes: Any) -> Decider:
    settings = {
        **card_data()["decision"],
        "smoothing_frames": 1,
        "minimum_seconds": 0.0,
        **changes,
    }
    return Decider(Decision.model_validate(settings), LABELS)


def answer(wave: float, push: float = 0.0) -> list[float]:
    return [wave, push, 1 - wave - push]


def events_of(settings: dict[str, Any], waves: list[float], pushes: list[float]) -> list[Event]:
    judge = decider(**settings)
    events: list[Event] = []
    for tick, (wave, push) in enumerate(zip(waves, pushes, strict=True)):
        events += judge.update(tick / 10, answer(wave, push)).ended
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


def test_an_event_remembers_its_surest_moment() -> None:
    (event,) = events_of({}, [0.7, 0.8, 0.95, 0.6, 0], [0.0] * 5)
    assert (event.peak, event.confidence) == (0.2, 0.95)


def test_the_background_never_makes_an_event() -> None:
    assert events_of({"background": WAVE}, [1.0] * 9, [0.0] * 9) == []


def test_smoothed_probabilities_are_the_mean_of_the_newest_answers() -> None:
    judge = decider(smoothing_frames=2)
    assert judge.smoothed == {}
    for wave in (1.0, 0.2, 0.4):
        judge.update(0.0, answer(wave))
    assert judge.smoothed[WAVE] == pytest.approx(0.3)


def test_the_running_event_is_told_once_it_is_long_enough_to_count() -> None:
    judge = decider(minimum_seconds=0.2)
    seen = []
    for tick in range(4):
        judge.update(tick / 10, answer(0.9))
        seen.append(judge.active and judge.active.end)
    assert seen == [None, None, 0.2, 0.3]


def test_closing_at_a_gap_keeps_the_event_and_forgets_the_answers() -> None:
    judge = decider(smoothing_frames=5)
    for tick in range(5):
        judge.update(tick / 10, answer(0.9))
    (event,) = judge.close(0.6).ended
    assert (event.end, event.told) == (0.4, 0.6)
    assert judge.active is None
    assert judge.smoothed == {}
    assert judge.close(0.7) == NOTHING
    assert judge.update(0.0, answer(0.0)) == NOTHING
