"""The demo in a terminal: Ctrl-C ends it cleanly at any time, and it goes on where it was."""

import sys
from pathlib import Path

import pytest
from terminals import Terminal

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "samples"))

from make_samples import Options, make_samples  # noqa: E402

DEMO = [sys.executable, ROOT / "samples" / "demo.py", "demo"]


def test_a_demo_stopped_while_drawing_leaves_no_partial_samples(tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path) as terminal:
        terminal.wait_for(r"drawing clips: [1-9]\d*/660")
        terminal.interrupt()
        assert terminal.wait_exit() == 130
        assert "Traceback" not in terminal.text
        assert "the same command again" in terminal.text
        assert terminal.left_behind() == []
    assert list(tmp_path.glob("demo/**/*.jpg")) == []


@pytest.mark.slow
def test_a_demo_stopped_while_training_resumes_it(tmp_path: Path) -> None:
    drawn = Options(clips_per_label=3, performers=3, minutes=0.2, take_minutes=0.2)
    make_samples(tmp_path / "demo" / "samples", drawn)
    environment = {"HOME": str(tmp_path)}
    with Terminal(DEMO, cwd=tmp_path, env=environment) as terminal:
        terminal.wait_for(r"epoch +\d+/\d+ +train loss", timeout=240)
        terminal.interrupt()
        assert terminal.wait_exit(timeout=240) == 130
        assert "Traceback" not in terminal.text
        assert terminal.left_behind() == []
    (run,) = (tmp_path / "demo" / "runs").iterdir()
    with Terminal(DEMO, cwd=tmp_path, env=environment) as terminal:
        terminal.wait_for(rf"\$ seqvision train --resume demo/runs/{run.name}", timeout=60)
        terminal.wait_for(r"epoch +\d+/\d+ +train loss", timeout=240)
        assert "draw labelled clips" not in terminal.text
        terminal.interrupt()
        assert terminal.wait_exit(timeout=240) == 130
    assert [each.name for each in (tmp_path / "demo" / "runs").iterdir()] == [run.name]
