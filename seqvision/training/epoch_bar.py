"""A bar of the epochs of one of several trainings, on a terminal."""

import sys

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class EpochBar(L.Callback):
    """Shows which training it is, its epoch, and what is to be known of it."""

    def __init__(self, title: str, epochs: int, told: str | None = None) -> None:
        """Describe it; `told` stands behind the bar, by default what validation says."""
        self._epochs = epochs
        self._told = told
        self._bar = Progress(
            TextColumn(f"{title} epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            disable=not sys.stderr.isatty(),
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task("", total=self._epochs, said=self._told or "")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance it."""
        said, accuracy = self._told, trainer.callback_metrics.get("val/accuracy")
        if said is None:
            said = "" if accuracy is None else f"validation {float(accuracy):.1%}"
        self._bar.update(self._task, completed=trainer.current_epoch + 1, said=said)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the bar away."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._bar.stop()
