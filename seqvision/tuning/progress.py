"""How far a search is: on the terminal, and in the study's folder."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from seqvision.config import TuneOptions
from seqvision.console import print_line, time_text
from seqvision.tuning.best import keep_best
from seqvision.tuning.listeners import Standing
from seqvision.tuning.table import figure_text, ms_text, write
from seqvision.tuning.trials import Row, best_of, row_of, short


class Progress:
    """How far a search is, on the terminal and in the study's folder."""

    def __init__(
        self,
        study: optuna.Study,
        wanted: int,
        options: TuneOptions,
        folder: Path,
        about: dict[str, Any],
    ) -> None:
        self._study = study
        self._wanted = wanted
        self._options = options
        self._folder = folder
        self._about = {"study": study.study_name, **about}
        self._began = time.monotonic()
        self._before = ended(self.rows())

    def rows(self) -> list[Row]:
        """Return the trials of all processes."""
        every = self._study.get_trials(deepcopy=False)
        rows = [row_of(each) for each in every if each.state != TrialState.WAITING]
        return [row for row in rows if row.kind != "surplus"]

    def done(self) -> bool:
        """Return whether no further trial need be begun."""
        counted = [row for row in self.rows() if row.kind != "stopped"]
        return len(counted) >= self._wanted

    def standing(self, trial: optuna.Trial) -> Standing:
        """Return how the search goes, for the bar of a trial."""
        rows = self.rows()
        number = 1 + sum(row.kind != "stopped" and row.number < trial.number for row in rows)
        best = self._best(rows)
        now = ended(rows)
        return Standing(f"{number}/{self._wanted}", best, partial(self._seconds_left, now))

    def handle_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Print and record the result of a trial."""
        row = row_of(trial)
        if row.kind == "surplus":
            return
        keep_best(study, self._folder)
        rows = self.rows()
        self.write(rows)
        number = sum(each.kind != "stopped" and each.number <= row.number for each in rows)
        left = self._seconds_left(ended(rows), 0.0)
        rest = f", {time_text(left)} left" if left else ""
        print_line(
            f"{number}/{self._wanted}  trial {row.number}: {self._ending(row)}; "
            f"{self._best(rows)}{rest}"
        )
        print_line(f"     {short(row.params)}", "dim")

    def write(self, rows: list[Row]) -> None:
        """Write the study's tables."""
        write(self._folder, rows, self._about)

    def _ending(self, row: Row) -> str:
        took = "" if row.seconds is None else f", {duration(row.seconds)}"
        time_of = "" if row.ms is None else f", {ms_text(row.ms)} ms"
        if row.kind == "failed":
            return f"failed: {row.error}"
        if row.kind == "too slow":
            return f"too slow{time_of}, not trained"
        if row.kind == "pruned":
            return f"pruned after epoch {row.epochs}"
        return f"{self._figure(row)}{time_of}{took}"

    def _best(self, rows: list[Row]) -> str:
        best = best_of(rows)
        return f"best {self._figure(best)} (trial {best.number})" if best else "none finished yet"

    def _figure(self, row: Row) -> str:
        return figure_text(row, self._options.objective)

    def _seconds_left(self, now: int, share: float) -> float | None:
        """Return how long it takes, at the pace of all processes since this one began.

        Args:
            now: how many trials have ended.
            share: part of the running trial that is done.
        """
        made, open_ = now - self._before + share, self._wanted - now - share
        if made <= 0 or open_ < 0:
            return None
        return (time.monotonic() - self._began) / made * open_


def ended(rows: list[Row]) -> int:
    """Return how many of the trials that were asked for have ended."""
    return sum(row.kind not in ("running", "stopped") for row in rows)


def duration(seconds: float) -> str:
    """Return a time as it is shown."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
