"""Two commands that write to the same place: the second is refused by a line, the first goes on."""

import os
import signal
import sys
from pathlib import Path

import pytest
from steps import wait_for
from writing_commands import WORDS, Dirs, prepare

pytest.importorskip("torch", reason="needs the training package")

from preloaded import Command, run

from seqvision_edge.files import alone_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

# Stops itself once it holds a lock: until then another command could win, and soon it has ended.
STOPS = """
import os, signal, sys
from seqvision_edge import files
is_at = files._is_at
def stop(handle, path):
    found = is_at(handle, path)
    if found and path.name.endswith(".seqvision-lock"):
        os.kill(os.getpid(), signal.SIGSTOP)
    return found
files._is_at = stop
from seqvision.cli import main
sys.exit(main())
"""
REFUSALS = {
    "train": "another process trains in it",
    "self-train": "another process trains in it",
    "export": "another process is writing this file",
    "calibrate": "another process is writing this file",
    "segment": "another process adds clips to it",
}
# Those whose run folder has to be there before it can be gone on with.
RESUMED = ("train", "self-train")


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("name", REFUSALS)
def test_a_second_process_is_refused_and_a_killed_one_frees_its_lock(
    name: str, data: Path, model: Path, tmp_path: Path
) -> None:
    dirs = Dirs(data, model, tmp_path / "work")
    dirs.work.mkdir()
    prepare(name, dirs)
    words = ["seqvision", *WORDS[name](dirs)]
    if name in RESUMED:
        assert run(words).returncode == 0
        (folder,) = (dirs.work / "runs").iterdir()
        words = ["seqvision", name, "--resume", str(folder)]
    with Command(words, code=STOPS) as first:
        wait_for(lambda: first.poll() is not None or is_stopped(first.pid), 120)
        assert first.poll() is None, first.communicate(10)
        (lock,) = dirs.work.rglob("*.seqvision-lock")
        before = {path for path in dirs.work.rglob("*") if path.is_file()}
        second = run(words)
        assert second.returncode == 2, second.stderr
        assert REFUSALS[name] in second.stderr.splitlines()[-1]
        assert "Traceback" not in second.stderr
        assert {path for path in dirs.work.rglob("*") if path.is_file()} == before
        if name == "segment":
            os.kill(first.pid, signal.SIGCONT)
            assert first.wait(120) == 0
        else:
            first.kill()
            first.wait(30)
            with alone_in(lock.parent, "" if name in RESUMED else WRITTEN[name]) as held:
                assert held
    assert list(dirs.work.rglob("*.seqvision-lock")) == []


WRITTEN = {"export": "m.onnx", "calibrate": "c.pt"}
