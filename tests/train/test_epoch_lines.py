"""The lines of a training that goes on: where it was, and a star only where it is deserved."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from seqvision.training.callbacks import EpochLines


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
def test_after_a_resume_a_star_marks_what_is_better_than_before(
    best: float | None, loss: float, star: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = EpochLines(200, "loss", True, 0)
    begun = trainer(8 if best else 0, loss, best)
    lines.on_train_start(begun, Any)
    lines.on_train_epoch_end(begun, Any)
    lines.on_train_end(begun, Any)
    lines.bar.close()
    said = capsys.readouterr().err
    assert not lines.failed
    assert ("resuming after epoch 8 of 200" in said) is (best is not None)
    assert said.rstrip().endswith("*") is star
    assert "stopped early" not in said


def test_an_early_stop_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EpochLines(200, "loss", True, 0)
    lines.on_train_end(trainer(15, 0.7, 0.6, stopped=15), Any)
    said = capsys.readouterr().err
    assert "stopped early: 3 epochs without a better one (--patience 3)" in said
