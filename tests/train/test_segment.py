"""`seqvision segment`: exactly the marked frames, nothing overwritten, all clips or none."""

import csv
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import write_video

from seqvision.cli import main
from seqvision.data.datasets import find_clips
from seqvision.segmentation.annotations import Mark, Segment, between, parts_of, read_marks
from seqvision_edge.opencv import cv2

FPS = 10.0
FRAMES, BITS = 120, 7


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve seconds; each frame has its number in it, as seven black or white columns."""
    bits = np.arange(FRAMES)[:, None] >> np.arange(BITS) & 1
    line = np.repeat(bits * 255, 16, axis=1).astype(np.uint8)
    frames = np.broadcast_to(line[:, None, :, None], (FRAMES, 48, BITS * 16, 3))
    return write_video(tmp_path / "take.mp4", frames, FPS)


def numbers(path: Path) -> list[int]:
    """Return which frames of the video a clip has."""
    clip = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    while (read := clip.read())[0]:
        columns = read[1].reshape(48, BITS, 16 * 3).mean((0, 2)) > 127
        found.append(int((columns << np.arange(BITS)).sum()))
    return found


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_clip_has_exactly_the_frames_of_its_annotation(video: Path, tmp_path: Path) -> None:
    (tmp_path / "take.csv").write_text(
        "start,end,label\n2.0,3.5,wave\n0:05.04,0:06.06,jump\n11.5,12,wave\n"
    )
    clips = tmp_path / "clips"
    assert main(["segment", str(video), "--output", str(clips), "--background-clips", "0"]) == 0
    found = {row["path"]: numbers(clips / row["path"]) for row in rows(clips)}
    # A moment between two frames is that of the nearer one; the end is not a part.
    assert found == {
        "wave/take_000020-000034.mp4": list(range(20, 35)),
        "jump/take_000050-000060.mp4": list(range(50, 61)),
        "wave/take_000115-000119.mp4": list(range(115, 120)),
    }
    assert {row["group"] for row in rows(clips)} == {"take"}
    assert sorted(clip.label for clip in find_clips(clips)) == ["jump", "wave", "wave"]


def test_a_list_alone_names_the_same_frames_of_the_video_itself(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "take.csv").write_text("start,end,label\n2.0,3.5,wave\n5.0,6.0,jump\n")
    clips = tmp_path / "clips"
    arguments = ["segment", str(video), "--output", str(clips), "--list-only"]
    assert main(arguments) == 0
    assert [path.name for path in clips.iterdir() if path.name[0] != "."] == ["clips.csv"]
    assert [list(row.values()) for row in rows(clips) if row["label"] != "none"] == [
        ["../take.mp4", "wave", "take", "20", "34"],
        ["../take.mp4", "jump", "take", "50", "59"],
    ]
    found = [clip for clip in find_clips(clips) if clip.label != "none"]
    assert [(clip.path.resolve(), clip.cut and (clip.cut.start, clip.cut.end, clip.cut.in_frames))
            for clip in found] == [(video, (20, 35, True)), (video, (50, 60, True))]  # fmt: skip
    before = (clips / "clips.csv").read_bytes()
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "has frames 0 to 9 of ../take.mp4 already" in err
    assert (clips / "clips.csv").read_bytes() == before
    # Clips may be cut into the same folder: they are whole.
    assert main([*arguments[:-1], "--group", "cut", "--background-clips", "0"]) == 0
    assert [clip.cut is None for clip in find_clips(clips)].count(True) == 2


def test_a_list_in_seconds_gets_no_parts_in_frames(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "take.csv").write_text("start,end,label\n2.0,3.5,wave\n")
    clips = tmp_path / "clips"
    clips.mkdir()
    own = "path,label,start,end\nx.mp4,wave,1,2\n"
    (clips / "clips.csv").write_text(own)
    assert main(["segment", str(video), "--output", str(clips), "--list-only"]) == 2
    assert "names parts of videos in seconds" in capsys.readouterr().err
    assert (clips / "clips.csv").read_text() == own


def test_frame_numbers_and_times_annotate_the_same(video: Path, tmp_path: Path) -> None:
    marked = tmp_path / "by frames.csv"
    marked.write_text("label,start_frame,end_frame\nwave,20,34\n")
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"events": [{"label": "wave", "start": 2.0, "end": 3.5}]}))
    for events, group in ((marked, "a"), (truth, "b")):
        arguments = ["segment", str(video), str(events), "--group", group]
        assert (
            main([*arguments, "--output", str(tmp_path / "clips"), "--background-clips", "0"]) == 0
        )
    one, two = rows(tmp_path / "clips")
    assert (one["group"], two["group"]) == ("a", "b")
    for row in (one, two):
        assert numbers(tmp_path / "clips" / row["path"]) == list(range(20, 35))


def test_background_clips_lie_between_events_with_a_margin(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "take.csv").write_text("start,end,label\n3,4,wave\n7,8.5,jump\n")
    clips = tmp_path / "clips"
    arguments = ["segment", str(video), "--output", str(clips)]
    assert main([*arguments, "--margin", "0.3", "--background", "quiet"]) == 0
    out = capsys.readouterr().out
    assert "added 1 jump, 2 quiet, 1 wave; next: seqvision train" in out
    assert "--split-by none" in out, "one video cannot be kept apart from itself"
    quiet = [numbers(clips / row["path"]) for row in rows(clips) if row["label"] == "quiet"]
    assert {len(clip) for clip in quiet} <= {10, 15}
    near = {*range(27, 43), *range(67, 88)}
    assert not near & {number for clip in quiet for number in clip}


def test_background_clips_have_event_lengths_and_span_the_video() -> None:
    parts = [Segment("a", 100, 110), Segment("b", 300, 330)]
    found = between(parts, 1000, 5, 99, "none")
    assert {part.frames for part in found} == {10, 30}
    for part in found:
        assert all(part.last <= other.first - 5 or part.first >= other.last + 5 for other in parts)
    assert all(one.last <= two.first for one, two in pairwise(found))
    few = between(parts, 1000, 5, 3, "none")
    assert (few[0], few[-1]) == (found[0], found[-1])
    assert between(parts, 1000, 5, 0, "none") == []
    assert between([Segment("a", 0, 50)], 60, 5, 3, "none") == [], "nothing fits"


def test_annotations_of_a_variable_rate_video_are_found_by_time() -> None:
    times = [0.0, 0.1, 0.2, 1.2, 1.3, 1.4]
    moments = ((0.1, 1.3), (1.19, 1.21), (0, 99))
    parts = parts_of([Mark("a", start, end, "") for start, end in moments], times)
    assert [(part.first, part.last) for part in parts] == [(1, 4), (3, 4), (0, 6)]


def test_a_second_video_is_added_and_the_same_one_is_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "take.csv").write_text("start,end,label\n2,3,wave\n")
    clips = tmp_path / "clips"
    arguments = ["segment", str(video), "--output", str(clips)]
    assert main(arguments) == 0
    before = {path: path.read_bytes() for path in clips.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(arguments) == 2
    assert "is there already, and nothing is overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in clips.rglob("*") if path.is_file()} == before
    assert main([*arguments, "--group", "second take"]) == 0
    assert "--split-by none" not in capsys.readouterr().out
    assert len(rows(clips)) == 4
    assert rows(clips)[:2] == [
        {"path": path, "label": label, "group": "take"}
        for path, label in ((row["path"], row["label"]) for row in rows(clips)[:2])
    ]


def test_a_user_s_list_keeps_its_rows_and_columns(video: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "clips.csv").write_text("label,split,path\nwave,val,mine.mp4\n")
    (tmp_path / "take.csv").write_text("start,end,label\n2,3,wave\n")
    assert main(["segment", str(video), "--output", str(clips), "--background-clips", "0"]) == 0
    assert rows(clips) == [
        {"label": "wave", "split": "val", "path": "mine.mp4", "group": ""},
        {"label": "wave", "split": "", "path": "wave/take_000020-000029.mp4", "group": "take"},
    ]


def test_labels_of_any_letters_have_files_of_their_own(video: Path, tmp_path: Path) -> None:
    (tmp_path / "take.csv").write_text(
        "start,end,label\n2,3,a/b\n2,3,a?b\n4,5,../x\n6,7,\"say 'é', ok\"\n"
    )
    clips = tmp_path / "clips"
    assert main(["segment", str(video), "--output", str(clips), "--background-clips", "0"]) == 0
    found = {row["label"]: clips / row["path"] for row in rows(clips)}
    assert set(found) == {"a/b", "a?b", "../x", "say 'é', ok"}
    assert len(set(found.values())) == 4
    assert all(path.resolve().is_relative_to(clips.resolve()) for path in found.values())
    assert {path.name for path in tmp_path.iterdir()} == {"clips", "take.mp4", "take.csv"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("start,end\n1,2\n", "the first line has no column label"),
        ("start,end,label\n", "nothing is marked in it"),
        ("start,end,label\n1,2,wave\n3,x,wave\n", "line 3: end is 'x', must be seconds"),
        ("start,end,label\n1:75,2:00,wave\n", "line 2: start is '1:75'"),
        ("start,end,label\n-1,2,wave\n", "line 2: start is '-1'"),
        ("start,end,label\n3,2,wave\n", "line 2: from 3 to 2 is no part of a video"),
        ("start,end,label\n1,2,\n", "line 2: label ''"),
        ("start,end,label\n50,51,wave\n", "begins after the end of the video (120 frames, 11.90"),
        ("start_frame,end_frame,label\n5,4.5,wave\n", "line 2: end_frame is '4.5'"),
        ("start_frame,end_frame,label\n120,125,wave\n", "begins after the end of the video"),
        ("start,end,label\n1,2,wave\n1.01,2,wave\n", "the same part as 'wave' is there twice"),
    ],
)
def test_invalid_annotations_are_one_line_and_nothing_is_written(
    content: str, message: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "take.csv").write_text(content)
    assert main(["segment", str(video), "--output", str(tmp_path / "clips")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere.mp4", "nowhere.mp4: no such video"),
        ("take.mp4", "take.mp4: the events are missing"),
        ("take.mp4 no.csv", "no.csv: cannot be read"),
        ("take.mp4 e.csv --output no/clips", "there is no folder no"),
        ("take.mp4 e.csv --output e.csv", "--output e.csv: that is a file"),
        ("take.mp4 e.csv --output full", "--output full: is not empty and has no clips.csv"),
        ("take.mp4 e.csv --output odd", "clips.csv: exists without the columns path,label"),
        ("e.csv e.csv", "e.csv: not a video that can be read"),
    ],
)
def test_invalid_arguments_are_one_line(
    arguments: str, message: str, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert video.is_file()
    monkeypatch.chdir(tmp_path)
    Path("e.csv").write_text("start,end,label\n2,3,wave\n")
    for folder, name in (("full", "x.mp4"), ("odd", "clips.csv")):
        Path(folder).mkdir()
        Path(folder, name).write_text("x\n")
    before = sorted(tmp_path.rglob("*"))
    assert main(["segment", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_neither_clips_nor_a_list(
    video: Path, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{start / 10},{start / 10 + 1},wave" for start in range(0, 100, 2)]
    (tmp_path / "take.csv").write_text("\n".join(["start,end,label", *lines]))
    (small_disk / "filler").write_bytes(b"x" * 40_000)
    arguments = ["segment", str(video), "--output", str(small_disk / "clips")]
    assert main([*arguments, "--background-clips", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_segment_needs_no_torch(video: Path, tmp_path: Path) -> None:
    (tmp_path / "take.csv").write_text("start,end,label\n2,3,wave\n")
    code = (
        "import sys; from seqvision.cli import main; code = main(sys.argv[1:])\n"
        "assert not {'torch', 'lightning'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "segment", str(video), "--output", "clips"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clips" / "clips.csv").is_file()


def test_annotations_are_in_the_order_of_the_video(tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    path.write_text("\ufefflabel,end,start\nb,9.5,1:02:07.35\n".replace("9.5", "1:02:08"))
    (mark,) = read_marks(path)
    assert (mark.start, mark.end) == (3727.35, 3728.0)
    path.write_text("start,end,label\n5,6,b\n1,2,a\n")
    assert [mark.label for mark in read_marks(path)] == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_a_full_disk_is_one_line_and_leaves_no_clip(video: Path, tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("start,end,label\n0,1,wave\n1,2,jump\n")
    program = (
        "import resource, sys; from seqvision.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); sys.exit(main(sys.argv[1:]))"
    )
    words = ["segment", str(video), "marks.csv", "--output", "clips"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "--output clips: a clip could not be written whole: File too large"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "clips").exists()
