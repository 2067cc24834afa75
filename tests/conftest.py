"""Clips for the tests: a bright square that moves to the left or to the right.

No single frame tells the two apart, so only a model that reads time can.
"""

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_camera.camera import CountingCamera, counting_camera, missing, tell
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from seqvision_edge.opencv import cv2

# The processes of a test run share the cores already: threads of torch that wait for each other
# there take many times as long as one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# In each process pydantic looks for plugins of its own through all that is installed.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# Every process that the tests start would compile what it imports of the project once more.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same inputs in every run, as those of the other fuzzers, and no limit of milliseconds for one:
# the machine may have other work.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=os.environ.get("SEQVISION_FUZZ") != "all",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")

DATA = Path(os.environ.get("SEQVISION_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure() -> None:
    """Make the folder of `once.py`, before the processes of the run start.

    In the background of a script Ctrl-C is ignored, by every process that the tests start too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ["SEQVISION_TEST_PID"] = str(os.getpid())
        os.environ["SEQVISION_TEST_RUN"] = tempfile.mkdtemp(prefix="seqvision-test-run-")


def pytest_unconfigure() -> None:
    """Remove it after they ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ["SEQVISION_TEST_RUN"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, and let single tests of seconds that pass try once more.

    Other work on the machine is no fault.  Whole files may not be tried again: elsewhere a test
    that fails now and then is itself the fault.
    """
    for item in items:
        if item.get_closest_marker("timed"):
            assert any(mark.name == "timed" for mark in item.own_markers), item.nodeid
            item.add_marker(pytest.mark.flaky(reruns=1))
    # Begun last, one of half a minute would leave the other processes idle at the end.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage in what the tests import, neither now nor later: there is none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_xdist_auto_num_workers() -> int | None:
    """Start one process more than there are cores: many a test waits, for a camera or a clock."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or not hasattr(os, "sched_getaffinity"):
        return None  # as xdist has it
    return len(os.sched_getaffinity(0)) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many hostile inputs of each kind the tests tried.

    A test reports them with `record_property("tried", (kind, number))`.
    """
    tried: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, value in report.user_properties:
                    if name == "tried":
                        tried[value[0]] += value[1]
    if tried:
        terminalreporter.section("hostile inputs tried")
        for kind, number in sorted(tried.items()):
            terminalreporter.write_line(f"{number:7,} {kind}")


def real_data(*parts: str) -> Path:
    """Return a path of the real data sets, or skip the test by their name."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data {'/'.join(parts)} is not here (set SEQVISION_DATA)")
    return path


def square_clip(direction: int, seed: int, frames: int = 10, size: int = 32) -> NDArray[np.uint8]:
    """Return `(frames, size, size, 3)` of a square moving left (-1), right (1) or not (0)."""
    generator = np.random.default_rng(seed)
    clip = generator.integers(0, 40, (frames, size, size, 3), np.uint8)
    top = int(generator.integers(2, size - 10))
    colour = generator.integers(140, 256, 3)
    for step in range(frames):
        along = step / max(1, frames - 1)
        share = 0.5 + direction * (along - 0.5)
        left = round(share * (size - 10)) + 1
        clip[step, top : top + 8, left : left + 8] = colour
    return clip


def write_frames(folder: Path, clip: NDArray[np.uint8]) -> Path:
    """Write a clip as 0.png, 1.png, …"""
    folder.mkdir(parents=True)
    for number, frame in enumerate(clip):
        assert cv2.imwrite(str(folder / f"{number}.png"), frame[:, :, ::-1])
    return folder


def write_video(path: Path, clip: NDArray[np.uint8], fps: float = 10.0) -> Path:
    """Write a clip as a video file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = clip.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    assert writer.isOpened()
    for frame in clip:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


def write_squares(root: Path, clips: int = 8, labels: tuple[str, ...] = ("left", "right")) -> Path:
    """Write `root/<label>/<clip>`, half frame folders and half videos."""
    directions = {"left": -1, "right": 1, "none": 0}
    for label in labels:
        for number in range(clips):
            clip = square_clip(directions[label], 100 * number + len(label), 8 + number % 5)
            if number % 2:
                write_video(root / label / f"{label}{number}.mp4", clip)
            else:
                write_frames(root / label / f"{label}{number}", clip)
    return root


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of both directions and none; tests must not write to it."""
    folder = tmp_path_factory.mktemp("squares") / "frames"
    return write_squares(folder, 8, ("left", "none", "right"))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures and the page of a training: two thirds of one of a second."""
    for name in ("draw_curves", "draw_confusion", "write_page"):
        monkeypatch.setattr(f"seqvision.training.results.{name}", lambda *_: None)


@contextmanager
def mounted(disk: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a small disk on a new folder."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let anybody mount a tmpfs")
    try:
        yield disk
    finally:
        # Lazily: a worker of a process that has ended may still end.
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    with mounted(tmp_path / "disk", 64) as disk:
        yield disk


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> CountingCamera:
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    return counting_camera(tmp_path_factory.mktemp("camera"))


@pytest.fixture
def camera(built: CountingCamera, tmp_path: Path) -> CountingCamera:
    """An emulated camera, with a control file of this test's own."""
    tell(tmp_path / "control", "ok")
    return replace(built, control=tmp_path / "control")
