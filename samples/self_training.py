"""What clips without labels are worth: few labels, then self-training, several times, in one table.

`python samples/self_training.py mnist DIR` takes 1 % of MNIST's labels (600 images; the four idx
files in DIR), `python samples/self_training.py strips LIST.csv` a tenth of the strips of spoken
digits that train (`path,label,group,split`, the group being the speaker); a fifth of those few
validates, and the speakers of the other parts test.  Each seed draws other clips to be
labelled and other weights; a model learns those alone, then `seqvision self-train` continues with
clips whose labels are only counted.  The test clips are the same for all; the differences are
paired by seed.
"""

import argparse
import csv
import gzip
import json
import struct
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paired import paired
from rich.console import Console
from rich.table import Table

from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    ModelOptions,
    SelfTrainOptions,
    SequenceOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.self_training.self_train import SelfTrained, self_train
from seqvision.training.model_io import load_model
from seqvision.training.train import train


def main() -> None:
    """Train, self-train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("mnist", "strips"))
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("self-training"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--unlabelled", type=int, default=10_000, help="images of MNIST")
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--select", choices=("fixed", "balanced"), default="fixed")
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="of a student")
    parser.add_argument("--name", default="self", help="of these settings")
    given = parser.parse_args()
    results = []
    for seed in given.seeds:
        results.append(_one(given, given.folder / f"{given.what}-{seed}", seed))
        _show(results)
    path = given.folder / f"{given.what}-{given.name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


def _one(given: argparse.Namespace, folder: Path, seed: int) -> dict[str, Any]:
    """Return the test accuracies of a seed, labelled clips alone and with the others."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "labelled.pt"
    if given.what == "mnist":
        labelled, unlabelled = _divide_mnist(given.data, folder, seed, given.unlabelled)
        options = _mnist(labelled, folder, seed)
    else:
        labelled, unlabelled = _divide_strips(given.data, folder, seed)
        options = _strips(labelled, folder, seed)
    if not model.exists() and train(options).stopped_by:  # the same for all settings
        model.unlink()
        raise KeyboardInterrupt
    began = time.monotonic()
    done = self_train(
        SelfTrainOptions(
            model=model,
            labelled=labelled,
            unlabelled=unlabelled,
            truth=True,
            select=given.select,
            threshold=given.threshold,
            views=given.views,
            rounds=given.rounds,
            patience=given.patience,
            epochs=given.epochs,
            output=folder / f"{given.name}.pt",
            runs=folder / given.name,
            dataset=options.clips.dataset,
            cache=options.clips.cache,
        )
    )
    if done.stopped_by:
        raise KeyboardInterrupt
    return {
        "seed": seed,
        "alone": _accuracy(model),
        "self": _accuracy(done.model),
        "seconds": round(time.monotonic() - began, 1),
        "best": done.best.number,
        "rounds": _summary(done),
    }


def _accuracy(model: Path) -> float:
    _, card = load_model(model)
    return float(card.origin.metrics["test"]["accuracy"])


def _summary(done: SelfTrained) -> list[dict[str, Any]]:
    return [
        {"chosen": each.chosen, "of": each.unlabelled, "precision": each.precision,
         "val": each.accuracy, "temperature": round(each.temperature, 3)}
        for each in done.rounds
    ]  # fmt: skip


def _mnist(labelled: Path, folder: Path, seed: int) -> TrainOptions:
    """Return the options for digits, four rows at a step."""
    return TrainOptions(
        root=labelled,
        output=folder / "labelled.pt",
        runs=folder / "runs",
        clips=ClipOptions(
            dataset="mnist", size=28, grayscale=True, workers=0, cache=folder.parent / "cache"
        ),
        images=SequenceOptions(sequence="rows", step=4),
        augmentation=AugmentOptions(augment="light"),
        model=ModelOptions(
            bidirectional=False, encoder="flatten", head="lstm", hidden=128, dropout=0.3
        ),
        training=TrainingOptions(epochs=60, batch_size=32, lr=3e-3, patience=20, seed=seed),
    )


def _strips(labelled: Path, folder: Path, seed: int) -> TrainOptions:
    """Return the options for strips: the network of `digit_strips.py`."""
    return TrainOptions(
        data=labelled,
        output=folder / "labelled.pt",
        runs=folder / "runs",
        clips=ClipOptions(grayscale=True, workers=0, cache=folder.parent / "cache"),
        images=SequenceOptions(sequence="columns", step=4),
        augmentation=AugmentOptions(augment="light"),
        model=ModelOptions(
            encoder="flatten", head="lstm", bidirectional=True, pool="attention", hidden=128,
            dropout=0.4,
        ),
        training=TrainingOptions(epochs=80, batch_size=32, lr=3e-3, patience=25, seed=seed),
    )  # fmt: skip


def _divide_mnist(data: Path, folder: Path, seed: int, count: int) -> tuple[Path, Path]:
    """Write 60 images of each digit with the test part, and `count` of the others."""
    images, truth = _read_idx(
        data / "train-images-idx3-ubyte.gz", data / "train-labels-idx1-ubyte.gz"
    )
    order = np.random.default_rng(seed).permutation(len(truth))
    first = np.concatenate([order[truth[order] == digit][:60] for digit in range(10)])
    others = np.setdiff1d(order, first, assume_unique=True)
    others = np.random.default_rng(seed).permutation(others)[:count]
    for name, chosen in (("labelled", np.sort(first)), ("unlabelled", np.sort(others))):
        _write_idx(folder / name, "train", images[chosen], truth[chosen])
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (folder / "labelled" / name).write_bytes((data / name).read_bytes())
    return folder / "labelled", folder / "unlabelled"


def _read_idx(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read images `(count, 28, 28)` and their labels `(count,)`."""
    pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
    truth = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)
    return pixels.reshape(len(truth), 28, 28), truth


def _write_idx(
    folder: Path, part: str, images: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> None:
    folder.mkdir(exist_ok=True)
    head = struct.pack(">4i", 0x803, *images.shape)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    head = struct.pack(">2i", 0x801, len(truth))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(head + truth.tobytes())


def _divide_strips(data: Path, folder: Path, seed: int) -> tuple[Path, Path]:
    """Write lists: a tenth of each training speaker's recordings of each digit, and the others."""
    with data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["path"] = str((data.parent / row["path"]).absolute())
    by_kind: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_kind[row["group"], row["label"]].append(row)
    generator = np.random.default_rng(seed)
    labelled: list[dict[str, str]] = []
    unlabelled: list[dict[str, str]] = []
    for kind in sorted(by_kind):
        ours = [by_kind[kind][i] for i in generator.permutation(len(by_kind[kind]))]
        if ours[0]["split"] == "train":
            few = max(1, round(0.1 * len(ours)))
            labelled += [{**row, "split": "train"} for row in ours[:few]]
            unlabelled += [{**row, "split": "train"} for row in ours[few:]]
        else:  # the speakers of both other parts are not used before the end
            labelled += [{**row, "split": "test"} for row in ours]
    for name, some in (("labelled", labelled), ("unlabelled", unlabelled)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["path", "label", "split"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(some)
    return folder / "labelled.csv", folder / "unlabelled.csv"


def _show(results: Sequence[dict[str, Any]]) -> None:
    """Print the seeds and the mean difference."""
    table = Table(title="accuracy on the test clips", title_justify="left")
    for column in ("seed", "labelled alone", "self-trained", "difference", "best round",
                   "pseudo-labels", "right", "minutes"):  # fmt: skip
        table.add_column(column, justify="right")
    for row in results:
        last = row["rounds"][row["best"]] if row["best"] else row["rounds"][-1]
        table.add_row(
            str(row["seed"]), f"{row['alone']:.2%}", f"{row['self']:.2%}",
            f"{100 * (row['self'] - row['alone']):+.2f}", str(row["best"]),
            f"{last['chosen']} of {last['of']}", f"{last['precision'] or 0:.1%}",
            f"{row['seconds'] / 60:.1f}",
        )  # fmt: skip
    Console(width=110).print(table)
    print(paired([row["alone"] for row in results], [row["self"] for row in results]))


if __name__ == "__main__":
    main()
