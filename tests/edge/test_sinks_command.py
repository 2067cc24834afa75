"""A command for each event: without a shell, bounded, and never blocking the run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from colour_model import LABELS
from pace import quiet_seconds
from steps import EVENT, events, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.sinks.command import Commands, Reaction, reaction
from seqvision_edge.sinks.outlet import CLOSE_SECONDS, Queued
from seqvision_edge.types import Event


def running(
    label: str | None, code: str, *arguments: str | Path, seconds: float = 20, workers: int = 4
) -> Queued[Any]:
    """Return a sink that runs Python code for each event."""
    command = (sys.executable, "-c", code, *map(str, arguments))
    return Queued(Commands([Reaction(label, command)], seconds), 100, workers=workers)


WRITE = """
import json, os, sys, pathlib
told = {key: value for key, value in os.environ.items() if key.startswith("SEQVISION_")}
given = json.load(sys.stdin)
path = pathlib.Path(sys.argv[1], given["id"])
path.with_suffix(".part").write_text(json.dumps({"env": told, "json": given, "argv": sys.argv}))
path.with_suffix(".part").rename(path.with_suffix(".json"))
"""


@pytest.mark.parametrize("label", ["red", "a/#", "$(touch x)", "`id`; rm -rf .", "\x1b[2J"])
def test_a_command_gets_the_event_as_variables_and_as_json(tmp_path: Path, label: str) -> None:
    event = Event(label, 1.0, 2.25, 1.5, 0.93, 2.3)
    with running(label, WRITE, tmp_path) as sink:
        sink.write(make_step(events=(event,)))
        wait_for(lambda: sink.counts.sent == 1)
    (path,) = tmp_path.iterdir()
    reported = json.loads(path.read_text())
    assert reported["json"]["label"] == label
    assert reported["env"]["SEQVISION_LABEL"] == label
    assert reported["env"]["SEQVISION_SOURCE"] == "camera 0"
    assert reported["env"]["SEQVISION_CONFIDENCE"] == "0.93"
    assert reported["env"]["SEQVISION_ID"] == reported["json"]["id"]


def test_only_events_of_its_label_run_a_command(tmp_path: Path) -> None:
    with running("blue", WRITE, tmp_path) as sink:
        sink.write(make_step(events=(EVENT,)))
    with running(None, WRITE, tmp_path) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_command_that_fails_is_counted() -> None:
    with running(None, "raise SystemExit(3)") as sink:
        for step in events(3):
            sink.write(step)
        wait_for(lambda: sink.counts.failed == 3)
    assert sink.last_error == f"{sys.executable} ended with code 3"


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    hang = """
import subprocess, sys, time, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
path = pathlib.Path(sys.argv[1])
path.with_suffix(".part").write_text(str(child.pid))
path.with_suffix(".part").rename(path)
time.sleep(60)
"""
    with running(None, hang, tmp_path / "pid", seconds=3) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.failed == 1)
        assert "took longer than 3 s" in sink.last_error
    child = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_running(child))


def test_no_more_run_at_once_than_allowed_and_none_after_the_end(tmp_path: Path) -> None:
    hang = """
import os, sys, time, pathlib
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(60)
"""
    with running(None, hang, tmp_path, workers=2) as sink:
        began = time.monotonic()
        for step in events(10):
            sink.write(step)
        assert quiet_seconds(began) < 1
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        began = time.monotonic()
    pids = list(tmp_path.iterdir())
    assert quiet_seconds(began) < CLOSE_SECONDS + 0.5
    assert len(pids) == 2
    assert sink.counts.lost == 10
    for path in pids:
        wait_for(lambda pid=int(path.name): not is_running(pid))


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_a_user_writes_is_read() -> None:
    written = reaction("red=echo 'two words' $HOME", LABELS)
    assert written == Reaction("red", ("echo", "two words", "$HOME"))
    assert reaction("*=echo", LABELS).label is None
    assert reaction("*=echo", ["*", "a"]).label is None
    assert reaction(r"\*=echo", ["*", "a"]).label == "*"
    assert reaction(r"\*=echo", ["*", r"\*"]).label == r"\*"
    assert reaction("a=b=echo", ["a", "a=b"]).label == "a=b"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("purple=echo", "the labels are red, green, blue, none"),
        ("echo", "begin with LABEL="),
        ("red=", "no such command"),
        ("red=no-such-command x", "no such command"),
        ("red=echo 'x", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_run_is_one_line(text: str, output: str) -> None:
    with pytest.raises(SinkError, match=output):
        reaction(text, LABELS)


@pytest.mark.parametrize(
    ("executable", "is_frozen"),
    [("", False), ("/nowhere/python", False), (sys.executable, True)],
    ids=["no Python", "a Python that is gone", "a frozen program"],
)
def test_commands_run_without_a_guard_where_there_is_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str, is_frozen: bool
) -> None:
    sink = running(None, WRITE, tmp_path)
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "frozen", is_frozen, raising=False)
    with sink:
        outlet: Any = sink._outlet
        assert outlet._guard is None
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_a_guard_that_does_not_end_is_killed() -> None:
    commands = Commands([])
    commands.open()
    guard = commands._guard
    assert guard is not None
    guard.send_signal(signal.SIGSTOP)
    closing = threading.Thread(target=commands.close, daemon=True)
    closing.start()
    closing.join(20)
    has_ended = guard.poll() is not None
    guard.kill()
    assert has_ended


def test_what_a_command_leaves_in_the_background_goes_on(tmp_path: Path) -> None:
    leave = """
import subprocess, sys, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
"""
    with running(None, leave, tmp_path / "pid") as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)
    child = int((tmp_path / "pid").read_text())
    try:
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)


RUN = """
import sys, time
from steps import EVENT, make_step
from test_sinks_command import running
hang = (
    "import subprocess, sys, os, time, pathlib\\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\\n"
    "path = pathlib.Path(sys.argv[1])\\n"
    "path.with_suffix('.part').write_text(f'{os.getpid()} {child.pid}')\\n"
    "path.with_suffix('.part').rename(path)\\n"
    "time.sleep(60)\\n"
)
with running(None, hang, sys.argv[1], seconds=50) as sink:
    sink.write(make_step(events=(EVENT,)))
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_commands_and_their_children_end_with_a_run_that_is_killed(
    tmp_path: Path, number: int
) -> None:
    here = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    pids = tmp_path / "pids"
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(pids)], env=os.environ | {"PYTHONPATH": here}
    )
    try:
        wait_for(pids.exists, 60)
        run.send_signal(number)
        run.wait()
        for pid in map(int, pids.read_text().split()):
            wait_for(lambda pid=pid: not is_running(pid))
    finally:
        run.kill()
        run.wait()
