"""What happens around the epochs: bars and lines, a clean stop, checkpoints, early stopping."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import functools
import re
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from seqvision.config import TrainingOptions
from seqvision.console import Bar, print_line
from seqvision.rank import count
from seqvision.signals import StopNow, StopRequest
from seqvision.training.distributed import any_of

_STOPPING = "stopping after this step"


def _harmless(hook: Callable[..., None]) -> Callable[..., None]:
    """Let a hook that only shows something fail without ending the training."""

    @functools.wraps(hook)
    def careful(self: "Shown", *given: Any) -> None:
        if self.failed:
            return
        try:
            hook(self, *given)
        except Exception as error:
            self.failed = True
            self.bar.close()
            print_line(f"training continues without its display ({error!r})", "yellow")

    return careful


class Shown(L.Callback):
    """A bar for a training.

    Attributes:
        bar: closed by whoever runs the training, also where it fails.
        stop: the request to stop; None if there is no way to request it.
        failed: whether it can no longer be shown.
    """

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.stop: StopRequest | None = None
        self.failed = False
        self._time = EpochTimes()

    def plan(self, options: TrainingOptions) -> None:
        """Show a training that has another number of epochs from now on."""
        raise NotImplementedError

    def stopping(self) -> bool:
        """Return whether a stop was requested, and show that in the bar."""
        if self.stop is None or self.stop.requested is None:
            return False
        self.bar.what, self.bar.info = _STOPPING, ""
        return True

    @_harmless
    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any
    ) -> None:
        """Advance the bar."""
        self._time.validated()
        self._draw(trainer)

    def _begin_epoch(self, trainer: L.Trainer) -> None:
        """Begin to time an epoch."""
        loaders: Any = trainer.val_dataloaders
        self._time.begin(int(trainer.num_training_batches), len(loaders))

    def _draw(self, trainer: L.Trainer) -> None:
        """Draw how much is done, and the time left."""
        raise NotImplementedError


class EpochLines(Shown):
    """A bar with the time left for the whole training, and one line for each epoch.

    A star stands behind the best epoch so far; where the schedule is so far down that an epoch may
    be kept, the stars begin anew.
    """

    def __init__(self, options: TrainingOptions, afterwards: int) -> None:
        """Describe it; `afterwards` is how many clips are measured when it is over."""
        super().__init__(Bar("starting", numbers=False, at_most=options.may_stop_early))
        self._epochs = options.epochs
        self._monitor = options.monitor
        self._first = options.first_candidate
        self._afterwards = afterwards
        self._shown = 0.0
        self._best: float | None = None

    def plan(self, options: TrainingOptions) -> None:
        """Show a training that has another number of epochs from now on."""
        self._epochs, self._first = options.epochs, options.first_candidate
        self.bar.at_most = options.may_stop_early

    @_harmless
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar; of a resumed training, write after which epoch it continues."""
        self._best = self._best_before(trainer)
        if trainer.current_epoch:
            print_line(f"resuming after epoch {trainer.current_epoch} of {self._epochs}")
        self.bar.__enter__()

    def _best_before(self, trainer: L.Trainer) -> float | None:
        """Return the best score of the epochs before a resume; None where there are none."""
        for checkpoints in trainer.checkpoint_callbacks:
            if isinstance(checkpoints, ModelCheckpoint) and checkpoints.monitor is not None:
                best = checkpoints.best_model_score
                return None if best is None else float(best) * self._sign
        return None

    @property
    def _sign(self) -> int:
        """-1 where less is better."""
        return -1 if self._monitor == "loss" else 1

    @_harmless
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the epoch."""
        self._begin_epoch(trainer)
        self.bar.what = f"epoch {trainer.current_epoch + 1}/{self._epochs}"
        self._draw(trainer)

    @_harmless
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Advance the bar."""
        self._time.step()
        now = time.monotonic()
        if now - self._shown > 0.5 and not self.stopping():  # reading the loss waits for a GPU
            self._shown = now
            self.bar.info = f"loss {float(outputs['loss']):.3f}"
        self._draw(trainer)

    @_harmless
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch's line; a star marks the best so far."""
        if not trainer.is_last_batch:
            return  # stopped on the way
        figures = trainer.callback_metrics
        if f"val/{self._monitor}" not in figures or "train/loss" not in figures:
            return
        seconds = self._time.end()
        score = float(figures[f"val/{self._monitor}"]) * self._sign
        if trainer.current_epoch == self._first:
            self._best = None
        is_best = self._best is None or score > self._best
        self._best = score if is_best else self._best
        print_line(
            f"epoch {trainer.current_epoch + 1:3d}/{self._epochs}"
            f"  train loss {float(figures['train/loss']):.3f}"
            f"  val loss {float(figures['val/loss']):.3f}"
            f"  accuracy {float(figures['val/accuracy']):6.1%}"
            f"  {seconds:5.1f} s{'  *' if is_best else ''}"
        )

    @_harmless
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write that the training stopped early."""
        for early in trainer.early_stopping_callbacks:
            if isinstance(early, EarlyStopping) and early.stopped_epoch:
                print_line(
                    f"stopped early: {early.patience} epochs without a better one "
                    f"(--patience {early.patience})"
                )

    def _draw(self, trainer: L.Trainer) -> None:
        rest = self._epochs - trainer.current_epoch
        loaders: Any = trainer.val_dataloaders
        passes = self._afterwards / max(1, len(loaders.dataset))
        self.bar.seconds_left = self._time.left(rest, passes)
        self.bar.update(trainer.current_epoch + self._time.share(), self._epochs)


class EpochBar(Shown):
    """A bar for one of several trainings: which one it is, its epoch, the time left for all."""

    def __init__(
        self,
        title: str,
        epochs: int,
        left: Callable[[float], float | None],
        info: str | None = None,
        at_most: bool = False,
    ) -> None:
        """Describe it.

        Args:
            title: which training it is.
            epochs: how many it has at most.
            left: share of this training that is done → seconds left for all of them.
            info: the text behind the bar; by default the validation figures.
            at_most: whether all may end sooner.
        """
        super().__init__(Bar(title, epochs, numbers=False, info=info or "", at_most=at_most))
        self._title = title
        self._epochs = epochs
        self._left = left
        self._info = info

    @_harmless
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self.bar.__enter__()

    @_harmless
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the epoch."""
        self._begin_epoch(trainer)
        self.bar.what = f"{self._title}, epoch {trainer.current_epoch + 1}/{self._epochs}"

    @_harmless
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Advance it."""
        self._time.step()
        self._draw(trainer)

    @_harmless
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the validation figures."""
        accuracy = trainer.callback_metrics.get("val/accuracy")
        if self._info is None and accuracy is not None:
            self.bar.info = f"validation {float(accuracy):.1%}"

    def plan(self, options: TrainingOptions) -> None:
        """Show a training that has another number of epochs from now on."""
        self._epochs = self.bar.total = options.epochs

    def _draw(self, trainer: L.Trainer) -> None:
        self.stopping()
        done = trainer.current_epoch + self._time.share()
        self.bar.seconds_left = self._left(done / self._epochs)
        self.bar.update(done, self._epochs)


class EpochTimes:
    """How long an epoch takes: its steps, its validation, and what comes between.

    The first epoch is projected from its steps; its validation is then taken to cost a third of
    the steps for each batch.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._epochs: deque[float] = deque(maxlen=5)
        self._validations: deque[float] = deque(maxlen=5)
        self._began = self._stepped = clock()
        self._steps = self._batches = 1
        self._step = self._batch = 0

    def begin(self, steps: int, batches: int) -> None:
        """Begin an epoch of so many steps, and batches of validation."""
        self._steps, self._batches = max(1, steps), max(1, batches)
        self._began = self._stepped = self._clock()
        self._step = self._batch = 0

    def step(self) -> None:
        """Count a step."""
        self._step += 1
        self._stepped = self._clock()

    def validated(self) -> None:
        """Count a batch of validation."""
        self._batch += 1

    def end(self) -> float:
        """End the epoch; return how many seconds it took."""
        now = self._clock()
        self._epochs.append(now - self._began)
        self._validations.append(now - self._stepped)
        self._step, self._batch = self._steps, self._batches
        return now - self._began

    def share(self) -> float:
        """Return which part of the epoch is done; a batch of validation counts as a third."""
        whole = self._steps + self._batches / 3
        return min(1.0, (self._step + self._batch / 3) / whole)

    def left(self, epochs: int, passes: float) -> float | None:
        """Return the seconds left, or None while they are unknown.

        Args:
            epochs: that are not over, this one among them.
            passes: of the validation clips, that come after the training.
        """
        gone = self._clock() - self._began
        if self._epochs:
            epoch = sum(self._epochs) / len(self._epochs)
            validation = sum(self._validations) / len(self._validations)
        elif self._step and gone > 1.0:
            step = (self._stepped - self._began) / self._step
            validation = step * self._batches / 3
            epoch = step * self._steps + validation
        else:
            return None
        return max(0.0, epoch - gone) + epoch * (epochs - 1) + validation * passes


class StopOnSignal(L.Callback):
    """Ctrl-C and SIGTERM end the training after the step at hand.

    Several processes end after the same step, because a step needs them all.
    """

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the signals back from Lightning, which has handlers of its own."""
        self.request.install()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stop all processes once a stop was requested."""
        if count() == 1:
            self._stop_alone()
        elif any_of(self.request.requested is not None):
            self.request.requested = self.request.requested or signal.SIGINT
            trainer.should_stop = True

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any
    ) -> None:
        """Stop once that was requested: the metrics of the epoch would come too late."""
        if count() == 1:
            self._stop_alone()

    def _stop_alone(self) -> None:
        # `should_stop` would let all validation clips be looked at first.
        if self.request.requested is not None:
            raise StopNow


class CompleteEpochs(ModelCheckpoint):
    """Keeps complete epochs only: a resumed training repeats the one it was stopped in.

    Attributes:
        first: the first epoch, from 0, that may be the best; one before it is kept only until
            there is one of these.
    """

    first = 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the epoch, if it is one."""
        if not trainer.is_last_batch:
            return
        if self.best_model_path and self.best_epoch < self.first <= trainer.current_epoch:
            # Worse than any: the file is removed once the new one is whole.
            worst = torch.tensor(float("inf") if self.mode == "min" else float("-inf"))
            self.best_k_models = dict.fromkeys(self.best_k_models, worst)
            self.kth_value = self.best_model_score = worst
        super().on_train_epoch_end(trainer, pl_module)

    @property
    def best_epoch(self) -> int:
        """The epoch that is the best so far, from 0; -1 where there is none."""
        found = re.search(r"epoch=(\d+)", Path(self.best_model_path).name)
        return int(found[1]) if found else -1


class LateStopping(EarlyStopping):
    """Stops early, but looks at no epoch before the `first`, from 0."""

    first = 0

    @property
    def state_key(self) -> str:
        """That of its base: checkpoints of older runs are read too."""
        return super().state_key.replace(type(self).__qualname__, EarlyStopping.__qualname__, 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check, if that is due after an epoch."""
        if trainer.current_epoch >= self.first:
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check, if that is due after validation."""
        if trainer.current_epoch >= self.first:
            super().on_validation_end(trainer, pl_module)


def early_stopping(options: TrainingOptions) -> list[LateStopping]:
    """Return the callback that stops when validation no longer improves, if enabled."""
    if not options.may_stop_early:
        return []
    mode = "min" if options.monitor == "loss" else "max"
    stopping = LateStopping(f"val/{options.monitor}", patience=options.patience, mode=mode)
    stopping.first = options.first_candidate
    return [stopping]
