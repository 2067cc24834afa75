"""Events are matched to the truth one to one."""

import json
from pathlib import Path

import pytest

from seqvision_edge.errors import SourceError
from seqvision_edge.result import Event
from seqvision_edge.score import TrueEvent, read_truth, score


def event(label: str, start: float, end: float) -> Event:
    return Event(label, start, end, start, 0.9, end)


def true(label: str, start: float, end: float) -> TrueEvent:
    return TrueEvent(label=label, start=start, end=end)


@pytest.mark.parametrize(
    ("events", "truth", "right", "missed", "false"),
    [
        ([], [], 0, 0, 0),
        ([event("a", 1, 2)], [true("a", 1, 2)], 1, 0, 0),
        ([event("b", 1, 2)], [true("a", 1, 2)], 0, 1, 1),
        ([event("a", 2.5, 3)], [true("a", 1, 2)], 1, 0, 0),
        ([event("a", 2.6, 3)], [true("a", 1, 2)], 0, 1, 1),
        ([event("a", 0, 0.5)], [true("a", 1, 2)], 1, 0, 0),
        ([event("a", 1, 1.4), event("a", 1.5, 2)], [true("a", 1, 2)], 1, 0, 1),
        ([event("a", 1, 9)], [true("a", 1, 2), true("a", 5, 6)], 1, 1, 0),
        # Only the right choice for the first event leaves a partner for the second.
        (
            [event("a", 1, 2.4), event("a", 2.5, 3)],
            [true("a", 2.5, 4), true("a", 1, 2)],
            2,
            0,
            0,
        ),
    ],
)
def test_counts(
    events: list[Event], truth: list[TrueEvent], right: int, missed: int, false: int
) -> None:
    result = score(events, truth, tolerance=0.5)
    assert (len(result.right), len(result.missed), len(result.false)) == (right, missed, false)


def test_rates_follow_from_the_counts() -> None:
    events = [event("a", 0, 1), event("a", 10, 11), event("a", 20, 21)]
    result = score(events, [true("a", 0, 1), true("a", 10, 11), true("a", 30, 31), true("b", 0, 1)])
    assert result.precision == pytest.approx(2 / 3)
    assert result.recall == pytest.approx(2 / 4)
    assert result.f1 == pytest.approx(4 / 7)
    assert str(result) == (
        "truth: F1 0.571, precision 0.667, recall 0.500 (2 right, 2 missed, 1 false)"
    )


def test_silence_where_nothing_happened_is_perfect() -> None:
    assert score([], []).f1 == 1


def test_a_truth_file_may_say_more_than_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    row = {"label": "a", "start": 1, "end": 2.5, "by": "anna"}
    path.write_text(json.dumps({"video": "x.mp4", "events": [row]}))
    assert read_truth(path) == [true("a", 1, 2.5)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "should be"),
        ('{"events": [{"label": "a", "start": 1}]}', "events.0.end: Field required"),
        ('{"events": [{"label": "a", "start": -1, "end": 1}]}', "events.0.start"),
    ],
)
def test_a_wrong_truth_file_is_refused_with_the_place(
    tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(SourceError) as error:
        read_truth(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
