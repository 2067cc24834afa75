"""Vectors as clips: found, read, standardised, varied, trained, exported, run live."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import real_data
from export_models import prove_here
from landmark_weights import landmark_weights
from numpy.typing import NDArray

import seqvision as sv
from seqvision import cli
from seqvision.config import DataOptions, ModelOptions, TrainOptions
from seqvision.data.augment import make_augmenter
from seqvision.data.augment.vectors import Statistics, Strength, VectorAugmenter, vary
from seqvision.data.dataset import ClipDataset
from seqvision.data.datasets import find_data_set
from seqvision.data.datasets.detect import find_unnamed, holds_vectors
from seqvision.data.decode import Decoded
from seqvision.models.encoders import Standardize
from seqvision.preflight import with_vectors
from seqvision.training.model_io import load_model
from seqvision_edge import Model
from seqvision_edge import cli as edge_cli
from seqvision_edge.card import VectorSequence, vector_step
from seqvision_edge.landmarks import PER_HAND, presence
from seqvision_edge.sampling import centre
from seqvision_edge.vector_files import read_vectors

LABELS = ("circle", "line", "none")
FEATURES = 4
SMALL = ("--hidden", "32", "--epochs", "30", "--lr", "0.01")


def clip(label: str, seed: int, frames: int = 24) -> NDArray[np.float32]:
    """Return `(frames, 4)`: a point that turns, goes, or rests, and two features that say nothing.

    One of those is constant, the other in the thousands.
    """
    generator = np.random.default_rng((seed, LABELS.index(label)))
    time = np.arange(frames) / 12 + generator.uniform(0, 6)
    cos, sin = np.cos(3 * time), np.sin(3 * time)
    x, y = {"circle": (cos, sin), "line": (sin, sin), "none": (0 * time, 0 * time)}[label]
    noise = generator.normal(0, 0.05, (frames, 2))
    rest = np.stack((np.full(frames, 7.0), generator.normal(5000, 300, frames)), axis=1)
    values = np.concatenate((np.stack((x, y), axis=1) + noise, rest), axis=1)
    values[generator.random(values.shape) < 0.03] = np.nan
    return values.astype(np.float32)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`MP_Data/<label>/<clip>/<frame>.npy`, as the tutorial has it; tests must not write to it."""
    root = tmp_path_factory.mktemp("vectors") / "MP_Data"
    for label in LABELS:
        for number in range(8):
            folder = root / label / str(number)
            folder.mkdir(parents=True)
            for index, vector in enumerate(clip(label, number)):
                np.save(folder / f"{index}.npy", vector.astype(np.float64))
    return root


@pytest.fixture(scope="session")
def trained(recordings: Path) -> Path:
    """The folder in which the commands of docs/vectors.md were typed, with their clips."""
    folder = recordings.parent
    np.save(folder / "clip.npy", stream_of_a_circle())
    with pytest.MonkeyPatch.context() as patched:
        prove_here(patched)
        patched.chdir(folder)
        patched.setenv("HOME", str(folder))
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            patched.delenv(name, raising=False)
        for command in documented()[:2]:
            program, verb, *words = command.split()
            assert program == "seqvision"
            assert cli.main([verb, *words, *(SMALL if verb == "train" else ())]) == 0
    return folder


def stream_of_a_circle() -> NDArray[np.float32]:
    """Return rest, two seconds of a circle from 2 s on, and rest."""
    rest = clip("none", 99, 60)
    return np.concatenate((rest, clip("circle", 98, 60), rest))


def documented() -> list[str]:
    """Return the commands of docs/vectors.md, the three of the folder first."""
    text = (Path(__file__).parents[2] / "docs" / "vectors.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).splitlines()


def saved(root: Path, suffix: str, save: Any) -> Path:
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(4):
            save(root / label / f"{number}{suffix}", clip(label, number))
    return root


# From data to live ------------------------------------------------------------------------------


def test_the_documented_commands_go_from_a_folder_of_vectors_to_events(
    trained: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(trained)
    proof = json.loads(Path("model.onnx.report.json").read_text())
    assert proof["worst"]["difference"] < 1e-4
    model = Model("model.onnx")
    vectors = model.card.vectors
    assert vectors is not None
    assert (vectors.features, vectors.rate, vectors.names) == (FEATURES, 30.0, None)
    for label in LABELS:
        offline = sv.predict("model.pt", recordings / label / "0")[0]
        live = model.predict(recordings / label / "0")
        assert live.probabilities == pytest.approx(offline.probabilities, abs=1e-5)
        assert live.label == label
    program, *words = documented()[2].split()
    assert program == "edge-run"
    capsys.readouterr()
    assert edge_cli.main(words) == 0
    events = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {label for _, _, label, _ in events} == {"circle"}
    assert all(1 < float(start) < 5 for start, *_ in events)
    values = np.load("clip.npy")
    pushed = list(model.events([(index / 30, vector) for index, vector in enumerate(values)]))
    assert [f"{event.start:.2f}" for event in pushed] == [start for start, *_ in events]


def test_a_report_shows_features_as_curves(trained: Path) -> None:
    (page,) = (trained / "runs").glob("*/report.html")
    text = page.read_text()
    assert text.count('class="feature"') >= 4
    assert "vectors of 4 features" in text
    assert "pixels, in colour" not in text


def test_training_is_standardised_by_its_own_clips(trained: Path) -> None:
    model, card = load_model(trained / "model.pt")
    assert card.image == vector_step(FEATURES)
    assert isinstance(model.encoder, Standardize)
    values = np.concatenate([clip(label, number) for label in LABELS for number in range(8)])
    found = model.encoder(torch.from_numpy(values))
    known = torch.from_numpy(~np.isnan(values))
    assert (found[~known] == 0).all()
    for feature in (0, 1, 3):
        column = found[:, feature][known[:, feature]]
        assert abs(column.mean()) < 0.3
        assert 0.7 < column.std() < 1.3
    assert found[:, 2].abs().max() < 1e-3, "a constant feature stays nothing"


@pytest.mark.parametrize(
    "more",
    [
        {"ensemble": 2, "head": "gru", "center": True, "motion": "none"},
        {"bidirectional": False, "pool": "attention", "motion": "only", "augment": "strong"},
        {"head": "mean", "augment": "none", "mixup": 0.2, "folds": 2},
    ],
)
def test_options_of_the_head_work_for_vectors(
    more: dict[str, Any], recordings: Path, tmp_path: Path
) -> None:
    result = sv.train(recordings, output=tmp_path / "m.pt", runs=tmp_path / "runs", epochs=1,
                      hidden=8, **more)  # fmt: skip
    if "folds" in more:
        return
    model, card = load_model(result.model)
    steps = torch.from_numpy(clip("circle", 0)[None, : card.sequence.window])
    assert model.reads_vectors
    assert torch.isfinite(model(steps)).all()


# Finding ----------------------------------------------------------------------------------------


def test_every_layout_of_vectors_is_found(recordings: Path, tmp_path: Path) -> None:
    def text(path: Path, values: NDArray[np.float32]) -> None:
        np.savetxt(path, values, header="x,y,z,w", comments="", delimiter=",")

    def skeleton(path: Path, values: NDArray[np.float32]) -> None:
        np.savetxt(path, values)  # as SHREC'17 and DHG: numbers between spaces, a frame a line

    def archive(path: Path, values: NDArray[np.float32]) -> None:
        np.savez(path, values=values, time=np.arange(len(values)) / 30)

    layouts = {
        "npy": saved(tmp_path / "npy", ".npy", np.save),
        "csv": saved(tmp_path / "csv", ".csv", text),
        "txt": saved(tmp_path / "txt", ".txt", skeleton),
        "npz": saved(tmp_path / "npz", ".npz", archive),
    }
    for name, root in layouts.items():
        assert holds_vectors(root), name
        found = find_data_set(root, vectors=True)
        assert [clip.label for clip in found.clips] == [label for label in LABELS for _ in range(4)]
    assert len(find_data_set(recordings, vectors=True).clips) == 24
    assert len(find_unnamed(str(recordings), vectors=True)[0]) == 24
    assert len(find_unnamed(str(recordings / "line" / "3"), vectors=True)[0]) == 1
    assert len(find_unnamed(str(layouts["csv"] / "line" / "3.csv"), vectors=True)[0]) == 1
    assert len(find_unnamed(str(layouts["npy"] / "*" / "3.npy"), vectors=True)[0]) == 3


def test_groups_splits_and_lists_work_as_for_videos(tmp_path: Path) -> None:
    for person in ("ann", "bob"):
        saved(tmp_path / "train" / person, ".npy", np.save)
    for part, people in (("train", ("ann", "bob")), ("val", ("cid",))):
        for label in LABELS:
            for person in people:
                folder = tmp_path / "split" / part / label / person
                folder.mkdir(parents=True)
                np.save(folder / "0.npy", clip(label, 0))
    found = find_data_set(tmp_path / "split", vectors=True)
    assert {(clip.split, clip.group) for clip in found.clips} == {
        ("train", "ann"), ("train", "bob"), ("val", "cid"),
    }  # fmt: skip
    rows = ["path,label,group,split,fps,start,end"]
    for label in LABELS:
        rows += [f"train/ann/{label}/{n}.npy,{label},p{n},,20,0.2,0.8" for n in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    assert holds_vectors(tmp_path / "list.csv")
    listed = find_data_set(tmp_path / "list.csv", vectors=True).clips
    assert (listed[0].group, listed[0].fps) == ("p0", 20.0)
    run = sv.train(tmp_path / "list.csv", output=tmp_path / "m.pt", runs=tmp_path / "runs",
                   epochs=1, hidden=8, frames=6, fps=10)  # fmt: skip
    vectors = load_model(run.model)[1].vectors
    assert vectors is not None
    assert (vectors.rate, vectors.fps, vectors.frames) == (20.0, 10.0, 6)


def test_pictures_and_videos_are_not_taken_for_vectors(people: Path, tmp_path: Path) -> None:
    assert not holds_vectors(people)
    folder = tmp_path / "mixed"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "clip.mp4").write_bytes(b"x")
    np.save(folder / "a" / "features.npy", np.ones((3, 3)))
    assert not holds_vectors(folder)
    assert not holds_vectors(tmp_path)
    for label in "ab":
        (tmp_path / "notes" / label).mkdir(parents=True)
        (tmp_path / "notes" / label / "notes.txt").write_text("no clips yet\n")
    assert not holds_vectors(tmp_path / "notes")
    (tmp_path / "one.csv").write_text("1,2\n3,4\n")
    assert not holds_vectors(tmp_path / "one.csv")


def test_options_become_those_of_vectors_by_the_data(recordings: Path) -> None:
    options = with_vectors(TrainOptions(data=recordings))
    assert (options.images.sequence, options.model.encoder) == ("vectors", "none")
    assert options.model.reads == "both"
    assert with_vectors(DataOptions(data=recordings)).images.vectors


# What is wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--encoder mobilenet_v2", "--encoder mobilenet_v2: the clips are vectors"),
        ("--encoder hands", "--encoder hands: the clips are vectors"),
        ("--size 64", "--size 64 has no effect with --sequence vectors"),
        ("--flip", "--flip has no effect with --sequence vectors"),
        ("--grayscale", "--grayscale has no effect with --sequence vectors"),
        ("--fit crop", "--fit crop has no effect with --sequence vectors"),
        ("--region 0,0,0.5,1", "--region 0,0,0.5,1 has no effect"),
        ("--context 1", "--context 1.0 has no effect with --sequence vectors"),
        ("--freeze", "--freeze: the clips are vectors"),
        ("--weights imagenet", "--weights imagenet: the clips are vectors"),
        ("--views 4", "--views 4: the clips are vectors"),
        ("--normalize unit", "--normalize unit: the clips are vectors"),
        ("--sequence rows", "no clips"),
        ("--dataset ucf101", "--dataset ucf101: has pictures"),
        ("--step 2", "--step 2 has no effect"),
    ],
)
def test_what_is_for_pictures_is_refused_in_one_line(
    arguments: str, message: str, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", str(recordings), *arguments.split()]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_vectors_need_files_of_vectors(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(people), "--sequence", "vectors"]) == 2
    assert "no clips of vectors" in capsys.readouterr().err
    assert cli.main(["train", str(people), "--encoder", "none"]) == 2
    assert "--encoder none: is for vectors" in capsys.readouterr().err


def test_clips_that_differ_are_refused_and_damaged_ones_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = saved(tmp_path / "clips", ".npy", np.save)
    (root / "line" / "0.npy").write_bytes(b"nonsense")
    np.save(root / "line" / "1.npy", np.full((5, 4), np.nan))
    np.save(root / "none" / "2.npy", np.array([object()]), allow_pickle=True)
    arguments = ["train", str(root), "--epochs", "1", "--hidden", "8", "--runs",
                 str(tmp_path / "r"), "--output", str(tmp_path / "m.pt")]  # fmt: skip
    assert cli.main(arguments) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "left out: " in error
    assert "holds Python objects, which are not loaded" in error
    assert "3 of 12 clips" in error
    np.save(root / "none" / "3.npy", np.ones((9, 5)))
    assert cli.main(arguments) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "none/3.npy: 5 features" in error
    assert "circle/0.npy has 4" in error


def test_a_list_with_regions_of_vectors_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "clips", ".npy", np.save)
    rows = [f'clips/{label}/{n}.npy,{label},"0,0,0.5,1"' for label in LABELS for n in range(4)]
    (tmp_path / "list.csv").write_text("path,label,region\n" + "\n".join(rows))
    assert cli.main(["train", str(tmp_path / "list.csv")]) == 2
    assert "a region is a part of a picture" in " ".join(capsys.readouterr().err.split())


def test_transposed_clips_are_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, label in enumerate(LABELS):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(4):
            values = clip(label, number, 20 + 4 * index + number)
            np.save(tmp_path / "clips" / label / f"{number}.npy", values.T)
    assert cli.main(["train", str(tmp_path / "clips")]) == 2
    assert "save them transposed: numpy.save(path, array.T)" in " ".join(
        capsys.readouterr().err.split()
    )


def test_frames_of_points_that_look_like_clips_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in LABELS:
        for number in range(4):
            folder = tmp_path / "clips" / label / str(number)
            folder.mkdir(parents=True)
            for frame in range(3):
                np.save(folder / f"{frame}.npy", np.random.default_rng(number).random((21, 3)))
    arguments = ["train", str(tmp_path / "clips"), "--epochs", "1", "--hidden", "8", "--runs",
                 str(tmp_path / "r"), "--output", str(tmp_path / "m.pt")]  # fmt: skip
    assert cli.main(arguments) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "each file is read as a clip of 21 vectors of 3 features" in error


# Varied -----------------------------------------------------------------------------------------


def test_statistics_leave_missing_values_out() -> None:
    clips = [np.array([[1, np.nan], [3, 8]], np.float32), np.array([[5, np.nan]], np.float32)]
    found = Statistics.of(clips)
    np.testing.assert_allclose(found.mean, [3, 8])
    np.testing.assert_allclose(found.deviation, [np.std([1, 3, 5]), 0])


def test_a_varied_clip_differs_by_what_its_strength_says() -> None:
    values = np.tile(np.arange(50, dtype=np.float32)[:, None], (1, 3)) * [1, 100, 0]
    values[3, 1] = np.nan
    statistics = Statistics.of([values.astype(np.float32)])
    generator = np.random.default_rng(0)
    same = vary(values.astype(np.float32), statistics, Strength(), generator)
    np.testing.assert_allclose(same, values, rtol=1e-6)
    strength = Strength(jitter=0.1, scale=0.1, shift=0.1, lose=0.2)
    varied = vary(values.astype(np.float32), statistics, strength, generator)
    off = (varied - values) / np.maximum(statistics.deviation, 1e-9)
    assert np.isnan(varied[3, 1])
    assert 0.2 < np.isnan(varied).mean() < 0.6
    assert 0.01 < np.nanmax(np.abs(off[:, :2])) < 1.5
    assert (varied[~np.isnan(varied[:, 2]), 2] == 0).all(), "what never changes is not varied"


def test_the_same_draw_varies_a_clip_in_the_same_way() -> None:
    options = TrainOptions(data=Path("x")).augmentation
    plain = make_augmenter(options, LABELS)
    assert plain is not None
    values = clip("circle", 0)
    sequence = VectorSequence(
        kind="vectors", fps=12.0, frames=8, features=FEATURES, names=None, rate=30.0
    )
    decoded = Decoded(values, np.arange(24) / 30, "12ab", None, 30.0, 0.8)
    augmenter = VectorAugmenter(plain, "light", Statistics.of([values]))
    image = vector_step(FEATURES)
    data = ClipDataset([decoded], [0], image, sequence, augmenter, seed=3)
    first, again, other = data[0, 0][0], data[0, 0][0], data[1, 0][0]
    assert torch.equal(first.nan_to_num(), again.nan_to_num())
    assert first.shape != other.shape or not torch.equal(first.nan_to_num(), other.nan_to_num())
    steps = centre(decoded, image, sequence)
    assert steps.shape == (8, FEATURES)


def test_old_options_read_no_vectors() -> None:
    assert ModelOptions().reads == "none"
    assert ModelOptions(encoder="none").reads == "both"


# Landmarks as vectors ---------------------------------------------------------------------------


def test_landmarks_of_clips_become_vectors_that_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    landmark_weights("hands")
    signs = real_data("asl_clips")
    rows = ["path,label,group,start_frame,end_frame"]
    rows += [f"{signs / sign}.mkv,{sign},ann,{30 * n},{30 * n + 3}" for sign in ("again", "book")
             for n in range(1 + (sign == "book"))]  # fmt: skip
    (tmp_path / "list.csv").write_text("\n".join(rows))
    made = tmp_path / "vectors"
    command = ["landmarks", str(tmp_path / "list.csv"), str(made)]
    assert cli.main(command) == 0
    assert f"next: seqvision train {made}" in " ".join(capsys.readouterr().out.split())
    assert holds_vectors(made)
    found = find_data_set(made, vectors=True).clips
    assert [(clip.label, clip.group) for clip in found] == [
        ("again", "ann"), ("book", "ann"), ("book", "ann"),
    ]  # fmt: skip
    for each in found:
        vectors = read_vectors(each.path, 30.0)
        assert vectors.timed
        assert vectors.values.shape == (4, 2 * PER_HAND)
        assert 25 < vectors.fps < 35
    shown = read_vectors(found[-1].path, 30.0).values
    assert presence(shown).max() > 0.5, "hands are seen"
    assert cli.main(command) == 2
    assert "is there already" in capsys.readouterr().err
