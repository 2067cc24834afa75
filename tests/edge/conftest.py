"""Fixtures of the edge tests; their parts are in `colour_model`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from colour_model import model_bytes, write_video
from fake_camera.camera import CountingCamera
from fake_camera.program import program

from seqvision_edge.session import Session
from seqvision_edge.sinks import outlet

if TYPE_CHECKING:
    import httpx
    from served import Running


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The colour model as a file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes())
    return path


@pytest.fixture(scope="module")
def session() -> Session:
    """The colour model, loaded once for a file of tests."""
    return Session(model_bytes(), "cpu")


@pytest.fixture(scope="module")
def server(session: Session) -> "Iterator[Running]":
    """A server of the colour model."""
    from served import serving

    with serving(session) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: "Running") -> "Iterator[httpx.Client]":
    """A client of that server."""
    with server.client() as opened:
        yield opened


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Four seconds: nothing, red, nothing, blue, nothing."""
    scenes = [("none", 1.0), ("red", 1.2), ("none", 1.0), ("blue", 1.0), ("none", 0.8)]
    return write_video(tmp_path / "colours.mp4", scenes)


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a screen."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.fixture
def run_python() -> Callable[..., Any]:
    """Run Python code in a process of its own and return what it did."""

    def go(code: str, *arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)

    return go


@pytest.fixture
def run_with_camera(camera: CountingCamera) -> Callable[[str], list[Any]]:
    """Run a program to its end and return its output; any output on stderr is a failure."""

    def go(code: str) -> list[Any]:
        with program(camera, code) as process:
            output, complained = process.communicate(timeout=120)
        assert complained == "", complained
        assert process.returncode == 0
        return [json.loads(line) for line in output.splitlines()]

    return go


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let outputs write all that waits at the end of a run, however busy the machine is."""
    monkeypatch.setattr(outlet.close_all, "__defaults__", (60.0,))
