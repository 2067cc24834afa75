"""The inbox of a run: no recorded frame is lost, no live frame is old."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.frame import Frame
from seqvision_edge.runner import DEPTH, Arrival, Inbox
from seqvision_edge.types import SourceState

BLACK = np.zeros((1, 1, 3), np.uint8)
STALLED, LIVE = SourceState("stalled"), SourceState("live")


def frame(index: int) -> Frame:
    return Frame(BLACK, index / 10, index)


def fill(inbox: Inbox, source: int, items: list[Frame | SourceState]) -> threading.Thread:
    """Put the items in a thread, as a source does."""

    def work() -> None:
        for item in items:
            if not inbox.put(source, item):
                return
        inbox.end(source)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def all_of(inbox: Inbox) -> Iterator[Arrival]:
    while arrivals := inbox.take():
        yield from arrivals


def indices(arrivals: list[Arrival], source: int = 0) -> list[int]:
    return [each.frame.index for each in arrivals if each.source == source and each.frame]


@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=3))
def test_every_frame_of_recorded_sources_comes_once_in_order(counts: list[int]) -> None:
    inbox = Inbox([False] * len(counts))
    for source, count in enumerate(counts):
        fill(inbox, source, [frame(index) for index in range(count)])
    arrivals = list(all_of(inbox))
    for source, count in enumerate(counts):
        assert indices(arrivals, source) == list(range(count))
    assert sorted(each.source for each in arrivals if each.ended) == list(range(len(counts)))


def test_a_recorded_source_reads_only_a_few_frames_ahead() -> None:
    inbox = Inbox([False])
    thread = fill(inbox, 0, [frame(index) for index in range(50)])
    deadline = time.monotonic() + 120
    while not inbox._boxes[0].is_full and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(inbox._boxes[0].items) == DEPTH
    inbox.close()
    thread.join(10)
    assert not thread.is_alive()


def test_of_a_live_source_only_the_newest_frame_is_left() -> None:
    inbox = Inbox([True])
    for index in range(100):
        assert inbox.put(0, frame(index))
    (arrival,) = inbox.take()
    assert arrival.frame is not None
    assert arrival.frame.index == 99


def test_no_state_is_lost_and_none_changes_places_with_a_frame() -> None:
    inbox = Inbox([True])
    for item in (LIVE, frame(0), frame(1), STALLED, LIVE, frame(7), frame(8)):
        inbox.put(0, item)
    (first,), (second,) = inbox.take(), inbox.take()
    assert (first.states, first.frame and first.frame.index) == ((LIVE,), 1)
    assert (second.states, second.frame and second.frame.index) == ((STALLED, LIVE), 8)


def test_one_take_has_one_frame_of_each_source_that_has_any() -> None:
    inbox = Inbox([False, True, False])
    for source in (0, 0, 2, 2):
        inbox.put(source, frame(source))
    assert [each.source for each in inbox.take()] == [0, 2]
    inbox.put(1, frame(1))
    assert [each.source for each in inbox.take()] == [0, 1, 2]


def test_what_ended_a_source_comes_after_its_last_frame() -> None:
    inbox = Inbox([False])
    lost = OSError("gone")
    inbox.put(0, frame(0))
    inbox.put(0, frame(1))
    inbox.end(0, lost)
    first, second = list(all_of(inbox))
    assert (first.ended, first.error) == (False, None)
    assert (second.ended, second.error) == (True, lost)
    assert inbox.take() == []


def test_a_reader_that_waits_is_woken_by_the_end() -> None:
    inbox = Inbox([True])
    threading.Timer(0.05, inbox.end, (0,)).start()
    ((arrival),) = inbox.take()
    assert arrival == Arrival(0, (), None, True, None)


@pytest.mark.parametrize("live", [False, True])
def test_writers_do_not_wait_for_a_closed_inbox(live: bool) -> None:
    inbox = Inbox([live])
    inbox.close()
    assert not inbox.put(0, frame(0))


def test_a_reader_can_wait_for_a_while_only() -> None:
    inbox = Inbox([True])
    assert inbox.take(0.01) is None
    inbox.put(0, frame(0))
    assert inbox.take(0.01)
    inbox.end(0)
    assert inbox.take(0.01)
    assert inbox.take(0.01) == []
