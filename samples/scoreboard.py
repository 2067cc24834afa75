"""What the public commands reach on real data: default options, `--preset best`, a baseline.

`python samples/scoreboard.py DATA` trains on the sets that are found in DATA and prints a table:

- `fight/split.csv` and `weights/mobilenet_v2_imagenet.pth`: fights of surveillance cameras, five
  folds, no source on both sides;
- `fsdd_strips/split.csv`: spoken digits as strips, a speaker who did not train;
- `mnist/`: handwritten digits, the rows of an image as a sequence;
- `drawn` and `hard`: gestures of performers who did not train, drawn by
  `python samples/make_samples.py DATA/drawn`, and `DATA/hard --world hard`.

Every row is a `seqvision train` as it would be typed, in a process of its own, with what else is
given here, such as `--epochs 5`.  What it came to is kept in FOLDER/scoreboard.json, so that the
command goes on where it was stopped.  A seed of all sets takes about two hours on two cores.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats


@dataclass(frozen=True)
class Board:
    """A data set of the table.

    Attributes:
        what: it, and who or what was not seen in training.
        data: list or folder, in DATA.
        options: that every training on it needs; `{data}` is DATA.
        part: the figures that count, in metrics.json; `val` of folds are all clips.
    """

    what: str
    data: str
    options: tuple[str, ...]
    part: str = "test"


PRETRAINED = ("--encoder", "mobilenet_v2", "--normalize", "symmetric",
              "--weights", "{data}/weights/mobilenet_v2_imagenet.pth")  # fmt: skip
BOARDS = {
    "fight": Board("fights, five folds by source", "fight/split.csv",
                   (*PRETRAINED, "--freeze", "--folds", "5", "--official-split", "off"),
                   "val"),
    "digit strips": Board("spoken digits, another speaker", "fsdd_strips/split.csv",
                          ("--sequence", "columns", "--step", "4", "--grayscale",
                           "--encoder", "flatten")),
    "mnist": Board("handwritten digits, rows", "mnist",
                   ("--sequence", "rows", "--grayscale", "--encoder", "flatten",
                    "--batch-size", "128", "--epochs", "20")),
    "drawn": Board("drawn gestures, other performers", "drawn/clips/clips.csv",
                   ("--size", "64")),
    "hard": Board("drawn in harder worlds, other performers", "hard/clips/clips.csv",
                  ("--size", "64")),
}  # fmt: skip
WAYS = {"default": (), "best": ("--preset", "best")}


def main() -> int:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("scoreboard"))
    parser.add_argument("--only", choices=BOARDS, action="append", help="this set alone")
    parser.add_argument("--way", choices=WAYS, action="append", help="this way alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given, more = parser.parse_known_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    kept = given.folder / "scoreboard.json"
    found: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in given.seeds:
        for name in given.only or BOARDS:
            if not (given.data / BOARDS[name].data).exists():
                print(f"{given.data / BOARDS[name].data}: not there, left out")
                continue
            for way in given.way or WAYS:
                key = " / ".join((name, way, str(seed), *more))
                if key not in found:
                    found[key] = accuracy(name, way, seed, given.data, given.folder, more)
                    kept.write_text(json.dumps(found, indent=1) + "\n")
                print(f"{key}: {found[key]:.1%}", flush=True)
    Console(width=100).print(table(found, given.data))
    return 0


def accuracy(name: str, way: str, seed: int, data: Path, folder: Path, more: list[str]) -> float:
    """Train once and return the accuracy on what did not train, 0 to 1."""
    board = BOARDS[name]
    runs = folder / "runs" / f"{name.replace(' ', '-')}-{way}-{seed}"
    runs.mkdir(parents=True, exist_ok=True)
    options = [option.format(data=data) for option in board.options]
    command = [sys.executable, "-m", "seqvision", "train", str(data / board.data), *options]
    command += [*WAYS[way], *more, "--seed", str(seed), "--runs", str(runs)]
    command += ["--output", str(runs / "model.pt"), "--cache", str(folder / "cache")]
    subprocess.run(command, check=True)
    newest = max(runs.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    part: dict[str, Any] = json.loads(newest.read_text())[board.part]
    return float(part["accuracy"])


def table(found: dict[str, float], data: Path) -> Table:
    """Return mean accuracies over seeds with their 95 % interval (t), and the baseline."""
    lines = Table(title="accuracy on what did not train", title_justify="left")
    for column in ("set", "most frequent label", *WAYS):
        lines.add_column(column)
    for name, board in BOARDS.items():
        cells = []
        for way in WAYS:
            values = [v for key, v in found.items() if key.split(" / ")[:2] == [name, way]]
            cells.append(_mean(values))
        if any(cells):
            lines.add_row(board.what, _most_frequent(data / board.data, board.part), *cells)
    return lines


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.1%} (one seed)" for value in values)
    spread = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{100 * np.mean(values):.1f} ± {100 * spread:.1f} % ({len(values)} seeds)"


def _most_frequent(path: Path, part: str) -> str:
    """Return the share of the most frequent label where accuracy is measured."""
    if path.suffix != ".csv":
        return "11.4%" if path.name == "mnist" else ""  # 1,135 ones of 10,000 test images
    with path.open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)
                  if part == "val" or row.get("split") == part]  # fmt: skip
    return f"{max(Counter(labels).values()) / len(labels):.1%}" if labels else ""


if __name__ == "__main__":
    sys.exit(main())
