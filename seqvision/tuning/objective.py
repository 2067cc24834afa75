"""One trial: options drawn → fast enough? → trained, if it stays good enough → its figure."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning as L
import onnxruntime
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from seqvision import __version__
from seqvision.config import ModelOptions, TrainingOptions, TrainOptions, to_yaml
from seqvision.config.resume import recorded
from seqvision.data.augment import with_content
from seqvision.data.cache import Cache, touch
from seqvision.errors import OutOfMemoryError, ResourceError, StudyError
from seqvision.models.classifier import Classifier
from seqvision.signals import interrupt
from seqvision.training.autotune import processor
from seqvision.training.callbacks import EpochBar
from seqvision.training.data import Data, load_dataset
from seqvision.training.fit import fit, is_out_of_memory
from seqvision.training.results import make_card
from seqvision.training.run_context import RunContext, prepare_run
from seqvision.tuning import study
from seqvision.tuning.budget import Budget, TrialPlanner
from seqvision.tuning.search_space import Space, suggest, with_values
from seqvision.tuning.storage import PROCESS, this_process
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write, write_whole

_OUT_OF_MEMORY = "out of memory"
GO_ON = "finished trials are kept; run the same command to continue"

FIGURES = ("loss", "accuracy", "f1")

# Exports a network and times a live frame of it, in milliseconds.
Measure = Callable[[Classifier, ModelCard], float]

# What does not change the graph but for the numbers in it.
_NOT_THE_GRAPH = {"weights", "normalize", "freeze", "views", "dropout"}


class UnusableError(Exception):
    """The options of this trial cannot be trained; others can."""


class SurplusError(Exception):
    """Another process does this trial already, or there are enough."""


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


@dataclass(frozen=True)
class SearchContext:
    """What all trials of a search share.

    Attributes:
        base: the options that a trial begins with.
        trial_count: how many trials there are to be in all.
        once: values that were tried are not tried again (a grid).
        max_latency_ms: most milliseconds of a live frame; None: any.
        measure: exports a network and times it; None: nothing is timed.
        folder: the study's own.
        standing: returns the progress of the search.
        budget: how long it may take; None: any time.
    """

    space: Space
    base: TrainOptions
    objective: str
    trial_count: int
    once: bool
    max_latency_ms: float | None
    measure: Measure | None
    device: torch.device
    folder: Path
    standing: Callable[[optuna.Trial], Standing]
    budget: Budget | None = None


class Objective:
    """Trains a trial; the clips are found and decoded once for all trials that see them alike."""

    def __init__(self, search: SearchContext) -> None:
        self._search = search
        self._data: dict[str, Data] = {}
        self._threads = torch.get_num_threads()
        clips = search.base.clips
        self._cache = Cache(clips.cache, clips.cache_size)

    def __call__(self, trial: optuna.Trial) -> float:
        """Return the validation figure of a trial.

        Raises:
            TrialPruned: the network is too slow, or the training was not good enough.
            UnusableError: these options cannot be trained.
            SurplusError: the trial need not be made.
            KeyboardInterrupt: it was stopped.
            SeqvisionError: nothing can be trained, a full disk for one.
        """
        began = time.monotonic()
        trial.set_user_attr(PROCESS, this_process())
        others = self._others(trial)
        values = suggest(trial, self._search.space, self._search.base)
        self._refuse_surplus(trial, others)
        twin = next((each for each in others if _is_twin(each, trial)), None)
        if twin is not None:
            return _answer_of(twin, trial)
        options = with_content(with_values(self._search.base, values))
        planner = None
        if self._search.budget is not None:
            epochs = self._search.budget.epochs or options.training.epochs
            training = options.training.model_copy(update={"epochs": epochs})
            options = options.model_copy(update={"training": training})
            planner = TrialPlanner(self._search.budget, training)
        # What a head that works alone has left behind.
        torch.set_num_threads(self._threads)
        try:
            if self._search.max_latency_ms is not None:
                self._refuse_slow(trial, options)
            context = prepare_run(options, self._search.device, self._read, quiet=True)
        except SeqvisionError as error:
            if isinstance(error.__context__, OSError):
                raise  # a full disk is not the fault of these options
            raise _unusable(trial, str(error)) from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise _unusable(trial, _OUT_OF_MEMORY) from None
        value = self._train(trial, context, planner)
        if self._search.measure is not None:
            trial.set_user_attr(study.MS, self._time(options))
        trial.set_user_attr(study.MACHINE, machine_name())
        trial.set_user_attr(study.SECONDS, round(time.monotonic() - began, 1))
        return value

    def _train(
        self, trial: optuna.Trial, context: RunContext, planner: TrialPlanner | None
    ) -> float:
        # Not the number alone: a study of the same name may be kept elsewhere.
        run = self._search.folder / f"trial-{trial.number:04}-{secrets.token_hex(2)}"
        trial.set_user_attr(study.RUN, run.name)
        report = TrialCallback(trial, self._search.objective)
        epochs = context.options.training.epochs
        now = self._search.standing(trial)
        bar = EpochBar(f"trial {now.trial}", epochs, now.left, now.best, at_most=True)
        try:
            run.mkdir()
            _write_options(run, context.options)
            if planner is not None:
                planner.followers.append(partial(_planned, run, context.options))
            fitted = fit(
                context, run, resume=False, listeners=(report,), shown=bar, planner=planner
            )
        except optuna.TrialPruned:
            trial.set_user_attr(study.SLOW, True)  # its first steps were
            raise
        except OutOfMemoryError:
            raise _unusable(trial, _OUT_OF_MEMORY) from None
        except ResourceError as error:
            raise StudyError(f"{error}; {GO_ON}") from None
        except OSError as error:
            raise StudyError(f"{run}: cannot be written ({error.strerror}); {GO_ON}") from None
        if fitted.stopped_by is not None:
            raise interrupt(fitted.stopped_by)
        if report.pruned:
            raise optuna.TrialPruned
        figures = report.figures[fitted.epoch]
        trial.set_user_attr(study.LOSS, figures["loss"])
        trial.set_user_attr(study.EPOCH, fitted.epoch)
        return figures[self._search.objective]

    def _others(self, trial: optuna.Trial) -> list[FrozenTrial]:
        every = trial.study.get_trials(deepcopy=False)
        return [each for each in every if each.number != trial.number]

    def _refuse_surplus(self, trial: optuna.Trial, others: Sequence[FrozenTrial]) -> None:
        """Leave a trial that another process began at the same moment to that one."""
        counted = [each for each in others if study.counts(each)]
        before = [each for each in counted if each.number < trial.number]
        tried = self._search.once and any(
            each.params == trial.params and (each.state.is_finished() or each.number < trial.number)
            for each in counted
        )
        if tried or len(before) >= self._search.trial_count:
            trial.set_user_attr(study.SURPLUS, True)
            raise SurplusError

    def _refuse_slow(self, trial: optuna.Trial, options: TrainOptions) -> None:
        ms = self._time(options)
        trial.set_user_attr(study.MS, ms)
        if self._search.max_latency_ms is not None and ms > self._search.max_latency_ms:
            trial.set_user_attr(study.SLOW, True)
            trial.set_user_attr(study.MACHINE, machine_name())
            raise optuna.TrialPruned

    def _time(self, options: TrainOptions) -> float:
        assert self._search.measure is not None
        return milliseconds(self._search.measure, options, self._read(options), self._cache)

    def _read(self, options: TrainOptions) -> Data:
        key = options.clips.model_dump_json() + options.images.model_dump_json()
        if key not in self._data:
            self._data[key] = load_dataset(options)
        return self._data[key]


def _write_options(run: Path, options: TrainOptions) -> None:
    write_whole(run / "options.yaml", to_yaml(recorded(options)))


def _planned(run: Path, options: TrainOptions, training: TrainingOptions) -> None:
    """Write the options of a trial anew, once its epochs are planned."""
    _write_options(run, options.model_copy(update={"training": training}))


def _is_twin(other: FrozenTrial, trial: optuna.Trial) -> bool:
    tried = other.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return tried and other.params == trial.params


def _answer_of(twin: FrozenTrial, trial: optuna.Trial) -> float:
    """Answer as a trial of the same values has: another training would give the same."""
    for name in (study.MS, study.LOSS, study.EPOCH, study.SLOW, study.MACHINE):
        if name in twin.user_attrs:
            trial.set_user_attr(name, twin.user_attrs[name])
    trial.set_user_attr(study.SECONDS, 0.0)
    if twin.state == TrialState.PRUNED or twin.value is None:
        raise optuna.TrialPruned
    return twin.value


def _unusable(trial: optuna.Trial, reason: str) -> UnusableError:
    trial.set_user_attr(study.ERROR, reason)
    return UnusableError(reason)


class TrialCallback(L.Callback):
    """Report the validation figure of each epoch to the study; end the training if it is pruned.

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


def machine_name() -> str:
    """Return what a time holds for."""
    return f"{processor()}, {os.cpu_count()} cores"


def milliseconds(measure: Measure, options: TrainOptions, data: Data, cache: Cache) -> float:
    """Return what a live frame of a network of these options takes on this machine.

    The network has random weights: how long it takes does not depend on them, and a network that
    is too slow need not be trained.
    """
    about = [
        "live frame",
        __version__,
        onnxruntime.__version__,
        torch.__version__,
        platform.node(),
        machine_name(),
        options.model.model_dump(exclude=_NOT_THE_GRAPH),
        data.image.model_dump(),
        data.sequence.kind,
        data.sequence.window,
        len(data.labels),
    ]
    kept = cache.file(about, ".json")
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = float(json.loads(kept.read_text(encoding="utf-8"))["ms"])
        touch(kept)
        return known
    untrained: ModelOptions = options.model.model_copy(update={"weights": "none"})
    with torch.random.fork_rng([]):
        model = Classifier(untrained, data.image, len(data.labels)).eval()
        found = measure(model, make_card(options, data, model))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as unfinished:
            unfinished.write_text(json.dumps({"ms": found}), encoding="utf-8")
    except OSError as error:
        raise cache.error(error) from None
    return found
