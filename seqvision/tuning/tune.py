"""`seqvision tune`: search for the options of the best model.

read the search space → open or create the study → run trials until there are enough in all
processes → write the table, CSV and plot → write the best trial's model.pt.
"""

import gc
import time
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from seqvision import rank
from seqvision.config import TrainOptions, TuneOptions, data_path, seconds_of, to_yaml
from seqvision.config.resume import recorded
from seqvision.console import print_line
from seqvision.data.augment import with_content
from seqvision.data.datasets import DataSet, find_data_set
from seqvision.errors import DataError, StudyError
from seqvision.preflight import check_combination
from seqvision.signals import Stop, stop_of
from seqvision.training.hardware import check_precision, pick_device
from seqvision.training.run_context import learning_rate
from seqvision.tuning import reporting
from seqvision.tuning.best import keep_best, train_best, write_best
from seqvision.tuning.budget import Budget
from seqvision.tuning.objective import (
    Measure,
    Objective,
    SearchContext,
    SurplusError,
    UnusableError,
)
from seqvision.tuning.reporting import Progress, ended
from seqvision.tuning.samplers import make_option_grid, make_pruner, make_sampler
from seqvision.tuning.search_space import Choices, Space, called, read_space, value_of, with_values
from seqvision.tuning.storage import (
    fail_dead_trials,
    open_storage,
    reported,
    storage_url,
    without_password,
)
from seqvision.tuning.study import (
    TrialRow,
    best_trial,
    make_folder,
    open_study,
    study_inputs,
    study_name,
)
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write


@dataclass(frozen=True)
class Tuned:
    """What a search leaves; `model` and `run` are None where this machine has not the best one."""

    study: str
    folder: Path
    rows: list[TrialRow]
    best: TrialRow | None
    model: Path | None
    run: Path | None
    stopped_by: Stop | None


def tune(
    options: TuneOptions,
    fixed: Collection[str],
    measure: Measure,
    data_set: DataSet | None = None,
    began: float | None = None,
) -> Tuned:
    """Search for the options of the best model, and write it.

    Args:
        options: of the search and of every training.
        fixed: names of the options of a training that were given: they are not searched.
        measure: exports a network and returns the milliseconds of a live frame.
        data_set: the clips that validation has found; None: they are looked for.
        began: when the work began, by `time.monotonic`; None: now.

    Raises:
        SeqvisionError: the clips, the space or the storage cannot be used, or no trial can be
            trained.
    """
    began = time.monotonic() if began is None else began
    if rank.count() > 1:
        raise StudyError("seqvision tune: not by torchrun; start it once for each GPU or machine")
    base = options.training_options()
    space, base = read_space(options.space, with_content(base), fixed)
    check_combination(base)
    device = pick_device(base.training.device)
    check_precision(base.training.precision, device)
    data_set = data_set or find_data_set(
        data_path(base),
        base.clips.dataset,
        base.images.stills,
        base.clips.official_split,
        base.clips.region,
        base.images.vectors,
    )
    grid = make_option_grid(space, base) if options.sampler == "grid" else []
    if grid:
        space = {name: dimension.on_a_grid() for name, dimension in space.items()}
    about = study_inputs(options, space, base, data_set.clips)
    name = study_name(options, about)
    folder = options.runs / f"study-{name}"
    limit = base.training.time
    base = _without_time(base)
    url = storage_url(options.storage, folder / "study.db")
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)

    with reported(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if options.storage is None:
            make_folder(folder)
        study, is_new = open_study(open_storage(url), name, about)
        make_folder(folder)
        if is_new and not grid:
            study.enqueue_trial(_first(space, base))
        epochs, warmup = base.training.epochs, base.training.warmup
        study.sampler = make_sampler(options.search_method, space, grid, base)
        study.pruner = make_pruner(options.pruner, epochs, warmup)
        trial_count = min(options.trials, len(grid)) if grid else options.trials
        print_line(f"study {name}, kept in {without_password(url)}; searched: {', '.join(space)}")
        budget = None if limit is None else Budget(seconds_of(limit), began, study)
        progress = Progress(study, trial_count, options, folder, about, budget)
        objective = Objective(
            SearchContext(
                space=space,
                base=base,
                objective=options.objective,
                trial_count=trial_count,
                once=bool(grid),
                max_latency_ms=options.max_latency_ms,
                measure=measure if options.latency else None,
                device=device,
                folder=folder,
                standing=progress.standing,
                budget=budget,
            )
        )
        stop: Stop | None = None
        gc.freeze()  # after each trial only what it made is looked through
        try:
            _search(study, objective, progress)
        except KeyboardInterrupt as error:
            stop = stop_of(error)
        finally:
            gc.unfreeze()
        keep_best(study, folder)
        rows = progress.rows()
        best = best_trial(rows)
        progress.write(rows)
        reporting.draw_trials(rows, folder / "study.png", options.objective, options.max_latency_ms)
        reporting.show_trials(rows, options.objective, name)
    if stop is not None:
        of = "" if budget is not None else f" of {trial_count}"
        print_line(
            f"stopped; {ended(rows)}{of} trials are kept in {folder}; "
            "run the same command to continue"
        )
        return Tuned(name, folder, rows, best, None, None, stop)
    if best is None:
        raise _nothing_found(rows, options)
    _write_options(folder / "best.yaml", with_values(base, _values(space, best)))
    running = [row.number for row in rows if row.kind == "running"]
    if running:
        print_line(
            f"trial {running[0]} still runs in another process; the last one to end writes "
            f"{options.output}"
        )
        return Tuned(name, folder, rows, best, None, None, None)
    note = (
        f"best of {ended(rows)} trials of study {name}: trial {best.number}, "
        f"{options.search_method}, by validation {options.objective}"
        + (f" within {options.max_latency_ms:g} ms" if options.max_latency_ms else "")
    )
    if budget is not None and best.epochs < base.training.epochs:
        chosen = with_values(base, _values(space, best))
        trained = train_best(chosen, folder, options, data_set, note, budget.seconds_to_train)
        return Tuned(name, folder, rows, best, trained.model, trained.run, trained.stopped_by)
    run = write_best(best, folder, options, note, device)
    if run is None:
        print_line(
            f"trial {best.number} is the best, and its model is where it was trained; to have it "
            f"here: seqvision train {data_set.path} --config {folder / 'best.yaml'}"
        )
    return Tuned(name, folder, rows, best, options.output if run else None, run, None)


def _search(study: optuna.Study, objective: Objective, progress: Progress) -> None:
    """Make one trial after the other until there are enough, whoever makes them."""
    while True:
        fail_dead_trials(study)
        optuna.storages.fail_stale_trials(study)
        if progress.done():
            return
        try:
            study.optimize(
                objective,
                n_trials=1,
                catch=(UnusableError, SurplusError),
                callbacks=[progress.handle_trial],
                gc_after_trial=True,  # a loader's processes end with it
            )
        except optuna.exceptions.UpdateFinishedTrialError:
            continue  # this machine slept, and another process took the trial for dead


def _without_time(base: TrainOptions) -> TrainOptions:
    """Return the options of a trial: --time is that of the search."""
    return base.model_copy(update={"training": base.training.model_copy(update={"time": None})})


def _first(space: Space, base: TrainOptions) -> dict[str, Any]:
    """Return what a training by itself would take, as far as that is searched."""
    values = {name: value_of(base, name) for name in space}
    if "motion" in space and not space["motion"].holds(values["motion"]):
        values["motion"] = base.model.reads  # `auto` by the name that it has in the space
    if values.get("center") == "auto":
        values["center"] = base.model.centers
    if "lr" in values:
        values["lr"] = learning_rate(base, base.model.weights not in ("auto", "none"))
    return {name: called(value) for name, value in values.items() if space[name].holds(value)}


def _values(space: Space, row: TrialRow) -> dict[str, Any]:
    """Return the values of a trial's options, by what they are called in the study."""
    return {
        name: dimension.values[label] if isinstance(dimension, Choices) else label
        for name, label in row.params.items()
        if (dimension := space[name])
    }


def _nothing_found(rows: list[TrialRow], options: TuneOptions) -> SeqvisionError:
    slow = [row.ms for row in rows if row.kind == "too slow" and row.ms is not None]
    if slow:
        return StudyError(
            f"--max-latency-ms {options.max_latency_ms:g}: no trial is so fast, the fastest takes "
            f"{reporting.ms_text(min(slow))} ms; allow more, or search smaller networks "
            "with --space"
        )
    errors = [row.error for row in rows if row.error]
    reason = f"; last error: {errors[-1]}" if errors else ""
    return DataError(f"none of {len(rows)} trials could be trained{reason}")


def _write_options(path: Path, options: TrainOptions) -> None:
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_text(to_yaml(recorded(options)), encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from None
