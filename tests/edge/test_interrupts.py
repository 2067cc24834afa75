"""Ctrl-C and SIGTERM at any time: one exception, raised once, and a clean shutdown."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import interrupted
import pytest
from colour_model import model_bytes, write_video
from conftest import square_clip, write_frames
from steps import Gate, make_step
from terminals import Terminal

from seqvision_edge import interrupts
from seqvision_edge.files import unfinished_file
from seqvision_edge.interrupts import DeferredSignals, Interrupts, Terminated, end_on_sigterm
from seqvision_edge.sinks import outlet as queued
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.sources.factory import open_path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")

EDGE_RUN = "from seqvision_edge.entry_points import edge_run; sys.exit(edge_run())"
EDGE_SERVE = "from seqvision_edge.entry_points import edge_serve; sys.exit(edge_serve())"
ALL = os.environ.get("SEQVISION_FUZZ") == "all"


def press(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give back the handlers of the test run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still: its time is the item."""
    now = [100.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    return now


# ---- one exception ----


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_second_signal_within_a_second_is_the_same_request(
    clock: list[float], number: signal.Signals, kind: type[BaseException]
) -> None:
    with Interrupts() as context:
        end_on_sigterm()
        with pytest.raises(KeyboardInterrupt) as first:
            press(number)
        assert first.type is kind
        assert context.requested == number
        clock[0] += 0.9
        press(signal.SIGINT)
        press(signal.SIGTERM)
        clock[0] += 0.2
        with pytest.raises(kind):
            press(signal.SIGINT)


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        end_on_sigterm()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before


def test_ignored_ctrl_c_stays_ignored() -> None:
    """As in the background of a script."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts(), DeferredSignals():
        press()


def test_handler_of_another_program_stays() -> None:
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    with Interrupts():
        press()
        with DeferredSignals():
            press()
            assert len(came) == 1
        assert len(came) == 2


PROGRAM = """
import gc, os, signal, sys, time
from seqvision_edge import command_line
from seqvision_edge.errors import SeqvisionError

def press():
    os.kill(os.getpid(), signal.SIGINT)

class Torn:
    def __del__(self):
        press()
        time.sleep(0)

def in_destructor():
    Torn()
    for _ in range(600):  # without the interrupt it would work on
        time.sleep(0.05)
    return 0

def in_callback_of_c_code():
    gc.callbacks.append(lambda *_: (gc.callbacks.clear(), press(), time.sleep(0)))
    gc.collect()
    for _ in range(600):
        time.sleep(0.05)
    return 0

def becomes_import_error():
    try:
        press()
        time.sleep(0)
    except KeyboardInterrupt:
        raise ImportError("numpy.core.multiarray failed to import") from None

def becomes_mistake():
    try:
        press()
        time.sleep(0)
    except KeyboardInterrupt:
        raise SeqvisionError("the stream ended") from None

sys.exit(command_line.run_command(globals()[sys.argv[1]]))
"""


@pytest.mark.parametrize(
    "where",
    ["in_destructor", "in_callback_of_c_code", "becomes_import_error", "becomes_mistake"],
)
def test_interrupt_is_neither_lost_nor_taken_for_a_fault(
    run_python: Callable[..., Any], where: str
) -> None:
    done = run_python(PROGRAM, where)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_program_that_has_ended_is_not_interrupted(run_python: Callable[..., Any]) -> None:
    done = run_python(
        "import atexit, os, signal, sys, time\n"
        "from seqvision_edge.entry_points import start\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    atexit.register(lambda number=number: (os.kill(os.getpid(), number), time.sleep(0)))\n"
        "sys.exit(start(lambda: lambda: 3))\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_fork_leaves_ctrl_c_to_its_parent() -> None:
    with Interrupts():
        child = os.fork()
        if child == 0:
            try:
                press()
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0


# ---- what must not be torn ----


def test_interrupt_waits_for_the_end_of_a_block() -> None:
    done = []

    def work() -> None:
        with DeferredSignals():
            press()
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]


def test_interrupt_that_waits_is_raised_by_check(clock: list[float]) -> None:
    with DeferredSignals() as held:
        interrupts.check()
        press()
        assert interrupts.is_waiting()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        clock[0] += 1.1
        press()
        with pytest.raises(KeyboardInterrupt), held.released():
            pass
        assert not interrupts.is_waiting()


def test_second_press_within_a_second_does_not_hurry_the_end(clock: list[float]) -> None:
    """What is written after the first one would be lost."""
    with DeferredSignals():
        press()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        clock[0] += 0.9
        press()
        assert not interrupts.is_waiting()


def test_later_signal_ends_a_block_that_is_stuck(clock: list[float]) -> None:
    with Interrupts(), DeferredSignals():
        press()
        press()
        clock[0] += 1.1
        with pytest.raises(KeyboardInterrupt):
            press()


def test_block_of_another_thread_changes_nothing() -> None:
    found = []

    def work() -> None:
        with DeferredSignals():
            found.append(signal.getsignal(signal.SIGINT))
            interrupts.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_interrupt_ends_a_write_that_waits_for_a_dead_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "SAME_REQUEST", -1.0)
    queue = Queued(Gate(), 1, waits=True)

    def work() -> None:
        with DeferredSignals():
            queue.__enter__()
            try:
                press()
                for index in range(9):
                    queue.write(make_step(index))
            finally:
                press()
                queued.close_all([queue], 600.0)

    with pytest.raises(KeyboardInterrupt):
        work()


def test_interrupted_temporary_file_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.open

    def interrupted(*arguments: Any) -> int:
        handle = make(*arguments)
        press()
        return handle

    made = unfinished_file(tmp_path, "a", ".txt")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.__enter__()
    assert list(tmp_path.iterdir()) == []


# ---- programs ----

# What takes long to import, and is interrupted elsewhere.
IMPORTED = (
    "import seqvision_edge.cli, seqvision_edge.runner, seqvision_edge.sinks.factory, "
    "av, onnxruntime"
)
RUN = ["short.mp4", "--json", "a.jsonl", "--save", "out.mp4", "--clips", "clips"]
# A server that ends when it has begun.
SERVED = """
import seqvision_edge.server.cli
from seqvision_edge.server.http_server import Server
serve = Server.main_loop
async def end(self):
    self.should_exit = True
    await serve(self)
Server.main_loop = end
"""
PROGRAMS = {
    "edge-run": (EDGE_RUN, RUN, IMPORTED),
    "edge-run of two, with a page": (
        EDGE_RUN,
        ["short.mp4", "frames", "--web", "127.0.0.1:0", "--metrics", "127.0.0.1:0",
         "--on-event", "*=true", "--mqtt", "mqtt://127.0.0.1:9"],
        f"{IMPORTED}, seqvision_edge.server.app",
    ),
    "edge-serve": (EDGE_SERVE, ["model.onnx", "--port", "0"], SERVED),
}  # fmt: skip


HIDDEN = """
import os, signal, sys
from rich.console import Console
show = Console.show_cursor
def press(self, is_shown=True):
    done = show(self, is_shown)
    if not is_shown:
        os.kill(os.getpid(), signal.SIGINT)
    return done
Console.show_cursor = press
"""


def test_interrupt_as_the_cursor_is_hidden_shows_it_again(material: Path, no_display: None) -> None:
    command = [sys.executable, "-c", HIDDEN + EDGE_RUN, "short.mp4"]
    with Terminal(command, cwd=material) as terminal:
        assert terminal.wait_exit() == 130, terminal.text
        hidden, shown = terminal.raw.rfind("\x1b[?25l"), terminal.raw.rfind("\x1b[?25h")
    assert -1 < hidden < shown
    assert "Traceback" not in terminal.text


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a short video and pictures; tests must not write to it."""
    made = tmp_path_factory.mktemp("interrupted")
    (made / "model.onnx").write_bytes(model_bytes())
    write_video(made / "short.mp4", [("none", 0.5), ("red", 1.0), ("none", 0.5)])
    write_frames(made / "frames", square_clip(1, 0))
    return made


@pytest.mark.fuzz
@pytest.mark.parametrize("name", list(PROGRAMS))
def test_program_interrupted_at_any_step_ends_cleanly(
    tmp_path: Path,
    material: Path,
    no_display: None,
    record_property: Callable[[str, object], None],
    name: str,
) -> None:
    program, words, before = PROGRAMS[name]

    def run(folder: str, at: int = 0, **more: int) -> interrupted.Ended:
        work = tmp_path / folder
        work.mkdir()
        for each in material.iterdir():
            (work / each.name).symlink_to(each)
        return interrupted.run(program, words, work, at, before=before, **more)

    whole = run("whole")
    # 3: nobody takes what is sent to the broker.
    assert whole.code == (3 if "--mqtt" in words else 0), whole.printed
    count = 100 if ALL else 2
    for index, at in enumerate(interrupted.moments(7, whole.steps, count)):
        number = (signal.SIGINT, signal.SIGTERM)[index % 3 == 2]
        ended = run(str(index), at, number=number, signals=1 + index % 2)
        work = tmp_path / str(index)
        interrupted.check_clean(ended, work, number, whole.code)
        for path in work.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                json.loads(line)
        for path in (*work.glob("out.mp4"), *work.glob("clips/*.mp4")):
            with open_path(path) as source:
                assert len(list(source)) > 0
    record_property("tried", ("interrupts of programs", count))
