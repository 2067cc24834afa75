from pathlib import Path

import pytest
from conftest import square_clip, write_frames, write_squares, write_video

from seqvision.cli import main
from seqvision.data.clips import Clip, find_background, labels_of
from seqvision.data.datasets import find_clips
from seqvision.errors import DataError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_gives_videos_and_frame_folders_mixed_in_natural_order(tmp_path: Path) -> None:
    touch(*(tmp_path / "wave" / name for name in ("10.mp4", "2.AVI", "notes.txt", ".hidden.mp4")))
    touch(tmp_path / "wave" / "1" / "0.jpg", tmp_path / "none" / "a" / "0.png")
    found = [(clip.label, clip.path.name) for clip in find_clips(tmp_path)]
    assert found == [("none", "a"), ("wave", "1"), ("wave", "2.AVI"), ("wave", "10.mp4")]


def test_folders_named_train_and_val_are_a_split(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "a" / "0.mp4", tmp_path / "valid" / "a" / "1.mp4")
    assert {(clip.label, clip.split) for clip in find_clips(tmp_path)} == {
        ("a", "train"),
        ("a", "val"),
    }


def test_a_list_gives_groups_splits_and_rates_and_paths_relative_to_itself(tmp_path: Path) -> None:
    rows = "path,label,group,split,fps\nx/ä 1.mp4,wäve,ann,TRAIN,\nx/2,none,,validation,12.5\n"
    (tmp_path / "clips.csv").write_text("\ufeff" + rows, encoding="utf-8")
    touch(tmp_path / "x" / "ä 1.mp4", tmp_path / "x" / "2" / "0.jpg")
    expected = [
        Clip(tmp_path / "x/ä 1.mp4", "wäve", "ann", "train", None),
        Clip(tmp_path / "x/2", "none", None, "val", 12.5),
    ]
    assert find_clips(tmp_path) == expected, "a folder's clips.csv is used"
    assert find_clips(tmp_path / "clips.csv") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("what,label\na,b\n", "has no column path .columns found: label, what."),
        ("path,label\na.mp4,\n", "line 2: path or label is empty"),
        ("path,label,split\na.mp4,x,training\nb.mp4,x,own\n", "line 3: split is 'own'"),
        ("path,label,fps\na.mp4,x,fast\n", "line 2: fps is 'fast'"),
        ("path,label\n", "no clips"),
    ],
)
def test_an_invalid_list_is_reported_with_its_line(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        find_clips(path)
    assert "\n" not in str(error.value)


def test_a_folder_without_clips_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or list"):
        find_clips(tmp_path / "missing")
    with pytest.raises(DataError, match="no clips"):
        find_clips(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(DataError, match="1 folders without images"):
        find_clips(tmp_path)
    touch(tmp_path / "c" / "0.mp4")
    with pytest.raises(DataError, match="label 'a' has no clips"):
        find_clips(tmp_path)


def test_a_single_label_is_refused() -> None:
    with pytest.raises(DataError, match=r"only one label \(wave\)"):
        labels_of([Clip(Path("a"), "wave"), Clip(Path("b"), "wave")])


def test_the_background_is_found_by_name_or_option() -> None:
    assert find_background(["None", "wave"], None) == "None"
    assert find_background(["still", "wave"], None) is None
    assert find_background(["still", "wave"], "still") == "still"
    with pytest.raises(DataError, match="--background rest: not a label"):
        find_background(["still", "wave"], "rest")


def test_unreadable_clips_are_reported_and_the_rest_used(tmp_path: Path) -> None:
    from seqvision.data.cache import Cache
    from seqvision.data.decode import Store, decode_all
    from seqvision_edge.card import ImageSpec

    write_frames(tmp_path / "a" / "good", square_clip(1, 0))
    write_video(tmp_path / "a" / "fine.mp4", square_clip(1, 1))
    (tmp_path / "a" / "text.mp4").write_text("not a video")
    (tmp_path / "a" / "broken").mkdir()
    (tmp_path / "a" / "broken" / "0.jpg").write_bytes(b"not an image")
    spec = ImageSpec(height=16, width=16, channels=3, fit="stretch")
    seen: list[tuple[int, int]] = []
    clips, decoded, broken = decode_all(
        Store(Cache(tmp_path / "cache"), spec, 10.0),
        find_clips(tmp_path),
        lambda done, total: seen.append((done, total)),
    )
    assert [clip.path.name for clip in clips] == ["fine.mp4", "good"]
    assert [clip.frames.shape for clip in decoded] == [(10, 16, 16, 3)] * 2
    assert len(broken) == 2
    for name in ("text.mp4", "broken"):
        assert sum(name in line for line in broken) == 1, broken
    assert seen[-1] == (4, 4)


def test_the_background_has_common_names_and_can_be_switched_off() -> None:
    assert find_background(["NoGesture", "wave"], None) == "NoGesture"
    assert find_background(["fight", "noFight"], None) == "noFight"
    assert find_background(["idle", "wave"], "none") is None, "no label is called so"
    assert find_background(["None", "wave"], "none") == "None"


NONE = "no background label: live, every moment is called one of left, right"


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (("left", "right"), (), NONE),
        (("left", "No gesture"), (), "No gesture (nothing happens; never makes an event)"),
        (("idle", "other"), (), "other could be it too and makes events: --background LABEL"),
        (("idle", "other"), ("--background", "other"), "other (nothing happens; never"),
        (("left", "Negative"), ("--background", "none"), "no background label"),
    ],
)
def test_data_prints_the_background_label(
    names: tuple[str, str],
    options: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_squares(tmp_path / "clips", 5)
    for old, new in zip(("left", "right"), names, strict=True):
        (tmp_path / "clips" / old).rename(tmp_path / "clips" / new)
    assert main(["data", str(tmp_path / "clips"), *options]) == 0
    assert expected in " ".join(capsys.readouterr().out.split())


def test_a_training_prints_whether_it_has_a_background(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainings import options, train

    write_squares(tmp_path / "clips", 5)
    trained = train(options(tmp_path / "clips", tmp_path, epochs=1))
    assert f"note: {NONE}" in " ".join(capsys.readouterr().err.split())
    assert NONE in (trained.run / "report.html").read_text()
    (tmp_path / "clips" / "right").rename(tmp_path / "clips" / "NoGesture")
    train(options(tmp_path / "clips", tmp_path, epochs=1))
    assert "background label: NoGesture (nothing happens" in capsys.readouterr().err
