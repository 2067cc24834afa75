"""A camera's password, searched for in all output of a run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import rtsp
from servers.rtsp import RtspServer
from servers.web import WebServer

from seqvision_edge import cli

USER, SECRET = "viewer", "hush9Zx"


def processes_of(pid: int) -> Iterator[Path]:
    """Yield the folder in /proc of a process and of its children, theirs included."""
    yield Path(f"/proc/{pid}")
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes_of(int(child))


def names_of(pid: int) -> str:
    """Return what any user of the machine sees of a process: command lines and thread names."""
    shown = ""
    for process in processes_of(pid):
        files = [process / "cmdline", *process.glob("task/*/comm")]
        shown += "\n".join(file.read_text().replace("\0", " ") for file in files)
    return shown


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.skipif(rtsp.missing() is not None, reason=str(rtsp.missing()))
def test_no_password_is_in_anything_that_a_run_shows_or_writes(tmp_path: Path, model: Path) -> None:
    log, cameras = tmp_path / "run.jsonl", tmp_path / "cameras.yaml"
    with RtspServer(account=f"{USER}:{SECRET}") as camera, WebServer({}) as other:
        here = f"{USER}:${{CAM_PASSWORD}}@127.0.0.1:{camera.port}"
        cameras.write_text(f"door: rtsp://{here}/cam\nyard: rtsp://{here}/nope\n")
        environment = os.environ | {
            "CAM_URL": f"rtsp://{USER}:{SECRET}@127.0.0.1:{rtsp.free_port()}/{SECRET}/cam",
            "CAM_PASSWORD": SECRET,
        }
        query = f"{other.url}/video?token=${{CAM_PASSWORD}}"
        command = [sys.executable, "-m", "seqvision_edge", "--model", model, "--no-window"]
        sources = ["--sources", cameras, "--source", "env:CAM_URL", "--source", query]
        process = subprocess.Popen(
            [*command, *sources, "--json", log],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            # The one that works answers; each of the others has failed by then.
            wait_for(lambda: log.exists() and log.read_text().count('"prediction"') > 3, process)
            wait_for(lambda: len(other.hits) > 0, process)
            shown = names_of(process.pid)
            assert "multiprocessing" in shown
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=120)
        requested = [path for path in other.hits if SECRET in path]
    assert process.returncode == 143, err
    assert requested, "the server itself gets the token"
    assert "on CAM_URL, http://127.0.0.1:" in err
    assert "token=***, door, yard" in err
    for text in (shown, out, err, log.read_text()):
        assert SECRET not in text


@pytest.mark.parametrize(
    "arguments",
    [
        [f"rtsp://{USER}:{SECRET}@cam:port/1"],
        [f"--sorce=rtsp://{USER}:{SECRET}@cam/1"],
        ["--source", f"ftp://{USER}:{SECRET}@cam/1"],
        ["--source", f"rtsp://{USER}:{SECRET}@cam:port/1"],
        ["--source", f"rtsp://{USER}:{SECRET} @cam/1"],
        ["--source", f"http://cam/ 1?password={SECRET}"],
        ["--camera", f"rtsp://{USER}:{SECRET}@cam/1"],
        ["--sources", f"rtsp://{USER}:{SECRET}@cam/1"],
        ["--stdin-size", f"rtsp://{USER}:{SECRET}@cam/1"],
        ["--model", f"rtsp://{USER}:{SECRET}@cam/1", "--source", "x"],
    ],
)
def test_an_error_message_never_contains_the_password(
    arguments: list[str], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--model", str(model), *arguments]) == 2
    output = capsys.readouterr()
    assert SECRET not in output.out + output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("command", ["seqvision_edge", "python"])
def test_a_run_leaves_no_foreign_files_and_sends_no_telemetry(
    command: str, tmp_path: Path, model: Path, video: Path
) -> None:
    """onnxruntime keeps what it reports to its maker, and the device's identifier, in two folders.

    It is silent by itself if a variable marks a test run.
    """
    folders = {name: tmp_path / name.lower() for name in ("TMPDIR", "XDG_CACHE_HOME", "HOME")}
    for folder in folders.values():
        folder.mkdir()
    quiet = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {name: str(folder) for name, folder in folders.items()}
    words = [sys.executable, "-m", "seqvision_edge", "--model", model, "--source", video,
             "--no-window"]  # fmt: skip
    if command == "python":
        code = "import seqvision_edge, sys; seqvision_edge.Model(sys.argv[1]).predict(sys.argv[2])"
        words = [sys.executable, "-c", code, model, video]
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    left = {path for folder in folders.values() for path in folder.rglob("*")}
    ours = folders["XDG_CACHE_HOME"] / "seqvision"
    assert [path for path in left if path != ours and ours not in path.parents] == []
