"""What the defaults for few clips are worth: five of a label, a frozen encoder, several draws.

`python samples/few_clips.py CLIPS.csv WEIGHTS` takes a list as `make_samples.py` writes it
(`path,label,group,split`) and weights of MobileNetV2.  Each seed draws other clips to train and to
validate and other weights of the head; the clips of those who test are the same for all.  Both ways
freeze the encoder: one has a head that reads forward and regularises as any training does, the
other what `train` chooses by itself.
"""

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from paired import paired

from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.data.clips import Clip
from seqvision.presets import small_data_defaults
from seqvision.training.train import Trained, train

# To validate, of each label, besides those that train.
_VALIDATE = 2


def main() -> None:
    """Train both ways with each seed and print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("few-clips"))
    parser.add_argument("--count", type=int, default=5, help="clips of a label that train")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    rows = []
    for seed in given.seeds:
        folder = given.folder / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        clips, drawn = _draw(given.clips, folder / "clips.csv", given.count, seed)
        usual = _options(clips, given.weights, folder, seed)
        both_ways = usual.model.model_copy(update={"bidirectional": True})
        default = usual.model_copy(update={"model": both_ways})
        chosen, note = small_data_defaults(default, drawn, {"freeze", "encoder", "weights"})
        found = {}
        for name, options in (("usual", usual), ("chosen", chosen)):
            began = time.monotonic()
            found[name] = _accuracy(train(options))
            found[f"{name}, s"] = time.monotonic() - began
        rows.append({"seed": seed, **found})
        print(json.dumps(rows[-1]), flush=True)
    print(note)
    print(paired([row["usual"] for row in rows], [row["chosen"] for row in rows]))
    (given.folder / "few-clips.json").write_text(json.dumps(rows, indent=1) + "\n")


def _draw(clips: Path, to: Path, count: int, seed: int) -> tuple[Path, list[Clip]]:
    """Write a list of few clips of each label, by those who train or validate, and all tests."""
    with clips.open(newline="", encoding="utf-8") as file:
        rows = [
            {**row, "path": str((clips.parent / row["path"]).absolute())}
            for row in csv.DictReader(file)
        ]
    pools: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        pools[row["split"], row["label"]].append(row)
    generator = np.random.default_rng(seed)
    kept = []
    for (split, _), pool in sorted(pools.items()):
        most = {"train": count, "val": _VALIDATE}.get(split, len(pool))
        kept += [pool[index] for index in generator.permutation(len(pool))[:most]]
    with to.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
    return to, [Clip(Path(row["path"]), row["label"], split=row["split"]) for row in kept]


def _options(clips: Path, weights: Path, folder: Path, seed: int) -> TrainOptions:
    return TrainOptions(
        data=clips,
        output=folder / "model.pt",
        runs=folder / "runs",
        clips=ClipOptions(size=112, fps=8, frames=16, workers=0, cache=folder.parent / "cache"),
        augmentation=AugmentOptions(),
        model=ModelOptions(
            bidirectional=False, encoder="mobilenet_v2", weights=str(weights), freeze=True
        ),
        training=TrainingOptions(seed=seed),
    )


def _accuracy(trained: Trained) -> float:
    if trained.stopped_by is not None:
        raise KeyboardInterrupt
    assert trained.test is not None
    return trained.test.accuracy


if __name__ == "__main__":
    main()
