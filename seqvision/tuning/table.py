"""The trials of a study as a table, CSV and JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from seqvision.console import result_console
from seqvision.errors import StudyError
from seqvision.tuning.trials import Row, best_of, pareto, short
from seqvision_edge.csv_cells import write_rows
from seqvision_edge.files import atomic_write

_SHOWN = 10


def show(rows: Sequence[Row], objective: str, name: str) -> None:
    """Print the front of figure against time; without times, the best trials."""
    front = pareto(rows)
    if not front and best_of(rows) is None:
        return
    best = best_of(rows)
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


def figure_text(row: Row, objective: str) -> str:
    """Return the figure that a search raises as it is shown."""
    if row.value is None:
        return ""
    return f"{row.value:.1%}" if objective == "accuracy" else f"{row.value:.3f}"


def ms_text(ms: float | None) -> str:
    """Return milliseconds as they are shown."""
    return "" if ms is None else f"{ms:.3f}" if ms < 1 else f"{ms:.2f}"


def write(folder: Path, rows: Sequence[Row], about: dict[str, Any]) -> None:
    """Write trials.csv and study.json.

    Raises:
        StudyError: the folder cannot be written to.
    """
    front = {row.number for row in pareto(rows)}
    best = best_of(rows)
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
