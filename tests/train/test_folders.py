"""Folders of clips as phones, archives, syncs and seqvision's own runs leave them."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import square_clip, write_frames, write_video
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.data.clips import Clip
from seqvision.data.datasets import DataSet, find_data_set
from seqvision.data.datasets.detect import find_unnamed
from seqvision.errors import DataError


def put(root: Path, *names: str) -> Path:
    """Write files that are not empty; a name that ends with / is a folder."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    return root


def gestures(root: Path, clips: int = 3) -> Path:
    return put(root, *(f"{label}/{n}.mp4" for label in ("clap", "wave") for n in range(clips)))


def counted(found: DataSet) -> dict[str, int]:
    return dict(Counter(clip.label for clip in found.clips))


def by_part(found: DataSet) -> dict[str | None, list[str]]:
    parts: dict[str | None, list[str]] = {}
    for clip in found.clips:
        parts.setdefault(clip.split, []).append(f"{clip.label}/{clip.path.name}")
    return parts


def refusal(data: Path, **options: bool) -> str:
    with pytest.raises(DataError) as error:
        find_data_set(data, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# What is no label ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("runs/1/options.yaml", "runs/1/metrics.json", "runs/1/confusion_val.png"), "runs of"),
        (
            ("exp/options.yaml", "exp/checkpoints/last.ckpt", "exp/curves.png"),
            "1 run of seqvision (exp)",
        ),
        (("out/a/options.yaml", "out/a/run.json", "out/a/x.png", "out/b.png"), "runs of seqvision"),
        ((f"cache/0a/{'0' * 40}.u8", f"cache/0a/{'0' * 40}.json"), "1 cache of seqvision (cache)"),
        (("__MACOSX/wave/a.mp4",), "system folder (__MACOSX)"),
        (("@eaDir/wave/SYNOVIDEO.mp4",), "system folder (@eaDir)"),
        (("lost+found/1.mp4",), "system folder (lost+found)"),
        (("System Volume Information/1.mp4",), "system folder"),
        (("$RECYCLE.BIN/1.mp4",), "system folder"),
        (("node_modules/x/a.png",), "system folder (node_modules)"),
        (("__pycache__/x.pyc",), "system folder (__pycache__)"),
        ((".trash/a.mp4",), "hidden folder (.trash)"),
        ((".ipynb_checkpoints/a.png",), "hidden folder"),
        ((".venv/pyvenv.cfg", ".venv/lib/m.png"), "hidden folder (.venv)"),
        (("env/pyvenv.cfg", "env/lib/m.png"), "1 Python environment (env)"),
        (("lightning_logs/version_0/a.png",), "logs of trainings"),
        (("wandb/run-1/media/a.png",), "logs of trainings"),
        (("annotations/all.json", "annotations/notes.txt"), "folder without clips (annotations)"),
        (("models/model.pt", "models/model.onnx"), "folder without clips (models)"),
        (("wave/._0.mp4",), "hidden file (wave/._0.mp4)"),
        (("wave/5.mp4.part",), "unfinished or temporary file (wave/5.mp4.part)"),
        (("wave/5.mp4.crdownload", "clap/5.tmp"), "2 unfinished or temporary files"),
        (("wave/0.sync-conflict-20260101-101010-ABC.mp4",), "conflict of a file sync"),
        (("wave/0 (Ann's conflicted copy 2026-01-01).mp4",), "conflict of a file sync"),
        (("wave/notes.txt", "wave/a.pdf", "clap/README.md"), "3 documents (clap/README.md, "),
        (("wave/voice.m4a", "wave/voice2.MP3"), "2 audio files (wave/voice2.MP3, wave/voice.m4a)"),
        (("wave/data.npy",), ".npy file (wave/data.npy)"),
        (("stray.mp4",), "clip without a label (stray.mp4)"),
        (("wave/thumb.jpg",), "image next to videos (wave)"),
    ],
)
def test_files_that_are_not_clips_are_skipped_and_counted(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    found = find_data_set(put(gestures(tmp_path), *names))
    assert counted(found) == {"clap": 3, "wave": 3}
    (note,) = found.notes
    assert note.startswith("left out: ")
    assert message in note


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "wave/Thumbs.db", "clap/desktop.ini", "README.md", "clips.png", "model.pt"],
)
def test_usual_system_files_are_skipped_silently(tmp_path: Path, name: str) -> None:
    found = find_data_set(put(gestures(tmp_path), name))
    assert (counted(found), found.notes) == ({"clap": 3, "wave": 3}, ())


@pytest.mark.parametrize(
    "name", ["runs", "cache", "logs", "models", "test", "train", "checkpoints"]
)
def test_any_folder_name_can_be_a_label(tmp_path: Path, name: str) -> None:
    found = find_data_set(put(gestures(tmp_path), f"{name}/0.mp4", f"{name}/1/0.jpg"))
    assert counted(found) == {"clap": 3, "wave": 3, name: 2}
    assert {clip.split for clip in found.clips} == {None}


def test_empty_files_are_skipped(tmp_path: Path) -> None:
    gestures(tmp_path)
    for name in ("wave/e.mp4", "clap/e.MOV"):
        (tmp_path / name).touch()
    found = find_data_set(tmp_path)
    assert counted(found) == {"clap": 3, "wave": 3}
    assert found.notes == ("left out: 2 empty files (clap/e.MOV, wave/e.mp4)",)
    for path in (tmp_path / "wave").iterdir():
        path.write_bytes(b"")
    assert "label 'wave' has no clips (4 empty files)" in refusal(tmp_path)


def test_a_label_without_clips_is_refused(tmp_path: Path) -> None:
    put(gestures(tmp_path), "snap/")
    assert "label 'snap' has no clips (nothing)" in refusal(tmp_path)
    put(tmp_path, "snap/0.npy")
    assert "label 'snap' has no clips (1 .npy files)" in refusal(tmp_path)


# Which files --------------------------------------------------------------------------------------


def test_every_usual_video_suffix_is_a_clip_in_any_case(tmp_path: Path) -> None:
    kinds = "mp4 m4v mov qt avi divx mkv webm wmv asf 3gp mts m2ts ts mpg mpeg vob ogv flv f4v gif"
    names = [f"wave/{n}.{kind}" for n, kind in enumerate(kinds.split())]
    names += [f"clap/{n}.{kind.upper()}" for n, kind in enumerate(kinds.split())]
    found = find_data_set(put(tmp_path, *names))
    assert counted(found) == {"clap": 21, "wave": 21}
    assert found.notes == ()


@pytest.mark.parametrize("kind", ["jpg", "JPEG", "png", "bmp", "webp", "tif", "TIFF", "ppm", "pgm"])
def test_every_usual_image_suffix_is_a_frame(tmp_path: Path, kind: str) -> None:
    found = find_data_set(put(gestures(tmp_path), f"wave/walk/0.{kind}", f"wave/walk/1.{kind}"))
    assert (tmp_path / "wave" / "walk") in [clip.path for clip in found.clips]


def test_clips_in_subfolders_are_grouped_by_subfolder(tmp_path: Path) -> None:
    # As UCF11 is unpacked: label/v_label_01/v_label_01_01.mpg, and annotations beside them.
    for label in ("basketball", "biking"):
        put(tmp_path, f"{label}/Annotation/v_{label}_01_01.xgtf")
        for group in (1, 2):
            name = f"v_{label}_{group:02}"
            put(tmp_path, *(f"{label}/{name}/{name}_{n:02}.mpg" for n in (1, 2)))
    found = find_data_set(tmp_path)
    assert counted(found) == {"basketball": 4, "biking": 4}
    assert [clip.group for clip in found.clips[:4]] == ["v_basketball_01"] * 2 + [
        "v_basketball_02"
    ] * 2
    assert found.notes[0].startswith(
        "clips in sub-folders are taken, each sub-folder as a group: 4 groups (v_basketball_01, "
    )
    assert "2 documents" in found.notes[1]


def test_deep_subfolders_are_grouped_by_the_first_that_differs(tmp_path: Path) -> None:
    for way in ("ann/mo", "ann/tu", "bob/mo", "bob/tu"):
        put(tmp_path, *(f"{label}/raw/{way}/{n}.mp4" for label in "ab" for n in (0, 1)))
    found = find_data_set(tmp_path)
    assert Counter(clip.group for clip in found.clips) == {"ann": 8, "bob": 8}
    assert counted(found) == {"a": 8, "b": 8}


def test_a_subfolder_with_all_clips_is_not_a_group(tmp_path: Path) -> None:
    found = find_data_set(put(tmp_path, *(f"{x}/videos/{n}.mp4" for x in "ab" for n in range(3))))
    assert ({clip.group for clip in found.clips}, found.notes) == ({None}, ())


def test_frame_folders_and_clip_folders_are_distinguished_by_content(tmp_path: Path) -> None:
    put(gestures(tmp_path), *(f"wave/frames/{n:04}.jpg" for n in range(8)))
    put(tmp_path, "wave/ann/a.mp4", "wave/ann/a_thumb.jpg", "wave/bob/b.mp4")
    put(tmp_path, *(f"wave/both/{n:04}.jpg" for n in range(8)), "wave/both/both.mp4")
    found = find_data_set(tmp_path)
    assert [str(clip.path.relative_to(tmp_path / "wave")) for clip in found.clips[3:]] == [
        "0.mp4", "1.mp4", "2.mp4", "ann/a.mp4", "bob/b.mp4", "both", "both/both.mp4", "frames",
    ]  # fmt: skip
    assert "image next to videos (wave/ann)" in found.notes[-1]


def test_where_images_are_clips_subfolders_are_searched_too(tmp_path: Path) -> None:
    put(tmp_path, *(f"{d}/{who}/{n}.png" for d in "01" for who in ("ann", "bob") for n in (0, 1)))
    (tmp_path / "0" / "ann" / "empty.png").touch()
    found = find_data_set(put(tmp_path, "1/a.mp4"), images=True)
    assert counted(found) == {"0": 4, "1": 4}
    assert {clip.group for clip in found.clips} == {"ann", "bob"}
    assert found.notes[-1] == "left out: 1 empty file (0/ann/empty.png), 1 video (1/a.mp4)"


def test_link_cycles_end_and_dead_links_are_skipped(tmp_path: Path) -> None:
    gestures(tmp_path)
    (tmp_path / "wave" / "back").symlink_to(tmp_path)
    (tmp_path / "wave" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = find_data_set(tmp_path)
    assert counted(found) == {"clap": 3, "wave": 3}
    assert "broken link (wave/gone.mp4)" in found.notes[0]


# The parts of a split -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Train", "Validation", "Test"), ("train", "val", "test")),
        (("train_set", "valid_set", "test_set"), ("train", "val", "test")),
        (("training", "dev", "testing"), ("train", "val", "test")),
        (("trainset", "eval"), ("train", "val")),
        (("train", "test"), ("train", "test")),
        (("training-data",), ("train",)),
        (("1_train", "2_val"), ("train", "val")),
        (("train", "val", "eval"), ("train", "val", "test")),
    ],
)
def test_split_folders_have_their_usual_names(
    tmp_path: Path, names: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    for name in names:
        gestures(tmp_path / name, 2)
    found = find_data_set(tmp_path)
    assert {clip.label for clip in found.clips} == {"clap", "wave"}
    assert {clip.path.parents[1].name: clip.split for clip in found.clips} == dict(
        zip(names, parts, strict=True)
    )


def test_a_split_is_used_whatever_else_is_in_the_folder(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        gestures(tmp_path / name, 2)
    put(tmp_path, "annotations/a.xml", "checkpoints/last.ckpt", "README.md", ".DS_Store", "x.mp4")
    put(tmp_path, "raw/long.mp4", "runs/1/options.yaml", "runs/1/run.json", "runs/1/c.png")
    found = find_data_set(tmp_path)
    assert {part: len(names) for part, names in by_part(found).items()} == {
        "train": 4, "val": 4, "test": 4,
    }  # fmt: skip
    (note,) = found.notes
    assert "folder next to the parts of the split (raw)" in note
    assert "clip without a label (x.mp4)" in note
    assert "runs of seqvision (runs)" in note


def test_an_empty_val_folder_is_reported_and_train_is_split(tmp_path: Path) -> None:
    put(gestures(tmp_path / "train"), "../val/")
    (tmp_path / "val").mkdir(exist_ok=True)
    found = find_data_set(tmp_path)
    assert set(by_part(found)) == {"train"}
    assert found.notes == (f"{tmp_path / 'val'} has no clips: there is no part val",)


def test_unlabelled_test_files_are_skipped(tmp_path: Path) -> None:
    gestures(tmp_path / "train")
    put(tmp_path, *(f"test/{n:04}.mp4" for n in range(5)), *(f"test/c/{n}.jpg" for n in range(3)))
    found = find_data_set(tmp_path)
    assert set(by_part(found)) == {"train"}
    assert "6 clips without a label (test/0000.mp4, " in found.notes[-1]
    put(tmp_path, *(f"test/wave/{n}.mp4" for n in range(2)))
    found = find_data_set(tmp_path)
    assert by_part(found)["test"] == ["wave/0.mp4", "wave/1.mp4"]
    assert "6 clips without a label" in found.notes[-1]


def test_folders_train_and_test_inside_the_labels_are_a_split(tmp_path: Path) -> None:
    for label in ("wave", "clap"):
        put(tmp_path, *(f"{label}/train/{n}.mp4" for n in range(3)), f"{label}/test/9.mp4")
    found = find_data_set(tmp_path)
    assert by_part(found)["test"] == ["clap/9.mp4", "wave/9.mp4"]
    assert {clip.group for clip in found.clips} == {None}
    assert found.notes == ("folders train, val and test inside the labels are read as a split",)


def test_an_only_folder_is_entered(tmp_path: Path) -> None:
    gestures(tmp_path / "one" / "data" / "data")
    put(tmp_path / "one", "__MACOSX/data/a.mp4", "data/.DS_Store")
    found = find_data_set(tmp_path / "one")
    assert counted(found) == {"clap": 3, "wave": 3}
    assert "data/data, the only folder with clips, is read as the data set" in found.notes[0]
    for name in ("train", "test"):
        gestures(tmp_path / "two" / "dataset" / name)
    assert set(by_part(find_data_set(tmp_path / "two"))) == {"train", "test"}


def test_a_label_called_test_stays_a_label_with_a_note(tmp_path: Path) -> None:
    found = find_data_set(put(gestures(tmp_path), "test/ann/0.mp4", "test/bob/1.mp4"))
    assert counted(found) == {"clap": 3, "test": 2, "wave": 3}
    assert "test is read as a label, next to clap, wave" in " ".join(found.notes)


def test_val_and_test_without_train_are_noted(tmp_path: Path) -> None:
    for name in ("val", "test"):
        gestures(tmp_path / name)
    found = find_data_set(tmp_path)
    assert set(by_part(found)) == {"val", "test"}
    assert "has no folder train, only test and val" in found.notes[0]


# What is wrong ------------------------------------------------------------------------------------


def test_loose_files_without_labels_are_refused_with_the_expected_layout(tmp_path: Path) -> None:
    put(tmp_path / "a", "0.mp4", "1.mp4")
    assert "2 videos in it and no folders of labels; expected" in refusal(tmp_path / "a")
    put(tmp_path / "a", "labels.csv")
    assert "or give the list: " in refusal(tmp_path / "a")
    put(tmp_path / "b", "0.jpg", "1.jpg")
    assert "2 images in it" in refusal(tmp_path / "b")
    assert "a folder of images is one clip" in refusal(tmp_path / "b")
    put(tmp_path / "c", "x/0.jpg", "x/1.jpg", "y/0.jpg")
    assert "--sequence makes a clip of each image" in refusal(tmp_path / "c")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clips.xlsx", "a spreadsheet; save it as a .csv list"),
        ("clips.zip", "clips.zip: "),
        ("clip.mp4", "one video; give the folder of the clips"),
        ("clip.dat", "neither a folder nor a .csv list"),
    ],
)
def test_a_file_that_is_not_a_list_is_refused_with_a_hint(
    tmp_path: Path, name: str, message: str
) -> None:
    assert message in refusal(put(tmp_path, name) / name)


# The same for clips without labels ----------------------------------------------------------------


def test_clips_to_predict_are_found_among_other_files(tmp_path: Path) -> None:
    put(gestures(tmp_path), "runs/1/options.yaml", "runs/1/run.json", "runs/1/c.png")
    put(tmp_path, "__MACOSX/._0.mp4", "wave/._0.mp4", "wave/5.mp4.part", "wave/a.TXT", "wave/5.WMV")
    clips, notes = find_unnamed(str(tmp_path))
    assert Counter(clip.path.parent.name for clip in clips) == {"clap": 3, "wave": 4}
    assert all(isinstance(clip, Clip) and not clip.label for clip in clips)
    assert "runs of seqvision (runs)" in notes[0]
    assert "unfinished or temporary file (wave/5.mp4.part)" in notes[0]


# All of it at once --------------------------------------------------------------------------------


def scene(direction: int, seed: int) -> NDArray[np.uint8]:
    """Return a clip of a size at which a codec keeps what is in it."""
    return square_clip(direction, seed, 12).repeat(4, 1).repeat(4, 2)


def test_a_messy_folder_is_read_with_a_note_per_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A download folder: two people's clips, an archive's leavings, a run, a broken download."""
    monkeypatch.chdir(tmp_path)
    greeting = unicodedata.normalize("NFD", "Grüße")
    for number in range(5):
        for label, direction in ((greeting, 1), ("none", 0), ("Wave", -1)):
            clip = scene(direction, 10 * number + len(label))
            path = write_video(tmp_path / label / f"{number}.mp4", clip)
            path.rename(path.with_name(f"IMG_{number}.MP4"))
    write_frames(tmp_path / "Wave" / "ann" / "IMG_0 frames", scene(-1, 4))
    write_video(tmp_path / "Wave" / "bob" / "clip.avi", scene(-1, 900))
    write_video(tmp_path / "wave" / "x.mp4", scene(-1, 77))
    write_video(tmp_path / "stray.mp4", scene(0, 78))
    put(tmp_path, ".DS_Store", "Wave/Thumbs.db", "Wave/._IMG_0.MP4", "__MACOSX/Wave/._IMG_0.MP4")
    put(tmp_path, "annotations/all.json", "README.md", "Wave/voice.m4a", "Wave/new.mp4.crdownload")
    put(tmp_path, "runs/1/options.yaml", "runs/1/run.json", "runs/1/confusion_val.png")
    (tmp_path / "Wave" / "empty.mp4").touch()
    (tmp_path / "Wave" / "broken.mov").write_bytes(b"\0\1\2\3 no video at all")

    assert main(["data", ".", "--cache", "cache", "--size", "32", "--json", "found.json"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert {label: row["clips"] for label, row in found["labels"].items()} == {
        "Grüße": 5, "Wave": 7, "none": 5, "wave": 1,
    }  # fmt: skip
    (left_out,) = (note for note in found["notes"] if note.startswith("left out"))
    for words in (
        "1 system folder (__MACOSX)", "runs of seqvision (runs)",
        "1 hidden file (Wave/._IMG_0.MP4)", "1 audio file (Wave/voice.m4a)",
        "1 unfinished or temporary file (Wave/new.mp4.crdownload)",
        "1 empty file (Wave/empty.mp4)", "1 folder without clips (annotations)",
        "1 clip without a label (stray.mp4)",
    ):  # fmt: skip
        assert words in left_out
    notes = " ".join(found["notes"])
    assert "labels 'Wave' and 'wave' differ only in case" in notes
    assert "2 groups (ann, bob)" in notes
    assert "1 clip is a folder of images without a rate" in notes
    assert [line.partition(":")[0] for line in found["unreadable"]] == ["Wave/broken.mov"]
    copies = [[Path(clip["path"]).name for clip in one["clips"]] for one in found["duplicates"]]
    assert sorted(copies[0]) == ["IMG_0 frames", "IMG_0.MP4"]

    capsys.readouterr()
    small = ["--size", "32", "--frames", "6", "--encoder", "flatten", "--hidden", "8"]
    train = ["train", ".", "--cache", "cache", "--epochs", "1", "--workers", "0", *small]
    for _ in range(2):  # the second time beside its own run
        assert main(train) == 0
        err = " ".join(capsys.readouterr().err.split())
        assert "4 labels, 18 clips" in err
        assert "left out: Wave/broken.mov: " in err
        assert "runs of seqvision (runs)" in err
        assert "differ only in case" in err
    assert main(["predict", "model.pt", "."]) == 3, "one clip cannot be read"
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 19, "the stray clip needs no label here"
    assert "runs of seqvision (runs)" in " ".join(err.split())
