"""Which frames of a stream are old, and when those of a playlist are due; without a real clock."""

from itertools import pairwise

from seqvision_edge.sources.stream_timing import Backlog, Pace

FPS = 15.0
PERIOD = 1 / FPS


def is_old(backlog: Backlog, waits: list[float], now: float = 0.0) -> list[bool]:
    """Return of each frame whether it is dropped, by how long each was waited for."""
    dropped = []
    for waited in waits:
        now += waited
        dropped.append(backlog.hold(0.0, waited, now) is None)
    return dropped


def test_frames_that_were_queued_while_a_stream_opened_are_dropped() -> None:
    backlog = Backlog(FPS, read_timeout=3, now=0)
    queued = [0.008, 0.001, 0.0, 0.0, 0.002]
    # The first two that are waited for could still be old ones, on a machine that is busy.
    dropped = is_old(backlog, [*queued, 0.03, *[PERIOD] * 5])
    assert dropped == [True] * (5 + 2) + [False] * 4


def test_a_frame_that_a_busy_machine_took_long_for_does_not_end_the_queue() -> None:
    backlog = Backlog(FPS, read_timeout=3, now=0)
    queued = [0.0, 0.06, 0.0, 0.04, 0.02, 0.001]
    assert all(is_old(backlog, queued))


def test_a_stream_that_is_waited_for_loses_nothing() -> None:
    backlog = Backlog(FPS, read_timeout=3, now=0)
    assert not any(is_old(backlog, [0.27, *[PERIOD] * 20]))


def test_frames_that_come_together_later_on_are_all_new() -> None:
    backlog = Backlog(FPS, read_timeout=3, now=0)
    assert not any(is_old(backlog, [0.3, 2 * PERIOD, 0.0, 0.0, PERIOD, 0.0]))


def test_a_stream_without_waits_is_trusted_after_two_seconds() -> None:
    backlog = Backlog(FPS, read_timeout=3, now=0)
    dropped = is_old(backlog, [0.01] * 300)
    assert dropped == [True] * dropped.count(True) + [False] * dropped.count(False)
    assert 195 <= dropped.count(True) <= 205


def test_the_frame_that_ends_a_silence_and_those_queued_in_it_are_dropped() -> None:
    backlog = Backlog(FPS, read_timeout=3, now=0)
    assert is_old(backlog, [PERIOD] * 20) == [True] * 2 + [False] * 18
    assert is_old(backlog, [1.6, 0.0, 0.001, *[PERIOD] * 4], now=2) == [True] * 5 + [False] * 2


def test_a_stream_that_is_slow_by_nature_is_read() -> None:
    backlog = Backlog(1, read_timeout=3, now=0)
    assert is_old(backlog, [0.3, 2.0, 2.0, 2.0]) == [False, True, False, False]


def test_frames_of_a_playlist_are_given_at_their_own_speed() -> None:
    pace, now, given = Pace(), 100.0, []
    for number in range(30):
        hold = pace.hold(number * PERIOD, 0.0, now)
        now += 0.001 + hold
        given.append(now)
    gaps = [after - before for before, after in pairwise(given)]
    assert all(abs(gap - PERIOD) < 0.002 for gap in gaps)


def test_a_late_or_restarted_playlist_is_read_at_once() -> None:
    pace = Pace()
    assert pace.hold(0.0, 0.0, 100.0) == 0
    assert abs(pace.hold(2.0, 0.0, 101.0) - 1) < 1e-9
    # Half a second late, it may catch up; five seconds late, its clock is set anew.
    assert pace.hold(3.0, 0.0, 103.5) == 0
    assert pace.hold(4.0, 0.0, 109.0) == 0
    assert abs(pace.hold(4.5, 0.0, 109.0) - 0.5) < 1e-9
    assert pace.hold(5000.0, 0.0, 110.0) == 0
    assert abs(pace.hold(5000.5, 0.0, 110.0) - 0.5) < 1e-9
