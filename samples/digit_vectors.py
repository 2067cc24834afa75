"""Spoken digits as vectors: a spectrum of 64 bands, 125 times a second, instead of a strip image.

`python samples/digit_vectors.py LIST.csv FOLDER` writes each strip of the list (`path,label,group,
split`; one column for each 8 ms, the group is the speaker) as an array `(time, 64)` into FOLDER,
with a list `vectors.csv`, and trains on it.  The speaker of the test part is in no training clip.
`digit_strips.py` trains on the same strips as images.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np

from seqvision_edge.opencv import cv2

RATE = 125
OPTIONS = "--pool attention --epochs 25 --batch-size 32 --patience 0 --keep last".split()  # noqa: SIM905  # as it would be typed


def write_vectors(strips: Path, folder: Path) -> Path:
    """Write the strips of a list as vectors, and return their list."""
    listed = folder / "vectors.csv"
    with strips.open(newline="") as given, listed.open("w", newline="") as made:
        rows = csv.writer(made)
        rows.writerow(["path", "label", "group", "split", "fps"])
        for number, row in enumerate(csv.DictReader(given)):
            image = cv2.imread(str(strips.parent / row["path"]), cv2.IMREAD_GRAYSCALE)
            assert image is not None, row["path"]
            np.save(folder / f"{number}.npy", image.T)
            rows.writerow([f"{number}.npy", row["label"], row["group"], row["split"], RATE])
    return listed


def main() -> int:
    """Write the vectors, train on them, and return the exit code of the training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("digits"))
    parser.add_argument("--seed", type=int, default=0)
    given, more = parser.parse_known_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    listed = write_vectors(given.list, given.folder)
    command = [sys.executable, "-m", "seqvision", "train", str(listed), *OPTIONS]
    command += ["--output", str(given.folder / "model.pt"), "--runs", str(given.folder / "runs")]
    return subprocess.run([*command, "--seed", str(given.seed), *more], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
