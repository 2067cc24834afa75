"""Faults of streams: an RTSP server that dies, stalls and refuses, HTTP servers that misbehave."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
from faults.gap import WARM_UP, labels_in_gap
from faults.table import Row, keep
from faults.watched_run import WatchedRun, watched_run
from pace import slowdown
from servers import clock_code, rtsp, web
from steps import wait_for
from typing_extensions import Self

from seqvision_edge.frame import Step
from seqvision_edge.runner import run as run_here
from seqvision_edge.session import Session
from seqvision_edge.sinks import Quit
from seqvision_edge.sources import capture_process as capture_module
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.capture_process import Capture, FrameFormat
from seqvision_edge.sources.faults import CaptureFault
from seqvision_edge.sources.live import LiveSource


@pytest.fixture
def server() -> Iterator[rtsp.RtspServer]:
    lacks = rtsp.missing()
    if lacks:
        pytest.skip(lacks)
    with rtsp.RtspServer() as server:
        yield server


def lost_and_back(
    run: WatchedRun, server: rtsp.RtspServer, fault: str, silence: float
) -> tuple[float, float, int, str]:
    """Let the server fail and come back: detected after, live again after, labels, the state."""
    run.wait_for_answers(5)
    known = len(run.states())
    failed, failed_at = time.monotonic(), time.time()
    if fault == "kill":
        server.kill()
    else:
        server.stall()
    detected = run.wait(
        lambda: {"stalled", "disconnected"} & set(run.states()[known:])
    ) - failed  # fmt: skip
    state = next(each for each in run.states()[known:] if each in ("stalled", "disconnected"))
    time.sleep(max(0.0, silence - (time.monotonic() - failed)))
    back_at = time.time()
    if fault == "kill":
        server.start()
    else:
        server.resume()
    back = time.monotonic()
    again = run.wait_for_answers(1) - back
    run.wait_for_answers(10)
    return detected, again, labels_in_gap(run.lines("prediction"), failed_at, back_at), state


@pytest.mark.timed
@pytest.mark.parametrize(("number", "fault", "within"), [(20, "kill", 1.5), (21, "stall", 3.5)])
def test_a_server_that_fails_is_detected_and_live_again(
    model: Path, server: rtsp.RtspServer, tmp_path: Path, number: int, fault: str, within: float
) -> None:
    with watched_run(model, ("--source", server.url), tmp_path / "run.jsonl") as run:
        detected, again, labels, state = lost_and_back(run, server, fault, silence=6.0)
        seconds, err = run.stop()
    assert detected <= within * slowdown()
    assert again <= (5 + WARM_UP) * slowdown()
    assert labels == 0
    assert seconds <= 2 * slowdown()
    assert "Traceback" not in err
    what = "RTSP server killed, back after 6 s" if fault == "kill" else "RTSP server stops for 6 s"
    keep(Row(number, what, f"`{state}`, `connecting`, …, `live`", detected, again, labels))


def test_a_camera_that_wants_a_password_is_told_so_and_not_asked_often(
    model: Path, tmp_path: Path
) -> None:
    lacks = rtsp.missing()
    if lacks:
        pytest.skip(lacks)
    with rtsp.RtspServer(account="admin:s3cret@1") as server:
        right = server.url.replace("rtsp://", "rtsp://admin:s3cret%401@")
        with watched_run(model, ("--source", right), tmp_path / "right.jsonl") as run:
            run.wait_for_answers(3)
            _, err = run.stop()
            said = err + (tmp_path / "right.jsonl").read_text()
        assert "s3cret" not in said
        wrong = server.url.replace("rtsp://", "rtsp://admin:wr0ng@")
        began = time.monotonic()
        with watched_run(model, ("--source", wrong), tmp_path / "wrong.jsonl") as run:
            detected = run.wait_for_state("disconnected") - began
            time.sleep(3)
            states = run.lines("source")
            _, err = run.stop()
    assert [line["state"] for line in states] == ["connecting", "disconnected"]
    assert states[-1]["reason"] == "unauthorized"
    assert "wr0ng" not in err + (tmp_path / "wrong.jsonl").read_text()
    keep(Row(22, "wrong password (401)", "`disconnected`, unauthorized; again after 60 s",
             detected))  # fmt: skip


def test_a_stream_that_is_not_there_is_told_so(
    model: Path, server: rtsp.RtspServer, tmp_path: Path
) -> None:
    wrong = server.url.replace("/cam", "/nope")
    began = time.monotonic()
    with watched_run(model, ("--source", wrong), tmp_path / "run.jsonl") as run:
        detected = run.wait_for_state("disconnected") - began
        run.stop()
        (state,) = [line for line in run.lines("source") if line["state"] == "disconnected"]
    assert state["reason"] == "not_found"
    keep(Row(23, "wrong path (404)", "`disconnected`, not_found; again after 60 s", detected))


def test_a_server_that_answers_nothing_is_given_up_when_asked_for(
    model: Path, tmp_path: Path
) -> None:
    with web.WebServer({"/silent": web.silent}) as server:
        began = time.monotonic()
        source = ("--source", f"{server.url}/silent")
        with watched_run(model, source, tmp_path / "run.jsonl", "--max-retries", "1") as run:
            detected = run.wait_for_state("disconnected") - began
            _, err = run.process.communicate(timeout=120)
    assert run.process.returncode == 4
    assert "given up after 1 more attempt" in err
    assert err.count("\n") <= 3, err
    keep(Row(24, "HTTP server takes the request and answers nothing",
             "`disconnected`, timeout; with `--max-retries 1` exit 4", detected))  # fmt: skip


@pytest.mark.timed
@pytest.mark.parametrize(
    ("number", "then", "state"), [(25, "stall", "stalled"), (26, "close", "disconnected")]
)
def test_a_picture_stream_that_ends_or_stalls_is_connected_again(
    model: Path, tmp_path: Path, number: int, then: str, state: str
) -> None:
    routes = {"/camera": web.mjpeg(count=30, then=then)}
    with (
        web.WebServer(routes) as server,
        watched_run(model, ("--source", f"{server.url}/camera"), tmp_path / "run.jsonl") as run,
    ):
        lost = run.wait_for_state(state)
        known = len(run.states())
        again = run.wait_for_state("live", known) - lost
        run.stop()
    assert again <= (5 + WARM_UP) * slowdown()
    what = "HTTP stream stalls" if then == "stall" else "HTTP stream ends"
    keep(Row(number, what, f"`{state}`, `connecting`, …, `live`", None, again, 0))


def test_three_cameras_of_which_one_stops_leave_the_others_their_rate(
    model: Path, server: rtsp.RtspServer, tmp_path: Path
) -> None:
    """The good ones are compared with themselves, while the third runs and while it does not."""
    with rtsp.RtspServer() as second, rtsp.RtspServer() as third:
        servers = [server, second, third]
        words = [word for each in servers for word in ("--source", each.url)]
        with watched_run(model, words, tmp_path / "run.jsonl") as run:
            names = [line["name"] for line in run.lines("run")[0]["sources"]] if run.wait(
                lambda: run.lines("run")
            ) else []  # fmt: skip
            for name in names:
                run.wait(lambda name=name: len(run.lines("prediction", name)) >= 5)  # type: ignore[misc]

            def rates(seconds: float) -> list[float]:
                before = [len(run.lines("prediction", name)) for name in names[:2]]
                began = time.monotonic()
                time.sleep(seconds)
                after = [len(run.lines("prediction", name)) for name in names[:2]]
                passed = time.monotonic() - began
                return [(b - a) / passed for a, b in zip(before, after, strict=True)]

            def loss() -> float:
                """Return what the good ones lose while the third is stopped."""
                with_all = rates(5)
                known = len(run.states(names[2]))
                third.stall()
                run.wait_for_state("stalled", known, names[2])
                with_two = rates(5)
                third.resume()
                run.wait_for_state("live", known, names[2])
                return max(
                    1 - after / before for before, after in zip(with_all, with_two, strict=True)
                )

            # A busy machine costs frames at any time; what the third costs, it costs each time.
            least = loss()
            for _ in range(2):
                least = least if least <= 0.05 else min(least, loss())
            run.stop()
    assert least <= 0.05
    keep(Row(27, "one of three RTSP cameras stalls",
             f"its own `stalled`; the others keep {100 * (1 - max(least, 0)):.0f} % of their rate",
             labels=0))  # fmt: skip


class Ages:
    """A sink that reads the age of each answered picture out of its pixels."""

    def __init__(self, count: int) -> None:
        self.seen: list[float] = []
        self.times: list[float] = []
        self._count = count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def write(self, step: Step) -> None:
        if step.answered and step.frame is not None and step.prediction is not None:
            self.seen.append(clock_code.age(step.frame.bgr))
            self.times.append(step.prediction.time)
            if len(self.seen) >= self._count:
                raise Quit


def test_a_live_answer_is_for_what_the_camera_saw_a_moment_ago(
    model: Path, server: rtsp.RtspServer
) -> None:
    """The true age, from the clock in the picture, with what lay in queues when it was opened."""
    source = LiveSource(Address("stream", "clock", server.url), FrameFormat())
    ages = Ages(80)
    run_here([source], Session(model, "cpu"), [ages])
    oldest, usual = max(ages.seen), float(np.percentile(ages.seen, 95))
    assert usual <= 0.25
    assert oldest <= 1.0, "no result older than that goes out as live"
    keep(Row(28, "age of a live answer, RTSP at 15 fps, by the clock in its pixels",
             f"95 % within {1000 * usual:.0f} ms"))  # fmt: skip


@pytest.mark.long
@pytest.mark.slow
def test_thirty_reconnects_cost_no_memory(
    model: Path, server: rtsp.RtspServer, tmp_path: Path
) -> None:
    with watched_run(model, ("--source", server.url), tmp_path / "run.jsonl") as run:
        memory: list[float] = []
        handles: list[int] = []
        for turn in range(33):
            run.wait_for_answers(1)
            if turn >= 3:  # the first ones fill caches
                memory.append(run.memory())
                handles.append(len(list(Path(f"/proc/{run.process.pid}/fd").iterdir())))
            known = len(run.states())
            (pid,) = run.children()
            # The connection is lost on our side: the server stays, so each turn is short.
            os.kill(pid, signal.SIGKILL)
            run.wait_for_state("disconnected", known)
        run.stop()
    grown = float(np.mean(memory[-5:]) - np.mean(memory[:5]))
    assert grown <= 5
    assert handles[-1] <= handles[0] + 2
    keep(Row(29, "30 reconnects", f"{grown:+.1f} MB, {handles[-1] - handles[0]:+d} open files"))


@pytest.mark.timed
def test_a_run_that_sleeps_goes_on_and_answers_for_nothing_between(
    model: Path, tmp_path: Path
) -> None:
    """A computer that sleeps stops all processes at once, and none of them is told."""
    with (
        web.WebServer({"/video": web.mjpeg()}) as server,
        watched_run(model, ("--source", f"{server.url}/video"), tmp_path / "run.jsonl") as run,
    ):
        run.wait_for_answers(10)
        processes = [run.process.pid, *run.children()]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        slept_at = time.time()
        time.sleep(5 if os.environ.get("SEQVISION_FUZZ") != "all" else 10)
        woke_at = time.time()
        # Of the last one to wake, the run may have found that it was silent, and begun another.
        for pid in reversed(processes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        again = run.wait_for_answers(1)
        run.wait_for_answers(10)
        assert again
        assert run.states()[-1] == "live"
        labels = labels_in_gap(run.lines("prediction"), slept_at, woke_at)
        events = [event for event in run.lines("event") if event["end"] - event["start"] > 4]
        seconds, err = run.stop()
    assert labels == 0
    assert events == []
    assert seconds <= 2 * slowdown()
    assert "Traceback" not in err
    keep(Row(30, "the computer sleeps for 5 s", "reconnects or goes on, no event over the gap"))


@pytest.mark.fuzz
def test_a_camera_that_flaps_leaves_no_process_no_file_and_no_memory(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Two pictures, then it is gone, again and again; 1,000 times by `SEQVISION_FUZZ=all`."""
    turns = 1000 if os.environ.get("SEQVISION_FUZZ") == "all" else 5
    memories: list[Path] = []

    def create(*, create: bool, size: int) -> SharedMemory:
        memory = SharedMemory(create=create, size=size)
        memories.append(Path("/dev/shm", memory.name))
        return memory

    monkeypatch.setattr(capture_module, "SharedMemory", create)
    files = []
    with web.WebServer({"/video": web.mjpeg(count=2, ahead=2)}) as server:
        # Other tests of this process may have left some of theirs.
        threads = set(threading.enumerate())
        children = set(multiprocessing.active_children())
        for _ in range(turns):
            capture = Capture(Address("stream", "flaps", f"{server.url}/video"), open_timeout=30)
            with pytest.raises(CaptureFault):
                _read_on(capture)
            capture.stop()
            # Connections of the server end a little later.
            wait_for(lambda: set(threading.enumerate()) <= threads)
            files.append(len(list(Path("/proc/self/fd").iterdir())))
        left = set(multiprocessing.active_children()) - children
    # The first turn starts what all of them share.
    assert files[-1] <= files[1] + 1
    assert len(memories) == turns
    assert [path for path in memories if path.exists()] == []
    assert left == set()
    record_property("tried", ("captures of a camera that flaps", turns))


def _read_on(capture: Capture) -> None:
    capture.start()
    while True:
        capture.read()
