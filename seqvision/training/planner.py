"""How long a training takes, known once its first epoch is: the epochs that fit into `--time`."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L

from seqvision.config import TrainingOptions, seconds_of
from seqvision.console import print_line, print_warning
from seqvision.training import distributed

# Epochs are not equally long, and a machine has other work.
_SHARE = 0.95
# The report and the files, in seconds.
_REPORT = 5.0
# A shorter training, in seconds, needs no estimate.
_LONG = 120.0


@dataclass(frozen=True)
class EpochPlan:
    """What a training comes to.

    Attributes:
        epochs: how many it has, the first one among them.
        most: how many it was to have at most.
        epoch: seconds of one.
        total: seconds of everything, what is over and what comes after the epochs among them.
        budget: seconds that it may take; None: any.
    """

    epochs: int
    most: int
    epoch: float
    total: float
    budget: float | None

    def line(self, given: str | None) -> str | None:
        """Return what is printed of it; None where nothing is worth a line.

        Args:
            given: --time as it was given.
        """
        epochs = f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        if given is None:
            long = self.total >= _LONG
            hint = "; --time 10m plans as many as fit into a budget"
            return f"{_about(self.total)} for {epochs}{hint}" if long else None
        fit = f"all {epochs} fit" if self.epochs == self.most else f"{epochs} of {self.most} fit"
        each = f", {_about(self.epoch)} each" if self.epochs < self.most else ""
        return f"--time {given}: {fit}{each}, {_about(self.total)} in all"

    def warning(self, given: str | None) -> str | None:
        """Return a warning where not even two epochs fit; None where they do."""
        if given is None or self.epochs > 1 or self.most == 1:
            return None
        return (
            f"--time {given}: one epoch takes {_about(self.epoch)} and no second one fits; "
            "give more time, or a smaller --size or --frames"
        )


def plan_epochs(
    most: int, epoch: float, spent: float, afterwards: float, budget: float | None = None
) -> EpochPlan:
    """Return how many epochs a training has, at least the one that is over.

    Args:
        most: how many at most.
        epoch: seconds of an epoch.
        spent: seconds from the start to the end of the first one.
        afterwards: seconds of the work after the last one.
        budget: seconds of everything; None: any.
    """
    epochs = most
    if budget is not None:
        more = (_SHARE * budget - spent - afterwards) / max(epoch, 1e-6)
        epochs = min(most, 1 + max(0, int(more)))
    return EpochPlan(epochs, most, epoch, spent + (epochs - 1) * epoch + afterwards, budget)


class Planner(L.Callback):
    """Times the first epoch of a training that begins, prints how long it takes, and plans it.

    Attributes:
        options: the training's, with as many epochs as were planned.
        followers: called with them where the number changes.
    """

    def __init__(
        self,
        options: TrainingOptions,
        began: float,
        afterwards: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        """Take a training that began at a moment of the clock.

        Args:
            options: of the training.
            began: when everything began.
            afterwards: measures how many seconds the clips take when the epochs are over.
            clock: returns the time in seconds.
            quiet: print nothing, as for one of several trainings.
        """
        self._quiet = quiet
        self.options = options
        self.followers: list[Callable[[TrainingOptions], None]] = []
        self._began = began
        self._afterwards = afterwards
        self._clock = clock
        self.steps: list[float] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to time the epoch."""
        self.steps = [self._clock()]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Time a step."""
        if trainer.current_epoch == 0:
            self.steps.append(self._clock())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Plan the training, once its first epoch is over; one that is resumed is planned."""
        if trainer.current_epoch or not trainer.is_last_batch:
            return
        found = distributed.rank0_only(self.plan)
        if found.epochs != self.options.epochs:
            self.options = self.options.model_copy(update={"epochs": found.epochs})
            for follow in self.followers:
                follow(self.options)
        if self._quiet:
            return
        line, warning = found.line(self.options.time), found.warning(self.options.time)
        if line is not None:
            print_line(line)
        if warning is not None:
            print_warning(warning)

    def epoch_seconds(self, now: float) -> float:
        """Return how long an epoch takes, once the first one is over, by the clock at its end."""
        begin, first, *others = self.steps
        # The first step of all waits for workers and for memory; the others show the usual time.
        usual = (others[-1] - first) / len(others) if others else first - begin
        validation = now - (others[-1] if others else first)
        return min(now - begin, usual * (1 + len(others)) + validation)

    def plan(self) -> EpochPlan:
        """Return what the training comes to, once its first epoch is over."""
        now = self._clock()
        afterwards = self._afterwards() + _REPORT
        budget = None if self.options.time is None else seconds_of(self.options.time)
        epoch, spent = self.epoch_seconds(now), now - self._began
        return plan_epochs(self.options.epochs, epoch, spent, afterwards, budget)


def _about(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
