"""Which epoch is kept, when a training stops early, and the lines that show it."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from seqvision.config import TrainingOptions
from seqvision.training.callbacks import CompleteEpochs, EpochLines, early_stopping


def trainer(epoch: int, loss: float, best: float | None, stopped: int = 0) -> Any:
    """Return what the lines read of a trainer, before or after its epoch."""
    kept = ModelCheckpoint(monitor="val/loss")
    kept.best_model_score = None if best is None else torch.tensor(best)
    early = EarlyStopping("val/loss", patience=3)
    early.stopped_epoch = stopped
    figures = {"train/loss": loss, "val/loss": loss, "val/accuracy": 0.5}
    return SimpleNamespace(
        current_epoch=epoch,
        is_last_batch=True,
        num_training_batches=1,
        val_dataloaders=[],
        callback_metrics={name: torch.tensor(value) for name, value in figures.items()},
        checkpoint_callbacks=[ModelCheckpoint(), kept],
        early_stopping_callbacks=[early],
    )


@pytest.mark.parametrize(
    ("best", "loss", "star"), [(0.694, 0.710, False), (0.694, 0.650, True), (None, 0.9, True)]
)
def test_after_a_resume_a_star_marks_epochs_better_than_before(
    best: float | None, loss: float, star: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = EpochLines(TrainingOptions(epochs=200), 0)
    begun = trainer(8 if best else 0, loss, best)
    lines.on_train_start(begun, Any)
    lines.on_train_epoch_end(begun, Any)
    lines.on_train_end(begun, Any)
    lines.bar.close()
    err = capsys.readouterr().err
    assert not lines.failed
    assert ("resuming after epoch 8 of 200" in err) is (best is not None)
    assert err.rstrip().endswith("*") is star
    assert "stopped early" not in err


def test_an_early_stop_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EpochLines(TrainingOptions(epochs=200), 0)
    lines.on_train_end(trainer(15, 0.7, 0.6, stopped=15), Any)
    err = capsys.readouterr().err
    assert "stopped early: 3 epochs without a better one (--patience 3)" in err


class Planned(L.LightningModule):
    """A model that learns nothing, and whose validation says what was planned."""

    def __init__(self, losses: Sequence[float]) -> None:
        super().__init__()
        self._losses = losses
        self._weight = torch.nn.Parameter(torch.zeros(1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch: torch.Tensor, number: int) -> torch.Tensor:
        return (self._weight * batch).sum()

    def validation_step(self, batch: torch.Tensor, number: int) -> None:
        self.log("val/loss", self._losses[self.current_epoch])


def trained(
    folder: Path,
    options: TrainingOptions,
    losses: Sequence[float],
    until: int,
    resume: bool = False,
) -> L.Trainer:
    """Train for so many epochs; return the trainer, its checkpoints first."""
    kept = CompleteEpochs(
        folder, "best-{epoch}", monitor="val/loss", mode="min", save_on_train_epoch_end=True
    )
    kept.first = options.first_candidate
    newest = CompleteEpochs(
        folder, "last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=until,
        callbacks=[kept, newest, *early_stopping(options)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    clips = DataLoader(torch.zeros(2, 1))
    trainer.fit(
        Planned(losses), clips, clips, ckpt_path=folder / "last.ckpt" if resume else None,
        weights_only=True,
    )  # fmt: skip
    return trainer


WARM_UP_LOOKS_BEST = [0.9, 0.1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stop", [None, 3, 7])
def test_best_epoch_is_one_of_the_last_third_of_a_cosine(tmp_path: Path, stop: int | None) -> None:
    options = TrainingOptions(epochs=9, patience=2)
    losses = [*WARM_UP_LOOKS_BEST[:7], 0.3, 0.35]
    if stop is not None:
        half = trained(tmp_path, options, losses, stop)
        best = Path(half.checkpoint_callback.best_model_path).name  # type: ignore[union-attr]
        assert best == ("best-epoch=1.ckpt" if stop == 3 else "best-epoch=6.ckpt")
    trainer = trained(tmp_path, options, losses, 9, resume=stop is not None)
    assert trainer.current_epoch == 9, "two epochs without a better one before it do not stop it"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-epoch=7.ckpt", "last.ckpt"]


@pytest.mark.filterwarnings("ignore")
def test_early_stop_waits_for_the_last_third_of_a_cosine(tmp_path: Path) -> None:
    losses = [0.1] * 6 + [0.5, 0.4, 0.6, 0.7, 0.8, 0.3, 0.2, 0.1, 0.1]
    stopped = trained(tmp_path / "cosine", TrainingOptions(epochs=15, patience=2), losses, 15)
    assert stopped.current_epoch == 15, "the last ones were better and better"
    rising = [*losses[:10], 0.3, 0.4, 0.5, 0.6, 0.7]
    stopped = trained(tmp_path / "rising", TrainingOptions(epochs=15, patience=2), rising, 15)
    assert stopped.current_epoch == 13
    plateau = TrainingOptions(epochs=15, patience=2, schedule="plateau")
    stopped = trained(tmp_path / "plateau", plateau, losses, 15)
    assert stopped.current_epoch == 3


def test_only_the_last_third_of_a_schedule_can_be_the_best() -> None:
    firsts = {epochs: TrainingOptions(epochs=epochs).first_candidate for epochs in (1, 2, 3, 9, 60)}
    assert firsts == {1: 0, 2: 1, 3: 2, 9: 6, 60: 40}
    assert TrainingOptions(epochs=60, schedule="plateau").first_candidate == 0
