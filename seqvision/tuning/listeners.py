"""What listens to the training of a trial: the study, and whoever waits for it."""

import sys
from dataclasses import dataclass

import lightning as L
import optuna
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

FIGURES = ("loss", "accuracy", "f1")


class Report(L.Callback):
    """Tells the study the validation figure of each epoch, and ends the training if it says so.

    Attributes:
        figures: of each epoch from 0, by their names.
        pruned: whether the study ended it.
    """

    def __init__(self, trial: optuna.Trial, objective: str) -> None:
        self.figures: dict[int, dict[str, float]] = {}
        self.pruned = False
        self._trial = trial
        self._objective = objective

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report, and ask."""
        if not trainer.is_last_batch:
            return  # stopped on the way
        epoch, last = trainer.current_epoch, (trainer.max_epochs or 0) - 1
        logged = trainer.callback_metrics
        self.figures[epoch] = {name: float(logged[f"val/{name}"]) for name in FIGURES}
        self._trial.report(self.figures[epoch][self._objective], epoch)
        if epoch < last and self._trial.should_prune():
            self.pruned = True
            trainer.should_stop = True


@dataclass(frozen=True)
class Standing:
    """How a search goes, as its bar shows it."""

    trial: str
    best: str
    left: str


class Bar(L.Callback):
    """A bar of a trial's epochs, on a terminal, with the best so far and the time left."""

    def __init__(self, standing: Standing, epochs: int) -> None:
        self._epochs = epochs
        self._bar = Progress(
            TextColumn(f"{standing.trial}  epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn(f"{standing.best}{standing.left}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            disable=not sys.stderr.isatty(),
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task("", total=self._epochs)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance it."""
        self._bar.update(self._task, completed=trainer.current_epoch + 1)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the bar away."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._bar.stop()
