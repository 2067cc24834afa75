"""Events are matched to the ground truth one to one."""

import json
from pathlib import Path

import pytest

from seqvision_edge.errors import SourceError
from seqvision_edge.event_metrics import TrueEvent, order_accuracy, read_truth, score
from seqvision_edge.types import Event


def event(label: str, start: float, end: float, reported: float | None = None) -> Event:
    return Event(label, start, end, start, 0.9, end if reported is None else reported)


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
    result = score(events, truth, 60, tolerance=0.5)
    assert (len(result.right), len(result.missed), len(result.false)) == (right, missed, false)


def test_rates_follow_from_the_counts() -> None:
    events = [event("a", 0, 1), event("a", 10, 11), event("a", 20, 21)]
    truth = [true("a", 0, 1), true("a", 10, 11), true("a", 30, 31), true("b", 0, 1)]
    result = score(events, truth, 90)
    assert result.precision == pytest.approx(2 / 3)
    assert result.recall == pytest.approx(2 / 4)
    assert result.f1 == pytest.approx(4 / 7)
    assert result.false_per_hour == 40
    assert str(result).splitlines()[0] == (
        "truth: F1 0.571, precision 0.667, recall 0.500 (2 right, 2 missed, 1 false)"
    )


def test_the_delay_runs_from_the_true_start_to_the_report() -> None:
    events = [event("a", 1, 2, reported=2.5), event("a", 11, 12, reported=11.5), event("a", 20, 21)]
    result = score(events, [true("a", 1, 2), true("a", 10, 11), true("a", 19, 21)], 3600)
    assert result.delays == [1.5, 1.5, 2.0]
    assert result.delays_after_end == [0.5, 0.5, 0.0]
    assert str(result).splitlines()[1] == (
        "truth: detection delay 1.50 s (median; 2.00 s at worst), 0.50 s after the true end, "
        "order 1.000, "
        "0 false per hour, 0 false while nothing happened"
    )


def test_without_an_event_there_is_no_delay() -> None:
    result = score([], [true("a", 1, 2)], 0)
    assert str(result).splitlines()[1] == (
        "truth: order 0.000, 0 false per hour, 0 false while nothing happened"
    )


def test_a_false_event_is_idle_only_far_from_every_true_one() -> None:
    events = [event("b", 1, 2), event("a", 2.2, 2.4), event("a", 2.5, 3), event("a", 8, 9)]
    result = score(events, [true("a", 1, 2)], 60, tolerance=0.5)
    assert [each.start for each in result.false] == [1, 2.5, 8]
    assert [each.start for each in result.idle] == [8]


@pytest.mark.parametrize(
    ("reported", "labels", "expected"),
    [
        ("", "", 1.0),
        ("a", "", 0.0),
        ("", "ab", 0.0),
        ("abcd", "abcd", 1.0),
        ("acd", "abcd", 0.75),
        ("abxcd", "abcd", 0.75),
        ("axcd", "abcd", 0.75),
        ("bacd", "abcd", 0.5),
        ("kitten", "sitting", 1 - 3 / 7),
        ("xxxxxxx", "ab", 0.0),
    ],
)
def test_the_order_accuracy_is_the_edit_distance(
    reported: str, labels: str, expected: float
) -> None:
    assert order_accuracy(reported, labels) == pytest.approx(expected)


def test_the_order_is_that_of_time_and_not_of_the_lists() -> None:
    events = [event("b", 5, 6), event("a", 1, 2)]
    assert score(events, [true("b", 5, 6), true("a", 1, 2)], 60).order == 1


def test_silence_where_nothing_happened_is_perfect() -> None:
    result = score([], [], 60)
    assert (result.f1, result.order) == (1, 1)


def test_a_truth_file_may_have_more_keys(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    row = {"label": "a", "start": 1, "end": 2.5, "by": "anna"}
    path.write_text(json.dumps({"video": "x.mp4", "events": [row]}))
    assert read_truth(path) == [true("a", 1, 2.5)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a group of names and values"),
        ('{"events": [{"label": "a", "start": 1}]}', "events.0.end is missing"),
        ('{"events": [{"label": "a", "start": -1, "end": 1}]}', "events.0.start"),
    ],
)
def test_a_wrong_truth_file_is_refused_with_its_location(
    tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(SourceError) as error:
        read_truth(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
