"""`tune --time`: short trials that all have as many epochs, then one whole training of the best.

A trial of a few epochs ranks options well enough to choose by (Li et al. 2018, Hyperband), and
leaves time for more of them; the model that is kept is trained to the end of its schedule.
"""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import time
from collections.abc import Callable
from typing import Any

import lightning as L
import optuna

from seqvision.config import TrainingOptions
from seqvision.training.planner import EpochPlan, Planner
from seqvision.tuning.study import PLAN

# Share of the time that trials have; the rest is the training of the best options.
_SEARCH = 0.6
# A trial of the usual options takes such a part of the trials' time.
_TRIALS = 12
# Fewer epochs do not even rank options.
_LEAST_EPOCHS = 8
# A trial that would take so many times as long as one of the usual options is ended.
_TOO_LONG = 4.0


class Budget:
    """The time of a search, and how many epochs its trials have."""

    def __init__(
        self,
        seconds: float,
        began: float,
        study: optuna.Study,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the time of a search that began at a moment of the clock.

        Args:
            seconds: of everything, the training of the best options among it.
            began: when everything began.
            study: keeps what was planned for all processes and for a search that goes on.
            clock: returns the time in seconds.
        """
        self._clock = clock
        self._study = study
        self._end = began + seconds
        self._search_end = began + _SEARCH * seconds
        self._share = _SEARCH * seconds / _TRIALS

    @property
    def epochs(self) -> int | None:
        """How many epochs each trial has; None until the first one has been timed."""
        plan = self._plan
        return None if plan is None else round(plan[0])

    @property
    def seconds_to_search(self) -> float:
        """How long trials may still take."""
        return self._search_end - self._clock()

    @property
    def is_spent(self) -> bool:
        """Whether no further trial is begun: most of it would be after the end."""
        return self.seconds_to_search < self._trial / 2

    @property
    def seconds_to_train(self) -> float:
        """How long the training of the best options may take: no less than a trial."""
        return max(1.0, self._end - self._clock(), self._trial)

    def plan(self, most: int, epoch: float) -> int:
        """Return how many epochs each trial has, once an epoch of the first one is timed.

        Args:
            most: how many a whole training has.
            epoch: seconds of an epoch.
        """
        if self._plan is None:
            fit = round(self._share / max(epoch, 1e-6))
            epochs = min(most, max(_LEAST_EPOCHS, fit))
            self._study.set_user_attr(PLAN, [epochs, round(epochs * epoch, 3)])
        epochs = self.epochs or most
        return min(most, epochs)

    def is_too_long(self, seconds: float) -> bool:
        """Return whether a trial of so many seconds would use up the time of the others."""
        trial = self._trial
        return seconds > max(1.5 * trial, min(_TOO_LONG * trial, self.seconds_to_search + trial))

    @property
    def _trial(self) -> float:
        """Seconds of a trial of the usual options."""
        return self._share if self._plan is None else max(self._share, self._plan[1])

    @property
    def _plan(self) -> tuple[float, float] | None:
        kept = self._study.user_attrs.get(PLAN)
        return None if kept is None else (float(kept[0]), float(kept[1]))


class TrialPlanner(Planner):
    """Plans the epochs of all trials by the first one; ends another one that takes too long."""

    def __init__(self, budget: Budget, options: TrainingOptions) -> None:
        """Take a trial that trains with these options."""
        super().__init__(options, 0.0, lambda: 0.0, quiet=True)
        self._budget = budget

    def plan(self) -> EpochPlan:
        """Return the epochs of each trial."""
        epoch = self.epoch_seconds(time.monotonic())
        epochs = self._budget.plan(self.options.epochs, epoch)
        return EpochPlan(epochs, self.options.epochs, epoch, epochs * epoch, None)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Time a step.

        Raises:
            TrialPruned: the first steps show that the trial takes too long.
        """
        super().on_train_batch_end(trainer, pl_module)
        if trainer.current_epoch or self._budget.epochs is None or len(self.steps) < 3:
            return  # the first step of all waits for workers and for memory
        step = (self.steps[-1] - self.steps[1]) / (len(self.steps) - 2)
        if self._budget.is_too_long(step * int(trainer.num_training_batches) * self.options.epochs):
            raise optuna.TrialPruned
