"""What a trial of a study was: its kind, its figures, which one is the best.

A trial that fails has tried something where its options cannot be trained (`error` says why), and
counts.  One that was stopped or killed, or was one too many, counts for nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

# A combination that ended its process so often is not tried again.
_MOST_KILLS = 2

Kind = Literal["complete", "pruned", "too slow", "failed", "running", "stopped", "surplus"]

ERROR, SURPLUS, MS, LOSS, EPOCH = "error", "surplus", "ms", "loss", "epoch"
SECONDS, SLOW, MACHINE, RUN = "seconds", "slow", "machine", "run"


@dataclass(frozen=True)
class Row:
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


def kind_of(trial: FrozenTrial) -> Kind:
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
    """Return whether a trial is one of those that were asked for."""
    return trial.state != TrialState.WAITING and kind_of(trial) not in ("stopped", "surplus")


def is_taken(trial: FrozenTrial, others: Sequence[FrozenTrial]) -> bool:
    """Return whether a grid need not try these values again."""
    if counts(trial):
        return True
    if kind_of(trial) == "surplus":
        return False
    same = [each for each in others if kind_of(each) == "stopped" and each.params == trial.params]
    return len(same) >= _MOST_KILLS


def row_of(trial: FrozenTrial) -> Row:
    """Return a trial as tables show it."""
    about = trial.user_attrs
    return Row(
        number=trial.number,
        kind=kind_of(trial),
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


def best_of(rows: Sequence[Row]) -> Row | None:
    """Return the best row: the highest value; of equals the faster, then the surer, the earlier."""
    complete = [row for row in rows if row.value is not None]
    return min(complete, key=_rank, default=None)


def pareto(rows: Sequence[Row]) -> list[Row]:
    """Return the rows to which none is both as good and faster, the fastest first."""
    front: list[Row] = []
    timed = [row for row in rows if row.value is not None and row.ms is not None]
    for row in sorted(timed, key=lambda row: (row.ms, *_rank(row))):
        best = front[-1].value if front else None
        if best is None or (row.value is not None and row.value > best):
            front.append(row)
    return front


def short(params: dict[str, Any]) -> str:
    """Return the values of a trial in one line."""
    return ", ".join(f"{name} {_said(value)}" for name, value in params.items())


def _rank(row: Row) -> tuple[float, float, float, int]:
    infinite = float("inf")
    value = -infinite if row.value is None else row.value
    ms = infinite if row.ms is None else row.ms
    return -value, ms, infinite if row.loss is None else row.loss, row.number


def _said(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value).strip('"')
