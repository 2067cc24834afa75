"""What order is worth: the LSTM against the mean of the same features.

No single frame of the samples distinguishes a gesture from its reverse.  Blind to direction,
5 of 9 labels can be right: 55.6 %.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

TRAINING = ("--size", "64", "--frames", "16", "--fps", "8", "--epochs", "20", "--patience", "0")


def order(folder: Path) -> dict[str, float]:
    """Train both heads alike, print and return what they reach on performers held out."""
    clips = folder / "samples" / "clips"
    if not (folder / "samples" / "untrimmed.json").exists():
        script = Path(__file__).parents[1] / "make_samples.py"
        subprocess.run([sys.executable, script, folder / "samples"], check=True)
    table = Table("head", "held-out accuracy", "seconds", title="order", title_justify="left")
    found = {}
    for head in ("lstm", "mean"):
        runs = folder / f"bench-{head}"
        began = time.monotonic()
        command = [sys.executable, "-m", "seqvision", "train", clips, *TRAINING, "--head", head]
        command += ["--runs", runs, "--output", folder / f"{head}.pt", "--cache", folder / "cache"]
        subprocess.run(command, check=True, capture_output=True)
        newest = max(runs.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
        metrics = json.loads(newest.read_text())
        right = metrics["val"]["accuracy"] * metrics["val"]["clips"]
        right += metrics["test"]["accuracy"] * metrics["test"]["clips"]
        share = right / (metrics["val"]["clips"] + metrics["test"]["clips"])
        found[head] = share
        table.add_row(head, f"{share:.1%}", f"{time.monotonic() - began:.0f}")
    table.add_row("blind to direction", "55.6%", "")
    Console().print(table)
    return found
