"""What happens around the epochs: a line for each, a clean stop on Ctrl-C."""

import signal
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from seqvision.config import TrainingOptions
from seqvision.rank import count, is_first
from seqvision.stopped import Stop, interrupt
from seqvision.training.processes import any_of


class EpochLines(L.Callback):
    """A bar for the steps of an epoch, and one line that stays when it ends."""

    def __init__(self, epochs: int, monitor: str) -> None:
        self._epochs = epochs
        self._monitor = monitor
        self._console = Console(stderr=True, highlight=False, quiet=not is_first())
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            console=self._console,
            transient=True,
            disable=not (sys.stderr.isatty() and is_first()),
        )
        self._shown = 0.0
        self._task: TaskID | None = None
        self._best: float | None = None
        self._began = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task("", epoch=trainer.current_epoch + 1, loss="")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the bar anew."""
        self._began = time.monotonic()
        if self._task is not None:
            self._bar.reset(
                self._task, total=trainer.num_training_batches, epoch=trainer.current_epoch + 1
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Advance the bar."""
        if self._task is None or self._bar.disable:
            return
        self._bar.update(self._task, advance=1)
        if time.monotonic() - self._shown > 0.5:  # reading the loss waits for a GPU
            self._shown = time.monotonic()
            self._bar.update(self._task, loss=f"{float(outputs['loss']):.3f}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch's line; a star marks the best so far."""
        if not trainer.is_last_batch:
            return  # stopped on the way
        figures = trainer.callback_metrics
        if f"val/{self._monitor}" not in figures or "train/loss" not in figures:
            return
        score = float(figures[f"val/{self._monitor}"]) * (-1 if self._monitor == "loss" else 1)
        is_best = self._best is None or score > self._best
        self._best = score if is_best else self._best
        self._console.print(
            f"epoch {trainer.current_epoch + 1:3d}/{self._epochs}"
            f"  train loss {float(figures['train/loss']):.3f}"
            f"  val loss {float(figures['val/loss']):.3f}"
            f"  accuracy {float(figures['val/accuracy']):6.1%}"
            f"  {time.monotonic() - self._began:5.1f} s{'  *' if is_best else ''}"
        )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the bar away."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._bar.stop()


class StopOnSignal(L.Callback):
    """Ctrl-C and SIGTERM end the training after the step at hand; a second one at once.

    Several processes end after the same step, because a step needs them all.
    """

    def __init__(self, promise: str) -> None:
        """Make it say `promise` when it is asked to stop; nothing where that is empty."""
        self.asked: Stop | None = None
        self._promise = promise
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the signals over."""

        def stop(number: int, _: Any) -> None:
            # torchrun passes on what the terminal has sent already: that is not a second one.
            again = time.monotonic() - self._when > (2.0 if count() > 1 else 0.0)
            if self.asked and again:
                raise interrupt(signal.Signals(number))
            if self.asked:
                return
            self.asked, self._when = signal.Signals(number), time.monotonic()
            if count() == 1:
                trainer.should_stop = True
            if self._promise and is_first():
                print(f"\n{self._promise}", file=sys.stderr)  # noqa: T201

        try:
            for name in (signal.SIGINT, signal.SIGTERM):
                self._before[name] = signal.signal(name, stop)
        except ValueError:  # not in the main thread: then signals are not ours
            self._before.clear()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stop all processes once one was asked to."""
        if count() > 1 and any_of(self.asked is not None):
            self.asked = self.asked or signal.SIGINT
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the signals back."""
        for name, handler in self._before.items():
            signal.signal(name, handler)


class CompleteEpochs(ModelCheckpoint):
    """Keeps complete epochs only: a training that goes on repeats the one it was stopped in."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the epoch, if it is one."""
        if trainer.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)


def early_stopping(options: TrainingOptions) -> list[L.Callback]:
    """Return the callback that stops when validation no longer improves, if asked for."""
    if not options.patience:
        return []
    mode = "min" if options.monitor == "loss" else "max"
    return [EarlyStopping(f"val/{options.monitor}", patience=options.patience, mode=mode)]
