"""What listens to the training of a trial: the study; and how the search goes."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

from collections.abc import Callable
from dataclasses import dataclass

import lightning as L
import optuna

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
        """Report the epoch to the study and end the training if it is pruned."""
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
    """How a search goes, as its bar shows it.

    Attributes:
        trial: which one it is of how many.
        best: the best trial so far.
        left: share of this trial that is done → seconds left for the search.
    """

    trial: str
    best: str
    left: Callable[[float], float | None]
