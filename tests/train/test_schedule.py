"""A pretrained encoder that is kept for some epochs, or learns more slowly than the head."""

from pathlib import Path

import pytest
import torch
from trainings import options, same, train, weights

from seqvision.config import ModelOptions, TrainOptions
from seqvision.errors import DataError
from seqvision.models.classifier import Classifier
from seqvision.training import callbacks
from seqvision.training.lightning_module import ClassifierModule
from seqvision_edge.card import ImageSpec

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small encoder."""
    torch.manual_seed(3)
    image = ImageSpec(height=16, width=16, channels=3, fit="stretch")
    path = tmp_path_factory.mktemp("weights") / "encoder.pth"
    torch.save(Classifier(ModelOptions(), image, 2).encoder.state_dict(), path)
    return path


def encoder(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if name.startswith("encoder.")}


def test_an_encoder_is_frozen_until_its_epoch(
    squares: Path, tmp_path: Path, pretrained: Path
) -> None:
    model = {"encoder": "small_cnn", "weights": str(pretrained)}
    start = {f"encoder.{k}": v for k, v in torch.load(pretrained, weights_only=True).items()}
    training = {"unfreeze_at": 2, "keep": "last"}
    for epochs, stays in ((2, True), (3, False)):
        result = train(
            options(squares, tmp_path / str(epochs), epochs, model=model, training=training)
        )
        assert same(encoder(weights(result)), start) == stays, "its batch statistics too"


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("stop", [0, 1])
def test_resumed_before_or_after_unfreezing_equals_uninterrupted(
    squares: Path,
    tmp_path: Path,
    pretrained: Path,
    schedule: str,
    stop: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = {
        "model": {"encoder": "small_cnn", "weights": str(pretrained)},
        "training": {"unfreeze_at": 1, "encoder_lr_scale": 0.3, "schedule": schedule,
                     "keep": "last"},
    }  # fmt: skip
    whole = train(options(squares, tmp_path / "a", 3, **parts))
    line = callbacks.EpochLines.on_train_epoch_end

    def stop_early(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        line(self, trainer, pl_module)
        if trainer.current_epoch == stop:
            trainer.should_stop = True

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.EpochLines, "on_train_epoch_end", stop_early)
        half = train(options(squares, tmp_path / "b", 3, **parts))
    assert not same(weights(half), weights(whole))
    resumed = train(TrainOptions(data=squares, resume=half.run, output=tmp_path / "resumed.pt"))
    assert same(weights(resumed), weights(whole))


def test_stopped_within_an_epoch_resumes_from_the_last_complete_one(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"training": {"keep": "last"}, "model": {"encoder": "small_cnn"}}
    whole = train(options(squares, tmp_path / "a", 3, **parts))
    end = callbacks.StopOnSignal.on_train_batch_end

    def stop_in_epoch_1(self, trainer, *given):  # type: ignore[no-untyped-def]
        end(self, trainer, *given)
        if trainer.current_epoch == 1:
            trainer.should_stop = True

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.StopOnSignal, "on_train_batch_end", stop_in_epoch_1)
        half = train(options(squares, tmp_path / "b", 3, **parts))
    assert half.epoch == 0
    resumed = train(TrainOptions(data=squares, resume=half.run, output=tmp_path / "resumed.pt"))
    assert same(weights(resumed), weights(whole))


def test_the_encoder_learns_at_its_own_rate_all_along_the_schedule(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[dict[str, set[float]]] = []
    start = ClassifierModule.on_train_batch_start

    def note(self, batch, number):  # type: ignore[no-untyped-def]
        start(self, batch, number)
        encoders = {id(parameter) for parameter in self.model.encoder.parameters()}
        found: dict[str, set[float]] = {"encoder": set(), "head": set()}
        for group in self.optimizers().param_groups:
            for parameter in group["params"]:
                found["encoder" if id(parameter) in encoders else "head"].add(group["lr"])
        rates.append(found)

    monkeypatch.setattr(ClassifierModule, "on_train_batch_start", note)
    parts = {"model": {"encoder": "small_cnn"}, "training": {"encoder_lr_scale": 0.1, "lr": 0.01}}
    train(options(squares, tmp_path, 2, **parts))
    assert len({max(found["head"]) for found in rates}) == len(rates), "it rises and falls"
    for found in rates:
        (slow,), (fast,) = found["encoder"], found["head"]
        assert slow == pytest.approx(0.1 * fast)


def test_unfreeze_at_needs_weights_and_a_trainable_encoder(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="small_cnn starts from random weights"):
        train(options(squares, tmp_path, 1, model={"encoder": "small_cnn"},
                      training={"unfreeze_at": 1}))  # fmt: skip
    with pytest.raises(DataError, match="--freeze keeps the encoder for good"):
        train(options(squares, tmp_path, 1, model={"encoder": "small_cnn", "freeze": True},
                      training={"unfreeze_at": 1}))  # fmt: skip
    assert not (tmp_path / "runs").exists()


def test_a_cosine_schedule_of_five_steps_is_allowed(squares: Path, tmp_path: Path) -> None:
    # 18 clips train in 5 batches; a fifth of them is one step, of which torch takes one away.
    result = train(options(squares, tmp_path, 1, training={"batch_size": 4, "warmup": 0.2}))
    assert result.epoch == 0
