"""Lightning's trainer, its callbacks, logs and checkpoints, set up for a classifier."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import contextlib
import logging
import re
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from seqvision import rank
from seqvision.config import TrainingOptions
from seqvision.data.dataset import Item
from seqvision.errors import OutOfMemoryError, ResourceError
from seqvision.signals import Stop, StopNow, StopRequest, interrupt
from seqvision.training import distributed
from seqvision.training.callbacks import (
    CompleteEpochs,
    EpochLines,
    Shown,
    StopOnSignal,
    early_stopping,
)
from seqvision.training.distributed import share_statistics
from seqvision.training.model_io import save
from seqvision.training.planner import Planner
from seqvision.training.run_context import RunContext
from seqvision.training.workers import ended_workers
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write

_FROM_WORKER = re.compile(r"Caught \w+ in DataLoader worker .*\n[\w.]+: (.*)", re.DOTALL)

_PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class Fitted:
    """What the engine leaves.

    Attributes:
        weights: those that are kept.
        epoch: theirs, from 0.
        epochs: how many are complete.
        stopped_by: what stopped it, if anything.
    """

    weights: dict[str, torch.Tensor]
    epoch: int
    epochs: int
    stopped_by: Stop | None


def fit(
    context: RunContext,
    run: Path,
    resume: bool,
    listeners: Sequence[L.Callback] = (),
    shown: Shown | None = None,
    afterwards: int = 0,
    planner: Planner | None = None,
) -> Fitted:
    """Train or resume a training, and return the weights of the epoch to keep.

    However it ends, the processes that load clips have ended, and the terminal is as it was.

    Args:
        context: what is trained, on what.
        run: the run folder.
        resume: resume from the last checkpoint there.
        listeners: called at each step of the way, as Lightning does.
        shown: how it is shown, in place of a line for each epoch.
        afterwards: how many clips are measured when it is over, for the time left.
        planner: chooses the number of epochs after the first one.

    Raises:
        KeyboardInterrupt: stopped before the first validation, so that there is nothing to keep,
            or stopped twice.
        SeqvisionError: a clip cannot be read, a file cannot be written, or the memory is full.
    """
    options, module, device = context.options.training, context.module, context.device
    training, validation = context.training, context.validation
    folder = run / "checkpoints"
    if resume and stopped_early(folder / "last.ckpt"):
        # It would train one more epoch each time.
        return distributed.rank0_only(lambda: _kept(options, folder, folder / "best", None))
    checkpoints = CompleteEpochs(
        folder,
        filename="best-{epoch}",
        monitor=f"val/{options.monitor}",
        mode="min" if options.monitor == "loss" else "max",
        save_on_train_epoch_end=True,
    )
    checkpoints.first = options.first_candidate
    # Not `save_last`: that writes only when an epoch is the best.
    newest = CompleteEpochs(
        folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    last = folder / "last.ckpt"
    if rank.is_first():
        _set_log_aside(run / "logs")
    if rank.count() > 1 and not module.model.frozen:
        module.model.encoder = share_statistics(module.model.encoder, device)
    if resume:
        _order_from(last, training)
    if shown is None:
        shown = EpochLines(options, afterwards)
    stopping = early_stopping(options)

    def follow(changed: TrainingOptions) -> None:
        module.plan(changed.epochs)
        shown.plan(changed)
        checkpoints.first = changed.first_candidate
        for early in stopping:
            early.first = changed.first_candidate

    if planner is not None:
        planner.followers.append(follow)
    request = StopRequest()
    shown.stop, request.on_request = request, shown.stopping
    with _quiet_lightning():
        trainer = L.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=rank.local_count(),
            num_nodes=rank.count() // rank.local_count(),
            strategy=_strategy(options),
            max_epochs=options.epochs,
            precision=_PRECISIONS[options.precision],
            gradient_clip_val=options.clip_gradient or None,
            callbacks=[
                checkpoints,
                newest,
                StopOnSignal(request),
                *([planner] if planner is not None else []),
                shown,
                *stopping,
                *listeners,
            ],
            logger=[
                CSVLogger(run, name="", version="logs"),
                TensorBoardLogger(run, name="", version="logs"),
            ],
            deterministic="warn",
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            plugins=[WholeCheckpoints()],
            use_distributed_sampler=False,
        )
        # Lightning keeps each layer's mode as it finds it; what built the model may have left eval.
        module.train()
        with request, contextlib.closing(shown.bar), ended_workers(training), _plain_errors():
            try:
                trainer.fit(
                    module,
                    training,
                    validation,
                    ckpt_path=str(last) if resume else None,
                    weights_only=True,
                )
            except (StopNow, Exception) as error:
                # Lightning cannot be stopped everywhere: its own end may fail then.
                if request.again:
                    raise interrupt(request.requested or signal.SIGINT) from None
                if not isinstance(error, StopNow):
                    raise
    best = Path(checkpoints.best_model_path)
    return distributed.rank0_only(lambda: _kept(options, folder, best, request.requested))


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn what gives out in the middle of a training into one line."""
    try:
        yield
    except SeqvisionError as error:
        # torch wraps what a worker raised in the text of its traceback.
        found = _FROM_WORKER.match(str(error))
        if found is None:
            raise
        raise type(error)(found[1]) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ResourceError(
            f"{where}cannot be written or read ({error.strerror or error})"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            advice = "use a smaller --batch-size, --size or --frames"
            raise OutOfMemoryError(f"out of memory: {advice}") from error
        reason = _lost_worker(str(error).lower())
        if reason is None:
            raise
        raise ResourceError(reason) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch is about memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


def _lost_worker(text: str) -> str | None:
    """Return the line about a torch error that reports a dead worker."""
    if "dataloader worker" not in text:
        return None
    if "bus error" in text or "shared memory" in text:
        return "the shared memory is full (/dev/shm): use --workers 0, or give it more room"
    if "killed by signal" in text or "exited unexpectedly" in text:
        return (
            "a process that loads clips was killed, as systems do when memory runs out: "
            "use fewer --workers, or a smaller --batch-size"
        )
    return None


def done_epochs(checkpoint: Path) -> int:
    """Return how many epochs a checkpoint has behind it."""
    return int(_peeked(checkpoint)["epoch"]) + 1


def stopped_early(checkpoint: Path) -> bool:
    """Return whether a training has ended, because validation no longer improved."""
    states = _peeked(checkpoint).get("callbacks", {})
    return any(
        state["wait_count"] >= state["patience"]
        for name, state in states.items()
        if name.startswith("EarlyStopping")
    )


def _peeked(checkpoint: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(
        checkpoint, map_location="cpu", weights_only=True, mmap=True
    )
    return content


def load_kept_weights(options: TrainingOptions, run: Path) -> Fitted:
    """Return the weights that a finished training keeps, read again from its run folder."""
    folder = run / "checkpoints"
    return _kept(options, folder, folder / "best", None)


def _kept(options: TrainingOptions, folder: Path, best: Path, stop: Stop | None) -> Fitted:
    """Return the weights of the epoch to keep."""
    last = folder / "last.ckpt"
    if not last.is_file():
        raise interrupt(stop or signal.SIGINT)
    found = _best(best, folder)
    chosen = found if options.keep == "best" and found is not None else last
    content = torch.load(chosen, map_location="cpu", weights_only=True)
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in content["state_dict"].items()
        if name.startswith("model.")
    }
    return Fitted(weights, int(content["epoch"]), done_epochs(last), stop)


def _strategy(options: TrainingOptions) -> DDPStrategy | str:
    if rank.count() == 1:
        return "auto"
    # An encoder that does not learn yet has no gradients to wait for.
    return DDPStrategy(
        find_unused_parameters=options.unfreeze_at > 0,
        broadcast_buffers=False,  # statistics are of the whole batch: the same everywhere
        gradient_as_bucket_view=True,
    )


def _order_from(checkpoint: Path, training: DataLoader[Item]) -> None:
    """Choose the order of the epoch that comes now.

    Lightning does so before each epoch, but, where a training is resumed, only after the workers
    were given their first batches.
    """
    sampler: Any = training.batch_sampler
    sampler.sampler.set_epoch(done_epochs(checkpoint))


def _set_log_aside(logs: Path) -> None:
    """Rename the log of the run that is resumed: Lightning would begin it anew."""
    log = logs / "metrics.csv"
    if log.exists():
        log.rename(logs / f"metrics.before{len(list(logs.glob('metrics*.csv'))):03}.csv")


def _best(best: Path, folder: Path) -> Path | None:
    """Return the best epoch's checkpoint, also where the run folder was moved since."""
    if best.is_file():
        return best
    written = sorted(folder.glob("best-*.ckpt"), key=lambda path: path.stat().st_mtime)
    return written[-1] if written else None


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advertisements and hints about its own settings off the terminal."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", ".*lr_scheduler.step.*")
        warnings.filterwarnings("ignore", ".*epoch parameter in `scheduler.step.*")
        yield


class WholeCheckpoints(TorchCheckpointIO):
    """Write next to the old file, then rename.

    Lightning's own way collects the file in the system's temporary folder; where that is another
    disk, a full disk or a power cut destroys the checkpoint that it was to replace.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            ResourceError: the disk is full, or the folder cannot be written to.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as unfinished:
                save(unfinished, checkpoint)
        except OSError as error:
            raise ResourceError(f"{target}: cannot be written ({error.strerror})") from None
