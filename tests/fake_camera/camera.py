"""An emulated camera: `/dev/video0` without hardware, with faults on command.

A small C library is preloaded into the process under test and answers what OpenCV's own V4L2
backend asks of the device.  It proves our code from `cv2.VideoCapture(0)` on, faults included; it
proves nothing about a driver or a real camera.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.opencv import cv2

Image = NDArray[np.uint8]
Word = Literal["ok", "stall", "unplug", "busy", "denied", "metadata"]

SOURCE = Path(__file__).with_name("v4l2_camera.c")
HEADER = Path("/usr/include/linux/videodev2.h")

# A frame number in black and white blocks, wide enough for colours that pixels share.
COUNTER_BITS = 8
COUNTER_SIZE = (160, 120)
_BLOCK = COUNTER_SIZE[0] // COUNTER_BITS


def missing() -> str | None:
    """Return what this machine lacks to build the camera; None when nothing."""
    if shutil.which("gcc") is None:
        return "the emulated camera needs gcc"
    if not HEADER.exists():
        return f"the emulated camera needs {HEADER} (package linux-libc-dev)"
    return None


def build(folder: Path) -> Path:
    """Compile the camera into `folder` and return the library to preload."""
    library = folder / "v4l2_camera.so"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", library, SOURCE, "-ldl"], check=True)
    return library


def write_yuyv(frames: Iterable[Image], path: Path) -> Path:
    """Write `(height, width, 3)` BGR frames of even width as raw YUYV: pixel pairs share colour."""
    with path.open("wb") as file:
        for bgr in frames:
            luma, red, blue = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
            yuyv = np.empty((*luma.shape, 2), np.uint8)
            # Full range → 16 to 235 (luma) and 16 to 240 (colour), as video has it.
            yuyv[:, :, 0] = 16 + luma * (219 / 255)
            yuyv[:, 0::2, 1] = 128 + (blue[:, ::2] - 128.0) * (224 / 255)
            yuyv[:, 1::2, 1] = 128 + (red[:, ::2] - 128.0) * (224 / 255)
            file.write(yuyv.tobytes())
    return path


def environment(
    library: Path, frames: Path, size: tuple[int, int], fps: int, control: Path
) -> dict[str, str]:
    """Return the environment of a process that has the camera.

    Args:
        library: from `build`.
        frames: from `write_yuyv`.
        size: width and height of the frames.
        fps: frames per second that the camera sends.
        control: a file with one `Word`; it can change while the camera runs.
    """
    return os.environ | {
        "LD_PRELOAD": str(library),
        "FAKE_CAMERA_FRAMES": str(frames),
        "FAKE_CAMERA_WIDTH": str(size[0]),
        "FAKE_CAMERA_HEIGHT": str(size[1]),
        "FAKE_CAMERA_FPS": str(fps),
        "FAKE_CAMERA_CONTROL": str(control),
    }


def tell(control: Path, word: Word) -> None:
    """Change how the camera behaves, at once."""
    new = control.with_suffix(".new")
    new.write_text(word)
    # The camera never sees a file that is half written.
    new.replace(control)


def draw_counter(number: int) -> Image:
    """Return a `(120, 160, 3)` frame that shows a number, modulo 256, as a bar code."""
    bgr = np.zeros((COUNTER_SIZE[1], COUNTER_SIZE[0], 3), np.uint8)
    for bit in range(COUNTER_BITS):
        if number >> bit & 1:
            bgr[:, bit * _BLOCK : (bit + 1) * _BLOCK] = 255
    return bgr


def read_counter(bgr: Image) -> int:
    """Return the number that a frame shows."""
    row = bgr[bgr.shape[0] // 2, _BLOCK // 2 :: _BLOCK].mean(axis=1)
    return sum(1 << bit for bit, value in enumerate(row) if value > 127)


@dataclass(frozen=True)
class CountingCamera:
    """A camera whose frames show their own number, modulo 256."""

    library: Path
    frames: Path
    control: Path
    fps: int

    def environment(self) -> dict[str, str]:
        return environment(self.library, self.frames, COUNTER_SIZE, self.fps, self.control)

    def tell(self, word: Word) -> None:
        tell(self.control, word)


def counting_camera(folder: Path, fps: int = 30) -> CountingCamera:
    """Build one in `folder`."""
    frames = write_yuyv(map(draw_counter, range(1 << COUNTER_BITS)), folder / "counter.yuyv")
    tell(folder / "control", "ok")
    return CountingCamera(build(folder), frames, folder / "control", fps)
