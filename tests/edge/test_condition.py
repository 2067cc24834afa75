"""How a source is: each change told once, and an overload measured, not guessed."""

import pytest

from seqvision_edge.condition import Condition, Load
from seqvision_edge.result import SourceState, StateName


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def names(states: tuple[SourceState, ...]) -> list[StateName]:
    return [state.state for state in states]


def test_a_source_warms_up_and_is_live_until_something_happens() -> None:
    clock = Clock()
    condition = Condition(clock)
    condition.hear(SourceState("connecting", attempt=1))
    condition.hear(SourceState("live"))
    for warm in (False, False, True, True):
        clock.now += 1
        condition.settle(warm)
    assert [(state.state, state.since) for state in condition.news()] == [
        ("connecting", 0.0),
        ("warming_up", 1.0),
        ("live", 3.0),
    ]
    assert condition.news() == ()
    condition.hear(SourceState("stalled", "timeout", "no frame for 3 s"))
    condition.hear(SourceState("stalled", "timeout", "no frame for 3 s"))
    assert names(condition.news()) == ["stalled"]
    condition.hear(SourceState("live"))
    condition.settle(False)
    assert names(condition.news()) == ["warming_up"]


def test_every_attempt_is_a_change() -> None:
    condition = Condition(Clock())
    for attempt in (1, 2):
        condition.hear(SourceState("connecting", attempt=attempt))
        condition.hear(SourceState("disconnected", "refused", attempt=attempt))
    assert names(condition.news()) == ["connecting", "disconnected"] * 2


def test_a_frozen_picture_is_a_warning_that_answers_do_not_end() -> None:
    condition = Condition(Clock())
    condition.settle(True)
    condition.hear(SourceState("frozen", "same_picture"))
    condition.settle(True)
    assert names(condition.news()) == ["live", "frozen"]
    condition.hear(SourceState("live"))
    condition.settle(True)
    assert names(condition.news()) == ["live"]


@pytest.mark.parametrize(("each", "overloaded"), [(1, False), (2, True), (4, True)])
def test_a_device_is_overloaded_when_ticks_are_shed_for_seconds(
    each: int, overloaded: bool
) -> None:
    load = Load(fps=15.0)
    for tick in range(0, 150, each):
        load.add(tick / 15, due=each, shed=each - 1)
        if tick < 60:
            assert not load.held, "a hiccup is no overload"
    assert bool(load.held) == overloaded
    if overloaded:
        assert load.held == f"holds {15 / each:.1f} of 15 fps"
    assert load.shed == (each - 1) * len(range(0, 150, each))


def test_a_device_that_keeps_up_again_is_not_overloaded_any_more() -> None:
    load = Load(fps=10.0)
    for tick in range(0, 100, 2):
        load.add(tick / 10, due=2, shed=1)
    assert load.held
    for tick in range(100, 160):
        load.add(tick / 10, due=1, shed=0)
    assert not load.held
