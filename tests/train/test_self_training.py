"""Self-training on faint patterns in noise, which few labelled clips teach badly."""

import csv
import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from preloaded import Command
from trainings import same, train

from seqvision.cli import main
from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    SelfTrainOptions,
    SequenceOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.data.augment import Augmenter
from seqvision.data.decode import Decoded
from seqvision.data.unlabelled import find_unlabelled
from seqvision.errors import DataError, StudyError
from seqvision.evaluation import predict_probabilities
from seqvision.self_training import rounds as one_round
from seqvision.self_training.pseudo_labels import (
    TeacherPredictions,
    choose_confident,
    predict_pool,
    thresholds,
)
from seqvision.self_training.rounds import Round, best_round
from seqvision.self_training.self_train import SelfTrained, self_train
from seqvision.training import train as training
from seqvision.training.model_io import load_model
from seqvision_edge.opencv import cv2

LABELS = ("cross", "ring")
SIDE = 12


def picture(label: str, seed: int) -> NDArray[np.uint8]:
    """Return `(12, 12)` of noise with a faint pattern in it."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    pattern = {
        "cross": (np.abs(rows) < 1.5) | (np.abs(columns) < 1.5),
        "ring": np.abs(np.hypot(rows, columns) - 4) < 1.2,
    }[label]
    noise = np.random.default_rng(seed).normal(110, 45, (SIDE, SIDE))
    return (noise + 16 * pattern).clip(0, 255).astype(np.uint8)


def write(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def write_list(path: Path, rows: list[list[str]], *columns: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *rows])
    return path


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labelled.csv, pool/ (no labels), truth.csv (the pool's); not to be changed."""
    folder = tmp_path_factory.mktemp("patterns")
    rows, pool = [], []
    parts = ["train"] * 16 + ["val"] * 40 + ["test"] * 100
    for seed, part in enumerate(parts):
        label = LABELS[seed % 2]
        name = f"own/{part}{seed}.png"
        write(folder / name, picture(label, seed))
        rows.append([name, label, part])
    for seed in range(1000, 1400):
        label = LABELS[seed % 2]
        write(folder / f"pool/{seed}.png", picture(label, seed))
        pool.append([f"pool/{seed}.png", label])
    # The same content under another name, of every part, and one clip twice.
    for kind, number in (("train", 0), ("val", 16), ("test", 60)):
        copy = folder / f"pool/copy-of-{kind}.png"
        shutil.copy(folder / f"own/{kind}{number}.png", copy)
        pool.append([str(copy.relative_to(folder)), LABELS[number % 2]])
    shutil.copy(folder / "pool/1000.png", folder / "pool/twice.png")
    pool.append(["pool/twice.png", LABELS[0]])
    write_list(folder / "labelled.csv", rows, "path", "label", "split")
    write_list(folder / "truth.csv", pool, "path", "label")
    return folder


@pytest.fixture(scope="module")
def teacher(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on the labelled ones alone."""
    folder = tmp_path_factory.mktemp("teacher")
    train(
        TrainOptions(
            data=patterns / "labelled.csv",
            output=folder / "model.pt",
            runs=folder / "runs",
            clips=ClipOptions(size=SIDE, grayscale=True, workers=0, cache=folder / "cache"),
            images=SequenceOptions(sequence="rows", step=SIDE),
            augmentation=AugmentOptions(augment="none"),
            model=ModelOptions(encoder="flatten", head="mean", dropout=0.0),
            training=TrainingOptions(epochs=12, batch_size=32, lr=0.01, autotune=False),
        )
    )
    return folder / "model.pt"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pictures and reports, which take longer than such a training."""
    monkeypatch.setattr(training, "write_results", lambda results: results.run / "report.html")


def options_of(teacher: Path, patterns: Path, folder: Path, **more: Any) -> SelfTrainOptions:
    return SelfTrainOptions(
        **{
            "model": teacher, "labelled": patterns / "labelled.csv",
            "unlabelled": patterns / "truth.csv", "truth": True, "rounds": 2, "threshold": 0.8,
            "output": folder / "new.pt", "runs": folder / "runs", "cache": folder / "cache",
        } | more
    )  # fmt: skip


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def accuracy_on_test(model: Path) -> float:
    return float(load_model(model)[1].origin.metrics["test"]["accuracy"])


@pytest.fixture(scope="module")
def done(teacher: Path, patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> SelfTrained:
    """Three rounds, whole."""
    return self_train(options_of(teacher, patterns, tmp_path_factory.mktemp("done"), rounds=3))


def test_unlabelled_clips_improve_the_model(
    done: SelfTrained, teacher: Path, patterns: Path
) -> None:
    before, after = accuracy_on_test(teacher), accuracy_on_test(done.model)
    assert after >= before + 0.05, (before, after)
    assert done.best.number > 0
    model, card = load_model(done.model)
    assert any(note.startswith("self-trained: round") for note in card.origin.notes)
    assert card.origin.data["train"] == 16 + done.best.chosen
    assert (card.origin.data["val"], card.origin.data["test"]) == (40, 100)
    folder = done.run / f"round-{done.best.number}"
    assert (folder / "report.html").is_file()
    assert same(load_model(folder / "model.pt")[0].state_dict(), model.state_dict())
    assert [path.parent.name for path in done.run.glob("*/checkpoints")] == [folder.name]


def test_the_tables_have_every_round_and_every_choice(done: SelfTrained, patterns: Path) -> None:
    truth = {str(patterns / row["path"]): row["label"] for row in table(patterns / "truth.csv")}
    rounds = table(done.run / "rounds.csv")
    assert [int(row["round"]) for row in rounds] == list(range(len(done.rounds)))
    assert [row["best"] for row in rounds].count("yes") == 1
    for row, result in zip(rounds[1:], done.rounds[1:], strict=True):
        choice = table(done.run / f"round-{row['round']}.csv")
        chosen = [each for each in choice if each["chosen"] == "yes"]
        right = [each for each in chosen if truth[each["path"]] == each["label"]]
        assert int(row["chosen"]) == len(chosen) == result.chosen > 0
        assert float(row["precision"]) == pytest.approx(len(right) / len(chosen), abs=1e-6)
        for each in choice:
            sure = float(each["confidence"]) >= 0.8 and float(each["agreement"]) == 1
            assert (each["chosen"] == "yes") == sure
            assert each["truth"] == truth[each["path"]]
        for label in LABELS:
            own = [float(each["confidence"]) for each in chosen if each["label"] == label]
            assert float(row[f"threshold {label}"]) == pytest.approx(min(own), abs=1e-6)


def test_no_copy_of_a_labelled_clip_gets_a_label(done: SelfTrained) -> None:
    for path in done.run.glob("round-*.csv"):
        names = Counter(Path(row["path"]).name for row in table(path))
        assert len(names) == 400
        assert not [name for name in names if name.startswith("copy-of")]
        assert names["1000.png"] + names["twice.png"] == 1


def test_clips_of_a_validation_group_are_skipped(
    teacher: Path, patterns: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = [[str(patterns / row["path"]), row["label"], row["split"], row["split"]]
                for row in table(patterns / "labelled.csv")]  # fmt: skip
    groups = ("train", "val", "test", "")
    pool = [[str(patterns / row["path"]), groups[number % 4]]
            for number, row in enumerate(table(patterns / "truth.csv")[:200])]  # fmt: skip
    done = self_train(
        options_of(
            teacher, patterns, tmp_path, rounds=1, truth=False,
            labelled=write_list(tmp_path / "l.csv", labelled, "path", "label", "group", "split"),
            unlabelled=write_list(tmp_path / "u.csv", pool, "path", "group"),
        )
    )  # fmt: skip
    assert "100 of 200 unlabelled clips are of groups that validate or test" in " ".join(
        capsys.readouterr().err.split()
    )
    named = {row["path"] for row in table(done.run / "round-1.csv")}
    assert named == {path for path, group in pool if group in ("train", "")}


def test_the_given_model_is_unchanged_and_pool_labels_are_unused(
    done: SelfTrained, teacher: Path, patterns: Path, tmp_path: Path, quick: None
) -> None:
    before = teacher.read_bytes()
    # The same clips as a folder without any list, under names that say nothing.
    blind = self_train(
        options_of(teacher, patterns, tmp_path, rounds=1, truth=False, unlabelled=patterns / "pool")
    )
    assert teacher.read_bytes() == before
    assert blind.rounds[1].right is None
    assert blind.rounds[1].precision is None
    assert "truth" not in table(blind.run / "round-1.csv")[0]
    # Every label of the pool wrong: nothing else changes than how many are right.
    rows = [[str(patterns / row["path"]), LABELS[row["label"] == LABELS[0]]]
            for row in table(patterns / "truth.csv")]  # fmt: skip
    lying = self_train(
        options_of(teacher, patterns, tmp_path, rounds=1,
              unlabelled=write_list(tmp_path / "lies.csv", rows, "path", "label"))
    )  # fmt: skip
    one = done.rounds[1]
    assert (lying.rounds[1].accuracy, lying.rounds[1].chosen) == (one.accuracy, one.chosen)
    assert lying.rounds[1].right == one.chosen - (one.right or 0)
    weights = (load_model(each.run / "round-1" / "model.pt")[0] for each in (lying, done))
    assert same(*(model.state_dict() for model in weights))


def test_a_stopped_self_training_keeps_its_best_and_resumes_exactly(
    done: SelfTrained, teacher: Path, patterns: Path, tmp_path: Path, quick: None,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    own = one_round.train_student

    def stopped(*given: Any) -> Any:
        if given[2].name == "round-2":
            given[2].mkdir()
            raise KeyboardInterrupt
        return own(*given)

    monkeypatch.setattr(one_round, "train_student", stopped)
    flags = [
        "--cache",
        str(tmp_path / "cache"),
        "--output",
        str(tmp_path / "new.pt"),
        "--runs",
        str(tmp_path / "runs"),
        "--threshold",
        "0.8",
        "--rounds",
        "3",
        "--truth",
    ]
    paths = [str(teacher), str(patterns / "labelled.csv"), str(patterns / "truth.csv")]
    assert main(["self-train", *paths, *flags]) == 130
    (run,) = (tmp_path / "runs").iterdir()
    assert f"resume with: seqvision self-train --resume {run}" in capsys.readouterr().err
    first = load_model(run / "round-1" / "model.pt")[0].state_dict()
    assert same(load_model(tmp_path / "new.pt")[0].state_dict(), first)
    assert not (run / "round-2").exists()

    monkeypatch.setattr(one_round, "train_student", own)
    monkeypatch.chdir(run)
    assert main(["self-train", "--resume", str(run), "--threshold", "0.7"]) == 2
    assert "--threshold is that of the run, 0.8" in capsys.readouterr().err
    assert main(["self-train", "--resume", str(run)]) == 0
    for number in (1, 2, 3):
        texts = [(each / f"round-{number}.csv").read_text() for each in (run, done.run)]
        assert texts[0] == texts[1]
    assert same(*(load_model(path)[0].state_dict() for path in (tmp_path / "new.pt", done.model)))
    assert main(["self-train", "--resume", str(run)]) == 0, "there is nothing to go on with"
    assert len(list(run.glob("round-*.csv"))) == 3


def test_a_resume_with_another_pool_is_refused(
    done: SelfTrained, teacher: Path, patterns: Path, tmp_path: Path
) -> None:
    rows = [[str(patterns / "pool/1001.png"), LABELS[1]]]
    other = write_list(tmp_path / "other.csv", rows, "path", "label")
    with pytest.raises(StudyError, match="its unlabelled clips changed since it began"):
        self_train(options_of(teacher, patterns, tmp_path, resume=done.run, unlabelled=other))


@pytest.mark.skipif(os.name != "posix", reason="sends a signal of POSIX")
def test_ctrl_c_in_a_student_training_leaves_a_usable_model(
    teacher: Path, patterns: Path, tmp_path: Path
) -> None:
    command = ["seqvision", "self-train", str(teacher),
               str(patterns / "labelled.csv"), str(patterns / "pool"), "--epochs", "100000",
               "--output", str(tmp_path / "new.pt"), "--runs", str(tmp_path / "runs"),
               "--cache", str(tmp_path / "cache"), "--threshold", "0.8"]  # fmt: skip
    with Command(command) as process:
        output = ""
        while "get a label" not in output:
            line = process.stderr.readline()
            assert line, output
            output += line
        (run,) = (tmp_path / "runs").iterdir()
        while not list(run.glob("round-1/checkpoints/last.ckpt")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, output + rest
    assert "Traceback" not in rest
    assert f"stopped; {tmp_path / 'new.pt'} is the best so far" in " ".join(rest.split())
    assert (tmp_path / "new.pt").read_bytes() == teacher.read_bytes()
    assert not (run / "round-1").exists()


def test_the_last_round_not_worse_in_validation_is_kept() -> None:
    def kept(clips: int, *accuracies: float) -> int:
        rounds = [Round(n, 9, 9, None, (), 0, clips, each, 1.0, 1.0, 1.0)
                  for n, each in enumerate(accuracies)]  # fmt: skip
        return best_round(rounds).number

    assert kept(100, 0.9, 0.8, 0.85) == 0
    assert kept(100, 0.8, 0.9, 0.9, 0.7) == 2
    # A standard error of 90 % of 100 clips is three of them; of 10,000 it is 0.3 %.
    assert kept(100, 0.9, 0.88) == 1
    assert kept(10_000, 0.9, 0.88) == 0
    # Measured from the highest, so that it cannot sink step by step.
    assert kept(100, 0.9, 0.88, 0.86, 0.84) == 1
    assert kept(40, 1.0, 0.98) == 1


def test_rounds_end_when_validation_stops_improving(
    teacher: Path, patterns: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.8, 0.9, 0.7, 0.84])

    class Figures:
        loss, clips = 0.5, 100

        def __init__(self) -> None:
            self.accuracy = next(figures)

    monkeypatch.setattr(one_round, "calibrate_teacher", lambda *_: (1.0, Figures()))
    done = self_train(
        options_of(teacher, patterns, tmp_path, rounds=9, patience=2, epochs=1, threshold=0.5)
    )
    assert len(done.rounds) == 4
    assert done.best.number == 1
    assert same(
        load_model(done.model)[0].state_dict(),
        load_model(done.run / "round-1" / "model.pt")[0].state_dict(),
    )


def answers(
    labels: list[int], confidence: list[float], agreement: list[float]
) -> TeacherPredictions:
    return TeacherPredictions(np.array(labels), np.array(confidence), np.array(agreement))


def test_a_threshold_takes_confident_clips_with_agreeing_views() -> None:
    predictions = answers([0, 0, 1, 1], [0.95, 0.85, 0.9, 0.99], [1, 1, 1, 0.75])
    options = SelfTrainOptions(threshold=0.9)
    assert choose_confident(predictions, options, [0, 1], 2).tolist() == [True, False, True, False]


def test_balance_takes_each_label_by_its_fraction_most_confident_first() -> None:
    labels = [0] * 6 + [1] * 4
    sure = [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.8, 0.6, 0.4]
    predictions = answers(labels, sure, [1.0] * 10)
    options = SelfTrainOptions(threshold=0.9, floor=0.5, select="balanced")
    # Seven are sure; of labels that are alike in number, four and three.
    chosen = choose_confident(predictions, options, [0, 1], 2)
    assert chosen.tolist() == [True] * 4 + [False] * 2 + [True] * 3 + [False]
    assert thresholds(predictions, chosen, 2) == [0.96, 0.6]
    # Where one label is three in four of the labelled clips, it may be so here.
    chosen = choose_confident(predictions, options, [0, 0, 0, 1], 2)
    assert Counter(np.array(labels)[chosen].tolist()) == {0: 5, 1: 2}
    nothing = choose_confident(answers([], [], []), options, [0, 1], 2)
    assert nothing.tolist() == []


def test_a_mirrored_view_must_be_predicted_as_the_exchanged_label(teacher: Path) -> None:
    model, card = load_model(teacher)
    bright = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    bright[:, :, : SIDE // 2] = 255
    clips = [Decoded(bright, np.zeros(1), f"{number:x}") for number in range(1, 9)]
    plain = predict_probabilities(model, card, clips, 8).argmax(dim=1)
    mirrored = [Decoded(clip.frames[:, :, ::-1], clip.times, clip.key) for clip in clips]
    turned = predict_probabilities(model, card, mirrored, 8).argmax(dim=1)
    flip = Augmenter("none", flip=True)
    swap = Augmenter("none", flip=True, swap={0: 1, 1: 0})
    alike = [
        predict_pool(model, card, clips, 1.0, each, 8, 0, 8).agreement for each in (flip, swap)
    ]
    holds = torch.equal(plain, turned)
    # The views that were mirrored agree with one of the two, and all others with both.
    assert (alike[0] == 1).all() == holds
    assert (alike[1] == 1).all() != holds
    assert ((alike[0] + alike[1]) >= 1).all()


def test_temperature_comes_before_the_threshold(teacher: Path, patterns: Path) -> None:
    model, card = load_model(teacher)
    pixels = [picture(LABELS[seed % 2], seed) for seed in range(50)]
    clips = [Decoded(each[None, :, :, None], np.zeros(1), "1") for each in pixels]
    calm, sharp = (predict_pool(model, card, clips, T, None, 0, 0, 8) for T in (4.0, 0.25))
    assert (calm.labels == sharp.labels).all()
    assert (calm.confidence < sharp.confidence).all()
    assert (calm.agreement == 1).all()


def test_unlabelled_clips_come_from_any_folder_or_list(tmp_path: Path) -> None:
    for name in ("a.png", "deep/er/b.png", "cross/c.png"):
        write(tmp_path / "any" / name, picture("ring", 1))
    found, _ = find_unlabelled(tmp_path / "any", images=True, truth=False)
    assert sorted(clip.path.name for clip in found) == ["a.png", "b.png", "c.png"]
    assert {clip.label for clip in found} == {""}
    for part in ("train", "val", "test"):
        write(tmp_path / "parts" / part / "ring" / f"{part}.png", picture("ring", 1))
    found, _ = find_unlabelled(tmp_path / "parts", images=True, truth=False)
    assert [clip.path.name for clip in found] == ["train.png"]
    found, _ = find_unlabelled(tmp_path / "parts", images=True, truth=True)
    assert [(clip.path.name, clip.label) for clip in found] == [("train.png", "ring")]
    rows = [["a.png", "train"], ["cross/c.png", "test"]]
    listed = write_list(tmp_path / "any" / "some.csv", rows, "path", "split")
    (only,), _ = find_unlabelled(listed, images=True, truth=False)
    assert only.path.name == "a.png"
    # As `edge-run --save-uncertain` fills it: what a model said is no truth.
    write_list(tmp_path / "any" / "collected.csv", [["a.png", "ring"]], "clip", "label")
    assert len(find_unlabelled(tmp_path / "any", images=True, truth=False)[0]) == 3
    with pytest.raises(DataError, match=r"the clips collected in .* have no true labels"):
        find_unlabelled(tmp_path / "any", images=True, truth=True)


def test_mistakes_are_one_line_and_nothing_is_written(
    teacher: Path, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    own, pool = str(patterns / "labelled.csv"), str(patterns / "pool")
    (tmp_path / "empty").mkdir()
    copied = write(tmp_path / "copied" / "0.png", picture(LABELS[0], 0)).parent
    strange = [[str(patterns / "own/train0.png"), "moon"], [str(patterns / "own/val16.png"), "sun"]]
    write_list(tmp_path / "strange.csv", strange, "path", "label")
    half = [[str(patterns / "own/train0.png"), LABELS[0], "train"]] * 2
    write_list(tmp_path / "half.csv", half, "path", "label", "split")
    write_list(tmp_path / "blind.csv", [[f"{pool}/1000.png"]], "path")
    model = str(teacher)
    before = sorted(tmp_path.rglob("*"))
    for command, words in (
        ([], "MODEL, LABELLED and UNLABELLED are missing"),
        (["gone.pt", own, pool], "gone.pt: no such file"),
        (["model.onnx", own, pool], "an exported file; self-train needs the model of the training"),
        ([model, own, "gone"], "gone: no such folder or list"),
        ([model, own, "empty"], "empty: no images in it"),
        ([model, own, str(copied)], "no clip is left to learn from: 1 of 1 unlabelled clips"),
        ([model, "strange.csv", pool], "the model does not know the label 'moon'"),
        ([model, "half.csv", pool], "half.csv: no clip of ring, a label of the model"),
        ([model, own, "blind.csv", "--truth"], "--truth: "),
        ([model, own, pool, "--output", model], "that is an input file"),
        ([model, own, pool, "--output", "x.onnx"], "must end in .pt or .safetensors"),
        ([model, own, pool, "--augment", "lihgt"], "--augment lihgt: neither"),
        ([model, own, pool, "--threshold", "1.5"], "threshold"),
        (["--resume", "empty"], "--resume empty: no run folder of seqvision self-train"),
    ):
        capsys.readouterr()
        flags = ["--cache", str(tmp_path.parent / "cache")] if "--resume" not in command else []
        assert main(["self-train", *command, *flags]) == 2, command
        err = capsys.readouterr().err
        assert words in err, (command, err)
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before, command


def test_a_teacher_without_confident_clips_ends_with_a_message(
    teacher: Path, patterns: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no clip of 400 is confident enough"):
        self_train(options_of(teacher, patterns, tmp_path, threshold=1.0))
    assert not (tmp_path / "new.pt").exists()
    (choice,) = (tmp_path / "runs").glob("*/round-1.csv")
    assert {row["chosen"] for row in table(choice)} == {"no"}


def test_a_model_of_other_data_is_warned_of_and_a_self_trained_one_not(
    done: SelfTrained, patterns: Path, teacher: Path, tmp_path: Path, quick: None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    self_train(options_of(done.model, patterns, tmp_path, rounds=1, epochs=1))
    assert "not what the model was trained on" not in capsys.readouterr().err
    rows = [[str(patterns / row["path"]), row["label"], row["split"]]
            for row in table(patterns / "labelled.csv")[2:]]  # fmt: skip
    fewer = write_list(tmp_path / "fewer.csv", rows, "path", "label", "split")
    self_train(options_of(teacher, patterns, tmp_path, rounds=1, epochs=1, labelled=fewer))
    assert "fewer.csv is not what the model was trained on" in " ".join(
        capsys.readouterr().err.split()
    )
    state = json.loads(next((tmp_path / "runs").glob("*/state.json")).read_text())
    assert len(state["rounds"]) == 2


def test_the_result_can_be_safetensors(
    teacher: Path, patterns: Path, tmp_path: Path, quick: None
) -> None:
    done = self_train(
        options_of(
            teacher, patterns, tmp_path, rounds=1, epochs=1, output=tmp_path / "x.safetensors"
        )
    )
    assert load_model(done.model)[1].labels == LABELS
    assert done.model.read_bytes()[8:9] == b"{"
