"""5-fold cross-validation on a data set of real surveillance clips.

`python samples/fight_kfold.py DATA WEIGHTS.pth` is `seqvision train DATA --folds 5` with the
options below.  DATA is a CSV or folder of clips of fights and other scenes, WEIGHTS a MobileNetV2
that was trained on ImageNet with pixels from -1 to 1.

The network is a frozen MobileNetV2, a bidirectional LSTM and attention.  The LSTM reads how much
each feature changes from frame to frame (`--motion only`), which is worth about 8 points here: what
is in the picture hardly distinguishes a fight from a crowd, its motion does.
"""

import argparse
import subprocess
import sys
from pathlib import Path

OPTIONS = """
    --encoder mobilenet_v2 --normalize symmetric --freeze
    --head lstm --bidirectional --pool attention --hidden 32 --projection 0 --dropout 0.5
    --frames 16 --fps 8 --size 224 --augment none --batch-size 16 --lr 1e-3
    --weight-decay 0.01 --label-smoothing 0.1 --epochs 8 --warmup 0.1 --official-split off
""".split()  # noqa: SIM905  # as it would be typed


def main() -> int:
    """Run the cross-validation; it prints the folds, their mean, and where its report is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", action="store_true", help="keep recordings on one side")
    parser.add_argument("--motion", default="only", help="what the head reads; default: only")
    parser.add_argument("--center", action="store_true", help="less its mean over the window")
    given = parser.parse_args()
    options = [*OPTIONS, "--weights", str(given.weights), "--seed", str(given.seed)]
    options += ["--folds", str(given.folds), "--motion", given.motion]
    options += ["--split-by", "group" if given.groups else "none"]
    options += ["--center"] if given.center else []
    command = [sys.executable, "-m", "seqvision", "train", str(given.data), *options]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
