"""Public data sets, written as they are distributed; no clip is decoded, so a file may be empty."""

import gzip
import json
import struct
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import real_data
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip
from seqvision.data.datasets import find_clips, find_data_set
from seqvision.data.datasets.mnist import idx_images
from seqvision.data.decode import Store
from seqvision.data.splits import split_clips
from seqvision.errors import DataError
from seqvision_edge.card import ImageSpec, StripSequence
from seqvision_edge.frame import Frame, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.sinks.event_clips import EventClips, Margins
from seqvision_edge.sources.factory import open_path
from seqvision_edge.types import Event


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(data: Path, dataset: str = "auto", **options: bool | int) -> str:
    with pytest.raises(DataError) as error:
        find_clips(data, dataset, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def fields_of(clips: list[Clip]) -> list[tuple[str, str, str | None, str | None]]:
    return [(clip.path.name, clip.label, clip.group, clip.split) for clip in clips]


# UCF101 ---------------------------------------------------------------------------------------


def ucf101(root: Path) -> Path:
    lists = root / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 ApplyEyeMakeup", "2 HandstandPushups")
    write(
        lists / "trainlist01.txt",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1",
        "HandstandPushups/v_HandStandPushups_g08_c01.avi 2",
    )
    write(lists / "testlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi")
    write(lists / "trainlist02.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi 1")
    write(lists / "testlist02.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi")
    videos = root / "UCF-101"
    touch(
        videos / "ApplyEyeMakeup" / "v_ApplyEyeMakeup_g08_c01.avi",
        videos / "ApplyEyeMakeup" / "v_ApplyEyeMakeup_g01_c02.avi",
        videos / "HandStandPushups" / "v_HandStandPushups_g08_c01.avi",
    )
    return root


def test_ucf101_is_recognized_by_its_lists_and_groups_are_per_class(tmp_path: Path) -> None:
    found = find_data_set(ucf101(tmp_path))
    assert (found.name, found.notes) == ("ucf101", ())
    assert fields_of(found.clips) == [
        ("v_ApplyEyeMakeup_g08_c01.avi", "ApplyEyeMakeup", "ApplyEyeMakeup_g08", "train"),
        ("v_HandStandPushups_g08_c01.avi", "HandstandPushups", "HandStandPushups_g08", "train"),
        ("v_ApplyEyeMakeup_g01_c02.avi", "ApplyEyeMakeup", "ApplyEyeMakeup_g01", "test"),
    ]
    assert all(clip.path.is_file() for clip in found.clips)


def test_an_official_split_is_chosen_by_number(tmp_path: Path) -> None:
    second = find_clips(ucf101(tmp_path / "ucf"), official=2)
    assert [(clip.group, clip.split) for clip in second] == [
        ("ApplyEyeMakeup_g01", "train"),
        ("ApplyEyeMakeup_g08", "test"),
    ]
    assert "trainlist03.txt: cannot be read" in refusal(tmp_path / "ucf", official=3)
    touch(tmp_path / "own" / "a" / "0.mp4")
    assert "--official-split 2" in refusal(tmp_path / "own", official=2)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("classInd.txt", "three Archery", "classInd.txt, line 2: 'three Archery'"),
        ("trainlist01.txt", "Archery/v_Archery_g01_c01.avi 3", "trainlist01.txt, line 2"),
        ("trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g09_c01.avi 2", "is class 1"),
        ("testlist01.txt", "ApplyEyeMakeup/makeup.avi", "testlist01.txt, line 2: 'makeup.avi'"),
    ],
)
def test_an_invalid_line_of_ucf101_is_reported(
    tmp_path: Path, file: str, line: str, message: str
) -> None:
    path = ucf101(tmp_path) / "ucfTrainTestlist" / file
    write(path, path.read_text().splitlines()[0], line)
    assert message in refusal(tmp_path)


def test_missing_listed_clips_are_counted_and_none_found_is_an_error(
    tmp_path: Path,
) -> None:
    (ucf101(tmp_path) / "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi").unlink()
    found = find_data_set(tmp_path)
    assert len(found.clips) == 2
    assert "1 of 3 listed clips" in found.notes[0]
    assert "v_applyeyemakeup_g08_c01" in found.notes[0]
    for path in (tmp_path / "UCF-101").glob("*/*"):
        path.unlink()
    assert "none of the 3 clips" in refusal(tmp_path)


def test_val_is_split_from_an_official_train_part_by_groups(tmp_path: Path) -> None:
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 A", "2 B")
    train, test = [], []
    for number, label in enumerate("AB", 1):
        for group in range(1, 26):
            for clip in range(1, 5):
                name = f"v_{label}_g{group:02d}_c{clip:02d}.avi"
                touch(tmp_path / "UCF-101" / label / name)
                (train if group > 7 else test).append(
                    f"{label}/{name} {number}" if group > 7 else f"{label}/{name}"
                )
    write(lists / "trainlist01.txt", *train)
    write(lists / "testlist01.txt", *test)
    clips = find_clips(tmp_path)
    split = split_clips(clips, 0.2, None, seed=0)
    sides = [{clips[i].group for i in part} for part in (split.train, split.val, split.test)]
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    assert [len(split.train), len(split.val), len(split.test)] == pytest.approx(
        [116, 28, 56], abs=4
    )
    for number in range(1, 6):
        fold = split_clips(clips, 0.2, f"{number}/5", seed=0)
        assert not {clips[i].group for i in fold.train} & {clips[i].group for i in fold.val}


# HMDB51 ---------------------------------------------------------------------------------------


def hmdb51(root: Path) -> Path:
    clips = {
        "brush_hair": {
            "April_09_brush_hair_u_nm_np1_ba_goo_0": (1, 2, 0),
            "Blonde_being_brushed_brush_hair_f_nm_np2_ri_med_0": (2, 1, 1),
        },
        "walk": {"#1_Crash_walk_f_cm_np1_le_med_7": (1, 0, 2), "odd name": (0, 1, 1)},
    }
    for label, rows in clips.items():
        for official in (1, 2, 3):
            lines = [f"{name}.avi {parts[official - 1]} " for name, parts in rows.items()]
            lists = root / "testTrainMulti_7030_splits"
            write(lists / f"{label}_test_split{official}.txt", *lines)
        touch(*(root / label / f"{name}.avi" for name in rows))
    return root


def test_hmdb51_groups_by_film_and_skips_unused_clips(tmp_path: Path) -> None:
    found = find_data_set(hmdb51(tmp_path))
    assert found.name == "hmdb51"
    assert [(clip.label, clip.group, clip.split) for clip in found.clips] == [
        ("brush_hair", "April_09", "train"),
        ("brush_hair", "Blonde_being_brushed", "test"),
        ("walk", "#1_Crash", "train"),
    ]
    assert found.notes == ("1 clips are in neither part of official split 1",)
    third = find_clips(tmp_path, "hmdb51", official=3)
    assert [(clip.group, clip.split) for clip in third] == [
        ("Blonde_being_brushed", "train"),
        ("#1_Crash", "test"),
        ("odd name", "train"),
    ]


def test_an_invalid_line_of_hmdb51_is_reported(tmp_path: Path) -> None:
    path = hmdb51(tmp_path) / "testTrainMulti_7030_splits" / "walk_test_split1.txt"
    write(path, "a.avi 1", "b.avi 3")
    assert "walk_test_split1.txt, line 2: 'b.avi 3'" in refusal(tmp_path)


# Jester and Something-Something ---------------------------------------------------------------


def jester(root: Path) -> Path:
    write(root / "jester-v1-labels.csv", "Swiping Left", "No gesture")
    write(root / "jester-v1-train.csv", "34870;Swiping Left", "56557;No gesture")
    write(root / "jester-v1-validation.csv", "9223;Swiping Left")
    write(root / "jester-v1-test.csv", "10041", "10042")
    for number in (34870, 56557, 9223, 10041):
        touch(root / "20bn-jester-v1" / str(number) / "00001.jpg")
    return root


def test_jester_has_frame_folders_at_12_fps_and_an_unlabelled_test_part(tmp_path: Path) -> None:
    found = find_data_set(jester(tmp_path))
    assert found.name == "jester"
    frames = tmp_path / "20bn-jester-v1"
    assert found.clips == [
        Clip(frames / "34870", "Swiping Left", split="train", fps=12.0),
        Clip(frames / "56557", "No gesture", split="train", fps=12.0),
        Clip(frames / "9223", "Swiping Left", split="val", fps=12.0),
    ]
    assert found.notes == ("2 clips have no label (the test part) and are left out",)


def test_the_later_jester_release_labels_its_test_part(tmp_path: Path) -> None:
    jester(tmp_path)
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in tmp_path.glob("*.csv"):
        path.rename(labels / path.name.removeprefix("jester-v1-"))
    write(labels / "test-answers.csv", "10041;No gesture")
    found = find_data_set(tmp_path)
    assert fields_of(found.clips)[-1] == ("10041", "No gesture", None, "test")
    assert found.notes == ("1 clips have no label (the test part) and are left out",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x;No gesture", "jester-v1-train.csv, line 2: 'x;No gesture' is not like"),
        ("34870,No gesture", "line 2"),
        ("34870;Swiping Lft", "line 2: 'Swiping Lft' is not in the list of labels"),
    ],
)
def test_an_invalid_line_of_jester_is_reported(tmp_path: Path, line: str, message: str) -> None:
    write(jester(tmp_path) / "jester-v1-train.csv", "56557;No gesture", line)
    assert message in refusal(tmp_path)


def test_something_version_1_is_read_like_jester(tmp_path: Path) -> None:
    prefix = "something-something-v1"
    write(tmp_path / f"{prefix}-labels.csv", "Holding something")
    write(tmp_path / f"{prefix}-train.csv", "100218;Holding something")
    touch(tmp_path / f"20bn-{prefix}" / "100218" / "00001.jpg")
    found = find_data_set(tmp_path)
    assert found.name == "something"
    assert fields_of(found.clips) == [("100218", "Holding something", None, "train")]
    assert found.clips[0].fps == 12.0


def something2(root: Path, label: str = "Holding [something] über [something]") -> Path:
    prefix = "something-something-v2"
    entries = [
        {"id": "78687", "label": "holding potato", "template": label, "placeholders": ["potato"]},
        {"id": "42326", "template": "Closing [something]"},
    ]
    write(root / f"{prefix}-train.json", json.dumps(entries, indent=1))
    write(root / f"{prefix}-validation.json", json.dumps(entries[:1]))
    write(root / f"{prefix}-test.json", json.dumps([{"id": "1420"}]))
    labels = {"Holding something über something": "0", "Closing something": "1"}
    write(root / f"{prefix}-labels.json", json.dumps(labels))
    touch(root / f"20bn-{prefix}" / "78687.webm", root / f"20bn-{prefix}" / "42326.webm")
    return root


def test_something_version_2_has_templates_without_brackets_as_labels(tmp_path: Path) -> None:
    found = find_data_set(something2(tmp_path))
    assert fields_of(found.clips) == [
        ("78687.webm", "Holding something über something", None, "train"),
        ("42326.webm", "Closing something", None, "train"),
        ("78687.webm", "Holding something über something", None, "val"),
    ]
    assert [clip.fps for clip in found.clips] == [None] * 3, "a video says its rate itself"
    assert found.notes == ("1 clips have no label (the test part) and are left out",)


def test_invalid_json_of_something_is_reported_with_its_position(tmp_path: Path) -> None:
    something2(tmp_path, label="Holding [nothing]")
    assert "train.json, entry 1: 'Holding nothing' is not" in refusal(tmp_path)
    write(tmp_path / "something-something-v2-train.json", '[{"id": "1", "template": "x"},', "oops")
    assert "train.json, line 2: not JSON" in refusal(tmp_path)
    write(tmp_path / "something-something-v2-train.json", '[{"template": "x"}]')
    assert "entry 1: no id" in refusal(tmp_path)


# Kinetics -------------------------------------------------------------------------------------


def kinetics(root: Path) -> Path:
    columns = "label,youtube_id,time_start,time_end,split,is_cc"
    write(
        root / "annotations" / "train.csv",
        columns,
        '"air drumming",_dbcJuKJQNs,40,50,train,0',
        "abseiling,-3B32lodo2M,59,69,train,0",
        "abseiling,vanished00A,1,11,train,0",
    )
    write(root / "annotations" / "val.csv", columns, "abseiling,0347ZoDXyP0,95,105,validate,0")
    write(root / "annotations" / "test.csv", columns.partition(",")[2], "zzzzzzzzzzz,0,10,test,0")
    touch(
        root / "train" / "air drumming" / "_dbcJuKJQNs_000040_000050.mp4",
        root / "train" / "-3B32lodo2M_000059_000069.mp4",
        root / "0347ZoDXyP0_000095_000105.mp4",
    )
    return root


def test_kinetics_clips_are_found_by_name_and_missing_ones_counted(
    tmp_path: Path,
) -> None:
    found = find_data_set(kinetics(tmp_path))
    assert found.name == "kinetics"
    assert [(clip.label, clip.group, clip.split) for clip in found.clips] == [
        ("air drumming", "_dbcJuKJQNs", "train"),
        ("abseiling", "-3B32lodo2M", "train"),
        ("abseiling", "0347ZoDXyP0", "val"),
    ]
    assert all(clip.path.is_file() for clip in found.clips)
    assert "1 of 4 listed clips" in found.notes[0]
    assert "vanished00A_000001_000011" in found.notes[0]
    assert "1 clips have no label" in found.notes[1]
    (tmp_path / "annotations" / "train.csv").rename(tmp_path / "train.csv")
    assert [clip.label for clip in find_clips(tmp_path / "train.csv")] == [
        "air drumming",
        "abseiling",
    ], "one of the lists alone"


def test_an_invalid_line_of_kinetics_is_reported_and_no_clips_is_an_error(tmp_path: Path) -> None:
    columns = "label,youtube_id,time_start,time_end,split"
    path = write(tmp_path / "train.csv", columns, "abseiling,abc,one,11,train")
    assert "train.csv, line 2: 'one' to '11'" in refusal(tmp_path)
    write(path, columns, "abseiling,abc,1,11,own")
    assert "train.csv, line 2: split is 'own'" in refusal(tmp_path)
    write(path, columns, "abseiling,abc,1,11,train")
    assert "none of the 1 clips" in refusal(tmp_path)


# MNIST ----------------------------------------------------------------------------------------


def write_idx(path: Path, values: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def mnist(folder: Path, suffix: str = "") -> NDArray[np.uint8]:
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    for part, chosen in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images[chosen])
        labels = np.array([7, 0, 9, 7, 1, 0], np.uint8)[chosen]
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return images


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", [".", "raw", "MNIST/raw"])
def test_mnist_is_one_clip_per_image(tmp_path: Path, folder: str, suffix: str) -> None:
    images = mnist(tmp_path / folder, suffix)
    found = find_data_set(tmp_path)
    assert found.name == "mnist"
    assert [(clip.label, clip.split, clip.index) for clip in found.clips] == [
        ("7", "train", 0), ("0", "train", 1), ("9", "train", 2), ("7", "train", 3),
        ("1", "test", 0), ("0", "test", 1),
    ]  # fmt: skip
    for clip, image in zip(found.clips, images, strict=True):
        assert clip.index is not None
        assert np.array_equal(idx_images(clip.path)[clip.index], image)


def test_mnist_variants_are_recognized_by_folder_or_option(tmp_path: Path) -> None:
    mnist(tmp_path / "FashionMNIST" / "raw")
    found = find_data_set(tmp_path)
    assert (found.name, found.clips[0].label) == ("fashion_mnist", "Sneaker")
    assert find_data_set(tmp_path / "FashionMNIST").name == "fashion_mnist"
    mnist(tmp_path / "loose")
    assert find_clips(tmp_path / "loose", "kmnist")[0].label == "ya"
    mnist(tmp_path / "KMNIST" / "raw")
    assert "could be fashion_mnist or kmnist; choose with" in refusal(tmp_path)
    assert find_clips(tmp_path, "kmnist")[2].label == "wo"


def test_damaged_idx_files_are_one_line(tmp_path: Path) -> None:
    mnist(tmp_path, ".gz")
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    write_idx(labels, np.zeros(3, np.uint8))
    assert "4 images, but train-labels-idx1-ubyte.gz has 3 labels" in refusal(tmp_path)
    write_idx(labels, np.full(4, 11, np.uint8))
    assert "a label is 11, must be below 10" in refusal(tmp_path)
    labels.write_bytes(whole[:-12])
    assert "train-labels-idx1-ubyte.gz: not a whole idx file" in refusal(tmp_path)
    labels.unlink()
    assert "train-labels-idx1-ubyte (.gz or not) is missing" in refusal(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    images.write_bytes(b"no gzip")
    write_idx(labels, np.zeros(4, np.uint8))
    idx_images.cache_clear()
    assert "train-images-idx3-ubyte.gz: not a whole idx file" in refusal(tmp_path)


def test_an_idx_image_gives_the_same_steps_as_an_image_file(tmp_path: Path) -> None:
    images = mnist(tmp_path)
    assert cv2.imwrite(str(tmp_path / "0.png"), images[1])
    spec = ImageSpec(height=1, width=7, channels=1, fit="stretch")
    rows = StripSequence(kind="rows", steps=100, longer="crop")
    for sequence in (rows, None):
        store = Store(Cache(tmp_path / "cache"), spec, 30.0, sequence)
        held = store.load(find_clips(tmp_path)[1])
        kept = store.load(Clip(tmp_path / "0.png", "0"))
        assert held.frames.shape == kept.frames.shape
        assert np.array_equal(held.frames[:], kept.frames[:])
        assert held.times.tolist() == kept.times.tolist()
    other = store.load(find_clips(tmp_path)[2])
    assert len({held.key, other.key}) == 2
    assert held.key == store.load(find_clips(tmp_path)[1]).key


def test_idx_files_are_trained_on_and_evaluated_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    labels = np.arange(60, dtype=np.uint8) % 2
    images = generator.integers(0, 90, (60, 6, 6), np.uint8)
    images[labels == 1, :3] += 120  # bright above
    images[labels == 0, 3:] += 120  # bright below
    for part, chosen in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        write_idx(tmp_path / "data" / "raw" / f"{part}-images-idx3-ubyte.gz", images[chosen])
        write_idx(tmp_path / "data" / "raw" / f"{part}-labels-idx1-ubyte.gz", labels[chosen])
    data = ["--dataset", "mnist", "--root", "data", "--cache", "cache"]
    small = ["--encoder", "flatten", "--hidden", "8", "--epochs", "25", "--workers", "0"]
    assert main(["train", *data, *small, "--sequence", "rows", "--augment", "none"]) == 0
    assert main(["evaluate", "model.pt", *data, "--split", "test", "--output", "m.json"]) == 0
    measured = json.loads(Path("m.json").read_text())
    assert measured["clips"] == 20
    assert measured["accuracy"] == 1.0


def test_the_real_mnist_has_70000_clips() -> None:
    clips = find_clips(real_data("mnist"))
    assert Counter(clip.split for clip in clips) == {"train": 60000, "test": 10000}
    first = [clip.label for clip in clips[:10]]
    assert first == list("5041921314"), "as everybody knows them"
    assert Counter(clip.label for clip in clips)["1"] == 7877


# Own folders and the choice -------------------------------------------------------------------


def test_for_still_image_models_each_loose_image_is_a_clip(tmp_path: Path) -> None:
    for name in ("train/ä/10.png", "train/ä/2.png", "test/b/1.jpg", "test/b/ann/0.jpg"):
        write(tmp_path / name, "x")
    assert fields_of(find_clips(tmp_path, images=True)) == [
        ("1.jpg", "b", None, "test"),
        ("0.jpg", "b", None, "test"),
        ("2.png", "ä", None, "train"),
        ("10.png", "ä", None, "train"),
    ]
    for name in ("train/ä/10.png", "train/ä/2.png", "test/b/1.jpg", "test/b/ann/0.jpg"):
        (tmp_path / name).rename((tmp_path / name).with_suffix(".mp4"))
    assert "has 1 .mp4 files, 1 folders without images, expected images" in refusal(
        tmp_path, images=True
    )


def test_a_user_s_list_wins_over_a_recognized_data_set(tmp_path: Path) -> None:
    ucf101(tmp_path)
    touch(tmp_path / "UCF-101" / "x.avi")
    write(tmp_path / "clips.csv", "path,label", "UCF-101/x.avi,own")
    assert fields_of(find_clips(tmp_path)) == [("x.avi", "own", None, None)]
    assert len(find_clips(tmp_path, "ucf101")) == 3


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("ucf101", "not UCF101"),
        ("hmdb51", "not HMDB51"),
        ("jester", "no jester-v1-train.csv"),
        ("something", "neither something-something-v2-train.json"),
        ("kinetics", "no CSV with the columns label,youtube_id"),
        ("mnist", "no train-images-idx3-ubyte"),
        ("csv", "clips.csv: cannot be read"),
    ],
)
def test_a_missing_data_set_names_the_missing_files(
    tmp_path: Path, dataset: str, message: str
) -> None:
    assert message in refusal(tmp_path, dataset)


def test_event_clips_recorded_by_edge_run_are_a_data_set(tmp_path: Path) -> None:
    source = SimpleNamespace(name="rtsp://cam/1", live=True, fps=10.0)
    outlet = EventClips(tmp_path, [source], Margins(0.5, 0.2, 0.2))  # type: ignore[list-item]
    outlet.open()
    for index in range(30):
        label = {15: "wave", 25: 'say "é", ok'}.get(index)
        at = index / 10
        events = (Event(label, at - 0.4, at, at, 0.9, at),) if label else ()
        image = np.full((24, 32, 3), 8 * index, np.uint8)
        outlet.send(Step(source=source.name, frame=Frame(image, at, index), events=events))
    outlet.close()
    clips = find_clips(tmp_path)
    assert [clip.label for clip in clips] == ["wave", 'say "é", ok']
    for clip in clips:
        with open_path(clip.path) as video:
            assert sum(1 for _ in video) == 12
