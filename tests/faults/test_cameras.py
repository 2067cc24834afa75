"""Faults of a camera of this machine."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fake_camera.camera import CountingCamera
from faults.gap import WARM_UP, labels_in_gap
from faults.table import Row, keep
from faults.watched_run import EDGE_RUN, watched_run
from pace import slowdown

CAMERA = ("--camera", "0")


def refused(model: Path, camera: CountingCamera | None) -> tuple[float, str]:
    """Return how long a refusal took, and its line."""
    began = time.monotonic()
    environment = os.environ | (camera.environment() if camera else {})
    command = [*EDGE_RUN, "--model", str(model), "--camera", "0" if camera else "57"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    return time.monotonic() - began, done.stderr


def test_a_camera_that_is_not_there_is_one_line(model: Path) -> None:
    seconds, line = refused(model, None)
    assert "No such file" in line
    assert "cameras here: " in line
    keep(Row(1, "camera index missing", "exit 2, the reason, the cameras there are", seconds))


@pytest.mark.parametrize(
    ("number", "word", "said"),
    [(2, "busy", "close the other program"), (3, "denied", "sudo usermod -aG video")],
)
def test_a_camera_that_may_not_be_used_says_why(
    model: Path, camera: CountingCamera, number: int, word: str, said: str
) -> None:
    camera.tell(word)  # type: ignore[arg-type]
    seconds, line = refused(model, camera)
    assert said in line
    keep(Row(number, f"camera {word}", "exit 2, the reason, what to do", seconds))


@pytest.mark.timed
@pytest.mark.parametrize(
    ("number", "fault", "state", "within"),
    [(4, "unplug", "disconnected", 1.0), (5, "stall", "stalled", 3.5)],
)
def test_a_camera_that_is_lost_comes_back(
    model: Path, camera: CountingCamera, tmp_path: Path, number: int, fault: str, state: str,
    within: float,
) -> None:  # fmt: skip
    log = tmp_path / "run.jsonl"
    with watched_run(model, CAMERA, log, environment=camera.environment()) as run:
        run.wait_for_answers(5)
        known = len(run.states())
        failed, failed_at = time.monotonic(), time.time()
        camera.tell(fault)  # type: ignore[arg-type]
        detected = run.wait_for_state(state, known) - failed
        run.wait(lambda: run.states()[known:].count("connecting") >= 1)
        back, back_at = time.monotonic(), time.time()
        camera.tell("ok")
        again = run.wait_for_answers(1) - back
        run.wait_for_answers(5)
        seconds, _ = run.stop()
    labels = labels_in_gap(run.lines("prediction"), failed_at, back_at)
    assert run.process.returncode == 130
    assert seconds <= 2 * slowdown()
    assert labels == 0
    assert detected <= within * slowdown()
    assert again <= (5 + WARM_UP) * slowdown()
    told = f"`{state}`, `connecting`, `warming_up`, `live`"
    keep(Row(number, f"camera: {fault}", told, detected, again, labels))


def test_a_capture_that_crashes_again_and_again_comes_back_each_time(
    model: Path, camera: CountingCamera, tmp_path: Path
) -> None:
    """OpenCV takes its process with it; here that is not ours."""
    log = tmp_path / "run.jsonl"
    slowest = latest = 0.0
    with watched_run(model, CAMERA, log, environment=camera.environment()) as run:
        run.wait_for_answers(3)
        for _ in range(4):
            known = len(run.states())
            (pid,) = run.children()
            failed = time.monotonic()
            os.kill(pid, signal.SIGSEGV)
            latest = max(latest, run.wait_for_state("disconnected", known) - failed)
            slowest = max(slowest, run.wait_for_state("live", known) - failed)
            run.wait_for_answers(2)
        run.stop()
        reasons = {line["reason"] for line in run.lines("source")}
    assert "crashed" in reasons
    assert latest <= 1 * slowdown()
    assert slowest <= (5 + WARM_UP) * slowdown()
    keep(Row(6, "capture process crashes (SIGSEGV), 4 times", "`disconnected`, …, `live`", latest,
             slowest, 0))  # fmt: skip


@pytest.mark.timed
@pytest.mark.parametrize("word", ["ok", "stall", "unplug"])
def test_ctrl_c_ends_within_two_seconds_whatever_the_camera_does(
    model: Path, camera: CountingCamera, tmp_path: Path, word: str
) -> None:
    log = tmp_path / "run.jsonl"
    environment = camera.environment()
    with watched_run(model, CAMERA, log, "--stall-timeout", "60", environment=environment) as run:
        run.wait_for_answers(3)
        camera.tell(word)  # type: ignore[arg-type]
        time.sleep(0.5)
        pids = run.children()
        seconds, err = run.stop(signal.SIGTERM if word == "ok" else signal.SIGINT)
    assert run.process.returncode == (143 if word == "ok" else 130)
    assert "Traceback" not in err
    assert seconds <= 2 * slowdown()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    number = ["ok", "stall", "unplug"].index(word)
    how = "SIGTERM" if word == "ok" else f"Ctrl-C while the camera is gone ({word})"
    keep(Row(7 + number, how, f"ended after {seconds:.1f} s", lost="no line"))


def test_the_same_picture_for_long_is_a_warning_and_answers_go_on(
    model: Path, camera: CountingCamera, tmp_path: Path
) -> None:
    one = tmp_path / "one.yuyv"
    frame = camera.frames.stat().st_size // 256
    one.write_bytes(camera.frames.read_bytes()[:frame])
    environment = camera.environment() | {"FAKE_CAMERA_FRAMES": str(one)}
    log = tmp_path / "run.jsonl"
    with watched_run(model, CAMERA, log, environment=environment) as run:
        began = time.monotonic()
        detected = run.wait_for_state("frozen") - began
        run.wait_for_answers(5)
        run.stop()
    assert run.states()[-1] == "frozen"
    keep(Row(10, "the same picture for 10 s", "`frozen`: a warning, answers go on", detected))
