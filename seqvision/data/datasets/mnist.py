"""MNIST (LeCun, Cortes, Burges) and its likes: many images in one idx file, labels in another.

    train-images-idx3-ubyte[.gz]  train-labels-idx1-ubyte[.gz]
    t10k-images-idx3-ubyte[.gz]   t10k-labels-idx1-ubyte[.gz]

in the folder itself, in `raw/`, or where torchvision puts them: `MNIST/raw/`, `FashionMNIST/raw/`
(Xiao, Rasul, Vollgraf 2017), `KMNIST/raw/` (Clanuwat et al. 2018).  Each image is a clip.
"""

import gzip
import math
import zlib
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvision.data.clips import Clip
from seqvision.data.datasets.base import Reader, Reading, ReadOptions
from seqvision.errors import DataError

_PARTS = {"train": "train", "t10k": "test"}
_NAMES = ("MNIST", "FashionMNIST", "KMNIST")


def reader(name: str) -> Reader:
    """Return the reader of a data set that torchvision calls `name`."""
    return Reader(partial(_fits, name=name), partial(_read, name=name))


@lru_cache(maxsize=4)
def idx_images(path: Path) -> NDArray[np.uint8]:
    """Return the images `(count, height, width)` of an idx file, .gz or not; read once.

    Raises:
        DataError: it is damaged, or not an idx file of images.
    """
    return _read_idx(path, 3)


def _read(data: Path, options: ReadOptions, name: str) -> Reading:
    """Return one clip per image, `train` the training part and `t10k` the test part."""
    folder = _first([*_folders(data, name), data, data / "raw"])
    if folder is None:
        raise DataError(f"{data}: no train-images-idx3-ubyte (.gz or not) for {name} in it")
    names = _label_names(name)
    clips: list[Clip] = []
    for part, split in _PARTS.items():
        images, labels = _file(folder, f"{part}-images", 3), _file(folder, f"{part}-labels", 1)
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            missing = f"{part}-images-idx3-ubyte" if images is None else f"{part}-labels-idx1-ubyte"
            raise DataError(f"{folder}: {missing} (.gz or not) is missing")
        truth = _read_idx(labels, 1).tolist()
        count = len(idx_images(images))
        if len(truth) != count:
            raise DataError(f"{images}: {count} images, but {labels.name} has {len(truth)} labels")
        if truth and max(truth) >= len(names):
            raise DataError(f"{labels}: a label is {max(truth)}, must be below {len(names)}")
        clips += [
            Clip(images, names[label], split=split, index=index)
            for index, label in enumerate(truth)
        ]
    return clips, []


def _fits(data: Path, name: str) -> bool:
    """Return whether the files are here and no folder has the name of another set."""
    paths = _folders(data, name)
    named = {part.casefold() for part in data.absolute().parts[-2:]}
    others = {other.casefold() for other in _NAMES if other != name}
    if name.casefold() in named or (name == "MNIST" and not named & others):
        paths += [data, data / "raw"]
    return _first(paths) is not None


def _folders(data: Path, name: str) -> list[Path]:
    return [data / name / "raw", data / name]


def _first(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if _file(path, "train-images", 3)), None)


def _file(folder: Path, stem: str, dimensions: int) -> Path | None:
    names = (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte")
    paths = (folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _label_names(name: str) -> tuple[str, ...]:
    return _LABELS.get(name) or tuple(map(str, range(10)))


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file of bytes, .gz or not: 0 0 8 N, N sizes of four bytes, the bytes."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a whole idx file ({reason})") from None
    begin = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < begin:
        kind = "images" if dimensions == 3 else "labels"
        raise DataError(f"{path}: not a whole idx file (its head is not that of {kind})")
    sizes = np.frombuffer(content, ">u4", dimensions, 4).tolist()
    if math.prod(sizes) != len(content) - begin:
        raise DataError(f"{path}: not a whole idx file (its length is wrong)")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(sizes)


# As torchvision calls them.
_LABELS = {
    "FashionMNIST": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}  # fmt: skip
