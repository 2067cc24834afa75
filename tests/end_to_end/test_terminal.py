"""The commands typed in a terminal, with default workers: they run to their end, Ctrl-C ends them,
a crash in the middle leaves nothing behind, and what is said about it is true.
"""

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from conftest import square_clip, write_frames, write_squares, write_video
from once import once
from preloaded import SEQVISION
from terminals import SIZES, Terminal

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal is one of POSIX", allow_module_level=True)

BIN = Path(sys.executable).parent
SMALL, LARGE = SIZES
TRAIN = ("train", "frames/", "--size", "16", "--encoder", "flatten", "--epochs", "2")
LONG = (*TRAIN[:-1], "5000", "--patience", "0")
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def typed(
    folder: Path,
    *command: str,
    size: tuple[int, int] = SMALL,
    before: str = "",
    from_nothing: bool = False,
) -> Terminal:
    """Type a command in `folder`; the code `before` runs in its process first.

    A command of seqvision runs in a process that has torch already, unless it is to start
    `from_nothing`.
    """
    name, *rest = command
    words = [str(BIN / name), *rest]
    environment = {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}
    code = None
    if name == "seqvision" and not from_nothing:
        code = f"import sys\n{before}\n{SEQVISION}"
    return Terminal(words, *size, cwd=folder, env=environment, code=code)


def ended(terminal: Terminal, code: int, timeout: float = 120) -> list[str]:
    """Return the lines of a command that has ended as it should, and left the terminal clean."""
    assert terminal.wait_exit(timeout) == code, "\n".join(terminal.lines)
    assert not terminal.left_behind(), "no process stays behind"
    lines = terminal.lines
    assert terminal.raw.rfind(SHOW) >= terminal.raw.rfind(HIDE), "the cursor is back"
    assert not [line for line in lines if re.search(r"[━╸╺]{4}.*(left|\d/\d)", line)], lines
    for line in re.split(r"[\r\n]+", terminal.text):
        # A longer one is torn at the edge; a command and a traceback are to be copied.  Behind the
        # ^C that the terminal writes into a bar, the bar is drawn anew.
        if not line.startswith("  ") and " " in line.strip() and "^C" not in line:
            assert len(line.rstrip()) <= terminal.columns, line
    assert not [line for line in lines if "leaked" in line or "Exception ignored" in line], lines
    return lines


@pytest.fixture(scope="module")
def trained() -> Path:
    """A folder in which the three commands were typed, as far as a model.onnx."""
    return once("terminal", train_and_export)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A folder of this test's own, with clips and models."""
    (tmp_path / "frames").symlink_to(trained / "frames")
    for name in ("model.pt", "model.onnx", "model.onnx.report.json"):
        shutil.copy(trained / name, tmp_path / name)
    (run,) = (trained / "runs").iterdir()
    for name in ("one", "two"):
        shutil.copytree(run, tmp_path / "runs" / name)
    write_marked_video(tmp_path, 40)
    return tmp_path


def write_marked_video(folder: Path, frames: int) -> None:
    """Write a video in which two things happen, and when."""
    write_video(folder / "long.mp4", square_clip(1, 3, frames))
    (folder / "marks.csv").write_text("start,end,label\n0.5,1.5,wave\n2.5,3.5,clap\n")


@pytest.fixture
def clips(trained: Path, tmp_path: Path) -> Path:
    """A folder of this test's own, with clips only."""
    (tmp_path / "frames").symlink_to(trained / "frames")
    return tmp_path


def train_and_export(folder: Path) -> None:
    write_squares(folder / "frames", 6, ("left", "none", "right"))
    for name, command in (("train", TRAIN), ("export", ("export", "model.pt"))):
        with typed(folder, "seqvision", *command, from_nothing=True) as terminal:
            lines = ended(terminal, 0, 300)
            shown = {"lines": lines, "text": terminal.text}
            (folder / f"{name}.json").write_text(json.dumps(shown))


def test_training_prints_each_epoch_and_ends(trained: Path) -> None:
    shown = json.loads((trained / "train.json").read_text())
    assert [line[:11] for line in shown["lines"] if line.startswith("epoch ")] == [
        "epoch   1/2", "epoch   2/2",
    ]  # fmt: skip
    before_decoding = shown["text"].split("decoding", 1)[0]
    assert "loading torch" not in before_decoding, "clips are decoded while torch is imported"
    assert max(map(len, shown["lines"])) <= SMALL[0]
    assert shown["lines"][-1] == "model.pt written; next: seqvision export model.pt"


def test_the_export_prints_its_steps(trained: Path) -> None:
    shown = json.loads((trained / "export.json").read_text())["text"]
    assert shown.index("converting the network") < shown.index("proving it in a fresh process")
    assert "next: edge-run --camera 0" in shown


def test_training_on_a_large_terminal_shows_the_time_left_for_all_epochs(clips: Path) -> None:
    with typed(clips, "seqvision", *LONG, size=LARGE) as terminal:
        terminal.wait_for(r"epoch \d+/5000 .*left", 120)
        # Thousands of epochs are left, not the rest of this one.
        found = terminal.wait_for(r"epoch \d+/5000 \S* *(?:(\d+):)?(\d+):(\d\d) left", 60)
        hours, minutes, seconds = (int(number or 0) for number in found.groups())
        assert hours * 3600 + minutes * 60 + seconds > 10
        terminal.wait_for(r"^epoch +2/5000 .*accuracy", 60)
        terminal.interrupt()
        lines = ended(terminal, 130)
    (run,) = (clips / "runs").iterdir()
    whole = " ".join(lines)
    assert re.search(r"stopped; epoch \d+ is kept, the best of \d+, and becomes model\.pt", whole)
    assert f"seqvision train --resume runs/{run.name}" in whole
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (clips / "model.pt").is_file()


SLOW_STEPS = """
import time, seqvision.training.lightning_module as m
step = m.ClassifierModule.training_step
def slow(self, *given):
    print("a step", file=sys.stderr)
    time.sleep(0.2)
    return step(self, *given)
m.ClassifierModule.training_step = slow
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_kept_before_the_first_complete_epoch(clips: Path, number: int) -> None:
    command = ("seqvision", *LONG, "--batch-size", "1")
    with typed(clips, *command, before=SLOW_STEPS) as terminal:
        terminal.wait_for("a step", 120)
        if number == signal.SIGINT:
            terminal.interrupt()
        else:
            os.kill(terminal.pid, number)
        lines = ended(terminal, 128 + number)
    assert lines[-1] == "stopped; no epoch was complete, so nothing is kept"
    assert not (clips / "model.pt").exists()
    assert not list((clips / "runs").iterdir())


def crash(where: str, when: str) -> str:
    """Return code that lets a function fail once `when` holds of its object and arguments."""
    module, kind, name = where.split(":")
    return f"""
import {module} as m
real = m.{kind}.{name}
def broken(self, *given):
    if {when}:
        raise ZeroDivisionError("a fault of the test")
    return real(self, *given)
m.{kind}.{name} = broken
"""


IN_A_STEP = crash("seqvision.training.lightning_module:ClassifierModule:training_step",
                  "self.current_epoch == 1")  # fmt: skip
IN_A_WORKER = crash("seqvision.data.dataset:ClipDataset:__getitem__", "given[0][0] == 1")
IN_THE_DISPLAY = crash("seqvision.training.callbacks:EpochLines:_draw",
                       "given[0].current_epoch == 1")  # fmt: skip


@pytest.mark.parametrize("where", [IN_A_STEP, IN_A_WORKER], ids=["step", "worker"])
def test_a_crash_ends_a_training_and_names_what_is_kept(clips: Path, where: str) -> None:
    with typed(clips, "seqvision", *LONG, before=where) as terminal:
        lines = ended(terminal, 1)
    assert any(line.startswith("Traceback") for line in lines)
    (run,) = (clips / "runs").iterdir()
    whole = " ".join(lines)
    assert f"1 epoch is kept in runs/{run.name}" in whole
    assert f"seqvision train --resume runs/{run.name}" in whole
    assert "becomes model.pt" not in whole


def test_a_failing_display_does_not_end_the_training(clips: Path) -> None:
    with typed(clips, "seqvision", *TRAIN, before=IN_THE_DISPLAY) as terminal:
        lines = ended(terminal, 0)
    assert len([line for line in lines if "continues without its display" in line]) == 1
    assert lines[-1] == "model.pt written; next: seqvision export model.pt"


def test_a_killed_worker_is_one_line(clips: Path) -> None:
    with typed(clips, "seqvision", *LONG) as terminal:
        terminal.wait_for(r"^epoch +1/5000 .*accuracy", 120)
        os.kill(max(pid for pid in terminal.processes() if pid != terminal.pid), signal.SIGKILL)
        lines = ended(terminal, 2)
    whole = " ".join(lines)
    assert "a process that loads clips was killed" in whole
    assert re.search(r"epochs? (is|are) kept in runs/", whole)
    assert "Traceback" not in whole


def test_a_full_disk_at_the_first_checkpoint_keeps_nothing(clips: Path, small_disk: Path) -> None:
    with typed(clips, "seqvision", *TRAIN, "--runs", str(small_disk)) as terminal:
        lines = ended(terminal, 2)
    whole = " ".join(lines)
    assert "cannot be written" in whole
    assert "no epoch was complete, so nothing is kept" in whole
    assert not (clips / "model.pt").exists()


TUNE = ("tune", "frames/", "--size", "16", "--encoder", "flatten", "--no-latency")


def test_a_stopped_search_is_finished_by_the_same_command(clips: Path) -> None:
    command = ("seqvision", *TUNE, "--trials", "2")
    with typed(clips, *command, "--epochs", "500", size=LARGE) as terminal:
        terminal.wait_for(r"trial 1/2, epoch \d+/500", 120)
        terminal.interrupt()
        lines = ended(terminal, 130)
    assert "stopped; 0 of 2 trials are kept in" in " ".join(lines)
    shutil.rmtree(clips / "runs")
    with typed(clips, *command, "--epochs", "2", size=LARGE) as terminal:
        lines = ended(terminal, 0)
    assert [line for line in lines if line.startswith("2/2  trial 1")]
    assert lines[-1] == "model.pt written; next: seqvision export model.pt"


def test_a_crash_in_a_trial_leaves_a_clean_terminal(clips: Path) -> None:
    command = ("seqvision", *TUNE, "--trials", "2", "--epochs", "3")
    with typed(clips, *command, before=IN_A_STEP) as terminal:
        lines = ended(terminal, 1)
    assert any("ZeroDivisionError" in line for line in lines)


@pytest.fixture
def unlabelled(folder: Path) -> Path:
    """A folder with a pool of clips that are not among the labelled ones."""
    for seed in (1001, 1002, 1003):
        write_frames(folder / "more" / "right" / str(seed), square_clip(1, seed))
    return folder


def student(folder: Path, epochs: int) -> tuple[str, ...]:
    return ("seqvision", "self-train", "model.pt", "frames/", "more/right", "--rounds", "1",
            "--threshold", "0.1", "--views", "0", "--epochs", str(epochs))  # fmt: skip


def test_a_self_training_ends(unlabelled: Path) -> None:
    with typed(unlabelled, *student(unlabelled, 2), size=LARGE) as terminal:
        lines = ended(terminal, 0)
    assert any(line.startswith("round 1: ") for line in lines)


def test_a_self_training_is_stopped(unlabelled: Path) -> None:
    with typed(unlabelled, *student(unlabelled, 5000)) as terminal:
        terminal.wait_for(r"round 1/1, epoch \d+/5000", 120)
        terminal.interrupt()
        lines = ended(terminal, 130)
    assert "seqvision self-train --resume" in " ".join(lines)


def test_a_crash_in_a_student_leaves_a_clean_terminal(unlabelled: Path) -> None:
    with typed(unlabelled, *student(unlabelled, 5), before=IN_A_STEP) as terminal:
        lines = ended(terminal, 1)
    assert any("ZeroDivisionError" in line for line in lines)


@pytest.mark.parametrize(
    ("command", "code", "pattern"),
    [
        ("seqvision evaluate model.pt frames/", 0, r"accuracy +\d+\.\d%"),
        ("seqvision data frames/", 0, r"18 clips"),
        ("seqvision predict model.onnx frames/left", 0, r"frames/left/\S+ .* 0\.\d+"),
        ("seqvision calibrate model.pt frames/", 0, r"model\.pt written"),
        ("seqvision verify model.onnx --against model.pt", 0, r"answers as model\.pt does"),
        ("seqvision inspect model.onnx", 0, r"window of"),
        ("seqvision bench model.onnx --seconds 0.05 --threads 1", 0, r"1 thread: live frame .* ms"),
        ("edge-run --model model.onnx --source frames/left/left1.mp4", 0, r"\d+ frames"),
        ("seqvision compare runs/one runs/two", 0, r"\d+\.\d%"),
        ("seqvision segment long.mp4 marks.csv --output cut", 0, r"added 1 clap, .*1 wave"),
        ("seqvision record takes --labels wave --takes 1 --person anna --seconds 0.5 "
         "--countdown 0.1 --source long.mp4 --no-window", 0, r"1 of 1|1 take"),
    ],
)  # fmt: skip
def test_a_command_runs_to_its_end(folder: Path, command: str, code: int, pattern: str) -> None:
    words = command.split()
    with typed(folder, *words, size=LARGE if len(command) % 2 else SMALL) as terminal:
        ended(terminal, code)
        assert re.search(pattern, terminal.text), terminal.text


IN_DECODING = """
import seqvision.data.decode as m
def broken(self, clip):
    return 1 / 0
m.Store.load = broken
"""


@pytest.mark.parametrize(
    "command",
    ["evaluate model.pt frames/", "calibrate model.pt frames/", "data frames/ --decode"],
)
def test_a_crash_in_decoding_leaves_a_clean_terminal(folder: Path, command: str) -> None:
    before = (folder / "model.pt").read_bytes()
    with typed(folder, "seqvision", *command.split(), before=IN_DECODING) as terminal:
        lines = ended(terminal, 1)
    assert any("ZeroDivisionError" in line for line in lines)
    assert (folder / "model.pt").read_bytes() == before


def test_a_stopped_segmentation_leaves_no_clips(folder: Path) -> None:
    write_marked_video(folder, 20_000)
    command = ("seqvision", "segment", "long.mp4", "marks.csv", "--output", "cut")
    with typed(folder, *command) as terminal:
        terminal.wait_for("reading the video", 120)
        terminal.interrupt()
        lines = ended(terminal, 130)
    assert lines[-1] == "seqvision segment: stopped"
    assert not list((folder / "cut").rglob("*.*"))


@pytest.mark.parametrize(
    ("command", "when", "unwritten"),
    [
        ("seqvision export model.pt --output other.onnx", "proving it", "other.onnx"),
        ("seqvision calibrate model.pt frames/ --output other.pt", "loading torch", "other.pt"),
        ("seqvision bench model.onnx --seconds 20 --json b.json", "timing", "b.json"),
        ("seqvision evaluate model.pt frames/ --output e.json", "loading torch", "e.json"),
    ],
)
def test_ctrl_c_ends_a_command(folder: Path, command: str, when: str, unwritten: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    from_nothing = when == "loading torch"
    with typed(folder, *command.split(), from_nothing=from_nothing) as terminal:
        terminal.wait_for(when, 120)
        terminal.interrupt()
        lines = ended(terminal, 130)
    assert lines[-1] == f"seqvision {command.split()[1]}: stopped"
    assert "Traceback" not in "\n".join(lines)
    assert not (folder / unwritten).exists()
    assert {path.name for path in folder.iterdir()} - {*before, "cache"} == set()
