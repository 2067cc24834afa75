"""The window of edge-run on a real X server without a screen (Xvfb), seen by a screenshot."""

import os
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

SCREEN = (800, 600)
SECONDS = 60.0


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """An X server of this test's own."""
    lacks = [name for name in ("Xvfb", "ffmpeg", "xdotool") if not shutil.which(name)]
    if lacks:
        pytest.skip(f"{', '.join(lacks)} is not installed (tests/install.sh)")
    reading, writing = os.pipe()
    size = "x".join(map(str, SCREEN)) + "x24"
    # Without -noreset it begins anew, deaf for a moment, whenever its last client has left.
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-noreset"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        yield f":{number}"
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
    def is_shown(screen: Image) -> bool:
        # The middle of the picture is red, and the panel of the labels is not.
        middle, panel = screen[200, 320], screen[30:60, 200:250]
        is_red = bool(np.abs(middle.astype(int) - COLOURS["red"]).max() < 12)
        return is_red and bool((panel.min(axis=2) > 200).any())

    _wait_for(lambda: is_shown(_screenshot(display, tmp_path)))


def test_the_key_q_ends_the_run_as_done(
    display: str, watched: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    _wait_for(lambda: bool(_screenshot(display, tmp_path).any()))

    def ended() -> bool:
        # The first click may only bring the window to the front.
        words = ["xdotool", "mousemove", "300", "300", "click", "1", "key", "q"]
        subprocess.run(words, env={**os.environ, "DISPLAY": display}, check=True)
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


def _screenshot(display: str, folder: Path) -> Image:
    file = folder / "screen.png"
    size = "x".join(map(str, SCREEN))
    grab = ["ffmpeg", "-y", "-loglevel", "error", "-f", "x11grab", "-video_size", size, "-i"]
    subprocess.run([*grab, display, "-frames:v", "1", str(file)], check=True)
    return np.asarray(cv2.imread(str(file)), np.uint8)


def _wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
