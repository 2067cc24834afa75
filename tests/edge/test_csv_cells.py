"""CSV cells that a spreadsheet would execute: escaped in each list, and read back unchanged."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqvision_edge.csv_cells import (
    as_meant,
    dict_reader,
    inert,
    read_rows,
    write_dicts,
    write_rows,
)
from seqvision_edge.recording.review import read_collected
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.sinks.active_learning import Collection
from seqvision_edge.sinks.event_clips import _List

FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "'=x", "''-y", "＝1", "-inf", "-"]
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@given(st.text() | st.sampled_from(FORMULAS))
@example("\t=1")
@example("\r=1")
@example("'")
@example("'word")
def test_any_text_is_inert_and_read_as_it_was(text: str) -> None:
    written = inert(text)
    assert as_meant(written) == text
    if written.startswith(STARTS):
        float(written)  # a plain number


@pytest.mark.parametrize("number", ["-1", "+2.5", "-.5e-3", "-1.", 7, -0.25])
def test_a_plain_number_stays_one(number: object) -> None:
    assert inert(number) == number


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=1), min_size=1))
def test_rows_are_read_as_they_were_written(rows: list[list[str]]) -> None:
    rows = [row for row in rows if row != [""]]
    file = io.StringIO(newline="")
    write_rows(file, rows)
    assert list(read_rows(io.StringIO(file.getvalue(), newline=""))) == rows


def test_names_of_columns_are_cells_too() -> None:
    file = io.StringIO(newline="")
    write_dicts(file, ["a", "=b"], [{"a": "@c", "=b": "-1"}])
    assert file.getvalue() == "a,'=b\r\n'@c,-1\r\n"
    assert list(dict_reader(io.StringIO(file.getvalue()))) == [{"a": "@c", "=b": "-1"}]


@pytest.mark.parametrize("label", FORMULAS)
def test_every_list_of_a_run_has_no_formula_and_is_read_as_it_was(
    tmp_path: Path, label: str
) -> None:
    folders = [tmp_path / name for name in ("clips", "takes", "collected")]
    for folder in folders:
        folder.mkdir()
        (folder / "-a.mp4").write_bytes(b"x")

    listed = _List(folders[0])
    listed.add(folders[0] / "-a.mp4", label, "")
    listed.close()
    _List(folders[0]).close()  # its last line is no torn one
    assert dicts(folders[0] / "clips.csv") == [{"path": "-a.mp4", "label": label}]

    takes = Takes(folders[1])
    (folders[1] / "clips.csv").write_text("path,label,group\n")
    takes.open()
    take = takes.add(folders[1] / "-a.mp4", label, label)
    assert (takes.all(), take.label, take.person) == ([take], label, label)

    collection = Collection(folders[2], 1000)
    collection.open()
    row = {
        "clip": "-a.mp4",
        "label": label,
        "confidence": "0.5",
        "source": label,
        "uncertainty": "1",
    }
    assert collection.add(row)
    (clip,) = read_collected(folders[2])
    assert (clip.path.name, clip.guess) == ("-a.mp4", label)
    collection.close()
    collection.open()
    assert collection.kept[label] == 1
    collection.close()

    for path in tmp_path.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for cells in csv.reader(file) for cell in cells]
        assert not [cell for cell in cells if cell.startswith(STARTS)]


def dicts(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(dict_reader(file))
