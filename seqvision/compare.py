"""`seqvision compare`: runs side by side, and whether a difference is more than luck.  No torch."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqvision import ready
from seqvision.config import CompareOptions
from seqvision.errors import CheckpointError, DataError
from seqvision.report.run_folder import Run, read_run
from seqvision.statistics import McNemar, mcnemar, wilson
from seqvision_edge.files import replacing

PARTS = ("val", "test")
# Where files lie and how many processes load them changes no figure.
_PLACES = frozenset(("output", "runs", "resume", "config",
                     "clips.cache", "clips.cache_size", "clips.workers"))  # fmt: skip
_NOTHING = "–"


@dataclass(frozen=True)
class Pair:
    """Two runs, by their places in the list, on the same clips of one part."""

    part: str
    first: int
    second: int
    test: McNemar


def compare(options: CompareOptions) -> list[Run]:
    """Show runs side by side, and write the JSON.

    Raises:
        SeqvisionError: a folder is not that of a run, or no run of them is finished.
    """
    ready.to_compare(options)
    runs = []
    for path in dict.fromkeys(options.runs):
        run = read_run(path)
        if run is None:
            print(f"left out: {path}: its training has not finished", file=sys.stderr)  # noqa: T201
        else:
            runs.append(run)
    if not runs:
        raise CheckpointError("none of these trainings has finished; go on with: --resume RUN")
    different = differing(runs)
    pairs = paired(runs)
    _show(runs, different, pairs)
    if options.json_ is not None:
        _write_json(options.json_, runs, different, pairs)
        print(f"{options.json_} written", file=sys.stderr)  # noqa: T201
    return runs


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the options that are not the same in all runs, with their value in each."""
    names = dict.fromkeys(name for run in runs for name in run.options if name not in _PLACES)
    values = {name: [run.options.get(name) for run in runs] for name in names}
    return {name: each for name, each in values.items() if any(v != each[0] for v in each)}


def best(values: Sequence[float | None], lowest: bool = False) -> set[int]:
    """Return the places of the best value; none where there is nothing to choose."""
    there = [value for value in values if value is not None]
    if len(there) < 2 or min(there) == max(there):
        return set()
    wanted = min(there) if lowest else max(there)
    return {place for place, value in enumerate(values) if value == wanted}


def paired(runs: Sequence[Run]) -> list[Pair]:
    """Return McNemar's test for every two runs that answered for the same clips of a part."""
    pairs = []
    for part in PARTS:
        rows = [run.part(part) for run in runs]
        clips = [[(row.path, row.label) for row in of_run] for of_run in rows]
        right = [np.array([row.right for row in of_run], bool) for of_run in rows]
        pairs += [
            Pair(part, first, second, mcnemar(right[first], right[second]))
            for first in range(len(runs))
            for second in range(first + 1, len(runs))
            if clips[first] and clips[first] == clips[second]
        ]
    return pairs


def _show(runs: Sequence[Run], different: dict[str, list[Any]], pairs: Sequence[Pair]) -> None:
    console = Console(highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    for number, run in enumerate(runs, 1):
        say(f"{number:3}  {run.path}")
    table = Table(*["", *(str(number) for number in range(1, len(runs) + 1))])
    for column in table.columns[1:]:
        column.justify, column.overflow = "right", "fold"
    for name, values in different.items():
        table.add_row(escape(name), *(_said(value) for value in values))
    table.add_section()
    for name, form in _FACTS.items():
        table.add_row(name, *(_fact(run, name, form) for run in runs))
    for part in PARTS:
        if any(part in run.metrics for run in runs):
            table.add_section()
            _add_figures(table, runs, part)
            _add_tests(table, runs, part, pairs)
    console.print(table)
    for part in PARTS:
        if len({tuple((row.path, row.label) for row in run.part(part)) for run in runs}) > 1:
            say(f"{part}: not all answered for the same clips, so the figures may not compare")
    if len(runs) > 1:
        say("* best; in brackets 95 % intervals (Wilson 1927)")
    if pairs:
        say("p: exact McNemar test against the most accurate run, on the same clips: how likely so")
        say("uneven a difference is between equals")


def _add_figures(table: Table, runs: Sequence[Run], part: str) -> None:
    for name, lowest in (("accuracy", False), ("f1", False), ("loss", True)):
        values = [run.figure(part, name) for run in runs]
        marked = best(values, lowest)
        cells = []
        for place, (run, value) in enumerate(zip(runs, values, strict=True)):
            if value is None:
                cells.append(_NOTHING)
                continue
            text = f"{value:.3f}"
            if name == "accuracy":
                clips = int(run.metrics[part]["clips"])
                reach = wilson(round(value * clips), clips)
                text = f"{value:.1%} ({reach.low:.0%}–{reach.high:.0%})".replace("%–", "–")
            cells.append(f"[bold]{text} *[/]" if place in marked else text)
        table.add_row(f"{part} {name}", *cells)
    table.add_row(f"{part} clips", *(_said(run.metrics.get(part, {}).get("clips")) for run in runs))


def _add_tests(table: Table, runs: Sequence[Run], part: str, pairs: Sequence[Pair]) -> None:
    accuracy = [run.figure(part, "accuracy") for run in runs]
    leader = max(range(len(runs)), key=lambda place: accuracy[place] or -1.0)
    found = {
        pair.second if pair.first == leader else pair.first: pair.test.p
        for pair in pairs
        if pair.part == part and leader in (pair.first, pair.second)
    }
    if found:
        cells = (f"{found[place]:.3g}" if place in found else "" for place in range(len(runs)))
        table.add_row(f"{part} p against {leader + 1}", *cells)


def _write_json(
    path: Path, runs: Sequence[Run], different: dict[str, list[Any]], pairs: Sequence[Pair]
) -> None:
    content = {
        "runs": [
            {"run": str(run.path), "options": {name: each[place] for name, each in
             different.items()}, "facts": run.facts, "metrics": run.metrics}
            for place, run in enumerate(runs)
        ],
        "mcnemar": [
            {"part": pair.part, "runs": [str(runs[pair.first].path), str(runs[pair.second].path)],
             **asdict(pair.test)}
            for pair in pairs
        ],
    }  # fmt: skip
    try:
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--json {path}: cannot be written ({error.strerror})") from None


def _fact(run: Run, name: str, form: Callable[[Any], str]) -> str:
    facts = {"kept epoch": run.metrics.get("epoch"), **run.facts}
    value = facts.get(name)
    return _NOTHING if value is None else form(value)


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return escape(", ".join(map(str, value))) or _NOTHING
    return _NOTHING if value is None else escape(str(value))


_FACTS: dict[str, Callable[[Any], str]] = {
    "epochs": str,
    "kept epoch": str,
    "seconds": lambda seconds: f"{seconds:.0f}",
    "parameters": lambda count: f"{count:,}",
}
