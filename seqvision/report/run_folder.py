"""Run folders, read back. No torch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqvision.config import TrainOptions, flattened
from seqvision.errors import CheckpointError
from seqvision.report.predictions import NAME, PredictionRow, read_predictions
from seqvision_edge.renamed import translated
from seqvision_edge.yaml_file import YamlError, parse_yaml


@dataclass(frozen=True)
class Run:
    """What a run folder says; `facts` and `answers` are empty in one of an older version."""

    path: Path
    options: dict[str, Any]
    metrics: dict[str, Any]
    facts: dict[str, Any]
    answers: tuple[PredictionRow, ...]

    def figure(self, part: str, name: str) -> float | None:
        """Return a figure of `val` or `test`; None where the part was not there."""
        value = self.metrics.get(part, {}).get(name)
        return None if value is None else float(value)

    def part(self, name: str) -> list[PredictionRow]:
        """Return the answers of one part, in an order that two runs share."""
        rows = (row for row in self.answers if row.split == name)
        return sorted(rows, key=lambda row: (row.path, row.label))


def read_run(path: Path) -> Run | None:
    """Read a run folder; None where the training has not come to its end.

    Raises:
        CheckpointError: not a run folder, or a file in it is damaged.
    """
    if not (path / "options.yaml").is_file():
        raise CheckpointError(
            f"{path}: not a run folder, it has no options.yaml; seqvision train makes one in runs/"
        )
    if not (path / "metrics.json").is_file():
        return None
    given = translated(_read(path / "options.yaml", parse_yaml))
    # An older run does not name what is newer than it: then it was as the default is.
    defaults = TrainOptions().model_dump(mode="json")
    has_answers = (path / NAME).is_file()
    return Run(
        path=path,
        options={**dict(flattened(defaults)), **dict(flattened(given))},
        metrics=_read(path / "metrics.json", json.loads),
        facts=_read(path / "run.json", json.loads) if (path / "run.json").is_file() else {},
        answers=tuple(read_predictions(path / NAME)) if has_answers else (),
    )


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YamlError) as error:
        raise CheckpointError(f"{path}: damaged ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged, it is not a list of names and values")
    return content
