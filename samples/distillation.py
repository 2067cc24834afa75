"""What a teacher is worth: a small student that reads forward, alone and taught, on few labels.

`python samples/distillation.py fsdd_strips/split.csv FOLDER` keeps the labels of 50 of the
training clips (spoken digits as strips; the speaker of the test clips did not train), trains three
networks in one that read in both directions, and the student alone, taught on the same clips, and
taught on 1000 clips without labels too, by this teacher and by one that had the labels of all.  A
student takes as many steps in every row.  Every row is a `seqvision train` as it would be typed, on
one thread.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from scipy import stats

SHARED = ("--sequence", "columns", "--step", "4", "--grayscale", "--encoder", "flatten",
          "--no-autotune", "--workers", "0")  # fmt: skip
TEACHER = ("--ensemble", "3")
STUDENT = ("--no-bidirectional", "--hidden", "32")
LABELLED, WITHOUT, VALIDATED = 50, 1000, 150


def main() -> int:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10, help="over all clips; over few more")
    given = parser.parse_known_args()
    options, more = given
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "distillation.json"
    found: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in options.seeds:
        labelled, without, whole = divide(options.list, options.folder, seed)
        teacher, wise = (options.folder / f"{name}-{seed}.pt" for name in ("teacher", "wise"))
        student = options.folder / "student.pt"
        few = options.epochs * (LABELLED + WITHOUT) // LABELLED
        more_clips = ("--unlabelled", str(without))
        ways: dict[str, tuple[Path, Path, int, tuple[str, ...]]] = {
            "teacher": (labelled, teacher, few // 2, TEACHER),
            "student alone": (labelled, student, few, STUDENT),
            "student, taught": (labelled, student, few, (*STUDENT, "--teacher", str(teacher))),
            "student, taught, clips without labels": (
                labelled, student, options.epochs,
                (*STUDENT, "--teacher", str(teacher), *more_clips),
            ),
            "teacher with all labels": (whole, wise, options.epochs, TEACHER),
            "student, taught by it, clips without labels": (
                labelled, student, options.epochs, (*STUDENT, "--teacher", str(wise), *more_clips),
            ),
        }  # fmt: skip
        for way, (data, output, epochs, flags) in ways.items():
            key = " / ".join((way, str(seed), *more))
            if key not in found:
                every = [*SHARED, *flags, "--epochs", str(epochs), *more]
                found[key] = accuracy(data, every, seed, options.folder, output)
                kept.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{key}: {found[key]:.1%}", flush=True)
    print_table(found, list(ways))
    return 0


def divide(listed: Path, folder: Path, seed: int) -> tuple[Path, Path, Path]:
    """Write a list with few labels, one without labels, and one of both with all labels."""
    with listed.open(encoding="utf-8") as file:
        rows = [{**row, "path": str(listed.parent.absolute() / row["path"])}
                for row in csv.DictReader(file)]  # fmt: skip
    random.Random(seed).shuffle(rows)
    parts = {name: [row for row in rows if row["split"] == name] for name in ("train", "val")}
    learned = parts["train"][:LABELLED]
    without = parts["train"][LABELLED : LABELLED + WITHOUT]
    measured = [*parts["val"][:VALIDATED], *(row for row in rows if row["split"] == "test")]
    labelled, pool, whole = (
        folder / f"{name}-{seed}.csv" for name in ("labelled", "without", "whole")
    )
    columns = ("path", "label", "group", "split")
    write(labelled, [*learned, *measured], columns)
    write(pool, without, ("path", "group"))
    write(whole, [*learned, *without, *measured], columns)
    return labelled, pool, whole


def write(path: Path, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Write some columns of rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def accuracy(data: Path, options: list[str], seed: int, folder: Path, output: Path) -> float:
    """Train once and return the accuracy on the test clips, 0 to 1."""
    runs = folder / "runs" / output.stem
    command = [sys.executable, "-m", "seqvision", "train", str(data), *options, "--seed", str(seed)]
    command += ["--runs", str(runs), "--output", str(output), "--cache", str(folder / "cache")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    newest = max(runs.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    return float(json.loads(newest.read_text())["test"]["accuracy"])


def print_table(found: dict[str, float], ways: list[str]) -> None:
    """Print mean accuracies over seeds with their 95 % interval (t)."""
    for way in ways:
        values = [value for key, value in found.items() if key.split(" / ")[0] == way]
        mean = sum(values) / len(values)
        around = ""
        if len(values) > 1:
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            around = f" ± {100 * half:.1f}"
        print(f"{way:40} {mean:.1%}{around}  ({len(values)} seeds)")


if __name__ == "__main__":
    sys.exit(main())
