"""The folder of takes: complete clips with their lines, or nothing; nothing is overwritten."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seqvision_edge.errors import RecordingError
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import Sizing, prepare
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import Take
from seqvision_edge.recording.writer import rate
from seqvision_edge.sources.factory import open_path

Picture = NDArray[np.uint8]


def picture(number: int, size: tuple[int, int] = (24, 32)) -> Picture:
    """Return a picture whose grey level encodes its number."""
    bgr: Picture = np.full((*size, 3), 8 * number % 256, np.uint8)
    bgr[: size[0] // 2, :, 2] = 255 - bgr[0, 0, 2]
    return bgr


def store(folder: Path) -> Takes:
    takes = Takes(folder)
    takes.open()
    return takes


def record(
    takes: Takes, label: str, person: str = "", frames: int = 6, fps: float = 10.0, start: float = 5
) -> Take:
    with takes.begin(label, person) as new:
        for number in range(frames):
            new.write(picture(number), start + number / fps)
        return new.keep()


def write(takes: Takes, times: Sequence[float], pictures: Sequence[Picture] = ()) -> Take:
    with takes.begin("wave") as new:
        for number, time in enumerate(times):
            new.write(pictures[number] if len(pictures) else picture(number), time)
        return new.keep()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[str]:
    """Return every file of a folder but the lock."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".takes.lock")
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_a_take_is_a_file_in_its_label_folder_and_a_line(tmp_path: Path) -> None:
    takes = store(tmp_path / "takes")
    take = record(takes, "wave", "anna")
    assert take == Take("wave/anna-001.mkv", "wave", "anna")
    assert takes.path_of(take).is_file()
    assert rows(tmp_path / "takes") == [
        {"path": "wave/anna-001.mkv", "label": "wave", "group": "anna"}
    ]
    assert takes.all() == [take]
    assert files(tmp_path / "takes") == ["clips.csv", "wave/anna-001.mkv"]


def test_takes_are_numbered_per_person_and_counted_per_label_and_person(tmp_path: Path) -> None:
    takes = store(tmp_path)
    expected = ("wave", "anna"), ("wave", "anna"), ("wave", "ben"), ("clap", "anna"), ("wave", "")
    names = [record(takes, *each).path for each in expected]
    assert names == ["wave/anna-001.mkv", "wave/anna-002.mkv", "wave/ben-001.mkv",
                     "clap/anna-001.mkv", "wave/take-001.mkv"]  # fmt: skip
    assert takes.counts() == {
        ("wave", "anna"): 2, ("wave", "ben"): 1, ("clap", "anna"): 1, ("wave", ""): 1
    }  # fmt: skip


@pytest.mark.parametrize("fps", [7.5, 12.0, 30.0, 60.0])
def test_the_times_of_the_frames_survive_at_any_rate(tmp_path: Path, fps: float) -> None:
    frames = round(2 * fps)
    takes = store(tmp_path)
    with takes.begin("wave", fps=30.0) as new:
        for number in range(frames):
            new.write(picture(number), 100 + number / fps)
        take = new.keep()
    with open_path(takes.path_of(take)) as source:
        times = [frame.time for frame in source]
    assert times == pytest.approx([number / fps for number in range(frames)], abs=0.002)


def test_a_late_picture_is_placed_by_its_timestamp(tmp_path: Path) -> None:
    takes = store(tmp_path)
    numbers = [*range(15), *range(22, 30)]
    with takes.begin("wave") as new:
        for number in numbers:
            # A camera's times tremble by some milliseconds.
            new.write(picture(number), number / 30 + (0.004 if number % 3 else -0.004))
        take = new.keep()
    with open_path(takes.path_of(take)) as source:
        seen = [int(frame.bgr[-1, 0, 0]) // 8 for frame in source]
    assert seen == [*range(15), *[14] * 7, *range(22, 30)]


def test_the_declared_rate_is_used_only_if_the_frames_agree() -> None:
    assert rate([0, 0.0331, 0.0669, 0.1], claimed=30.0) == 30.0
    assert rate([0, 0.083, 0.167, 0.25], claimed=30.0) == pytest.approx(12, abs=0.1)
    assert rate([3.0], claimed=15.0) == 15.0
    # One late frame changes nothing, and no rate is absurd.
    assert rate([0, 0.1, 0.2, 0.9, 1.0]) == pytest.approx(10)
    assert rate([0, 1e-9, 2e-9]) == 240


def test_a_small_picture_keeps_every_pixel(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 62, 48, 3), np.uint8)
    takes = store(tmp_path)
    with takes.begin("wave") as new:
        for number, bgr in enumerate(noise):
            new.write(bgr, number / 10)
        take = new.keep()
    with open_path(takes.path_of(take)) as source:
        assert np.array_equal([frame.bgr for frame in source], noise)


def test_a_large_picture_is_as_good_as_new_at_the_size_of_a_model(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scene = cv2.GaussianBlur(generator.integers(0, 256, (480, 700, 3), np.uint8), (0, 0), 4)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    frames = [np.ascontiguousarray(scene[:, shift : shift + 640]) for shift in range(0, 60, 3)]
    takes = store(tmp_path)
    with takes.begin("wave") as new:
        for number, bgr in enumerate(frames):
            new.write(bgr, number / 30)
        take = new.keep()
    assert take.path == "wave/take-001.mp4"
    spec = Sizing(112, 112, 3, "stretch")
    with open_path(takes.path_of(take)) as source:
        read = [prepare(frame.bgr, spec).astype(float) for frame in source]
    wrong = [np.abs(prepare(bgr, spec) - seen) for bgr, seen in zip(frames, read, strict=True)]
    # Of 255 grey levels; about 1 of it is the way from RGB to what videos have, and back.
    assert np.mean(wrong) < 4.0


@pytest.mark.parametrize(
    "label",
    [
        "a/b",
        "../x",
        "..",
        "CON",
        "Clips.csv",
        "nul.txt",
        "<img>",
        "née 你好",
        "x" * 128,
        "-rf",
        'a,"b',
    ],
)
def test_labels_and_persons_become_safe_paths(tmp_path: Path, label: str) -> None:
    folder = tmp_path / "takes"
    takes = store(folder)
    take = record(takes, label, label)
    assert (take.label, take.person) == (label, label)
    assert takes.all() == [take]
    assert [path.name for path in tmp_path.iterdir()] == ["takes"]
    outer, name = take.path.split("/")
    assert outer not in ("", ".", "..", "CON", "nul.txt", "Clips.csv")
    assert set(files(folder)) == {"clips.csv", f"{outer}/{name}"}


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "x" * 129, "\x1b[2J", "\ud800", "a\u202eb"])
def test_a_label_that_a_training_would_refuse_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(RecordingError, match="label"):
        store(tmp_path).begin(label)


def test_two_ways_to_write_one_letter_are_one_label(tmp_path: Path) -> None:
    takes = store(tmp_path)
    record(takes, "caf\u00e9")
    record(takes, "cafe\u0301 ")
    assert takes.counts() == {("caf\u00e9", ""): 2}


def test_a_take_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    takes = store(tmp_path)
    with takes.begin("wave") as new:
        for number in range(20):
            new.write(picture(number), number / 10)
    with pytest.raises(RecordingError, match="without a frame"):
        takes.begin("wave").keep()
    assert files(tmp_path) == []
    assert takes.all() == []


@pytest.mark.parametrize(
    ("times", "output"),
    [
        ([0, 0.1, 1.3], "no frame for 1.2 s"),
        ([0, float("nan")], "must be a number"),
        ([0, 1e12], "no frame for"),
        (list(np.arange(0, 130, 0.9)), "at most 120 s"),
    ],
)
def test_times_that_cannot_be_of_one_take_are_refused(
    tmp_path: Path, times: list[float], output: str
) -> None:
    takes = store(tmp_path)
    with pytest.raises(RecordingError, match=output):
        write(takes, times)
    assert files(tmp_path) == []


def test_a_frame_whose_time_does_not_rise_is_left_out(tmp_path: Path) -> None:
    with store(tmp_path).begin("wave") as new:
        for number, time in enumerate([0.0, 0.1, 0.1, 0.05, 0.2]):
            new.write(picture(number), time)
        assert new.frames == 3


def test_a_full_disk_is_one_line_and_the_takes_before_it_stay(small_disk: Path) -> None:
    takes = store(small_disk)
    take = record(takes, "wave")
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
    with pytest.raises(RecordingError, match="the disk is full"):
        write(takes, [number / 10 for number in range(40)], noise)
    assert files(small_disk) == ["clips.csv", "wave/take-001.mkv"]
    assert takes.all() == [take]


def test_a_full_disk_keeps_neither_line_nor_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = store(tmp_path)
    kept = record(takes, "wave")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqvision_edge.recording.take_folder.write_take_list", full)
    with pytest.raises(RecordingError, match="No space left"):
        record(takes, "clap")
    assert files(tmp_path) == ["clips.csv", "wave/take-001.mkv"]
    assert takes.all() == [kept]


def test_two_writers_at_once_lose_and_overwrite_nothing(tmp_path: Path) -> None:
    code = f"""
import numpy as np
from pathlib import Path
from seqvision_edge.recording.take_folder import Takes
takes = Takes(Path({str(tmp_path)!r}))
takes.open()
for number in range(15):
    with takes.begin("wave", "anna") as new:
        new.write(np.zeros((8, 8, 3), np.uint8), 0.0)
        new.write(np.zeros((8, 8, 3), np.uint8), 0.1)
        new.keep()
"""
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert sorted(row["path"] for row in rows(tmp_path)) == [
        f"wave/anna-{number:03d}.mkv" for number in range(1, 31)
    ]
    assert len(files(tmp_path)) == 31


def test_a_number_is_not_given_again_while_a_file_of_it_is_there(tmp_path: Path) -> None:
    takes = store(tmp_path)
    record(takes, "wave", "anna")
    (tmp_path / "wave" / "Anna-007.mov").write_bytes(b"mine")
    assert record(takes, "wave", "anna").path == "wave/anna-008.mkv"
    assert (tmp_path / "wave" / "Anna-007.mov").read_bytes() == b"mine"


def test_relabelling_moves_the_file_and_changes_only_its_line(tmp_path: Path) -> None:
    takes = store(tmp_path)
    first, second = record(takes, "wave", "anna"), record(takes, "wave", "anna")
    content = takes.path_of(first).read_bytes()
    third = record(takes, "clap", "anna")
    moved = takes.relabel(first, "clap")
    assert moved == Take("clap/anna-002.mkv", "clap", "anna")
    assert takes.path_of(moved).read_bytes() == content
    assert takes.all() == [moved, second, third]
    takes.relabel(second, "clap")
    # A folder without clips is a mistake to a training.
    assert not (tmp_path / "wave").exists()


def test_deleting_removes_the_file_and_the_line(tmp_path: Path) -> None:
    takes = store(tmp_path)
    first, second = record(takes, "wave"), record(takes, "wave")
    takes.delete(first)
    assert takes.all() == [second]
    assert files(tmp_path) == ["clips.csv", "wave/take-002.mkv"]
    with pytest.raises(RecordingError, match="no longer a take"):
        takes.delete(first)
    with pytest.raises(RecordingError, match="no longer a take"):
        takes.relabel(first, "clap")


def test_a_list_of_ones_own_keeps_its_columns_and_rows(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("label,fps,path\nwave,25,mine.avi\n")
    (tmp_path / "mine.avi").write_bytes(b"mine")
    takes = store(tmp_path)
    record(takes, "clap")
    assert rows(tmp_path) == [
        {"label": "wave", "fps": "25", "path": "mine.avi"},
        {"label": "clap", "fps": "", "path": "clap/take-001.mkv"},
    ]
    record(takes, "clap", "anna")
    assert [row["group"] for row in rows(tmp_path)] == ["", "", "anna"]
    mine = takes.relabel(Take("mine.avi", "wave"), "none")
    # A file that this program did not name stays where it is.
    assert mine == Take("mine.avi", "none")
    assert rows(tmp_path)[0]["fps"] == "25"


def test_a_line_that_leads_out_of_the_folder_never_deletes_there(tmp_path: Path) -> None:
    outside = tmp_path / "precious.mp4"
    outside.write_bytes(b"mine")
    folder = tmp_path / "takes"
    folder.mkdir()
    (folder / "clips.csv").write_text(f"path,label\n../precious.mp4,wave\n{outside},wave\n")
    takes = store(folder)
    for take in takes.all():
        takes.delete(take)
    assert takes.all() == []
    assert outside.read_bytes() == b"mine"


def test_a_clip_that_lies_there_can_be_listed_once(tmp_path: Path) -> None:
    takes = store(tmp_path)
    clip = tmp_path / "seen.mp4"
    clip.write_bytes(b"video")
    assert takes.add(clip, "wave", "anna") == Take("seen.mp4", "wave", "anna")
    with pytest.raises(RecordingError, match="already"):
        takes.add(clip, "clap")
    with pytest.raises(RecordingError, match="no such file"):
        takes.add(tmp_path / "gone.mp4", "clap")
    assert takes.all() == [Take("seen.mp4", "wave", "anna")]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\n", b""])
def test_a_file_of_that_name_that_is_no_list_is_one_line_and_stays(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "clips.csv").write_bytes(content)
    with pytest.raises(RecordingError, match=r"clips\.csv"):
        store(tmp_path)
    assert (tmp_path / "clips.csv").read_bytes() == content


def test_clips_that_no_list_names_are_not_hidden_by_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.mp4").touch()
    with pytest.raises(RecordingError, match=r"has clips already \(wave/a.mp4\)"):
        store(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RecordingError, match="cannot be written"):
        store(tmp_path)


def test_a_missing_parent_or_a_file_as_folder_is_one_error_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, output in (("a/b", "there is no folder .*make it first"), ("file", "is a file")):
        with pytest.raises(RecordingError, match=output):
            store(tmp_path / folder)


def test_what_a_killed_program_left_goes_and_a_take_that_goes_on_stays(tmp_path: Path) -> None:
    takes = store(tmp_path)
    with takes.begin("wave", "anna") as going_on:
        for number in range(20):
            going_on.write(picture(number), number / 10)
        mine = set(files(tmp_path))
        (tmp_path / ".take.0123abcd.unfinished.mkv").touch()
        takes.open()
        assert set(files(tmp_path)) == mine
        going_on.keep()
    assert files(tmp_path) == ["clips.csv", "wave/anna-001.mkv"]
