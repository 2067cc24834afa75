"""What listens to the training of a student: a bar of its epochs on a terminal."""

import sys

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class Bar(L.Callback):
    """Shows which epoch of a student it is, and what validation says."""

    def __init__(self, title: str, epochs: int) -> None:
        self._epochs = epochs
        self._bar = Progress(
            TextColumn(f"{title}, epoch"),
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
        self._task = self._bar.add_task("", total=self._epochs, said="")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance it."""
        accuracy = trainer.callback_metrics.get("val/accuracy")
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
