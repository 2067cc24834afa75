"""Copies of a clip in other files: found by what is in them, kept on one side of the split."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data, write_frames, write_video
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.config import ClipOptions, TrainOptions
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip, Cut
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.near_duplicates import NearDuplicate, divide, find_near_duplicates, join_groups
from seqvision.training.data import load_dataset
from seqvision_edge.card import ImageSpec
from seqvision_edge.opencv import cv2
from seqvision_edge.sources.factory import open_path

SPEC = ImageSpec(height=64, width=64, channels=3, fit="stretch")
WIDTH, HEIGHT = 160, 120


def take(seed: int, room: int = 0, frames: int = 24) -> NDArray[np.uint8]:
    """Return a take: a bright hand moves through a room, on a way and with a pace of its own."""
    walls = np.random.default_rng(1000 + room).integers(30, 160, (6, 8, 3), np.uint8)
    background = cv2.resize(walls, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    draw = np.random.default_rng(seed)
    (x0, x1), (y0, y1), pace = (
        draw.uniform(20, 140, 2),
        draw.uniform(20, 100, 2),
        draw.uniform(1, 3),
    )
    clip = np.repeat(background[None], frames, 0).astype(np.int16)
    for step in range(frames):
        share = (step / (frames - 1)) ** pace
        at = round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))
        hand = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), at, 16, 1, -1)[..., None]
        clip[step] = np.where(hand, (220, 190, 160), clip[step])
    return (clip + draw.normal(0, 3, clip.shape)).clip(0, 255).astype(np.uint8)


def smaller(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([cv2.resize(f, (96, 72), interpolation=cv2.INTER_AREA) for f in clip])


def decode(folder: Path, paths: list[Path]) -> tuple[list[Clip], list[Decoded]]:
    store = Store(Cache(folder / "cache"), SPEC, 10.0)
    clips, decoded, broken = decode_all(store, [Clip(p, "x") for p in paths], lambda *_: None)
    assert not broken
    return clips, decoded


def names(clips: list[Clip], copies: list[NearDuplicate]) -> list[tuple[str, str, bool]]:
    return [(clips[c.one].path.name, clips[c.other].path.name, c.is_mirrored) for c in copies]


def test_copies_are_found_and_other_takes_in_the_same_room_are_not(tmp_path: Path) -> None:
    others = [write_video(tmp_path / f"other{n}.mp4", take(50 + n)) for n in range(12)]
    own = take(1)
    copies = [
        write_video(tmp_path / "a.mp4", own),
        write_video(tmp_path / "b small.avi", smaller(own)),
        write_video(tmp_path / "c cut.mp4", own[2:-3]),
        write_frames(tmp_path / "d frames", own[::2]),
        write_video(tmp_path / "e mirrored.mp4", own[:, :, ::-1]),
        write_video(tmp_path / "f darker.mp4", (own * 0.99).astype(np.uint8)),
    ]
    clips, decoded = decode(tmp_path, [*others, *copies])
    found = names(clips, find_near_duplicates(clips, decoded))
    assert {name for one, other, _ in found for name in (one, other)} == {
        path.name for path in copies
    }
    assert all(mirrored == ("e mirrored.mp4" in (one, other)) for one, other, mirrored in found)
    again = find_near_duplicates(clips, decoded)
    assert again == find_near_duplicates(clips, decoded), "kept sketches too"


def test_distinct_clips_are_not_reported_as_copies(tmp_path: Path) -> None:
    own = take(2)
    paths = [
        write_video(tmp_path / "forwards.mp4", own),
        write_video(tmp_path / "backwards.mp4", own[::-1]),
        write_video(tmp_path / "elsewhere.mp4", take(2, room=5)),
    ]
    # Two takes of an empty room cannot be told from a copy, and are left alone.
    still = np.repeat(take(3)[:1], 12, 0).astype(np.int16)
    for number in range(3):
        noise = np.random.default_rng(number).normal(0, 3, still.shape)
        quiet = (still + noise).clip(0, 255).astype(np.uint8)
        paths.append(write_video(tmp_path / f"quiet{number}.mp4", quiet))
    clips, decoded = decode(tmp_path, paths)
    assert find_near_duplicates(clips, decoded) == []


def test_parts_of_one_video_are_not_called_copies_of_each_other(tmp_path: Path) -> None:
    video = write_video(tmp_path / "day.mp4", take(4))
    store = Store(Cache(tmp_path / "cache"), SPEC, 10.0)
    parts = [Clip(video, "x", cut=Cut(0.0, 1.5)), Clip(video, "y", cut=Cut(0.2, 1.7))]
    clips, decoded, _ = decode_all(store, parts, lambda *_: None)
    assert find_near_duplicates(clips, decoded) == []


def test_groups_that_share_copies_are_merged() -> None:
    groups = (None, None, "g", "g", "h", None)
    clips = [Clip(Path(name), "x", group) for name, group in zip("abcdef", groups, strict=True)]
    joined = join_groups(clips, [NearDuplicate(0, 1), NearDuplicate(1, 3), NearDuplicate(2, 4)])
    assert len({clip.group for clip in joined[:5]}) == 1
    assert joined[5].group is None
    assert join_groups(clips, []) == clips


def test_copies_stay_on_one_side_unless_no_other_split_exists() -> None:
    clips = [Clip(Path(f"{n}.mp4"), "ab"[n % 2]) for n in range(20)]
    copies = [NearDuplicate(n, n + 10) for n in range(10)]
    for seed in range(5):
        split, notes = divide(clips, copies, 0.2, None, seed)
        assert all((c.one in split.val) == (c.other in split.val) for c in copies)
        assert notes[0].startswith("10 pairs of clips show the same recording, kept on one side")
    grouped = [replace(clip, group="ann") for clip in clips]
    split, notes = divide(grouped, copies, 0.2, None, 0, keep_groups=False)
    assert all((c.one in split.val) == (c.other in split.val) for c in copies)
    assert "kept on one side" in notes[0]
    all_alike = [NearDuplicate(0, n) for n in range(1, 20)]
    split, notes = divide(clips, all_alike, 0.2, None, 0)
    assert len(split.val) == 4
    assert "on two sides of the split" in notes[0]


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """Two labels; the frames of every video lie beside it, as another clip."""
    for label, first in (("wave", 10), ("clap", 30)):
        for number in range(5):
            clip = take(first + number, frames=12)
            write_video(tmp_path / "data" / label / f"{number}.mp4", clip)
            write_frames(tmp_path / "data" / label / f"{number}", clip)
    return tmp_path / "data"


def test_a_video_and_its_extracted_frames_stay_on_one_side_of_the_split(
    twins: Path, tmp_path: Path
) -> None:
    read = ClipOptions(size=32, frames=6, cache=tmp_path / "cache", val=0.2)
    data = load_dataset(TrainOptions(data=twins, clips=read))
    sides = [{(data.clips[i].label, data.clips[i].path.stem) for i in part}
             for part in (data.split.train, data.split.val)]  # fmt: skip
    assert not sides[0] & sides[1]
    assert len(data.split.val) == 4
    notes = " ".join(data.notes)
    assert "10 pairs of clips show the same recording, kept on one side of the split" in notes
    assert "10 clips are folders of images without a rate, taken as 30 frames per second" in notes


def test_data_reports_copies_on_both_sides_of_a_listed_split(
    twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["path,label,split"]
    for label in ("wave", "clap"):
        rows += [f"{label}/{n}.mp4,{label},{'val' if n == 0 else 'train'}" for n in range(5)]
        rows += [f"{label}/{n},{label},train" for n in range(5)]
    rows.append("wave/1,clap,train")
    (twins / "clips.csv").write_text("\n".join(rows))
    small = ["--cache", str(tmp_path / "cache"), "--size", "32", "--json", str(tmp_path / "d.json")]
    assert main(["data", str(twins), *small]) == 0
    out = capsys.readouterr().out
    assert "leak: val wave/0.mp4 = train wave/0 (same recording)" in out
    assert "leak: val clap/0.mp4 = train clap/0 (same recording)" in out
    assert "no two are the same" not in out
    duplicates = json.loads((tmp_path / "d.json").read_text())["duplicates"]
    assert sum(one["leak"] for one in duplicates) == 2
    assert any(one["contradiction"] for one in duplicates)


def test_real_signs_and_fights_have_no_false_copies(tmp_path: Path) -> None:
    signs = sorted(real_data("asl_clips").glob("*.mkv"))
    fights = sorted(real_data("fight", "clips").glob("*/*.mp4"))[::20]
    clips, decoded = decode(tmp_path, [*signs, *fights])
    assert find_near_duplicates(clips, decoded) == []
    with open_path(signs[0]) as source:
        frames = [cv2.resize(frame.bgr, (240, 180))[:, :, ::-1] for frame in source]
    again = write_video(tmp_path / "again.mp4", np.stack(frames[8:-8]), 30.0)
    clips, decoded = decode(tmp_path, [*signs, again])
    assert names(clips, find_near_duplicates(clips, decoded)) == [("again.mkv", "again.mp4", False)]
