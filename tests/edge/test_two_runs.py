"""Two runs with the same output: the second is refused by a line, files are never mixed."""

from pathlib import Path
from typing import Any

import pytest
from colour_model import make_card
from steps import SOURCE, make_step

from seqvision_edge.errors import SinkError
from seqvision_edge.files import alone_in
from seqvision_edge.overlay import Overlay
from seqvision_edge.sinks.active_learning import Collection
from seqvision_edge.sinks.event_clips import _List
from seqvision_edge.sinks.jsonl import JsonLines
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.sinks.video import VideoFiles

pytestmark = pytest.mark.usefixtures("unhurried")


def saving(path: Path) -> Queued[Any]:
    return Queued(VideoFiles(path, {SOURCE: (Overlay(make_card()), 20.0)}), 9, waits=True)


def test_lines_of_two_runs_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with (
        Queued(JsonLines(path, {}), 9, waits=True) as first,
        pytest.raises(
            SinkError, match=r"--json .*: cannot be written \(another run writes to it\)"
        ),
        Queued(JsonLines(path, {}), 9, waits=True),
    ):
        first.write(make_step())
    before = path.read_bytes()
    with Queued(JsonLines(path, {}), 9, waits=True) as later:
        later.write(make_step())
    assert path.read_bytes().startswith(before)


def test_a_film_that_is_being_written_is_not_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with saving(path) as first:
        first.write(make_step())
        with (
            pytest.raises(SinkError, match=r"another run writes .*out.mp4; choose another name"),
            saving(path),
        ):
            pass
        with saving(tmp_path / "out-2.mp4") as other:
            other.write(make_step())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out-2.mp4", "out.mp4"]
    with saving(path) as again:
        again.write(make_step())
    assert again.counts.lost == 0


def test_clips_and_collections_have_one_run_at_a_time(tmp_path: Path) -> None:
    listed = _List(tmp_path)
    with pytest.raises(OSError, match="another run writes to it"):
        _List(tmp_path)
    listed.close()
    _List(tmp_path).close()
    first, second = Collection(tmp_path, 1000), Collection(tmp_path, 1000)
    first.open()
    with pytest.raises(SinkError, match=r"in use by another run; name another folder"):
        second.open()
    first.close()
    second.open()
    second.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clips.csv", "collected.csv"]


def test_a_folder_is_held_once(tmp_path: Path) -> None:
    with alone_in(tmp_path) as one, alone_in(tmp_path) as two:
        assert (one, two) == (True, False)
    with alone_in(tmp_path) as later:
        assert later
    assert list(tmp_path.iterdir()) == []
