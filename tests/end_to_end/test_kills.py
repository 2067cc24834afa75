"""Commands that are killed or interrupted at any moment: whole files, no processes left, and the
next one goes on.

A moment is a change in the folders that a command writes to, so a slow machine changes nothing.
One or two moments of three commands are tried always, twenty of each by `SEQVISION_FUZZ=all`.
"""

import contextlib
import csv
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import interrupted
import pytest
from writing_commands import WORDS, Dirs, prepare

pytest.importorskip("torch", reason="needs the training package")

from preloaded import SEQVISION, Preloaded, run, seqvision_code

from seqvision.training.model_io import load_model
from seqvision_edge.onnx_validation import read_model
from seqvision_edge.sources.factory import open_path

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]
ALL = os.environ.get("SEQVISION_FUZZ") == "all"
# How many moments are tried always, a kill first; an export takes longest.
OFTEN = {"train": 2, "export": 1, "record": 2}


def check_models(dirs: Dirs) -> None:
    # What is hidden is unfinished.
    for path in [*dirs.work.glob("[!.]*.pt"), *dirs.work.glob("runs/*/model.pt")]:
        load_model(path)
    for path in dirs.work.glob("[!.]*.onnx"):
        read_model(path)


def check_takes(dirs: Dirs) -> None:
    takes = dirs.work / "takes"
    if not (takes / "clips.csv").exists():
        return
    with (takes / "clips.csv").open(newline="") as file:
        listed = {row["path"] for row in csv.DictReader(file)}
    there = {path.relative_to(takes).as_posix() for path in takes.glob("*/*.m[kp]*")}
    # A film gets its name before its line: one that was killed between has no line.
    assert listed <= there
    for path in there:
        with open_path(takes / path) as source:
            assert len(list(source)) >= 10


COMMANDS: dict[str, tuple[Callable[[Dirs], None], int]] = {
    "train": (check_models, 60),
    "export": (check_models, 8),
    "calibrate": (check_models, 20),
    "tune": (check_models, 60),
    "self-train": (check_models, 60),
    "record": (check_takes, 30),
}


@pytest.mark.parametrize("name", COMMANDS if ALL else OFTEN)
def test_a_killed_command_leaves_whole_files_and_resumes(
    name: str,
    data: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    dirs = Dirs(data, model, tmp_path / "work")
    (dirs.work / "tmp").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", dirs.path("tmp"))
    prepare(name, dirs)
    words, (check, changes) = WORDS[name], COMMANDS[name]
    generator = random.Random(f"{name} 2026")
    moments = 20 if ALL else OFTEN[name]
    for number in range(moments):
        moment = generator.randrange(1, changes)
        if number % 2:
            interrupted_at_change(words(dirs), dirs.work, moment)
        else:
            at_change(words(dirs), dirs.work, moment, signal.SIGKILL)
        check(dirs)
    done = run(["seqvision", *words(dirs)], code=seqvision_code([name]))
    assert done.returncode in ((0, 3) if name == "record" else (0,)), done.stderr
    check(dirs)
    left = [path for path in dirs.work.rglob("*") if ".unfinished" in path.name]
    assert left == []
    # Libraries have files of their own there.
    assert not list((dirs.work / "tmp").glob("*seqvision*"))
    record_property("tried", ("moments of a SIGKILL", moments - moments // 2))
    record_property("tried", ("moments of a Ctrl-C", moments // 2))


def interrupted_at_change(words: list[str], folder: Path, change: int) -> None:
    """Press Ctrl-C, once or twice, as soon as so many changes of the folder were seen."""
    killed_before = set(folder.rglob("*.unfinished*"))
    code, printed = at_change(words, folder, change, *[signal.SIGINT] * (1 + change % 2))
    assert code in (0, 3, 130, -signal.SIGINT), printed
    assert not [word for word in interrupted.TORN if word in printed], printed
    assert set(folder.rglob("*.unfinished*")) <= killed_before, printed


def at_change(words: list[str], folder: Path, change: int, *numbers: int) -> tuple[int, str]:
    """Run a command, send it signals once so many changes of the folder were seen, see it all end.

    Returns:
        its exit code, and what it printed.
    """
    with tempfile.TemporaryFile("w+") as output, Path(os.devnull).open() as nothing:
        files = (nothing.fileno(), output.fileno(), output.fileno())
        process = Preloaded(["seqvision", *words], SEQVISION, Path.cwd(), os.environ, files)
        watch(process, folder, change, *numbers)
        output.seek(0)
        return process.wait(0), output.read()


def watch(process: Preloaded, folder: Path, change: int, *numbers: int) -> None:
    """Signal all processes of a command once so many changes of the folder were seen."""
    seen, before = 0, state_of(folder)
    while process.poll() is None and seen < change:
        now = state_of(folder)
        seen += now != before
        before = now
        time.sleep(0.002)
    for number in numbers:
        # Only the first process is killed, as by a system without memory; Ctrl-C is for all.
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.kill(process.pid, number)
            else:
                os.killpg(process.pid, number)
    process.wait(120)
    until = time.monotonic() + 60
    while left := session_of(process.pid):
        assert time.monotonic() < until, f"left {left}"
        time.sleep(0.02)


def state_of(folder: Path) -> set[tuple[str, int]]:
    """Return what is in a folder, with sizes."""
    found = set()
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)  # noqa: PTH118
            try:
                found.add((path, os.stat(path).st_size >> 12))  # noqa: PTH116
            except OSError:
                continue
    return found


def session_of(leader: int) -> list[str]:
    """Return the processes of a session that live, as they were started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] not in "ZX":
                found.append(stat.with_name("cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError):
            continue
    return found
