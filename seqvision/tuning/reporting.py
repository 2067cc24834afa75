"""Progress of a search on the terminal; its trials as table, CSV, JSON and plot."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.markup import escape
from rich.table import Table

from seqvision.config import TuneOptions
from seqvision.console import print_line, result_console, time_text
from seqvision.errors import StudyError
from seqvision.report.png_plots import pyplot
from seqvision.tuning.best import keep_best
from seqvision.tuning.budget import Budget
from seqvision.tuning.objective import Standing
from seqvision.tuning.study import TrialRow, best_trial, pareto, row_of, short
from seqvision_edge.csv_cells import write_rows
from seqvision_edge.files import atomic_write

_SHOWN = 10


class Progress:
    """How far a search is, on the terminal and in the study's folder."""

    def __init__(
        self,
        study: optuna.Study,
        trial_count: int,
        options: TuneOptions,
        folder: Path,
        about: dict[str, Any],
        budget: Budget | None = None,
    ) -> None:
        self._study = study
        self._budget = budget
        self._trial_count = trial_count
        self._options = options
        self._folder = folder
        self._about = {"study": study.study_name, **about}
        self._began = time.monotonic()
        self._before = ended(self.rows())

    def rows(self) -> list[TrialRow]:
        """Return the trials of all processes."""
        every = self._study.get_trials(deepcopy=False)
        rows = [row_of(each) for each in every if each.state != TrialState.WAITING]
        return [row for row in rows if row.kind != "surplus"]

    def done(self) -> bool:
        """Return whether no further trial need be begun."""
        if self._budget is not None and self._budget.is_spent:
            return True
        counted = [row for row in self.rows() if row.kind != "stopped"]
        return len(counted) >= self._trial_count

    def standing(self, trial: optuna.Trial) -> Standing:
        """Return how the search goes, for the bar of a trial."""
        rows = self.rows()
        number = 1 + sum(row.kind != "stopped" and row.number < trial.number for row in rows)
        best = self._best(rows)
        now = ended(rows)
        return Standing(self._number(number), best, partial(self._seconds_left, now))

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
            f"{self._number(number)}  trial {row.number}: {self._ending(row)}; "
            f"{self._best(rows)}{rest}"
        )
        print_line(f"     {short(row.params)}", "dim")

    def write(self, rows: list[TrialRow]) -> None:
        """Write the study's tables."""
        write_trials(self._folder, rows, self._about)

    def _number(self, number: int) -> str:
        """Return which trial it is; of how many is not known where they have a time."""
        return str(number) if self._budget is not None else f"{number}/{self._trial_count}"

    def _ending(self, row: TrialRow) -> str:
        took = "" if row.seconds is None else f", {duration(row.seconds)}"
        time_of = "" if row.ms is None else f", {ms_text(row.ms)} ms"
        if row.kind == "failed":
            return f"failed: {row.error}"
        if row.kind == "too slow":
            long = "would take too much of --time" if row.ms is None else f"too slow{time_of}"
            return f"{long}, not trained"
        if row.kind == "pruned":
            return f"pruned after epoch {row.epochs}"
        return f"{self._figure(row)}{time_of}{took}"

    def _best(self, rows: list[TrialRow]) -> str:
        best = best_trial(rows)
        return f"best {self._figure(best)} (trial {best.number})" if best else "none finished yet"

    def _figure(self, row: TrialRow) -> str:
        return figure_text(row, self._options.objective)

    def _seconds_left(self, now: int, share: float) -> float | None:
        """Return how long it takes, at the pace of all processes since this one began.

        Args:
            now: how many trials have ended.
            share: part of the running trial that is done.
        """
        if self._budget is not None:
            return max(0.0, self._budget.seconds_to_search)
        made, open_ = now - self._before + share, self._trial_count - now - share
        if made <= 0 or open_ < 0:
            return None
        return (time.monotonic() - self._began) / made * open_


def ended(rows: list[TrialRow]) -> int:
    """Return how many of the requested trials have ended."""
    return sum(row.kind not in ("running", "stopped") for row in rows)


def duration(seconds: float) -> str:
    """Return a time as it is shown."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def show_trials(rows: Sequence[TrialRow], objective: str, name: str) -> None:
    """Print the front of figure against time; without times, the best trials."""
    front = pareto(rows)
    if not front and best_trial(rows) is None:
        return
    best = best_trial(rows)
    if front:
        title = f"study {name}: no trial is both as good and faster"
        shown = front[-_SHOWN:]
    else:
        title = f"study {name}: the best trials"
        complete = [row for row in rows if row.value is not None]
        shown = sorted(complete, key=lambda row: (-(row.value or 0), row.number))[:_SHOWN]
    table = Table(title=escape(title), title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column(f"val {objective}", justify="right", no_wrap=True)
    if front:
        table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("options", ratio=1)
    for row in shown:
        mark = " *" if best is not None and row.number == best.number else ""
        times = [ms_text(row.ms)] if front else []
        figure = figure_text(row, objective)
        table.add_row(str(row.number), f"{figure}{mark}", *times, escape(short(row.params)))
    console = result_console(highlight=False)
    console.print(table)
    if front:
        console.print("* best; ms: a live frame of the exported model, one thread", style="dim")
    if len({row.machine for row in front}) > 1:
        console.print("the times are of different machines, and may not compare", style="yellow")


def figure_text(row: TrialRow, objective: str) -> str:
    """Return the figure that a search raises as it is shown."""
    if row.value is None:
        return ""
    return f"{row.value:.1%}" if objective == "accuracy" else f"{row.value:.3f}"


def ms_text(ms: float | None) -> str:
    """Return milliseconds as they are shown."""
    return "" if ms is None else f"{ms:.3f}" if ms < 1 else f"{ms:.2f}"


def write_trials(folder: Path, rows: Sequence[TrialRow], about: dict[str, Any]) -> None:
    """Write trials.csv and study.json.

    Raises:
        StudyError: the folder cannot be written to.
    """
    front = {row.number for row in pareto(rows)}
    best = best_trial(rows)
    content = {
        **about,
        "best": None if best is None else best.number,
        "pareto": sorted(front),
        "trials": [asdict(row) for row in rows],
    }
    names = list(dict.fromkeys(name for row in rows for name in row.params))
    figures = ("number", "kind", "value", "ms", "loss", "epoch", "epochs", "seconds", "error")
    try:
        with atomic_write(folder / "study.json") as unfinished:
            unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        with (
            atomic_write(folder / "trials.csv") as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            head = [*figures, "pareto", *names]
            lines = (
                [
                    *(getattr(row, name) for name in figures),
                    row.number in front,
                    *map(row.params.get, names),
                ]
                for row in rows
            )
            write_rows(file, [head, *lines])
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written ({error.strerror})") from None


def draw_trials(
    rows: Sequence[TrialRow], path: Path, objective: str, max_latency_ms: float | None
) -> None:
    """Draw the trials in their order and, where they were timed, against milliseconds.

    Raises:
        StudyError: the file cannot be written.
    """
    complete = [row for row in rows if row.value is not None]
    if not complete:
        return
    plt = pyplot()
    front = pareto(rows)
    count = 2 if front else 1
    figure, panels = plt.subplots(
        1, count, figsize=(4.5 * count, 3.6), layout="constrained", squeeze=False
    )
    _draw_order(panels[0][0], complete, rows)
    if front:
        _draw_front(panels[0][1], complete, front, max_latency_ms)
    for axes in panels[0]:
        axes.set_ylabel(f"validation {objective}")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    try:
        with atomic_write(path) as unfinished:
            figure.savefig(unfinished, dpi=110)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        plt.close(figure)


def _draw_order(axes: Any, complete: Sequence[TrialRow], rows: Sequence[TrialRow]) -> None:
    numbers, values = zip(*((row.number, row.value or 0.0) for row in complete), strict=True)
    axes.scatter(numbers, values, color="#15c", s=16, label="finished", zorder=3)
    axes.step(numbers, list(accumulate(values, max)), color="#c60", where="post", label="best")
    low = min(values)
    for kind, marker in (("pruned", "x"), ("too slow", "1"), ("failed", "2")):
        some = [row.number for row in rows if row.kind == kind]
        if some:
            axes.scatter(some, [low] * len(some), color="#999", marker=marker, s=20, label=kind)
    axes.set(xlabel="trial", title="the search")
    axes.legend(frameon=False, fontsize="small")


def _draw_front(
    axes: Any, complete: Sequence[TrialRow], front: Sequence[TrialRow], max_latency_ms: float | None
) -> None:
    timed = [row for row in complete if row.ms is not None]
    axes.scatter([r.ms for r in timed], [r.value for r in timed], color="#8ab", s=16)
    axes.step(
        [r.ms for r in front], [r.value for r in front], color="#15c", where="post",
        marker="o", markersize=4, label="none is both as good and faster",
    )  # fmt: skip
    best = best_trial(complete)
    if best is not None and best.ms is not None:
        axes.scatter([best.ms], [best.value], color="#c60", s=40, zorder=3, label="best")
    if max_latency_ms is not None:
        axes.axvline(
            max_latency_ms, color="#c60", linestyle=":", label=f"at most {max_latency_ms:g} ms"
        )
    axes.set_xscale("log")
    axes.set(xlabel="milliseconds of a live frame", title="what it costs")
    axes.legend(frameon=False, fontsize="small")
