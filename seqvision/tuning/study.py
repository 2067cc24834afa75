"""A study and its trials: what is searched, their kinds, figures and the best one.

A trial that fails has tried something where its options cannot be trained (`error` holds the
reason), and counts.  One that was stopped or killed, or was one too many, counts for nothing.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from seqvision.config import TrainOptions, TuneOptions, data_path, flattened
from seqvision.data.clips import Clip
from seqvision.errors import StudyError
from seqvision.tuning.search_space import Space
from seqvision.tuning.storage import Storage
from seqvision_edge.files import sweep

ABOUT = "seqvision"
# Where files are and how fast they are loaded changes no metric.
_NOT_COMPARED = frozenset(("data", "root", "output", "runs", "resume", "config", "clips.cache",
                     "clips.cache_size", "clips.workers", "training.device"))  # fmt: skip

# A combination that ended its process so often is not tried again.
_MOST_KILLS = 2

Kind = Literal["complete", "pruned", "too slow", "failed", "running", "stopped", "surplus"]

# Epochs of each trial of a search within a time, and seconds of one with the usual options.
PLAN = "plan"
ERROR, SURPLUS, MS, LOSS, EPOCH = "error", "surplus", "ms", "loss", "epoch"
SECONDS, SLOW, MACHINE, RUN = "seconds", "slow", "machine", "run"


def study_inputs(
    options: TuneOptions, space: Space, base: TrainOptions, clips: Sequence[Clip]
) -> dict[str, Any]:
    """Return, as plain data, everything that the figures of a study depend on."""
    whole = dict(flattened(base.model_dump(mode="json")))
    rows = sorted([clip.path.name, clip.index, clip.label, clip.split] for clip in clips)
    return {
        "clips": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16],
        "objective": options.objective,
        "max_latency_ms": options.max_latency_ms,
        "space": {name: dimension.plain() for name, dimension in space.items()},
        "options": {
            name: value
            for name, value in whole.items()
            if name not in _NOT_COMPARED and name.rpartition(".")[2] not in space
        },
    }


def study_name(options: TuneOptions, about: dict[str, Any]) -> str:
    """Return the study's name: the same for the same command, whatever its trials and clips."""
    if options.study is not None:
        return options.study
    searched = {name: value for name, value in about.items() if name != "clips"}
    digest = hashlib.sha256(json.dumps(searched, sort_keys=True).encode()).hexdigest()
    stem = "".join(c if c.isalnum() else "_" for c in data_path(options.training_options()).stem)
    return f"{stem[:40]}-{digest[:8]}"


def open_study(storage: Storage, name: str, about: dict[str, Any]) -> tuple[optuna.Study, bool]:
    """Return a study, and whether it is new.

    Raises:
        StudyError: the study of this name is about something else.
    """
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        new = True
    except optuna.exceptions.DuplicatedStudyError:
        study, new = optuna.load_study(study_name=name, storage=storage), False
    if ABOUT not in study.user_attrs:  # also where a process was killed between the two
        study.set_user_attr(ABOUT, json.dumps(about, sort_keys=True))
    _refuse_other(name, json.loads(study.user_attrs[ABOUT]), about)
    return study, new


def _refuse_other(name: str, kept: dict[str, Any], about: dict[str, Any]) -> None:
    if kept == json.loads(json.dumps(about)):
        return
    before, now = dict(flattened(kept)), dict(flattened(about))
    different = next(each for each in {**before, **now} if before.get(each) != now.get(each))
    if different == "clips":
        what = "its clips were others"
    else:
        what = f"{different} was {_text(before.get(different))}, now {_text(now.get(different))}"
    raise StudyError(
        f"study {name}: begun with something else: {what}; give the same, or another --study NAME"
    )


def make_folder(folder: Path) -> None:
    """Make the study's folder among the run folders, where it is missing.

    Raises:
        StudyError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, depth=3)
    except OSError as error:
        raise StudyError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder with --runs"
        ) from None


def _text(value: Any) -> str:
    return json.dumps(value)[:80]


@dataclass(frozen=True)
class TrialRow:
    """A trial as tables show it.

    Attributes:
        value: the figure that the search raises, of the epoch that was kept.
        ms: milliseconds of a live frame.
        loss: validation loss of that epoch.
        epoch: that epoch, from 0.
        epochs: how many were trained.
        run: name of its run folder; that of all but the best is removed.
    """

    number: int
    kind: Kind
    value: float | None
    ms: float | None
    loss: float | None
    epoch: int | None
    epochs: int
    seconds: float | None
    machine: str | None
    run: str | None
    error: str | None
    params: dict[str, Any]


def trial_kind(trial: FrozenTrial) -> Kind:
    """Return how a trial ended."""
    about = trial.user_attrs
    if trial.state == TrialState.COMPLETE:
        return "complete"
    if trial.state == TrialState.PRUNED:
        return "too slow" if about.get(SLOW) else "pruned"
    if trial.state == TrialState.FAIL:
        return "surplus" if about.get(SURPLUS) else "failed" if ERROR in about else "stopped"
    return "running"


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial is one of those requested."""
    return trial.state != TrialState.WAITING and trial_kind(trial) not in ("stopped", "surplus")


def is_taken(trial: FrozenTrial, others: Sequence[FrozenTrial]) -> bool:
    """Return whether a grid need not try these values again."""
    if counts(trial):
        return True
    if trial_kind(trial) == "surplus":
        return False
    same = [
        each for each in others if trial_kind(each) == "stopped" and each.params == trial.params
    ]
    return len(same) >= _MOST_KILLS


def row_of(trial: FrozenTrial) -> TrialRow:
    """Return a trial as tables show it."""
    about = trial.user_attrs
    return TrialRow(
        number=trial.number,
        kind=trial_kind(trial),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        ms=about.get(MS),
        loss=about.get(LOSS),
        epoch=about.get(EPOCH),
        epochs=len(trial.intermediate_values),
        seconds=about.get(SECONDS),
        machine=about.get(MACHINE),
        run=about.get(RUN),
        error=about.get(ERROR),
        params=dict(trial.params),
    )


def best_trial(rows: Sequence[TrialRow]) -> TrialRow | None:
    """Return the best row: the highest value; of equals the faster, then the surer, the earlier."""
    complete = [row for row in rows if row.value is not None]
    return min(complete, key=_rank, default=None)


def pareto(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """Return the rows to which none is both as good and faster, the fastest first."""
    front: list[TrialRow] = []
    timed = [row for row in rows if row.value is not None and row.ms is not None]
    for row in sorted(timed, key=lambda row: (row.ms, *_rank(row))):
        best = front[-1].value if front else None
        if best is None or (row.value is not None and row.value > best):
            front.append(row)
    return front


def short(params: dict[str, Any]) -> str:
    """Return the values of a trial in one line."""
    return ", ".join(f"{name} {_brief(value)}" for name, value in params.items())


def _rank(row: TrialRow) -> tuple[float, float, float, int]:
    infinite = float("inf")
    value = -infinite if row.value is None else row.value
    ms = infinite if row.ms is None else row.ms
    return -value, ms, infinite if row.loss is None else row.loss, row.number


def _brief(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value).strip('"')
