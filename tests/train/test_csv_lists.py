"""Lists of trainings: no cell is a formula, and labels and paths are read as they were written."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqvision.data.clips import Clip
from seqvision.data.datasets.clip_list import read_list
from seqvision.errors import DataError
from seqvision.prediction import PredictedClip, write_csv
from seqvision.report.run_folder import read_predictions, write_predictions
from seqvision.segmentation import annotations

LABELS = ["=1+1", "-2+3", "@SUM(A1)", "+x", "'=x"]


def cells(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


def test_every_csv_escapes_formulas_and_reads_back_unchanged(tmp_path: Path) -> None:
    names = [f"{label.replace('/', '')}.mp4" for label in LABELS]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    rows = [
        {"path": name, "label": label, "group": label}
        for name, label in zip(names, LABELS, strict=True)
    ]
    annotations.add_rows(tmp_path, rows[:2])
    annotations.add_rows(tmp_path, rows[2:])
    assert annotations.read_clip_rows(tmp_path)[1] == rows
    clips, _ = read_list(tmp_path / "clips.csv")
    assert [clip.label for clip in clips] == LABELS
    assert [clip.path.name for clip in clips] == names

    answers = np.arange(len(LABELS))
    part: Any = SimpleNamespace(
        name="val",
        clips=[Clip(tmp_path / "a.mp4", label, group=label) for label in LABELS],
        answers=answers,
        probabilities=np.eye(len(LABELS)),
    )
    write_predictions(tmp_path / "predictions.csv", [part], LABELS)
    answered = read_predictions(tmp_path / "predictions.csv")
    assert [(row.label, row.answer) for row in answered] == [(each, each) for each in LABELS]

    card: Any = SimpleNamespace(labels=LABELS)
    write_csv(
        tmp_path / "answers.csv",
        [PredictedClip(name, np.eye(len(LABELS))[n], card) for n, name in enumerate(names)],
        LABELS,
    )
    for path in tmp_path.glob("*.csv"):
        assert not [cell for cell in cells(path) if cell.startswith(("=", "+", "-", "@"))], path


@pytest.mark.parametrize("cell", ["'=label", "=label"])
def test_a_user_s_cell_may_have_the_apostrophe_or_not(tmp_path: Path, cell: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text(f"path,label\na.mp4,{cell}\n")
    assert read_list(tmp_path / "list.csv")[0][0].label == "=label"


@pytest.mark.parametrize("cell", ["1_0", "１０", "nan", "inf", "1e400", "true"])
@pytest.mark.parametrize("column", ["fps", "start", "end", "start_frame", "end_frame"])
def test_a_cell_that_is_not_a_number_is_one_line(tmp_path: Path, column: str, cell: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text(f"path,label,{column}\na.mp4,wave,{cell}\n")
    with pytest.raises(DataError, match=f"list.csv, line 2: {column} is '{cell}', must be"):
        read_list(tmp_path / "list.csv")
