"""MNIST (LeCun, Cortes, Burges) and its likes: many images in one idx file, labels in another.

    train-images-idx3-ubyte[.gz]  train-labels-idx1-ubyte[.gz]
    t10k-images-idx3-ubyte[.gz]   t10k-labels-idx1-ubyte[.gz]

in the folder itself, in `raw/`, or where torchvision puts them: `MNIST/raw/`, `FashionMNIST/raw/`
(Xiao, Rasul, Vollgraf 2017), `KMNIST/raw/` (Clanuwat et al. 2018).  Each image is a clip.
"""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.data.clips import Clip
from seqvision.data.readers.reader import Reader, Reading, Wanted
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
    images = _read_idx(path, "read_image_file").numpy()
    images.flags.writeable = False
    return images


def _read(data: Path, wanted: Wanted, name: str) -> Reading:
    """Return one clip per image, `train` the training part and `t10k` the test part."""
    folder = _first([*_places(data, name), data, data / "raw"])
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
        truth = _read_idx(labels, "read_label_file").tolist()
        count = len(idx_images(images))
        if len(truth) != count:
            raise DataError(f"{images}: {count} images, but {labels.name} has {len(truth)} labels")
        if truth and max(truth) >= len(names):
            raise DataError(f"{labels}: a label is {max(truth)}, must be below {len(names)}")
        clips += [
            Clip(images, names[label], split=split, index=place)
            for place, label in enumerate(truth)
        ]
    return clips, []


def _fits(data: Path, name: str) -> bool:
    """Tell whether the files are here and no folder's name says that they are another set's."""
    places = _places(data, name)
    named = {part.casefold() for part in data.absolute().parts[-2:]}
    others = {other.casefold() for other in _NAMES if other != name}
    if name.casefold() in named or (name == "MNIST" and not named & others):
        places += [data, data / "raw"]
    return _first(places) is not None


def _places(data: Path, name: str) -> list[Path]:
    return [data / name / "raw", data / name]


def _first(places: Sequence[Path]) -> Path | None:
    return next((place for place in places if _file(place, "train-images", 3)), None)


def _file(folder: Path, stem: str, dimensions: int) -> Path | None:
    names = (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte")
    paths = (folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _label_names(name: str) -> list[str]:
    if name == "MNIST":
        return [str(digit) for digit in range(10)]
    from seqvision.compat import torchvision

    return list(getattr(torchvision.datasets, name).classes)


def _read_idx(path: Path, function: str) -> Any:
    """Read a file with one of torchvision's functions, which cannot read .gz."""
    from seqvision.compat import torchvision

    read: Callable[[str], Any] = getattr(torchvision.datasets.mnist, function)
    try:
        if path.suffix != ".gz":
            return read(str(path))
        with tempfile.TemporaryDirectory() as folder, gzip.open(path) as packed:
            whole = Path(folder) / path.stem
            with whole.open("wb") as file:
                shutil.copyfileobj(packed, file)
            return read(str(whole))
    except (OSError, EOFError, zlib.error, AssertionError, ValueError, TypeError, RuntimeError,
            KeyError) as error:  # fmt: skip
        reason = " ".join(str(error).split()) or "its length is wrong"
        raise DataError(f"{path}: not a whole idx file ({reason})") from None
