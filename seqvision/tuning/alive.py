"""Whether the process of a trial still lives, where that can be known: on this machine, on Linux.

Elsewhere a process that says nothing for a while is taken for dead (`storage.GRACE`).
"""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from seqvision.tuning.storage import GRACE

PROCESS = "process"


def this_process() -> dict[str, Any]:
    """Return what tells this process from all others, as far as this system says it."""
    return {"place": _place(), "pid": os.getpid(), "started": _started(os.getpid())}


def fail_dead_trials(study: optuna.Study) -> list[int]:
    """Mark the trials of processes that were killed as failed, and return their numbers."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial):
            # Another process may have seen it too.
            with suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
                study.tell(trial.number, state=TrialState.FAIL)
                found.append(trial.number)
    return found


def _is_dead(trial: FrozenTrial) -> bool:
    process = trial.user_attrs.get(PROCESS)
    if process is None:  # killed before it could say anything, its heart never beat
        begun = trial.datetime_start
        return begun is not None and datetime.now() - begun > timedelta(seconds=GRACE)
    here = _place()
    if here is None or process["place"] != here:
        return False
    return process["started"] is None or _started(process["pid"]) != process["started"]


def _place() -> str | None:
    """Return this boot of this machine and its table of processes; containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None where there is none."""
    try:
        # The name, in brackets, may have spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]
