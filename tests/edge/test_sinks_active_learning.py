"""Saved clips: uncertain and rare windows, within the budget, over several runs."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from colour_model import FPS, WINDOW, make_card, model_bytes, write_video
from steps import SOURCE, make_step

from seqvision_edge.cli import main
from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Step
from seqvision_edge.opencv import cv2
from seqvision_edge.sinks.active_learning import Collection, UncertainClips, uncertain_prediction
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.types import Prediction

pytestmark = pytest.mark.usefixtures("unhurried")

SECONDS = WINDOW / FPS
LABELS = ("red", "green", "blue", "none")


@dataclass
class FakeSource:
    name: str = SOURCE
    live: bool = False
    fps: float = FPS


def collecting(folder: Path, budget: int = 1 << 30) -> Queued[Any]:
    source: Any = FakeSource()
    return Queued(UncertainClips(folder, budget, [source], SECONDS, 4), 99, waits=True)


def answers(shares: Sequence[tuple[str, float, float]], colour: str = "red") -> Iterator[Step]:
    """Yield a frame per answer: its label, how probable it is, and the second one."""
    for index, (label, best, second) in enumerate(shares):
        other = "green" if label != "green" else "red"
        smoothed = dict.fromkeys(LABELS, 0.0) | {label: best, other: second}
        step = make_step(index, FPS, colour=colour)
        answer = Prediction(index / FPS, index, label, best, smoothed, True, 1.0)
        yield replace(step, smoothed=smoothed, prediction=answer)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "collected.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def frames(path: Path) -> int:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = 0
    while video.read()[0]:
        count += 1
    return count


def put(folder: Path, name: str, size: int = 1000, **row: str) -> dict[str, str]:
    """Put a clip of some bytes into a folder, and return its row."""
    (folder / name).write_bytes(b"x" * size)
    return {"clip": name, "label": "red", "uncertainty": "0.5", **row}


def test_the_most_uncertain_window_of_a_stretch_is_saved(tmp_path: Path) -> None:
    sure = [("none", 0.99, 0.01)] * 20
    doubtful = [("red", 0.7, 0.3), ("red", 0.5, 0.45), ("red", 0.6, 0.4)]
    with collecting(tmp_path) as sink:
        for step in answers([*sure, *doubtful, *sure]):
            sink.write(step)
    assert sink.counts.lost == 0
    (found,) = [row for row in rows(tmp_path) if row["reason"] == "uncertain"]
    assert found["label"] == "red"
    assert float(found["confidence"]) == 0.5
    assert float(found["uncertainty"]) == pytest.approx(0.95)
    assert (found["time"], found["source"]) == ("2.100", SOURCE)
    # From a window before the answer to the answer, both included.
    assert frames(tmp_path / found["clip"]) == WINDOW + 1
    assert {row["label"] for row in rows(tmp_path) if row["reason"] == "rare"} == {"none"}


def test_sure_answers_are_kept_while_their_label_is_rare(tmp_path: Path) -> None:
    often, seldom = [("none", 0.99, 0.01)] * 200, [("blue", 0.99, 0.01)] * 7
    with collecting(tmp_path) as sink:
        for step in answers([*often, *seldom, *often, *seldom, *often]):
            sink.write(step)
    labels = [row["label"] for row in rows(tmp_path)]
    assert labels.count("blue") == 2
    assert labels.count("none") <= 3
    assert {row["reason"] for row in rows(tmp_path)} == {"rare"}


def test_clips_do_not_overlap(tmp_path: Path) -> None:
    with collecting(tmp_path) as sink:
        for step in answers([("red", 0.4, 0.4)] * 60):
            sink.write(step)
    times = sorted(float(row["time"]) for row in rows(tmp_path))
    assert len(times) >= 5
    gaps = [two - one for one, two in pairwise(times)]
    assert min(gaps) >= SECONDS - 1e-6


def test_unknown_predictions_are_most_uncertain_but_need_a_window() -> None:
    step = make_step(3, FPS)
    unknown = uncertain_prediction(replace(step, smoothed=dict.fromkeys(LABELS, 0.0)))
    assert unknown is not None
    assert (unknown.label, unknown.uncertainty) == ("red", 1.0)
    assert uncertain_prediction(replace(step, window_fill=0.9)) is None
    assert uncertain_prediction(replace(step, answered=False)) is None
    assert uncertain_prediction(replace(step, prediction=None)) is None


def test_over_budget_the_least_useful_clip_is_removed(tmp_path: Path) -> None:
    collection = Collection(tmp_path, 3500)
    collection.open()
    for name, label, uncertainty in (
        ("a", "red", "0.9"),
        ("b", "red", "0.6"),
        ("c", "blue", "0.2"),
    ):
        assert collection.add(put(tmp_path, f"{name}.mp4", label=label, uncertainty=uncertainty))
    # 0.9 + 1/3, 0.6 + 1/3, 0.2 + 1/1 and 0.7 + 1/3: the second red is worth the least.
    assert collection.wants("red", 0.7)
    assert collection.add(put(tmp_path, "d.mp4", label="red", uncertainty="0.7"))
    assert [row["clip"] for row in rows(tmp_path)] == ["a.mp4", "c.mp4", "d.mp4"]
    assert not (tmp_path / "b.mp4").exists()
    assert not collection.wants("red", 0.1)
    assert not collection.add(put(tmp_path, "e.mp4", label="red", uncertainty="0.1"))
    collection.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.mp4", "c.mp4", "collected.csv", "d.mp4"]  # fmt: skip
    assert collection.kept == {"red": 2, "blue": 1}


def test_a_large_clip_replaces_several_or_is_dropped_itself(tmp_path: Path) -> None:
    collection = Collection(tmp_path, 3500)
    collection.open()
    for number in range(3):
        collection.add(put(tmp_path, f"{number}.mp4", uncertainty=f"0.{number}"))
    assert collection.add(put(tmp_path, "large.mp4", size=2400, uncertainty="0.9"))
    assert [row["clip"] for row in rows(tmp_path)] == ["2.mp4", "large.mp4"]
    assert not collection.add(put(tmp_path, "too large.mp4", size=4000, uncertainty="1.0"))
    assert [row["clip"] for row in rows(tmp_path)] == ["2.mp4", "large.mp4"]
    assert not (tmp_path / "too large.mp4").exists()


def test_a_new_run_continues_with_the_clips_that_are_there(
    tmp_path: Path,
) -> None:
    first = Collection(tmp_path, 3500)
    first.open()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        first.add(put(tmp_path, name, uncertainty="0.4"))
    (tmp_path / "a.mp4").unlink()
    listed = (tmp_path / "collected.csv").read_text().replace("uncertainty", "uncertainty,mine", 1)
    (tmp_path / "collected.csv").write_text(listed.replace("0.4", "0.4,yes"))
    first.close()
    second = Collection(tmp_path, 3500)
    second.open()
    assert second.kept == {"red": 2}
    assert second.add(put(tmp_path, "d.mp4", uncertainty="0.1"))
    assert [(row["clip"], row["mine"]) for row in rows(tmp_path)] == [
        ("b.mp4", "yes"), ("c.mp4", "yes"), ("d.mp4", "")]  # fmt: skip


def test_a_clip_that_a_person_has_labelled_is_never_removed(tmp_path: Path) -> None:
    collection = Collection(tmp_path, 2500)
    collection.open()
    collection.add(put(tmp_path, "mine.mp4", uncertainty="0.0"))
    (tmp_path / "clips.csv").write_text("path,label\nmine.mp4,wave\n")
    for number in range(4):
        collection.add(put(tmp_path, f"{number}.mp4", uncertainty=f"0.{number + 1}"))
    assert (tmp_path / "mine.mp4").exists()
    assert [row["clip"] for row in rows(tmp_path)] == ["mine.mp4", "2.mp4", "3.mp4"]


def test_a_list_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    other = tmp_path / "precious.mp4"
    other.write_bytes(b"x" * 9000)
    (folder / "collected.csv").write_text("clip,label,uncertainty\n../precious.mp4,red,0.0\n")
    collection = Collection(folder, 2000)
    collection.open()
    for number in range(4):
        collection.add(put(folder, f"{number}.mp4"))
    assert other.exists()
    assert len(rows(folder)) == 2


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\n"])
def test_a_malformed_list_is_one_error_line_and_is_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "collected.csv").write_bytes(content)
    with pytest.raises(SinkError, match=r"--save-uncertain .*cannot be written"):
        collecting(tmp_path).__enter__()
    assert (tmp_path / "collected.csv").read_bytes() == content


def test_a_full_disk_costs_clips_and_the_list_stays_whole(small_disk: Path) -> None:
    with collecting(small_disk) as sink:
        (small_disk / "filler").write_bytes(b"x" * 52_000)
        for step in answers([("red", 0.4, 0.4)] * 40):
            sink.write(step)
    assert sink.counts.failed
    names = {path.name for path in small_disk.iterdir()}
    assert names == {"filler", "collected.csv", *(row["clip"] for row in rows(small_disk))}


@pytest.mark.usefixtures("no_display")
def test_edge_run_collects_from_a_video_and_the_next_run_goes_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Between red and none the model is torn.
    scenes = [("none", 2.0), ("red", 2.0), ("none", 2.0), ("blue", 2.0), ("none", 2.0)]
    video = write_video(tmp_path / "v.mp4", scenes)
    folder = tmp_path / "collected"
    arguments = ["--model", str(model), "--source", str(video), "--save-uncertain", str(folder)]
    assert main(arguments) == 0
    once = rows(folder)
    assert {"red", "blue", "none"} <= {row["label"] for row in once}
    assert "uncertain" in {row["reason"] for row in once}
    for row in once:
        # At 20 fps a window is 0.6 s; the first one is full after 0.5 s.
        assert frames(folder / row["clip"]) in (11, 12, 13)
    sizes = sum((folder / row["clip"]).stat().st_size for row in once)
    assert main([*arguments, "--save-uncertain-mb", str(sizes / 1e6)]) == 0
    twice = rows(folder)
    assert sum((folder / row["clip"]).stat().st_size for row in twice) <= sizes
    assert {path.name for path in folder.iterdir()} == {
        "collected.csv", *(row["clip"] for row in twice)}  # fmt: skip
    assert "lost" not in capsys.readouterr().err


@pytest.mark.usefixtures("no_display")
def test_a_model_of_still_images_collects_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = make_card(sequence={"kind": "rows", "steps": WINDOW, "longer": "crop"})
    (tmp_path / "model.onnx").write_bytes(model_bytes(card))
    cv2.imwrite(str(tmp_path / "a.png"), make_step().frame.bgr)  # type: ignore[union-attr]
    arguments = ["--model", str(tmp_path / "model.onnx"), "--source", str(tmp_path / "a.png")]
    assert main([*arguments, "--save-uncertain", str(tmp_path / "collected")]) == 2
    assert "--save-uncertain" in capsys.readouterr().err
    assert not (tmp_path / "collected").exists()
