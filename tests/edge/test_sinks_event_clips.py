"""Clips of events: the camera's own pictures with margins, complete or absent."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from steps import SOURCE, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Step
from seqvision_edge.opencv import cv2
from seqvision_edge.sinks import event_clips
from seqvision_edge.sinks.event_clips import EventClips, Margins
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.types import Event

pytestmark = pytest.mark.usefixtures("unhurried")

FPS = 10.0


@dataclass
class FakeSource:
    name: str = SOURCE
    live: bool = False
    fps: float = FPS


def recording(folder: Path, *sources: FakeSource) -> Queued[Any]:
    found: Any = sources or (FakeSource(),)
    return Queued(EventClips(folder, found, Margins(0.5, 0.3, 0.2)), 99, waits=True)


def scene(
    start: float, end: float, total: float, label: str = "red", source: str = SOURCE
) -> Iterable[Step]:
    """Yield green frames with an event of red ones, which is known 0.2 s after its start."""
    for index in range(round(total * FPS)):
        at = index / FPS
        event = Event(label, start, min(at, end), start, 0.9, end)
        during = start <= at <= end
        yield make_step(
            index,
            FPS,
            source=source,
            colour="red" if during else "green",
            active=event if start + 0.2 <= at < end else None,
            events=(event,) if abs(at - end) < 0.01 else (),
        )


def colours(path: Path) -> str:
    """Return the frames of a video as letters: `gggrrr`."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    letters = ""
    while (read := video.read())[0]:
        letters += "bgr"[int(np.argmax(read[1].mean((0, 1))))]
    return letters


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_clip_has_the_event_and_its_margins_and_nothing_drawn_on_it(tmp_path: Path) -> None:
    with recording(tmp_path) as sink:
        for step in scene(2.0, 2.8, 5.0):
            sink.write(step)
    assert sink.counts.lost == 0
    assert rows(tmp_path) == [{"path": "000002.000s_camera_0_red.mp4", "label": "red"}]
    path = tmp_path / rows(tmp_path)[0]["path"]
    assert colours(path) == "ggggg" + "rrrrrrrrr" + "ggg"
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert (video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_WIDTH)) == (FPS, 160)


def test_nothing_is_there_under_its_name_before_it_is_whole(tmp_path: Path) -> None:
    with recording(tmp_path) as sink:
        for step in scene(1.0, 2.0, 1.9):
            sink.write(step)
        sink.finish()
        assert sink.wait(monotonic() + 60)
    # The event never ended: its clip is not kept.
    assert [path.name for path in tmp_path.iterdir()] == ["clips.csv"]
    assert rows(tmp_path) == []


def test_an_event_that_the_end_cuts_off_is_kept_as_far_as_it_went(tmp_path: Path) -> None:
    with recording(tmp_path) as sink:
        for step in scene(1.0, 2.0, 2.1):
            sink.write(step)
    assert colours(tmp_path / rows(tmp_path)[0]["path"]) == "ggggg" + "r" * 11


def test_events_close_together_have_a_clip_each(tmp_path: Path) -> None:
    first, second = Event("red", 0.5, 0.8, 0.6, 0.9, 0.8), Event("blue", 0.9, 1.2, 1.0, 0.9, 1.2)
    with recording(tmp_path) as sink:
        for index in range(20):
            ended = {8: (first,), 12: (second,)}.get(index, ())
            sink.write(make_step(index, FPS, events=ended, colour="blue"))
    assert [row["label"] for row in rows(tmp_path)] == ["red", "blue"]
    # 0.0 to 1.1 s and 0.4 to 1.5 s.
    lengths = [len(colours(tmp_path / row["path"])) for row in rows(tmp_path)]
    assert lengths == [12, 12]


@pytest.mark.parametrize("label", ["a/#", "../x", "<img>", "..", 'say "é", ok', "CON", "x" * 128])
def test_labels_and_sources_become_safe_file_names(tmp_path: Path, label: str) -> None:
    folder = tmp_path / "clips"
    name = "rtsp://cam/../\x1b[2J"
    with recording(folder, FakeSource(name)) as sink:
        for step in scene(0.5, 1.0, 2.0, label, name):
            sink.write(step)
    assert {path.name for path in tmp_path.iterdir()} == {"clips"}
    (row,) = rows(folder)
    assert row["label"] == label
    assert {path.name for path in folder.iterdir()} == {"clips.csv", row["path"]}
    assert row["path"].isprintable()


def test_a_second_run_adds_to_the_first_and_overwrites_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with recording(tmp_path) as sink:
            for step in scene(0.5, 1.0, 2.0):
                sink.write(step)
    first, second = rows(tmp_path)
    assert first["path"] != second["path"]
    assert colours(tmp_path / first["path"]) == colours(tmp_path / second["path"])


def test_a_list_of_ones_own_keeps_its_rows_and_columns(tmp_path: Path) -> None:
    (tmp_path / "mine.mp4").touch()
    (tmp_path / "clips.csv").write_text("label,group,path\nwave,anna,mine.mp4")
    before = {"label": "wave", "group": "anna", "path": "mine.mp4"}
    for _ in range(2):
        with recording(tmp_path) as sink:
            for step in scene(0.5, 1.0, 2.0):
                sink.write(step)
    assert [row["label"] for row in rows(tmp_path)] == ["wave", "red", "red"]
    assert rows(tmp_path)[0] == before


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\n"])
def test_a_file_of_that_name_that_is_no_list_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clips.csv").write_bytes(content)
    with pytest.raises(SinkError, match=r"--clips .*cannot be written"):
        recording(tmp_path).__enter__()
    assert (tmp_path / "clips.csv").read_bytes() == content


def test_a_folder_in_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"--clips .*none/x: cannot be written"):
        recording(tmp_path / "none" / "x").__enter__()


def test_the_past_is_bounded_in_seconds_and_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet = EventClips(tmp_path, [FakeSource()], Margins(0.5, 0.3, 0.2))  # type: ignore[list-item]
    recorder = outlet._recorder(SOURCE, "")
    for index in range(200):
        outlet.send(make_step(index, FPS))
    # 0.5 s before, 0.2 s until an event is known, and a second to spare.
    assert len(recorder._buffer) == 18
    monkeypatch.setattr(event_clips, "MOST_BYTES", recorder._buffer.bytes // 2)
    outlet.send(make_step(200, FPS))
    assert recorder._buffer.bytes <= event_clips.MOST_BYTES
    assert recorder._buffer.bytes == sum(len(picture) for _, picture in recorder._buffer.since(0))


def test_a_very_long_event_has_a_clip_of_bounded_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_clips, "_LONGEST_SECONDS", 2.0)
    with recording(tmp_path) as sink:
        for step in scene(1.0, 6.0, 8.0):
            sink.write(step)
    assert colours(tmp_path / rows(tmp_path)[0]["path"]) == "ggggg" + "r" * 21


def test_a_full_disk_costs_clips_and_leaves_none_half(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with recording(small_disk) as sink:
        filler.write_bytes(b"x" * 60_000)
        for step in scene(0.5, 1.0, 2.0):
            sink.write(step)
        sink.finish()
        sink.wait(monotonic() + 60)
    assert sink.counts.failed
    names = {path.name for path in small_disk.iterdir()}
    assert names == {"filler", "clips.csv"}
    assert rows(small_disk) == []


def test_a_clock_that_jumps_overwrites_no_clip_and_moves_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device without a clock begins in 1970 and is set by the network, perhaps several times."""
    clock = [0.0]
    monkeypatch.setattr(event_clips, "time", SimpleNamespace(time=lambda: clock[0]))
    jumps = [0.2, 1.7e9, 4.0e9, 1.7e9, 0.2]
    with recording(tmp_path, FakeSource(live=True)) as sink:
        for number, now in enumerate(jumps):
            wait_for(lambda number=number: sink.counts.waiting == 0 and sink.counts.sent >= number)
            clock[0] = now
            for step in scene(2.0, 2.8, 4.0):
                sink.write(step)
    assert sink.counts.lost == 0
    found = [row["path"] for row in rows(tmp_path)]
    assert len(set(found)) == len(jumps)
    assert sum(path.startswith("1970") for path in found) == 2
    assert len({colours(tmp_path / path) for path in found}) == 1
