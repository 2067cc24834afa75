"""Trainings of a few seconds, on real files, through the public functions."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import square_clip, write_frames
from lightning.pytorch.loops.fit_loop import _FitLoop
from preloaded import Command
from trainings import options, same, train, weights

from seqvision.config import (
    EvaluateOptions,
    ModelOptions,
    TrainOptions,
)
from seqvision.errors import CheckpointError, DataError
from seqvision.evaluation import evaluate
from seqvision.models.classifier import Classifier
from seqvision.report.run_folder import column
from seqvision.signals import StopNow, StopRequest
from seqvision.training.model_io import load_model
from seqvision.training.train import Trained
from seqvision_edge.card import SPEC, VECTORS_SPEC
from seqvision_edge.errors import CardError, DeviceError
from seqvision_edge.files import alone_in
from seqvision_edge.interrupts import Interrupts

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def trained(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    return train(options(squares, folder, epochs=40, model={"encoder": "small_cnn"}))


def test_it_learns_motion_that_no_single_frame_shows(trained: Trained) -> None:
    assert trained.val.accuracy >= 0.8
    assert set(trained.val.labels) == {"left", "none", "right"}


def test_batch_statistics_are_learnt_too(trained: Trained) -> None:
    """An engine that leaves the encoder in eval mode trains, badly, without an error."""
    steps = trained.epoch + 1
    tracked = [
        int(value) for key, value in weights(trained).items() if key.endswith("batches_tracked")
    ]
    assert len(tracked) == 4
    assert all(count >= 2 * steps for count in tracked)


def test_the_run_folder_has_options_logs_checkpoints_pictures_and_metrics(trained: Trained) -> None:
    import cv2

    run = trained.run
    for picture in ("curves.png", "confusion_val.png"):
        assert cv2.imread(str(run / picture)).shape[0] > 200, picture
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["epoch"] == trained.epoch
    assert {"loss", "accuracy", "precision", "recall", "f1", "confusion"} <= metrics["val"].keys()
    assert metrics["val"]["labels"]["left"].keys() == {"precision", "recall", "f1", "clips"}
    assert sum(map(sum, metrics["val"]["confusion"])) == metrics["val"]["clips"]
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert len((run / "logs" / "metrics.csv").read_text().splitlines()) > 3
    assert list((run / "logs").glob("events.out.tfevents*"))
    assert (run / "model.pt").read_bytes() == trained.model.read_bytes()


def test_evaluate_gives_the_metrics_of_the_training(
    trained: Trained, squares: Path, tmp_path: Path
) -> None:
    """Trained with a named split, so that evaluate can be given the same clips."""
    rows = ["path,label,split"]
    for number, clip in enumerate(sorted(squares.glob("*/*"))):
        rows.append(f"{clip},{clip.parent.name},{'val' if number % 4 == 0 else 'train'}")
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(rows))
    result = train(options(listed, tmp_path, 2))
    again = evaluate(
        EvaluateOptions(
            model=result.model, data=listed, split="val", output=tmp_path / "m.json",
            cache=tmp_path / "cache",
        )
    )  # fmt: skip
    assert again == result.val
    assert json.loads((tmp_path / "m.json").read_text())["accuracy"] == again.accuracy


def test_the_card_has_everything_that_running_needs(trained: Trained) -> None:
    model, card = load_model(trained.model)
    assert card.labels == ("left", "none", "right")
    assert card.sequence.frames == 6
    # 8 to 12 frames at 10 or 30 fps: 6 frames are no longer than three quarters of the clips.
    assert 15 < card.sequence.fps < 22
    assert (card.image.height, card.image.width, card.image.channels) == (16, 16, 3)
    assert card.decision.background == "none"
    assert card.state.tensors[0].axes == ("batch", "kept", model.memory)
    assert card.origin.options["model"]["encoder"] == "small_cnn"
    assert card.origin.data["clips"] == {"left": 8, "none": 8, "right": 8}
    assert card.origin.metrics["val"]["accuracy"] == trained.val.accuracy


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    squares: Path, tmp_path: Path
) -> None:
    parts = {"augmentation": {"augment": "strong"}}
    first = train(options(squares, tmp_path / "a", 2, **parts))
    second = train(options(squares, tmp_path / "b", 2, **parts))
    third = train(options(squares, tmp_path / "c", 2, training={"seed": 1}, **parts))
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(third))
    copied = shutil.copytree(squares, tmp_path / "elsewhere" / "copied")
    moved = train(options(copied, tmp_path / "d", 2, **parts))
    assert same(weights(first), weights(moved)), "it depends on the clips, not on where they lie"


@pytest.mark.parametrize(("schedule", "workers"), [("cosine", 0), ("plateau", 0), ("cosine", 1)])
def test_resumed_is_the_same_as_uninterrupted(
    squares: Path, tmp_path: Path, schedule: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {
        "clips": {"workers": workers},
        "training": {"schedule": schedule, "keep": "last"},
        "model": {"encoder": "small_cnn"},
    }
    whole = train(options(squares, tmp_path / "a", 4, **parts))

    from seqvision.training import callbacks

    line = callbacks.EpochLines.on_train_epoch_end

    def stop_after_two(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        line(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            trainer.should_stop = True

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.EpochLines, "on_train_epoch_end", stop_after_two)
        half = train(options(squares, tmp_path / "b", 4, **parts))
    assert not same(weights(half), weights(whole))
    resumed = train(TrainOptions(data=squares, resume=half.run, output=tmp_path / "resumed.pt"))
    assert resumed.run == half.run
    logs = half.run / "logs"
    assert [len(column(logs, f"{part}/loss")) for part in ("train", "val")] == [4, 4]
    assert same(weights(resumed), weights(whole))


def test_a_frozen_encoder_trains_a_head_on_features_that_export_repeats(
    squares: Path, tmp_path: Path
) -> None:
    parts = {"model": {"encoder": "small_cnn", "freeze": True, "views": 2, "motion": "both"}}
    result = train(options(squares, tmp_path, 3, **parts))
    model, _ = load_model(result.model)
    assert model.steps.scale.std() > 0, "features are brought to one scale"
    again = evaluate(EvaluateOptions(model=result.model, data=squares, cache=tmp_path / "cache"))
    assert again.clips == 24


def test_features_are_encoded_once_and_another_head_finds_them(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"model": {"encoder": "small_cnn", "freeze": True, "views": 2}}
    calls = []
    encode = Classifier.encode
    monkeypatch.setattr(
        Classifier, "encode", lambda self, *given: (calls.append(1), encode(self, *given))[1]
    )
    first = train(options(squares, tmp_path, 2, **parts))
    once = len(calls)
    again = train(options(squares, tmp_path, 2, **parts))
    figures = len(calls) - once
    assert figures < once, "only the last figures need the encoder again"
    assert same(weights(first), weights(again)), "kept features are the same, bit for bit"
    centered: dict[str, dict[str, object]] = {
        "model": {**parts["model"], "center": True},
        "clips": {"cache": tmp_path / "cache"},
    }
    train(options(squares, tmp_path / "centered", 2, **centered))
    assert len(calls) == once + 2 * figures, "a centered head reads the same features"
    calls.clear()
    fresh = options(squares, tmp_path / "other", 2, **parts)
    assert same(weights(train(fresh)), weights(first))
    assert len(calls) == once
    other = options(squares, tmp_path, 2, model={**parts["model"], "normalize": "unit"})
    calls.clear()
    train(other)
    assert len(calls) == once, "another pixel range is another encoder"


def test_grey_clips_and_a_clip_of_one_frame_can_be_trained_on(
    squares: Path, tmp_path: Path
) -> None:
    import shutil

    data = Path(shutil.copytree(squares, tmp_path / "frames"))
    write_frames(data / "left" / "short", square_clip(-1, 3, 1))
    result = train(options(data, tmp_path, 1, clips={"grayscale": True, "fit": "pad"}))
    assert load_model(result.model)[1].image.channels == 1


def test_a_label_with_only_broken_clips_is_an_error(squares: Path, tmp_path: Path) -> None:
    import shutil

    data = Path(shutil.copytree(squares, tmp_path / "frames"))
    (data / "up").mkdir()
    (data / "up" / "a.mp4").write_text("text")
    with pytest.raises(DataError, match="label 'up': none of its clips can be read"):
        train(options(data, tmp_path, 1))


def test_an_unprintable_label_is_refused_at_the_start(tmp_path: Path) -> None:
    write_frames(tmp_path / "d" / "a\x1b[2J" / "x", square_clip(1, 0))
    write_frames(tmp_path / "d" / "b" / "x", square_clip(1, 0))
    with pytest.raises(DataError, match="has control characters"):
        train(options(tmp_path / "d", tmp_path, 1))


def test_a_terminated_training_keeps_the_best_model(squares: Path, tmp_path: Path) -> None:
    command = ["seqvision", "train", str(squares), "--epochs", "500",
               "--encoder", "flatten", "--size", "16", "--frames", "6", "--patience", "0",
               "--cache", str(tmp_path / "cache"), "--workers", "0"]  # fmt: skip
    with Command(command, tmp_path, os.environ | {"COLUMNS": "200"}) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("epoch   4"):
                break
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)  # as Ctrl-C, but for the exit code
        lines += process.stderr.readlines()
        assert process.wait(30) == 143, lines
    assert time.monotonic() - began < 20
    text = "".join(lines)
    assert re.search(r"stopped; epoch \d+ is kept, the best of \d+, and becomes model.pt", text)
    (run,) = (tmp_path / "runs").iterdir()
    assert f"seqvision train --resume {run.relative_to(tmp_path)}" in text
    assert "Traceback" not in text
    assert load_model(tmp_path / "model.pt")[1].labels == ("left", "none", "right")


def press(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_within_a_second_is_the_same_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("seqvision.signals.time.monotonic", lambda: now)
    with Interrupts(), StopRequest() as request:
        press()
        now += 0.9
        press()
        assert request.requested == signal.SIGINT
        assert not request.again
        now += 0.2
        with pytest.raises(StopNow):
            press()
        assert request.again


def test_a_second_signal_while_lightning_ends_is_an_interrupt(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning fails where its end is interrupted and begun anew."""
    monkeypatch.setattr("seqvision_edge.interrupts.SAME_REQUEST", -1.0)
    end = _FitLoop.teardown

    def interrupted(loop: _FitLoop) -> None:
        end(loop)
        press()
        press()

    monkeypatch.setattr(_FitLoop, "teardown", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"^stopped; 1 epoch is kept in "):
        train(options(squares, tmp_path, 1))


def test_a_run_folder_can_be_moved_before_a_resume(squares: Path, tmp_path: Path) -> None:
    first = train(options(squares, tmp_path, 2))
    moved = first.run.rename(tmp_path / "moved")
    again = train(TrainOptions(data=squares, resume=moved, output=tmp_path / "again.pt"))
    assert again.val == first.val
    assert same(weights(again), weights(first))


def test_fp16_on_a_cpu_is_refused_and_bf16_works(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="--precision 16: needs CUDA"):
        train(options(squares, tmp_path, 1, training={"precision": "16", "device": "cpu"}))
    result = train(options(squares, tmp_path, 1, training={"precision": "bf16"}))
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(result).values())


def test_a_model_file_is_plain_data_and_damage_is_one_line(
    trained: Trained, tmp_path: Path
) -> None:
    content = trained.model.read_bytes()
    assert torch.load(trained.model, weights_only=True)["format"] == "seqvision.model"
    for name, data, message in (
        ("cut.pt", content[: len(content) // 2], "not a model file, or damaged"),
        ("text.pt", b"hello", "not a model file, or damaged"),
        ("empty.pt", b"", "not a model file, or damaged"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=message) as error:
            load_model(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match="no such file"):
        load_model(tmp_path / "missing.pt")
    torch.save({"x": 1}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="not a model file of seqvision"):
        load_model(tmp_path / "other.pt")


def test_a_newer_model_spec_is_refused(trained: Trained, tmp_path: Path) -> None:
    content = torch.load(trained.model, weights_only=True)
    content["card"] = content["card"].replace(f'"spec":{SPEC}', '"spec":99')
    torch.save(content, tmp_path / "future.pt")
    with pytest.raises(CardError, match=f"spec 99, this version reads up to {VECTORS_SPEC}"):
        load_model(tmp_path / "future.pt")


def test_the_old_model_survives_a_full_disk(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqvision.training.model_io import save_model

    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    model, card = load_model(trained.model)

    def full(content: object, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_model(path, model, ModelOptions(), card)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_running_training_cannot_be_resumed_by_another_process(
    squares: Path, tmp_path: Path
) -> None:
    run = train(options(squares, tmp_path, 1)).run
    with (
        alone_in(run),
        pytest.raises(CheckpointError, match=r"another process trains in it; wait for its end"),
    ):
        train(TrainOptions(data=squares, resume=run, output=tmp_path / "resumed.pt"))
    assert not list(run.glob(".seqvision-lock"))
