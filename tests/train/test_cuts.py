"""A list that cuts videos: the frames that `segment` takes, decoded in one pass, by all verbs."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import square_clip, write_frames, write_video
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.data.cache import Cache
from seqvision.data.clip_cuts import clip_frames
from seqvision.data.clips import Clip, Cut
from seqvision.data.datasets import find_clips
from seqvision.data.decode import Store, decode_all
from seqvision.data.splits import split_clips
from seqvision.segmentation.annotations import Mark, parts_of
from seqvision.training.data import fingerprint
from seqvision_edge.card import ImageSpec
from seqvision_edge.errors import SourceError
from seqvision_edge.sources.factory import open_path

FRAMES = 60
SPEC = ImageSpec(height=16, width=16, channels=3, fit="stretch")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of 10 fps; the brightness of a frame is four times its number."""
    frames = np.broadcast_to(
        (4 * np.arange(FRAMES, dtype=np.uint8))[:, None, None, None], (FRAMES, 32, 32, 3)
    )
    return write_video(tmp_path_factory.mktemp("cuts") / "day.mp4", frames)


def store(folder: Path) -> Store:
    return Store(Cache(folder / "cache"), SPEC, 30.0)


def brightness(pictures: Iterable[NDArray[np.uint8]]) -> list[float]:
    return [float(np.mean(picture)) for picture in pictures]


PARTS = [
    (Cut(2.0, 3.5), range(20, 35)),
    (Cut(5.04, 6.06), range(50, 60)),
    (Cut(0.0, 0.6), range(6)),
    (Cut(5.5), range(55, 60)),
    (Cut(0.0, 99.0), range(60)),
    (Cut(2.51, 2.52), range(25, 26)),
    (Cut(5.97, 5.98), range(59, 60)),
    (Cut(20, 35, in_frames=True), range(20, 35)),
    (Cut(58, None, in_frames=True), range(58, 60)),
    (Cut(59, 500, in_frames=True), range(59, 60)),
]


def test_a_part_has_the_frames_of_segment(video: Path, tmp_path: Path) -> None:
    with open_path(video) as source:
        frames = list(source)
    times = [frame.time for frame in frames]
    known = np.array(brightness(frame.bgr for frame in frames))

    def numbers(pictures: Iterable[NDArray[np.uint8]]) -> list[int]:
        """Return which frames of the video these are."""
        return [int(np.abs(known - value).argmin()) for value in brightness(pictures)]

    clips = [Clip(video, "x", cut=cut) for cut, _ in PARTS]
    found, decoded, broken = decode_all(store(tmp_path), clips, lambda *_: None)
    assert (found, broken) == (clips, [])
    for (cut, expected), clip, part in zip(PARTS, clips, decoded, strict=True):
        assert numbers(part.frames[:]) == list(expected), cut
        assert part.times[0] == 0.0
        assert np.allclose(np.diff(part.times), 0.1)
        whole = (frame.bgr for frame in clip_frames(clip, 30.0))
        assert numbers(whole) == list(expected), "at full size too"
        mark = Mark("x", cut.start, 1e6 if cut.end is None else cut.end, "", cut.in_frames)
        (written,) = parts_of([mark], times)
        assert (written.first, written.last) == (expected.start, expected.stop), cut


def test_the_parts_of_a_video_are_decoded_in_one_pass_and_cached(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def count(path: Path, *how: Any) -> object:
        opened.append(path.name)
        return open_path(path, *how)

    monkeypatch.setattr("seqvision.data.decode.open_path", count)
    clips = [Clip(video, "x", cut=cut) for cut, _ in PARTS]
    _, first, _ = decode_all(store(tmp_path), clips, lambda *_: None)
    assert opened == ["day.mp4"]
    _, again, _ = decode_all(store(tmp_path), [*clips, Clip(video, "x")], lambda *_: None)
    assert opened == ["day.mp4"] * 2, "only the whole video is new"
    assert [part.key for part in again[:-1]] == [part.key for part in first]
    assert again[4].key == again[-1].key, "a part that is all of it"
    assert again[0].key == again[7].key, "by seconds or by frames"


def test_parts_beyond_the_video_are_reported_with_their_row(video: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    rows = ("0,2,a", "7,8,a", "5,30,b", "50,59,b")
    listed.write_text("path,start,end,label\n" + "\n".join(f"{video},{row}" for row in rows))
    seen: list[tuple[int, int]] = []
    clips, decoded, broken = decode_all(
        store(tmp_path), find_clips(listed), lambda *done: seen.append(done)
    )
    assert [len(part.times) for part in decoded] == [20, 10]
    assert [clip.label for clip in clips] == ["a", "b"]
    assert decoded[1].incomplete == "the video ends at 6.00 s, before 30 s"
    assert broken[0].startswith(f"{listed}, line 3: begins at 7 s, after the end of {video} (60 fr")
    assert "are these numbers of frames? call the columns start_frame,end_frame" in broken[1]
    assert seen[-1] == (4, 4)
    with pytest.raises(SourceError, match="line 3: begins at 7 s"):
        list(clip_frames(find_clips(listed)[1], 30.0))


def test_parts_of_one_video_are_never_on_two_sides_of_the_split(tmp_path: Path) -> None:
    rows = ["path,label,start,end"]
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(b"x")
        rows += [f"{number}.mp4,{label},{n},{n + 1}" for n, label in enumerate("abab")]
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    clips = find_clips(tmp_path)
    for seed in range(5):
        split = split_clips(clips, 0.2, None, seed)
        assert len(split.val) == 4
        assert len({clips[index].path for index in split.val}) == 1


def test_a_fingerprint_changes_with_the_part(video: Path, tmp_path: Path) -> None:
    clips = [Clip(video, "a", cut=Cut(0, 1)), Clip(video, "a", cut=Cut(1, 2)), Clip(video, "a")]
    _, decoded, _ = decode_all(store(tmp_path), clips, lambda *_: None)
    assert len({fingerprint([c], [d]) for c, d in zip(clips, decoded, strict=True)}) == 3


def test_every_command_reads_the_parts_and_not_the_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One video for each person, in which both gestures follow each other."""
    monkeypatch.chdir(tmp_path)
    rows = ["Datei;Geste;Beginn;Ende;Notiz"]
    for number in range(8):
        both = [square_clip(1, number, 10), square_clip(-1, 50 + number, 10)]
        if number % 2:
            write_video(tmp_path / f"{number}.mp4", np.concatenate(both))
        else:
            write_frames(tmp_path / f"{number}", np.concatenate(both))
        name = f"{number}.mp4" if number % 2 else f"{number}"
        rows += [f"{name};rechts;0;0:01,0;", f"{name};links;1,0;2;gut"]
    Path("liste.csv").write_text("\n".join(rows), encoding="cp1252")
    small = ["--size", "16", "--cache", "cache", "--image-fps", "10"]
    assert main(["data", "liste.csv", *small, "--json", "data.json", "--decode"]) == 0
    report = json.loads(Path("data.json").read_text())
    assert report["frames"] == {"min": 10, "median": 10, "max": 10}
    assert report["groups"] == 8
    assert any("column 'Notiz' is not used" in note for note in report["notes"])
    capsys.readouterr()
    model = ["--encoder", "flatten", "--hidden", "16", "--epochs", "3", "--workers", "0"]
    assert main(["train", "liste.csv", *small, *model, "--frames", "6", "--runs", "runs"]) == 0
    noted = " ".join(capsys.readouterr().err.split())
    assert "clips are the parts of videos from 'Beginn' to 'Ende' (seconds)" in noted
    assert "column 'Notiz' is not used" in noted
    (run,) = Path("runs").iterdir()
    with (run / "predictions.csv").open() as file:
        answers = list(csv.DictReader(file))
    assert len({row["path"] for row in answers}) == len(answers) == 4
    assert {row["path"].rpartition("#")[2] for row in answers} == {"t=0,1", "t=1,2"}
    assert {row["label"] for row in answers} == {"links", "rechts"}
    assert "#t=0,1" in (run / "report.html").read_text()
    cache = ["--cache", "cache", "--image-fps", "10"]
    assert main(["evaluate", "model.pt", "liste.csv", *cache, "--output", "m.json"]) == 0
    assert json.loads(Path("m.json").read_text())["clips"] == 16
    assert main(["predict", "model.pt", "liste.csv", "--csv", "p.csv", "--image-fps", "10"]) == 0
    with Path("p.csv").open() as file:
        predicted = {row["path"] for row in csv.DictReader(file)}
    assert len(predicted) == 16
    assert "0#t=0,1" in predicted
    assert main(["calibrate", "model.pt", "liste.csv", *cache]) == 0
    assert "Notiz" in capsys.readouterr().err
