"""The state of a source: each change reported once, and overload measured."""

import pytest

from seqvision_edge.pipeline.state import LoadMonitor, SourceCondition
from seqvision_edge.types import SourceState, StateName


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def names(states: tuple[SourceState, ...]) -> list[StateName]:
    return [state.state for state in states]


def test_a_source_warms_up_and_is_live_until_something_happens() -> None:
    clock = Clock()
    condition = SourceCondition(clock)
    condition.update(SourceState("connecting", attempt=1))
    condition.update(SourceState("live"))
    for warm in (False, False, True, True):
        clock.now += 1
        condition.mark_alive(warm)
    assert [(state.state, state.since) for state in condition.pop_changes()] == [
        ("connecting", 0.0),
        ("warming_up", 1.0),
        ("live", 3.0),
    ]
    assert condition.pop_changes() == ()
    condition.update(SourceState("stalled", "timeout", "no frame for 3 s"))
    condition.update(SourceState("stalled", "timeout", "no frame for 3 s"))
    assert names(condition.pop_changes()) == ["stalled"]
    condition.update(SourceState("live"))
    condition.mark_alive(False)
    assert names(condition.pop_changes()) == ["warming_up"]


def test_every_attempt_is_a_change() -> None:
    condition = SourceCondition(Clock())
    for attempt in (1, 2):
        condition.update(SourceState("connecting", attempt=attempt))
        condition.update(SourceState("disconnected", "refused", attempt=attempt))
    assert names(condition.pop_changes()) == ["connecting", "disconnected"] * 2


def test_a_frozen_picture_is_a_warning_that_answers_do_not_end() -> None:
    condition = SourceCondition(Clock())
    condition.mark_alive(True)
    condition.update(SourceState("frozen", "same_picture"))
    condition.mark_alive(True)
    assert names(condition.pop_changes()) == ["live", "frozen"]
    condition.update(SourceState("live"))
    condition.mark_alive(True)
    assert names(condition.pop_changes()) == ["live"]


@pytest.mark.parametrize(("each", "overloaded"), [(1, False), (2, True), (4, True)])
def test_a_device_is_overloaded_when_ticks_are_shed_for_seconds(
    each: int, overloaded: bool
) -> None:
    load = LoadMonitor(fps=15.0)
    for tick in range(0, 150, each):
        load.add(tick / 15, due=each, shed=each - 1)
        if tick < 60:
            assert not load.throughput_message, "a hiccup is no overload"
    assert bool(load.throughput_message) == overloaded
    if overloaded:
        assert load.throughput_message == f"holds {15 / each:.1f} of 15 fps"
    assert load.shed == (each - 1) * len(range(0, 150, each))


def test_a_device_that_keeps_up_again_is_not_overloaded_any_more() -> None:
    load = LoadMonitor(fps=10.0)
    for tick in range(0, 100, 2):
        load.add(tick / 10, due=2, shed=1)
    assert load.throughput_message
    for tick in range(100, 160):
        load.add(tick / 10, due=1, shed=0)
    assert not load.throughput_message
