"""The window of edge-run on a real desktop without a screen, checked by a screenshot.

The desktop is an X server (Xvfb) and a window manager (openbox).  Without a window manager Qt
misses, in one start of ten, the server's word that its window is shown; the window stays black.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import COLOURS, Image, picture

from seqvision_edge.opencv import cv2
from seqvision_edge.sinks.window import TITLE

SCREEN = (800, 600)
SECONDS = 60.0


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """A desktop of this test's own."""
    programs = ("Xvfb", "openbox", "ffmpeg", "xdotool")
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed (tests/install.sh)")
    reading, writing = os.pipe()
    size = "x".join(map(str, SCREEN)) + "x24"
    # Without -noreset it begins anew, deaf for a moment, whenever its last client has left.
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-noreset"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as reported:
            number = reported.readline().strip()
        environment = {**os.environ, "DISPLAY": f":{number}"}
        with subprocess.Popen(
            ["openbox"], env=environment, stderr=subprocess.DEVNULL
        ) as window_manager:
            yield f":{number}"
            window_manager.terminate()
        server.terminate()


@pytest.fixture
def watched(display: str, model: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`edge-run` with a window, shown red pictures, 20 a second, until its end."""
    command = [sys.executable, "-m", "seqvision_edge", "--model", str(model), "--source", "-",
               "--stdin-size", "64x48", "--image-fps", "20"]  # fmt: skip
    environment = {**os.environ, "DISPLAY": display}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, env=environment) as process:  # fmt: skip
        over = threading.Event()
        feeder = threading.Thread(target=_feed, args=(process, over))
        feeder.start()
        yield process
        over.set()
        feeder.join()
        process.kill()


def test_the_window_shows_the_picture_and_its_label(
    display: str, watched: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    def is_shown() -> bool:
        # The middle of the picture is red, and the panel of the labels is not.
        shown = _window(display, tmp_path)
        if shown is None:
            return False
        middle, panel = shown[200, 320], shown[30:60, 200:250]
        is_red = bool(np.abs(middle.astype(int) - COLOURS["red"]).max() < 12)
        return is_red and bool((panel.min(axis=2) > 200).any())

    _wait_for(is_shown)


def test_the_key_q_ends_the_run_as_done(display: str, watched: "subprocess.Popen[bytes]") -> None:
    _wait_for(lambda: _position(display) is not None)

    def ended() -> bool:
        # The first click may only bring the window to the front.
        x, y = _position(display) or (0, 0)
        _xdotool(display, "mousemove", str(x + 300), str(y + 300), "click", "1", "key", "q")
        return watched.poll() is not None

    _wait_for(ended)
    assert watched.returncode == 0


def _feed(process: "subprocess.Popen[bytes]", over: threading.Event) -> None:
    data = picture("red").tobytes()
    pipe: Any = process.stdin
    try:
        while not over.wait(0.05):
            pipe.write(data)
            pipe.flush()
    except OSError:
        return


def _window(display: str, folder: Path) -> Image | None:
    """Return what the screen shows from the window's corner on; None where there is no window."""
    location = _position(display)
    if location is None:
        return None
    file = folder / "screen.png"
    size = "x".join(map(str, SCREEN))
    grab = ["ffmpeg", "-y", "-loglevel", "error", "-f", "x11grab", "-video_size", size, "-i"]
    subprocess.run([*grab, display, "-frames:v", "1", str(file)], check=True)
    x, y = location
    return np.asarray(cv2.imread(str(file)), np.uint8)[y:, x:]


def _position(display: str) -> tuple[int, int] | None:
    """Return the position of the window on the screen: x and y in pixels."""
    words = _xdotool(display, "search", "--name", f"^{TITLE}$", "getwindowgeometry", "--shell")
    found = dict(re.findall(r"^(X|Y)=(-?\d+)$", words, re.MULTILINE))
    return (int(found["X"]), int(found["Y"])) if found else None


def _xdotool(display: str, *words: str) -> str:
    environment = {**os.environ, "DISPLAY": display}
    return subprocess.run(
        ["xdotool", *words], env=environment, stdout=subprocess.PIPE, text=True, check=False
    ).stdout


def _wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
