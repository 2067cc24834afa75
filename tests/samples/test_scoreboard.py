"""The scoreboard trains by the public command, goes on where it was stopped, and prints a table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import square_clip, write_frames

SCRIPT = Path(__file__).parents[2] / "samples" / "scoreboard.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Clips of three performers; those of one are the test."""
    rows = ["path,label,group,split"]
    for group, split in (("ann", "train"), ("bob", "val"), ("cat", "test")):
        for label, direction in (("left", -1), ("right", 1)):
            path = f"{group}/{label}"
            write_frames(tmp_path / "data" / "drawn" / "clips" / path, square_clip(direction, 3, 6))
            rows.append(f"{path},{label},{group},{split}")
    (tmp_path / "data" / "drawn" / "clips" / "clips.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


def test_a_row_is_trained_once_and_the_table_has_its_baseline(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(data), str(tmp_path / "board")]
    command += ["--only", "drawn", "--way", "default", "--seeds", "0"]
    command += ["--epochs", "1", "--encoder", "flatten", "--hidden", "8", "--workers", "0"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    (accuracy,) = json.loads((tmp_path / "board" / "scoreboard.json").read_text()).values()
    (metrics,) = (tmp_path / "board" / "runs").glob("*/*/metrics.json")
    assert accuracy == json.loads(metrics.read_text())["test"]["accuracy"]
    assert "drawn gestures, other performers" in first.stdout
    assert "50.0%" in first.stdout, "the most frequent label of the two"

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "train loss" not in again.stderr + again.stdout
    assert len(list((tmp_path / "board" / "runs").glob("*/*/metrics.json"))) == 1
