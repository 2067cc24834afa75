"""Spoken digits as strips: a spectrum over time is an image, and its columns are a sequence.

`python samples/digit_strips.py LIST.csv` trains on strip images (`path,label,group,split`; one
column for each 8 ms, the group is the speaker) and measures on the speaker of the test part, whom
the model has never seen; another one, of the val part, picks the best epoch.

The strips are as long as the recordings.  A varied strip is shifted and squeezed a little in pitch
and time and loses some bands and moments, as speech does in a noisy room (SpecAugment, Park et al.
2019).
"""

import argparse
import subprocess
import sys
from pathlib import Path

OPTIONS = """
    --sequence columns --step 4 --grayscale --encoder flatten
    --head lstm --bidirectional --pool attention --hidden 128 --dropout 0.4
    --epochs 25 --batch-size 32 --lr 3e-3 --patience 0 --keep last
""".split()  # noqa: SIM905  # as it would be typed


def main() -> int:
    """Train on the list and return the exit code of the training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("digits"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--center", action="store_true", help="less its mean over the strip")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "seqvision", "train", str(given.list), *OPTIONS]
    command += ["--augment", str(Path(__file__).with_name("digit_strips.yaml"))]
    command += ["--output", str(given.folder / "model.pt"), "--runs", str(given.folder / "runs")]
    command += ["--center"] if given.center else []
    return subprocess.run([*command, "--seed", str(given.seed)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
