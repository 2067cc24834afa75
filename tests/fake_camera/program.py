"""A small program of a test's own that has the emulated camera.

The device is preloaded into a process, and a camera's manners at its end can only be seen from
outside.  The code has no `if __name__ == "__main__"`: no user should need one.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fake_camera.camera import CountingCamera

_BEGINNING = """
import json, os, sys, time
from pathlib import Path
from fake_camera.camera import read_counter, tell as tell_camera
from seqvision_edge.sources.live import CameraSource
from seqvision_edge.errors import SourceError
from seqvision_edge.sources.factory import open_camera

def say(value):
    print(json.dumps(value), flush=True)

def tell(word):
    tell_camera(Path(os.environ["FAKE_CAMERA_CONTROL"]), word)

def age(camera, frame):
    return time.monotonic() - camera.began - frame.time

def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

"""


@contextmanager
def program(camera: CountingCamera, code: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program that has the camera, in a process group of its own as under a terminal."""
    script = camera.control.with_name("program.py")
    script.write_text(_BEGINNING + code)
    tests = str(Path(__file__).parents[1])
    environment = camera.environment()
    environment["PYTHONPATH"] = os.pathsep.join([tests, environment.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def wait_for_end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return stdout and stderr once every process that holds them has ended, children included."""
    return process.communicate(timeout=60)


def hear(process: subprocess.Popen[str]) -> Any:
    """Return the next thing that the program says."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())
