"""`seqvision compare`: runs side by side, and whether a difference is more than luck.  No torch.

Rows, because there may be dozens of runs: a table of what does not fit the width is split.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqvision.config import CompareOptions
from seqvision.console import print_line, print_written, result_console
from seqvision.errors import CheckpointError, DataError
from seqvision.report.run_folder import RunFolder, read_run
from seqvision.statistics import McNemar, mcnemar, wilson
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write

PARTS = ("val", "test")
# Where files are and how many processes load them changes no metric.
_NOT_COMPARED = frozenset(("output", "runs", "resume", "config",
                     "clips.cache", "clips.cache_size", "clips.workers"))  # fmt: skip

_NOTHING = "–"
_FIGURES = (("accuracy", False), ("f1", False), ("loss", True))
# A border and two blanks for each column, and the last border.
_EDGE = 3
_LONGEST = 28

# A heading and a cell for each run.
Column = tuple[str, list[str]]

# A figure that is marked as the best; a label may end in a star, too.
_BEST = re.compile(r"[-\d.%]+ \*")


@dataclass(frozen=True)
class Pair:
    """Two runs, by their indices in the list, on the same clips of one part."""

    part: str
    first: int
    second: int
    test: McNemar


def compare(options: CompareOptions) -> list[RunFolder]:
    """Show runs side by side, and write the JSON.

    Raises:
        SeqvisionError: none of the folders is that of a finished run.
    """
    runs = []
    left_out = []
    for path in dict.fromkeys(options.runs):
        run = _read(path)
        if isinstance(run, RunFolder):
            runs.append(run)
        else:
            left_out.append(run)
    if not runs and len(left_out) == 1:
        raise CheckpointError(left_out[0])
    for line in left_out:
        print_line(f"left out: {line}")
    if not runs:
        raise CheckpointError(
            "seqvision compare: none of these is a finished run; name run folders: "
            "seqvision compare runs/*"
        )
    different = differing(runs)
    pairs = paired(runs)
    show_comparison(runs, different, p_values(runs, pairs))
    if options.json_ is not None:
        _write_json(options.json_, runs, different, pairs)
        print_written(options.json_)
    return runs


def _read(path: Path) -> RunFolder | str:
    """Return a finished run, or a line with the reason why there is none."""
    if path.name.startswith("."):
        return f"{path}: hidden"
    if not path.is_dir():
        return f"{path}: {'a file, not a run folder' if path.exists() else 'no such folder'}"
    if (path / "study.json").is_file():
        return f"{path}: a study; its best run is {path}/trial-*"
    if list(path.glob("round-*.csv")):
        return f"{path}: a self-training; its runs are {path}/round-*"
    try:
        run = read_run(path)
    except SeqvisionError as error:
        return str(error)
    resume = f"seqvision train --resume {path}"
    return run or f"{path}: its training has not finished; resume with: {resume}"


def differing(runs: Sequence[RunFolder]) -> dict[str, list[Any]]:
    """Return the options that are not the same in all runs, with their value in each."""
    names = dict.fromkeys(name for run in runs for name in run.options if name not in _NOT_COMPARED)
    values = {name: [run.options.get(name) for run in runs] for name in names}
    return {name: each for name, each in values.items() if any(v != each[0] for v in each)}


def paired(runs: Sequence[RunFolder]) -> list[Pair]:
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


def p_values(runs: Sequence[RunFolder], pairs: Sequence[Pair]) -> dict[str, dict[int, float]]:
    """Return for each part the indices of runs → p of McNemar's test against its most accurate."""
    found: dict[str, dict[int, float]] = {}
    for part in PARTS:
        accuracy = [run.figure(part, "accuracy") for run in runs]
        leader = max(range(len(runs)), key=lambda index: accuracy[index] or -1.0)
        found[part] = {
            pair.second if pair.first == leader else pair.first: pair.test.p
            for pair in pairs
            if pair.part == part and leader in (pair.first, pair.second)
        }
    return found


def _write_json(
    path: Path, runs: Sequence[RunFolder], different: dict[str, list[Any]], pairs: Sequence[Pair]
) -> None:
    content = {
        "runs": [
            {"run": str(run.path), "options": {name: each[index] for name, each in
             different.items()}, "facts": run.facts, "metrics": run.metrics}
            for index, run in enumerate(runs)
        ],
        "mcnemar": [
            {"part": pair.part, "runs": [str(runs[pair.first].path), str(runs[pair.second].path)],
             **asdict(pair.test)}
            for pair in pairs
        ],
    }  # fmt: skip
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--json {path}: cannot be written ({error.strerror})") from None


def show_comparison(
    runs: Sequence[RunFolder],
    different: Mapping[str, list[Any]],
    p: Mapping[str, Mapping[int, float]],
) -> None:
    """Print the runs: their names, figures, and the options that are not the same in all.

    Args:
        runs: finished ones.
        different: option → its value in each run.
        p: for each part, the indices of runs → p against the most accurate run.
    """
    console = result_console(highlight=False)
    print_row = partial(console.print, markup=False, soft_wrap=not console.is_terminal)
    where, names = short_names([run.path for run in runs])
    if where:
        print_row(f"in {where}:")
    for number, name in enumerate(names, 1):
        print_row(f"{number:3}  {name}")
    for part in p:
        if any(part in run.metrics for run in runs):
            _print(console, part, [*_figures(runs, part), *_tests(runs, p[part])])
            if len({tuple((row.path, row.label) for row in run.part(part)) for run in runs}) > 1:
                print_row(
                    f"{part}: not all answered for the same clips, so the figures may not compare"
                )
    _print(console, "what it took", list(_facts(runs)))
    if different:
        _print(console, "options that differ", list(_options(different)))
    elif len(runs) > 1:
        print_row("all options are the same")
    if len(runs) > 1:
        print_row("* best; 95 %: interval of the accuracy over clips (Wilson 1927)")
    if any(p.values()):
        print_row("p: exact McNemar test against the most accurate run (-), on the same clips:")
        print_row("how likely so uneven a difference is between equals")


def best(values: Sequence[float | None], lowest: bool = False) -> set[int]:
    """Return the indices of the best value; none where there is nothing to choose."""
    there = [value for value in values if value is not None]
    if len(there) < 2 or min(there) == max(there):
        return set()
    best_value = min(there) if lowest else max(there)
    return {index for index, value in enumerate(values) if value == best_value}


def short_names(paths: Sequence[Path]) -> tuple[str, list[str]]:
    """Return the folder that all runs are in, and what they are called in it."""
    if len(paths) < 2:
        return "", [str(path) for path in paths]
    folder = commonpath([str(path.absolute().parent) for path in paths])
    names = [str(path.absolute().relative_to(folder)) for path in paths]
    shown = str(paths[0].parent)
    return (shown if all(str(path.parent) == shown for path in paths) else folder), names


def split_columns(columns: Sequence[Column], width: int, first: int) -> Iterator[list[Column]]:
    """Yield columns in groups that fit a width, next to a first column of `first` cells."""
    group: list[Column] = []
    used = first + _EDGE + 1
    for column in columns:
        wide = max(cell_len(text) for text in (column[0], *column[1])) + _EDGE
        if group and used + wide > width:
            yield group
            group, used = [], first + _EDGE + 1
        group.append(column)
        used += wide
    if group:
        yield group


def _print(console: Console, title: str, columns: Sequence[Column]) -> None:
    if not columns:
        return
    runs = len(columns[0][1])
    for number, group in enumerate(split_columns(columns, console.width, len(str(runs)))):
        table = Table(title=title if not number else None, title_justify="left")
        table.add_column("", justify="right")
        for heading, _ in group:
            table.add_column(escape(heading), justify="right", overflow="fold")
        for index in range(runs):
            cells = [cells[index] for _, cells in group]
            table.add_row(
                str(index + 1),
                *(f"[bold]{escape(cell)}[/]" if _BEST.fullmatch(cell) else escape(cell)
                  for cell in cells),
            )  # fmt: skip
        console.print(table)


def _figures(runs: Sequence[RunFolder], part: str) -> Iterator[Column]:
    for name, lowest in _FIGURES:
        values = [run.figure(part, name) for run in runs]
        marked = best(values, lowest)
        form = "{:.1%}" if name == "accuracy" else "{:.3f}"
        yield (
            name,
            [
                _NOTHING if value is None else form.format(value) + " *" * (index in marked)
                for index, value in enumerate(values)
            ],
        )
        if name == "accuracy":
            yield "95 %", [_reach(run, part) for run in runs]
            between = [_reach_over_groups(run, part) for run in runs]
            if any(text != _NOTHING for text in between):
                yield "over groups", between
    yield "clips", [_format(run.metrics.get(part, {}).get("clips")) for run in runs]


def _reach(run: RunFolder, part: str) -> str:
    value = run.figure(part, "accuracy")
    if value is None:
        return _NOTHING
    clips = int(run.metrics[part]["clips"])
    reach = wilson(round(value * clips), clips)
    return f"{100 * reach.low:.0f}–{100 * reach.high:.0f}"


def _reach_over_groups(run: RunFolder, part: str) -> str:
    interval = run.metrics.get(part, {}).get("accuracy_interval") or {}
    reach = interval.get("over_groups")
    return f"{100 * reach['low']:.0f}–{100 * reach['high']:.0f}" if reach else _NOTHING


def _tests(runs: Sequence[RunFolder], found: Mapping[int, float]) -> Iterator[Column]:
    if found:
        yield "p", [f"{found[index]:.3g}" if index in found else "-" for index in range(len(runs))]


def _facts(runs: Sequence[RunFolder]) -> Iterator[Column]:
    kept = [run.metrics.get("epoch") for run in runs]
    yield "epochs", [_format(run.facts.get("epochs")) for run in runs]
    yield "kept epoch", [_format(None if epoch is None else epoch + 1) for epoch in kept]
    yield "seconds", [_format(run.facts.get("seconds"), "{:.0f}") for run in runs]
    yield "parameters", [_format(run.facts.get("parameters"), "{:,}") for run in runs]


def _options(different: Mapping[str, list[Any]]) -> Iterator[Column]:
    """Yield the options by their last names, as they are given, where those are not ambiguous."""
    last = [name.rpartition(".")[2] for name in different]
    for name, values in different.items():
        short = name.rpartition(".")[2]
        heading = (short if last.count(short) == 1 else name).replace("_", "-")
        yield heading, [_shortened(_format(value)) for value in values]


def _shortened(text: str) -> str:
    """Return the end of a text that is too long: the end of a path is what distinguishes it."""
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def _format(value: Any, form: str = "{:g}") -> str:
    """Return a value as it could be given on the command line."""
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and form == "{:g}":
        return str(value)
    if isinstance(value, int | float):
        return form.format(value)
    if isinstance(value, list | tuple):
        return " ".join(_format(each) for each in value) or _NOTHING
    return "(a YAML)" if isinstance(value, Mapping) else str(value)
