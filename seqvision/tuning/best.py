"""The best trial's run folder: the only one that stays, and what becomes model.pt."""

import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import torch
from filelock import FileLock

from seqvision.config import TrainOptions, TuneOptions, from_yaml
from seqvision.console import print_line
from seqvision.data.augment import with_content
from seqvision.data.datasets import DataSet
from seqvision.training.data import Data, load_dataset
from seqvision.training.fit import load_kept_weights
from seqvision.training.run_context import prepare_run
from seqvision.training.train import Trained, copy_model, finish_run, train
from seqvision.tuning.study import TrialRow, best_trial, row_of


def keep_best(study: optuna.Study, folder: Path) -> None:
    """Remove the run folders of all finished trials but the best one.

    Whichever process comes last removes what is left: those that share a folder need not agree.
    """
    rows = [row_of(trial) for trial in study.get_trials(deepcopy=False)]
    best = best_trial(rows)
    for row in rows:
        if row.run and row.kind != "running" and (best is None or row.number != best.number):
            shutil.rmtree(folder / row.run, ignore_errors=True)


def train_best(
    options: TrainOptions,
    folder: Path,
    search: TuneOptions,
    data_set: DataSet,
    note: str,
    seconds: float,
) -> Trained:
    """Train with the best options as many epochs as fit, and write its model file and run folder.

    Args:
        options: of the best trial, with the epochs of a whole training.
        folder: the study's.
        search: the options of the search.
        data_set: the clips.
        note: about the search, for the model and its report.
        seconds: how long it may take.

    Raises:
        SeqvisionError: it cannot be trained, or a file cannot be written.
    """
    training = options.training.model_copy(update={"time": f"{seconds:.1f}s"})
    chosen = {"training": training, "output": search.output, "runs": folder}
    options = with_content(options.model_copy(update=chosen))
    print_line("training with the best options")
    data = load_dataset(options, data_set)
    return train(options, replace(data, notes=(*data.notes, note)))


def write_best(
    row: TrialRow, folder: Path, options: TuneOptions, note: str, device: torch.device
) -> Path | None:
    """Write the report and the model file of the best trial; the test clips are seen only now.

    Returns:
        Its run folder, or None where another machine has it.

    Raises:
        SeqvisionError: a file cannot be written.
    """
    run = folder / (row.run or "")
    if row.run is None or not (run / "checkpoints" / "last.ckpt").is_file():
        return None
    name = options.output.suffix.lower()
    model = run / f"model{name if name == '.safetensors' else '.pt'}"
    with FileLock(folder / ".best.lock"):
        if model.is_file() and (run / "metrics.json").is_file():
            copy_model(model, options.output, folder)
            return run
        requested = from_yaml(run / "options.yaml").model_copy(update={"output": options.output})

        def read(of: TrainOptions) -> Data:
            data = load_dataset(of)
            return replace(data, notes=(*data.notes, note))

        context = prepare_run(requested, device, read, quiet=True)
        finish_run(
            context,
            run,
            load_kept_weights(requested.training, run),
            row.seconds or 0.0,
            owner=folder,
        )
    return run
