"""The camera and its process, against an emulated V4L2 device.

Each test runs a small program of its own, as `fake_camera.program` says.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_camera.camera import CountingCamera
from fake_camera.program import hear, program, wait_for_end
from pace import quiet_seconds, slowdown

from seqvision_edge.errors import SourceError
from seqvision_edge.opencv import cv2
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.capture_worker import CameraVideo, Marked
from seqvision_edge.sources.factory import open_camera
from seqvision_edge.sources.v4l2 import list_cameras
from seqvision_edge.sources.v4l2 import list_cameras as list_cameras_in

Run = Callable[[str], list[Any]]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="names its cameras /dev/video*")
NOISE_FREE = ""

# ---- what comes from a camera ----


def test_a_camera_gives_its_frames_in_order_at_its_speed(run_with_camera: Run) -> None:
    [fps, live, shape, frames] = run_with_camera("""
with open_camera(0) as camera:
    frames = []
    for frame in camera:
        frames.append((frame.index, frame.time, read_counter(frame.bgr)))
        if len(frames) == 20:
            break
    say(camera.fps); say(camera.live); say(frame.bgr.shape); say(frames)
""")
    assert (fps, live, shape) == (30, True, [120, 160, 3])
    indexes, times, counters = zip(*frames, strict=True)
    assert list(indexes) == sorted(set(indexes))
    assert list(counters) == sorted(set(counters))
    assert list(times) == sorted(set(times))
    counted = (counters[-1] - counters[0]) / 30
    assert times[-1] - times[0] == pytest.approx(counted, abs=0.05)


@linux_only
def test_the_memory_of_a_camera_s_process_is_bounded(run_with_camera: Run) -> None:
    [data, address_space] = run_with_camera("""
with open_camera(0) as camera:
    next(iter(camera))
    limits = open(f"/proc/{camera.capture.pid}/limits").read()
    for name in ("Max data size", "Max address space"):
        say(limits.partition(name)[2].split()[0])
""")
    # What it has from its start, and 1.5 GiB.
    assert 1536 << 20 < int(data) < 4 << 30
    assert address_space == "unlimited"


@pytest.mark.timed
def test_a_slow_reader_sees_the_newest_frame_and_no_backlog(run_with_camera: Run) -> None:
    frames = run_with_camera("""
with open_camera(0) as camera:
    for count, frame in enumerate(camera):
        say((frame.index, read_counter(frame.bgr), age(camera, frame)))
        if count == 5:
            break
        time.sleep(0.4)
""")
    indexes, counters, ages = zip(*frames[1:], strict=True)
    skipped = [after - before for before, after in pairwise(indexes)]
    shown = [after - before for before, after in pairwise(counters)]
    # 0.4 s are 12 frames; they are counted, and gone.
    assert min(skipped) >= 9
    assert [abs(a - b) <= 2 for a, b in zip(skipped, shown, strict=True)] == [True] * 4
    # One period, and the way between the processes.
    assert max(ages) < 0.15


def test_two_frames_of_a_camera_do_not_share_their_pixels(run_with_camera: Run) -> None:
    [kept, later] = run_with_camera("""
with open_camera(0) as camera:
    frames = iter(camera)
    first = next(frames)
    before = read_counter(first.bgr)
    for _ in range(5):
        last = next(frames)
    say((before, read_counter(first.bgr))); say(read_counter(last.bgr))
""")
    assert kept[0] == kept[1]
    assert later != kept[0]


def test_a_program_is_not_run_again_in_the_process_of_its_camera(run_with_camera: Run) -> None:
    assert run_with_camera("""
say("once")
with open_camera(0) as camera:
    next(iter(camera))
""") == ["once"]


def test_the_process_of_a_camera_starts_without_the_model_runtime() -> None:
    code = "import sys, seqvision_edge.sources.capture_worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "cv2" in loaded.split()
    assert not {"onnxruntime", "pydantic", "rich", "torch"} & set(loaded.split())


# ---- cameras that cannot be opened ----


@pytest.mark.timed
@linux_only
def test_a_missing_camera_is_reported_within_two_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_camera(97)
    assert quiet_seconds(began) < 2
    here = " ".join(list_cameras()) or "none"
    assert str(caught.value) == (
        "camera 97 (/dev/video97): No such file or directory; "
        f"cameras here: {here}; connect it, or choose another"
    )


def test_a_negative_number_is_refused() -> None:
    # OpenCV would crash the process.
    with pytest.raises(SourceError, match=r"^camera -1: cameras are numbered from 0$"):
        open_camera(-1)


@pytest.mark.timed
def test_an_unopenable_camera_is_one_error_line(run_with_camera: Run) -> None:
    reasons = {
        "busy": ("Device or resource busy", "close the other program that uses it"),
        "denied": ("Permission denied", "sudo usermod -aG video $USER, and log in again"),
        "metadata": ("This node sends no pictures, only metadata", "choose another"),
        "unplug": ("No such file or directory", "connect it, or choose another"),
    }
    answers = run_with_camera(f"""
for word in {list(reasons)}:
    tell(word)
    began = time.monotonic()
    try:
        open_camera(0)
    except SourceError as error:
        say((word, str(error), time.monotonic() - began))
""")
    assert [word for word, _, _ in answers] == list(reasons)
    for word, message, seconds in answers:
        reason, advice = reasons[word]
        assert message.startswith(f"camera 0 (/dev/video0): {reason}; cameras here: ")
        assert message.endswith(advice)
        assert "\n" not in message
        assert seconds < 2 * slowdown()


def test_the_cameras_of_a_machine_are_listed_by_number(tmp_path: Path) -> None:
    for name in ("video10", "video2", "video0", "video-codec", "audio1"):
        (tmp_path / name).touch()
    found = [Path(path).name for path in list_cameras_in(tmp_path)]
    assert found == ["video0", "video2", "video10"]


def test_name_and_state_of_a_camera_are_listed(run_with_camera: Run) -> None:
    reported = run_with_camera("""
from seqvision_edge.sources.v4l2 import describe_camera
for word in ("ok", "busy", "denied", "metadata", "unplug"):
    tell(word)
    camera = describe_camera("/dev/video0")
    say(camera and (camera.name, camera.driver, camera.state))
""")
    name = ["Emulated camera", "emulated"]
    unknown = ["", ""]
    assert reported == [
        [*name, "free"], [*name, "busy"], [*unknown, "forbidden"], None, [*unknown, "missing"],
    ]  # fmt: skip


def test_a_camera_can_be_given_by_its_device(run_with_camera: Run) -> None:
    [fps, shape, message] = run_with_camera("""
from seqvision_edge.sources.factory import ReadSettings, open_sources
from seqvision_edge.sources.parse import parse_source
address = parse_source("/dev/video0")
with open_sources([address], ReadSettings())[0] as camera:
    state, live, frame = (item for item, _ in zip(camera, range(3)))
    say(camera.fps); say(frame.bgr.shape)
tell("busy")
try:
    open_sources([address], ReadSettings())
except SourceError as error:
    say(str(error))
""")
    assert (fps, shape) == (30, [120, 160, 3])
    assert message.startswith("/dev/video0: Device or resource busy; cameras here: ")


# ---- cameras that are lost ----


@pytest.mark.timed
def test_a_stalled_camera_is_reported_within_three_seconds(run_with_camera: Run) -> None:
    [message, seconds, is_left] = run_with_camera("""
with open_camera(0) as camera:
    frames = iter(camera)
    next(frames)
    pid = camera.capture.pid
    tell("stall")
    began = time.monotonic()
    try:
        while True:
            next(frames)
    except SourceError as error:
        say(str(error)); say(time.monotonic() - began); say(is_running(pid))
""")
    assert message.startswith("camera 0 (/dev/video0): stalled, no frame for 3 s; ")
    assert 2.5 < seconds < 3.5 * slowdown()
    assert is_left is False


def test_a_late_reader_gets_no_old_frame_of_a_stalled_camera(
    run_with_camera: Run,
) -> None:
    [message] = run_with_camera("""
with CameraSource(0, stall_timeout=0.5) as camera:
    frames = iter(camera)
    next(frames)
    time.sleep(0.2)
    tell("stall")
    time.sleep(1)
    try:
        next(frames)
    except SourceError as error:
        say(str(error))
""")
    assert "stalled, no frame for 0.5 s" in message


@pytest.mark.timed
def test_an_unplugged_camera_is_reported_within_a_second(run_with_camera: Run) -> None:
    [message, seconds] = run_with_camera("""
with open_camera(0) as camera:
    frames = iter(camera)
    next(frames)
    tell("unplug")
    began = time.monotonic()
    try:
        while True:
            next(frames)
    except SourceError as error:
        say(str(error)); say(time.monotonic() - began)
""")
    assert message.startswith(
        "camera 0 (/dev/video0): disconnected (No such file or directory); cameras here: "
    )
    assert message.endswith("; connect it again")
    assert seconds < 1 * slowdown()


def test_a_crash_of_driver_or_opencv_is_contained(run_with_camera: Run) -> None:
    [message] = run_with_camera("""
with open_camera(0) as camera:
    frames = iter(camera)
    next(frames)
    os.kill(camera.capture.pid, 11)
    try:
        while True:
            next(frames)
    except SourceError as error:
        say(str(error))
""")
    assert message.startswith("camera 0 (/dev/video0): its process ended (SIGSEGV); ")


def test_a_lost_camera_can_be_started_again(run_with_camera: Run) -> None:
    counters = run_with_camera("""
from seqvision_edge.sources.capture_process import Capture
from seqvision_edge.sources.address import camera
capture = Capture(camera(0))
capture.start()
capture.read()
tell("unplug")
try:
    while True:
        capture.read()
except SourceError:
    tell("ok")
capture.start()
for _ in range(3):
    bgr, _, grabbed = capture.read()
    say(grabbed.index)
capture.stop()
""")
    assert counters == sorted(set(counters))
    assert counters[0] < 3


# ---- frames that are claimed and never written ----


class Unwritten:
    """A backend of OpenCV that claims frames and writes only some of them."""

    written: list[int | None]

    def __init__(self, *_: object) -> None:
        self.left = list(self.written)

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, name: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}.get(name, 30.0)

    def grab(self) -> bool:
        return True

    def retrieve(self, memory: Any) -> tuple[bool, Any]:
        level = self.left.pop(0)
        if level is not None:
            memory[:] = level
        return True, memory


def test_a_claimed_but_unwritten_frame_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Unwritten)
    # Black, white and every grey are pictures.
    Unwritten.written = [None, 0, None, *range(256), None]
    video = CameraVideo(Address("camera", "camera 0", 0))
    found = []
    for _ in Unwritten.written:
        assert video.grab()
        found.append(video.retrieve())
    given = [None if bgr is None else int(bgr.mean()) for bgr in found]
    assert given == Unwritten.written
    assert video.damaged == 3


def test_a_picture_matching_all_but_one_mark_is_accepted() -> None:
    memory = Marked((48, 64, 3))
    assert not memory.was_written(memory.memory)
    memory.memory[0, 0, 0] ^= 1
    assert memory.was_written(memory.memory)
    assert Marked((48, 64, 3)).was_written(np.zeros((48, 64, 3), np.uint8)), "memory of its own"
    assert Marked((0, 0, 3)).was_written(np.zeros((48, 64, 3), np.uint8)), "size not known before"


# ---- the end ----


@pytest.mark.timed
def test_leaving_the_context_ends_the_process_even_while_it_is_blocked(
    run_with_camera: Run,
) -> None:
    for is_left, seconds in run_with_camera("""
for word in ("ok", "stall"):
    tell(word)
    with open_camera(0) as camera:
        pid = camera.capture.pid
        time.sleep(0.3)
        began = time.monotonic()
    say((is_running(pid), time.monotonic() - began))
"""):
        assert is_left is False
        assert seconds < 1 * slowdown()


@pytest.mark.timed
def test_an_unresponsive_child_process_is_killed(run_with_camera: Run) -> None:
    [is_left, seconds] = run_with_camera("""
with open_camera(0) as camera:
    pid = camera.capture.pid
    os.kill(pid, 19)  # SIGSTOP: neither a closed pipe nor SIGTERM is noticed
    began = time.monotonic()
say(is_running(pid)); say(time.monotonic() - began)
""")
    assert is_left is False
    assert seconds < 2 * slowdown()


@pytest.mark.parametrize("word", ["ok", "stall"])
def test_ctrl_c_ends_program_and_camera_silently(camera: CountingCamera, word: Any) -> None:
    code = """
try:
    with open_camera(0) as camera:
        say("open")
        for frame in camera:
            pass
except KeyboardInterrupt:
    sys.exit(130)
"""
    camera.tell(word)
    with program(camera, code) as process:
        assert hear(process) == "open"
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        _, complained = wait_for_end(process)
    assert process.returncode == 130
    assert complained == NOISE_FREE


def test_ctrl_c_while_a_camera_opens_is_as_silent(camera: CountingCamera) -> None:
    code = """
try:
    say("opening")
    with open_camera(0) as camera:
        time.sleep(5)
except KeyboardInterrupt:
    sys.exit(130)
"""
    with program(camera, code) as process:
        assert hear(process) == "opening"
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, complained = wait_for_end(process)
    assert process.returncode == 130
    assert complained == NOISE_FREE


def test_ctrl_c_in_the_middle_of_the_start_of_a_process_is_as_silent(
    camera: CountingCamera,
) -> None:
    code = """
import signal, threading
from multiprocessing import util

def start_and_interrupt(program, arguments, handles):
    pid = start(program, arguments, handles)
    # The new process is interrupted as Python starts in it, this one before it knows the process.
    for _ in range(15 if "spawn_main" in str(arguments) else 0):
        time.sleep(0.02)
        os.killpg(0, signal.SIGINT)
    return pid

start, util.spawnv_passfds = util.spawnv_passfds, start_and_interrupt
# A signal may go to any thread, not only to the one that starts the process.
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
try:
    with open_camera(0):
        say("open")
except KeyboardInterrupt:
    sys.exit(130)
"""
    with program(camera, code) as process:
        output, complained = wait_for_end(process)
    assert (output, complained, process.returncode) == ("", NOISE_FREE, 130)


def test_a_camera_does_not_outlive_a_killed_program(camera: CountingCamera) -> None:
    code = """
with open_camera(0) as camera:
    say("open")
    for frame in camera:
        pass
"""
    camera.tell("stall")
    with program(camera, code) as process:
        assert hear(process) == "open"
        time.sleep(0.3)
        process.kill()
        _, complained = wait_for_end(process)
    # A shared memory that stays behind would be told here by Python.
    assert complained == NOISE_FREE
