"""edge-run and edge-serve on a terminal: complete lines, and a clean screen after Ctrl-C."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from colour_model import make_card, model_bytes, picture, write_video
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from servers import web
from steps import SOURCE, make_step, wait_for
from terminals import SIZES, Terminal

from seqvision_edge.sinks.terminal import TerminalSink as LiveLines
from seqvision_edge.types import Event

LONG = (
    "Pretending or failing to wipe [something] off of [something] that is far away from here",
    "SwipeRightWithTwoFingersAndThenHoldItThere",
    "手を振る手を振る手を振る手を振る手を振る手を振る手を振る手を振る手を振る手を振る",
    "none",
)
RUN = [sys.executable, "-m", "seqvision_edge"]
SERVE = [sys.executable, "-m", "seqvision_edge.server"]


@pytest.fixture
def camera() -> Iterator[str]:
    """A camera of the network that sees a gesture every two seconds."""

    def gesture(number: int) -> NDArray[object]:
        return picture("red" if number % 40 < 20 else "none")

    with web.WebServer({"/camera": web.mjpeg(gesture)}) as server:
        yield f"{server.url}/camera"


def is_clean(terminal: Terminal, columns: int) -> None:
    """Check what stays on the screen: whole lines, no piece of the live line, a visible cursor."""
    lines = terminal.lines
    assert "Traceback" not in terminal.text
    assert all(cell_len(line) <= columns for line in lines)
    assert not any("━" in line for line in lines), lines
    assert terminal.raw.rfind("\x1b[?25h") >= terminal.raw.rfind("\x1b[?25l")
    assert terminal.left_behind() == []


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_run_on_a_file_leaves_its_events_and_one_line(
    model: Path, tmp_path: Path, columns: int, rows: int
) -> None:
    scenes = [("none", 1.0), ("red", 1.2), ("none", 1.0), ("blue", 1.0), ("none", 0.8)]
    video = write_video(tmp_path / ("clip-with-a-long-name-" + "x" * 30 + ".mp4"), scenes)
    command = [*RUN, "--model", model, "--source", video, "--no-window"]
    with Terminal(command, columns, rows) as terminal:
        assert terminal.wait_exit(120) == 0
        is_clean(terminal, columns)
        header, events = terminal.lines[:-3], terminal.lines[-3:-1]
        assert header[0].startswith("edge-run:")
        # The parts of the first line stay whole.
        assert "window of 6 frames at 10 fps" in terminal.text
        assert [line.split()[2] for line in events] == ["red", "blue"]
        assert re.fullmatch(r"100 frames · .* · 2 events", terminal.lines[-1])


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_ctrl_c_ends_a_live_run_with_one_line(
    model: Path, camera: str, columns: int, rows: int
) -> None:
    command = [*RUN, "--model", model, "--source", camera, "--no-window"]
    with Terminal(command, columns, rows) as terminal:
        terminal.wait_for(r"red .*━.*%.* fps .* s old", 120)
        assert sum("fps" in line and "%" in line for line in terminal.screen) == 1
        terminal.interrupt()
        assert terminal.wait_exit() == 130
        is_clean(terminal, columns)
        # Without an event the last answer follows, and why there was none.
        assert any(re.match(r"\d+ frames · ", line) for line in terminal.lines[-3:])


def test_a_live_line_follows_the_width_of_the_terminal(model: Path, camera: str) -> None:
    command = [*RUN, "--model", model, "--source", camera, "--no-window"]
    with Terminal(command, 120, 30) as terminal:
        terminal.wait_for(r"%.* s old", 120)
        terminal.resize(50, 30)
        wait_for(lambda: [line for line in terminal.screen if re.search(r"━ +\d+%", line)])
        terminal.resize(100, 30)
        wait_for(lambda: [line for line in terminal.screen if "━" * 20 in line])
        terminal.interrupt()
        assert terminal.wait_exit() == 130
        is_clean(terminal, 100)


# A terminal that wraps anew while a line is drawn may keep a piece of it: a matter of milliseconds.
@pytest.mark.timed
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, which wraps lines anew")
def test_rewrapping_terminals_keep_no_rest_of_the_live_line(
    model: Path, camera: str, tmp_path: Path
) -> None:
    tmux = ["tmux", "-L", tmp_path.name, "-f", "/dev/null"]

    def screen() -> list[str]:
        command = [*tmux, "capture-pane", "-p", "-S", "-"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [line for line in output.splitlines() if line.strip()]

    def settled() -> list[str]:
        """Return a screen with a live line on it."""

        def drawn() -> list[str]:
            shown = screen()
            return shown if any(re.search(r"━ +\d+%", each) for each in shown) else []

        return wait_for(drawn, 60)

    program = [*RUN, "--model", str(model), "--source", camera, "--no-window"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):  # a person's shell does not hand these on
        environment.pop(name, None)
    start = [*tmux, "new-session", "-d", "-x", "120", "-y", "24", *program]
    subprocess.run(start, check=True, env=environment)
    try:
        settled()
        for width in ("70", "40", "60"):
            subprocess.run([*tmux, "resize-window", "-x", width], check=True)
            time.sleep(1)  # some drawings
            shown = settled()
            pieces = [each for each in shown if "━" in each or "s old" in each or " fps" in each]
            pieces = [each for each in pieces if "frames at" not in each]
            assert len(pieces) == 1, shown
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_server_prints_its_address_and_ctrl_c_ends_it(
    model: Path, columns: int, rows: int
) -> None:
    with Terminal([*SERVE, model, "--port", "0"], columns, rows) as terminal:
        terminal.wait_for(r"API: http://127\.0\.0\.1:\d+/docs\n", 120)
        terminal.interrupt()
        assert terminal.wait_exit() == 130
        is_clean(terminal, columns)
        assert terminal.lines[-1] == "edge-serve: stopped"
        assert "^C" not in "".join(terminal.lines)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_labels_are_cut_for_the_numbers(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    with LiveLines(LONG, "none", [(SOURCE, "")], console, may_be_unsure=True) as sink:
        for label in LONG:
            shares = {**dict.fromkeys(LONG, 0.0), label: 1.0}
            step = replace(make_step(live=True), smoothed=shares)
            sink.write(replace(step, events=(Event(label, 1, 2, 1.5, 0.93, 2),)))
            at = len(out.getvalue())
            wait_for(lambda at=at: " fps" in out.getvalue()[at:])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    rows = [row for row in re.split(r"[\r\n]+", text) if row.strip()]
    assert all(cell_len(row) <= width for row in rows)
    live = [row for row in rows if "fps" in row]
    assert all("100%" in row for row in live)
    assert len({cell_len(row.partition("%")[0]) for row in live}) == 1, "columns do not move"
    events = [row for row in rows if "●" in row]
    assert len(events) == len(LONG)
    assert len({cell_len(row.partition("%")[0]) for row in events}) == 1
    assert all(re.search(r"93%  1\.0 s$", row) for row in events)


def test_a_model_with_long_labels_keeps_its_line_on_a_small_terminal(
    tmp_path: Path, camera: str
) -> None:
    model = tmp_path / "long.onnx"
    model.write_bytes(model_bytes(make_card(labels=list(LONG))))
    command = [*RUN, "--model", model, "--source", camera, "--no-window"]
    with Terminal(command, 80, 24) as terminal:
        terminal.wait_for(r"Pretending or.*… +━+ +\d+% .*s old", 120)
        terminal.wait_for(r"● Pretending or .*…? +\d+%  \d\.\d s")
        terminal.interrupt()
        assert terminal.wait_exit() == 130
        is_clean(terminal, 80)
