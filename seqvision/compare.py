"""`seqvision compare`: runs side by side, and whether a difference is more than luck.  No torch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqvision import ready
from seqvision.config import CompareOptions
from seqvision.console import print_line, print_written
from seqvision.errors import CheckpointError, DataError
from seqvision.report.run_folder import Run, read_run
from seqvision.report.side_by_side import show
from seqvision.statistics import McNemar, mcnemar
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import atomic_write

PARTS = ("val", "test")
# Where files lie and how many processes load them changes no figure.
_PLACES = frozenset(("output", "runs", "resume", "config",
                     "clips.cache", "clips.cache_size", "clips.workers"))  # fmt: skip


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
        SeqvisionError: none of the folders is that of a finished run.
    """
    ready.validate_compare(options)
    runs = []
    left_out = []
    for path in dict.fromkeys(options.runs):
        run = _read(path)
        if isinstance(run, Run):
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
    show(runs, different, p_values(runs, pairs))
    if options.json_ is not None:
        _write_json(options.json_, runs, different, pairs)
        print_written(options.json_)
    return runs


def _read(path: Path) -> Run | str:
    """Return a finished run, or a line that says why there is none."""
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
    return run or f"{path}: its training has not finished; go on with: {resume}"


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the options that are not the same in all runs, with their value in each."""
    names = dict.fromkeys(name for run in runs for name in run.options if name not in _PLACES)
    values = {name: [run.options.get(name) for run in runs] for name in names}
    return {name: each for name, each in values.items() if any(v != each[0] for v in each)}


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


def p_values(runs: Sequence[Run], pairs: Sequence[Pair]) -> dict[str, dict[int, float]]:
    """Return for each part the places of runs → p of McNemar's test against its most accurate."""
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
    path: Path, runs: Sequence[Run], different: dict[str, list[Any]], pairs: Sequence[Pair]
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
