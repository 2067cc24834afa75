"""The CSV logs of a run and of what it resumed."""

import csv
from pathlib import Path


def column(logs: Path, name: str) -> list[tuple[int, float]]:
    """Return `(epoch, value)` of a logged figure, rising; empty where it was not logged.

    The first epoch is 1, as everywhere that people read; the log itself counts from 0.
    """
    points: dict[int, float] = {}
    for log in sorted(logs.glob("metrics*.csv")):
        with log.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get(name)]
        points |= {int(row["epoch"]) + 1: float(row[name]) for row in rows}
    return sorted(points.items())
