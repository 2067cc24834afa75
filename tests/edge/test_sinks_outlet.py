"""A slow, dead or full output never stops a run, and its losses are reported."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pace import quiet_seconds
from steps import ENDED, Gate, changed, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.sinks.group import SinkGroup
from seqvision_edge.sinks.outlet import CLOSE_SECONDS, Queued, close_all
from seqvision_edge.types import SourceState


def test_everything_arrives_in_order() -> None:
    gate = Gate(is_open=True)
    with Queued(gate, 4, waits=True) as sink:
        for index in range(100):
            sink.write(make_step(index))
    assert gate.sent == list(range(100))
    assert (sink.counts.sent, sink.counts.lost) == (100, 0)
    assert gate.is_closed


@pytest.mark.timed
def test_a_live_run_goes_on_and_loses_the_oldest() -> None:
    gate = Gate()
    with Queued(gate, 3) as sink:
        sink.write(make_step(0))
        wait_for(lambda: sink.counts.waiting == 1)
        # The worker holds the first; three more have room.
        wait_for(lambda: not sink._items)
        began = time.monotonic()
        for index in range(1, 11):
            sink.write(make_step(index))
        assert quiet_seconds(began) < 1
        assert (sink.counts.dropped, sink.counts.waiting) == (7, 4)
        gate.gate.set()
    assert gate.sent == [0, 8, 9, 10]


def test_a_run_of_a_recording_waits_for_its_file() -> None:
    gate = Gate()
    with Queued(gate, 2, waits=True) as sink:

        def write() -> None:
            for index in range(20):
                sink.write(make_step(index))

        writer = threading.Thread(target=write)
        writer.start()
        wait_for(lambda: sink.counts.waiting == 3)
        assert writer.is_alive()
        gate.gate.set()
        writer.join(20)
    assert gate.sent == list(range(20))
    assert sink.counts.lost == 0


def test_what_fails_is_counted_and_the_rest_goes_on() -> None:
    gate = Gate(is_open=True)
    gate.fails = lambda item: item % 2 == 0
    with Queued(gate, 9, waits=True) as sink:
        for index in range(9):
            sink.write(make_step(index))
    assert gate.sent == [1, 3, 5, 7]
    assert (sink.counts.failed, sink.last_error) == (5, "no room")


def test_an_outlet_with_a_bug_loses_its_items_and_nothing_else() -> None:
    gate = Gate(is_open=True)
    gate.fails = lambda item: bool(1 / item)
    with Queued(gate, 9) as sink:
        sink.write(make_step(0))
    assert sink.last_error == "ZeroDivisionError: division by zero"
    assert sink.counts.failed == 1


@pytest.mark.timed
def test_several_stuck_outputs_are_left_within_one_deadline() -> None:
    gates = [Gate() for _ in range(5)]
    sinks = [Queued(gate, 9).__enter__() for gate in gates]
    for sink in sinks:
        sink.write(make_step(0))
        sink.write(make_step(1))
    began = time.monotonic()
    close_all(sinks)
    assert quiet_seconds(began) < CLOSE_SECONDS + 0.5
    assert all(gate.is_stopped for gate in gates)
    assert [sink.counts.lost for sink in sinks] == [2] * 5
    for gate in gates:
        gate.gate.set()


def test_what_can_be_flushed_at_the_end_is_flushed() -> None:
    gate = Gate()
    sink = Queued(gate, 99).__enter__()
    for index in range(50):
        sink.write(make_step(index))
    threading.Timer(0.3, gate.gate.set).start()
    close_all([sink])
    assert gate.sent == list(range(50))
    assert sink.counts.lost == 0


def together(gate: Gate, live: bool = True) -> SinkGroup:
    return SinkGroup("edge-run", [Queued(gate, 99)], [], live)


def test_losses_are_reported_in_one_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    gate = Gate(is_open=True)
    gate.fails = lambda item: item >= 3
    with together(gate) as outputs:
        for index in range(5):
            outputs.write(make_step(index))
    assert outputs.incomplete == ("gate: 3 sent, 2 lost (no room)",)
    assert capsys.readouterr().err.splitlines()[-1] == "edge-run: gate: 3 sent, 2 lost (no room)"


def test_trouble_is_reported_when_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    gate = Gate(is_open=True)
    with together(gate) as outputs:
        outputs.write(make_step(0))
        gate.trouble = "connection refused"
        for index in range(1, 4):
            outputs.write(make_step(index))
        gate.trouble = ""
    assert capsys.readouterr().err == "edge-run: gate: connection refused\n"


def test_a_recording_that_came_to_its_end_waits_longer_for_its_outputs() -> None:
    gate = Gate()
    with together(gate, live=False) as outputs:
        outputs.write(make_step(0))
        outputs.write(ENDED)
        threading.Timer(CLOSE_SECONDS + 0.5, gate.gate.set).start()
    assert gate.sent == [0]
    assert outputs.incomplete == ()


@pytest.mark.timed
@pytest.mark.parametrize("live", [False, True])
def test_a_run_that_is_cut_off_ends_soon(live: bool) -> None:
    gate = Gate()
    outputs = together(gate, live).__enter__()
    outputs.write(make_step(0))
    outputs.write(changed(SourceState("stalled")))
    began = time.monotonic()
    outputs.__exit__(None, None, None)
    assert quiet_seconds(began) < CLOSE_SECONDS + 0.5
    gate.gate.set()


def test_an_output_that_cannot_be_opened_closes_those_that_were() -> None:
    class Refused(Gate):
        def open(self) -> None:
            raise SinkError("--json x: cannot be written")

    good = Gate(is_open=True)
    with pytest.raises(SinkError, match="--json x"):
        SinkGroup("edge-run", [Queued(good, 1), Queued(Refused(), 1)], [], True).__enter__()
    assert good.is_closed


def test_a_dead_disk_does_not_hold_up_the_end_after_ctrl_c(
    tmp_path: Path, run_python: Callable[..., object]
) -> None:
    """In a process of its own: the first Ctrl-C interrupts a write that waits, the run ends."""
    code = """
import os, signal, sys, threading, time
sys.path[:0] = sys.argv[1:]
from steps import Gate, make_step
from seqvision_edge.sinks.group import SinkGroup
from seqvision_edge.sinks.outlet import Queued
queue = Queued(Gate(), 1, waits=True)
with SinkGroup("edge-run", [queue], [], False) as outputs:
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        for index in range(9):
            outputs.write(make_step(index))
    except KeyboardInterrupt:
        began = time.monotonic()
        outputs.write(make_step(9))
print(time.monotonic() - began)
"""
    done = run_python(code, Path(__file__).parent)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert float(done.stdout) < CLOSE_SECONDS + 0.5  # type: ignore[attr-defined]
