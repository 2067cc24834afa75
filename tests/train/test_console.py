"""What a command shows: first words soon, bars that know how long the whole work takes."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from seqvision import console
from seqvision.training.callbacks import EpochTimes
from seqvision_edge.interrupts import Interrupts

OLD = Path(__file__).parents[1] / "old_models"
# Importing torch alone takes more than that.
MOST_CPU_SECONDS = 1.8


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc")
@pytest.mark.parametrize(
    "command",
    [
        "train FRAMES", "tune FRAMES", "self-train PT FRAMES FRAMES", "evaluate PT FRAMES",
        "calibrate PT FRAMES", "export PT --output other.onnx", "verify ONNX --against PT",
        "bench PT", "data FRAMES", "predict PT FRAMES", "inspect PT",
    ],
)  # fmt: skip
def test_the_first_line_is_printed_before_slow_imports(
    command: str, squares: Path, tmp_path: Path
) -> None:
    words = (
        command.replace("FRAMES", str(squares))
        .replace("PT", str(OLD / "spec3-video.pt"))
        .replace("ONNX", str(OLD / "spec3-video.onnx"))
    )
    with subprocess.Popen(
        [sys.executable, "-m", "seqvision", *words.split()],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.read(1)
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        process.kill()
    assert first == b"l", "loading …"
    assert seconds < MOST_CPU_SECONDS


def test_data_needs_no_torch(squares: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    code = (
        "import sys; sys.modules['torch'] = None; from seqvision.cli import main;"
        f"sys.exit(main(['data', {str(squares)!r}, '--sheet', {str(sheet)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "24 clips" in done.stdout
    assert sheet.is_file()


def test_the_time_left_includes_all_epochs_and_the_stages_after_them() -> None:
    now = 0.0
    times = EpochTimes(lambda: now)
    times.begin(steps=10, batches=3)
    assert times.left(epochs=4, passes=1.0) is None, "nothing tells it yet"
    for _ in range(10):
        now += 2.0
        times.step()
    # A batch of validation is taken for a third of a step, 2 s for the three of them.
    assert times.left(epochs=4, passes=1.0) == pytest.approx(2 + 3 * 22 + 2)
    for _ in range(3):
        now += 1.0
        times.validated()
    assert times.end() == 23.0
    assert times.left(epochs=1, passes=0.0) == pytest.approx(0.0)
    times.begin(steps=10, batches=3)
    assert times.share() == 0.0
    # Now both are measured: 20 s of steps and 3 s of validation.
    assert times.left(epochs=3, passes=2.0) == pytest.approx(3 * 23 + 2 * 3)


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_a_progress_bar_fits_any_terminal_and_keeps_its_numbers(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Console(file=io.StringIO(), width=columns, force_terminal=True)
    monkeypatch.setattr(console, "console", screen)
    bar = console.Bar("trial 3/50, epoch 17/60", 100, info="best 97.5 % (trial 1)", at_most=True)
    bar.seconds_left = 3725
    bar.update(40)
    with screen.capture() as shown:
        screen.print(bar._line())
    (line,) = Text.from_ansi(shown.get()).plain.splitlines()
    assert len(line) <= columns
    if columns >= 40:
        assert "at most 1:02:05 left" in line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (760, "12:40"), (3723, "1:02:03")]
)
def test_times_are_shown_as_hours_minutes_seconds(seconds: float, text: str) -> None:
    assert console.time_text(seconds) == text


@pytest.mark.parametrize("moment", [False, True], ids=["as it hides", "as it comes back"])
def test_an_interrupted_progress_bar_restores_the_cursor(
    monkeypatch: pytest.MonkeyPatch, moment: bool
) -> None:
    out = io.StringIO()
    shown = Console(file=out, force_terminal=True, legacy_windows=False)
    show = shown.show_cursor

    def press(is_shown: bool = True) -> bool:
        if is_shown and moment:
            os.kill(os.getpid(), signal.SIGINT)
        done = show(is_shown)
        if not is_shown and not moment:
            os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(console, "console", shown)
    monkeypatch.setattr(shown, "show_cursor", press)

    def work() -> None:
        bar = console._open(lambda: Text("a bar"))
        assert bar is not None
        console._close(bar)

    with Interrupts():
        with pytest.raises(KeyboardInterrupt):
            work()
        console.restore_terminal()
    assert -1 < out.getvalue().rfind("\x1b[?25l") < out.getvalue().rfind("\x1b[?25h")
