"""Reviewing clips: each is kept, relabelled or deleted at once, also in the list."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqvision_edge.errors import RecordingError
from seqvision_edge.opencv import cv2
from seqvision_edge.recording.review import (
    CollectedClip,
    Item,
    LinePrompt,
    ReviewDecision,
    WindowPrompt,
    items_of,
    read_collected,
    review,
    understand,
    unreviewed,
)
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import Take

LABELS = ["clap", "none", "wave"]


def record(takes: Takes, *labels: str) -> list[Take]:
    kept = []
    for label in labels:
        with takes.begin(label, "anna") as new:
            for number in range(5):
                new.write(np.full((16, 16, 3), 40 * number, np.uint8), number / 10)
            kept.append(new.keep())
    return kept


@pytest.fixture
def takes(tmp_path: Path) -> Takes:
    takes = Takes(tmp_path / "takes")
    takes.open()
    return takes


@pytest.fixture
def collected(tmp_path: Path) -> Takes:
    """A folder as a run leaves it: three clips, their list, and one that is gone already."""
    folder = tmp_path / "seen"
    other = Takes(tmp_path / "made")
    other.open()
    folder.mkdir()
    for name, take in zip("abc", record(other, "x", "x", "x"), strict=True):
        other.path_of(take).rename(folder / f"{name}.mkv")
    (folder / "collected.csv").write_text(
        "clip,label,confidence,time\na.mkv,wave,0.9,1\nb.mkv,none,0.4,2\nc.mkv,,,3\ngone.mkv,x,1,4\n"
    )
    takes = Takes(folder)
    takes.open()
    return takes


def scripted(*answers: ReviewDecision) -> Callable[[Item, int, int, Sequence[str]], ReviewDecision]:
    given = iter(answers)
    return lambda *_: next(given)


def lines(*typed: str) -> LinePrompt:
    return LinePrompt(io.StringIO("".join(f"{line}\n" for line in typed)))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def go_through(takes: Takes, asker: Any, *, picked: Sequence[str] = ()) -> Counter[Any]:
    items = items_of(takes, unreviewed(takes), picked)
    return review(takes, items, LABELS, asker, lambda line: None)


def test_takes_are_kept_relabelled_and_deleted_by_what_is_typed(takes: Takes) -> None:
    record(takes, "wave", "wave", "clap", "clap", "none")
    done = go_through(takes, lines("", "clap", "d", "2", "=point"))
    assert done == {"keep": 1, "relabel": 3, "delete": 1}
    assert [(take.path, take.label) for take in takes.all()] == [
        ("wave/anna-001.mkv", "wave"),
        ("clap/anna-003.mkv", "clap"),
        ("none/anna-002.mkv", "none"),
        ("point/anna-001.mkv", "point"),
    ]
    assert all(takes.path_of(take).is_file() for take in takes.all())


def test_one_may_stop_and_go_back(takes: Takes) -> None:
    record(takes, "wave", "wave", "wave")
    go_through(takes, lines("", "d", "b", "clap", "q"))
    # The second is deleted, so back is the first.
    assert [(take.path, take.label) for take in takes.all()] == [
        ("clap/anna-001.mkv", "clap"),
        ("wave/anna-003.mkv", "wave"),
    ]


def test_the_end_of_the_input_stops(takes: Takes) -> None:
    record(takes, "wave", "wave")
    assert go_through(takes, lines("")) == {"keep": 1}
    assert len(takes.all()) == 2


def test_only_takes_of_a_label_may_be_looked_at(takes: Takes) -> None:
    record(takes, "wave", "clap", "wave")
    assert go_through(takes, lines("d", "d", "d"), picked=["wave"]) == {"delete": 2}
    assert [take.label for take in takes.all()] == ["clap"]


def test_a_slip_of_the_pen_is_no_new_label(capsys: pytest.CaptureFixture[str]) -> None:
    item = Item(Path("x.mp4"), "wave", "", None)
    assert understand("wvae", item, LABELS) == "no label 'wvae' here; =wvae makes it one"
    assert understand("0", item, LABELS) == "no label '0' here; =0 makes it one"
    assert understand("=wvae", item, LABELS) == ReviewDecision("relabel", "wvae")
    assert understand("3", item, LABELS) == ReviewDecision("relabel", "wave")
    assert understand("D", item, LABELS) == ReviewDecision("delete")
    unnamed = Item(Path("x.mp4"), "", "", None)
    assert "no label yet" in str(understand("", unnamed, LABELS))
    asker = lines("wvae", "clap")
    assert asker(item, 1, 1, LABELS) == ReviewDecision("relabel", "clap")
    assert "x.mp4  (cannot be read)" in capsys.readouterr().err


def test_an_invalid_label_is_reported_and_prompted_again(takes: Takes) -> None:
    record(takes, "wave")
    output: list[str] = []
    answers = scripted(ReviewDecision("relabel", "x" * 200), ReviewDecision("relabel", "clap"))
    review(takes, items_of(takes, [], []), LABELS, answers, output.append)
    assert "1 to 128 characters" in output[0]
    assert [take.label for take in takes.all()] == ["clap"]


def test_a_take_deleted_meanwhile_is_skipped(takes: Takes) -> None:
    first, second = record(takes, "wave", "wave")
    items = items_of(takes, [], [])
    takes.delete(first)
    done = review(
        takes,
        items,
        LABELS,
        scripted(ReviewDecision("delete"), ReviewDecision("keep")),
        lambda _: None,
    )
    assert done == {"keep": 1}
    assert takes.all() == [second]


def test_what_a_run_collected_is_looked_at_first_the_most_doubtful_first(collected: Takes) -> None:
    found = unreviewed(collected)
    assert [clip.path.name for clip in found] == ["c.mkv", "b.mkv", "a.mkv"]
    assert found[2] == CollectedClip(collected.folder / "a.mkv", "wave", 0.9)
    assert items_of(collected, found, [])[2].about == "predicted with 90% confidence"


def test_collected_clips_get_their_lines_where_they_lie(collected: Takes) -> None:
    assert go_through(collected, lines("clap", "d", "")) == {"relabel": 1, "delete": 1, "keep": 1}
    assert rows(collected.folder) == [
        {"path": "c.mkv", "label": "clap", "group": ""},
        {"path": "a.mkv", "label": "wave", "group": ""},
    ]
    assert not (collected.folder / "b.mkv").exists()
    assert unreviewed(collected) == []
    # From now on these are takes as any other.
    assert [item.take for item in items_of(collected, [], [])] == collected.all()


def test_a_review_goes_on_where_it_was_left(collected: Takes) -> None:
    go_through(collected, lines("clap", "q"))
    assert [clip.path.name for clip in unreviewed(collected)] == ["b.mkv", "a.mkv"]


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ("clip,label\na.mkv,x\n", "has no column confidence"),
        (
            "clip,label,confidence\n../a.mkv,x,1\n",
            "line 2: '../a.mkv' is not a clip of this folder",
        ),
        ("clip,label,confidence\n/etc/passwd,x,1\n", "not a clip of this folder"),
        ("clip,label,confidence\n,x,1\n", "not a clip of this folder"),
        ("clip,label,confidence\na.mkv,x,sure\n", "confidence is 'sure'"),
    ],
)
def test_a_list_of_collected_clips_that_cannot_be_one_is_one_line(
    tmp_path: Path, content: str, output: str
) -> None:
    (tmp_path / "collected.csv").write_text(content)
    with pytest.raises(RecordingError, match=output):
        read_collected(tmp_path)


def press(monkeypatch: pytest.MonkeyPatch, keys: str, visible: float = 1.0) -> list[int]:
    """Replace OpenCV's window by one whose keys come one per picture; `.` is no key."""
    shown: list[int] = []
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    for name in ("namedWindow", "resizeWindow", "destroyWindow"):
        monkeypatch.setattr(cv2, name, quiet)
    coming: Iterator[str] = iter(keys)
    monkeypatch.setattr(cv2, "imshow", lambda _, bgr: shown.append(bgr[0, 0, 0]))

    def wait(milliseconds: int) -> int:
        key = next(coming)
        return -1 if key == "." else ord(key)

    monkeypatch.setattr(cv2, "waitKey", wait)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: visible)
    return shown


def never(*_: object) -> ReviewDecision:
    raise AssertionError("the window is there")


def test_a_clip_loops_until_a_key_decides(takes: Takes, monkeypatch: pytest.MonkeyPatch) -> None:
    record(takes, "wave", "wave", "wave")
    shown = press(monkeypatch, "." * 12 + "\r" + "1" + "d" + "." + "d")
    assert go_through(takes, WindowPrompt(never)) == {"keep": 1, "relabel": 1, "delete": 1}
    # Two and a half times the first clip, and then the others.
    assert shown[:12] == [0, 40, 80, 120, 160, 0, 40, 80, 120, 160, 0, 40]
    assert [(take.path, take.label) for take in takes.all()] == [
        ("wave/anna-001.mkv", "wave"),
        ("clap/anna-001.mkv", "clap"),
    ]


def test_deleting_in_the_window_wants_two_keys_in_a_row(
    takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(takes, "wave")
    press(monkeypatch, "d" + "x" + "d" + "q")
    assert go_through(takes, WindowPrompt(never)) == {}
    assert len(takes.all()) == 1


def test_a_clip_without_a_label_is_not_kept_without_one(
    collected: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(monkeypatch, "\r" + "3" + "q")
    assert go_through(collected, WindowPrompt(never)) == {"relabel": 1}
    assert rows(collected.folder)[0]["label"] == "wave"


def test_a_clip_that_cannot_be_played_can_be_deleted(
    takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (take,) = record(takes, "wave")
    takes.path_of(take).write_bytes(b"torn")
    press(monkeypatch, "dd")
    assert go_through(takes, WindowPrompt(never)) == {"delete": 1}


def test_a_closed_window_stops_a_failed_one_uses_the_terminal(
    takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(takes, "wave")
    press(monkeypatch, ".", visible=0.0)
    assert go_through(takes, WindowPrompt(never)) == {}

    def fail(*_: object) -> None:
        raise cv2.error("no GUI")

    monkeypatch.setattr(cv2, "imshow", fail)
    assert go_through(takes, WindowPrompt(lines("clap"))) == {"relabel": 1}
