"""UCF101 (Soomro, Zamir, Shah: CRCV-TR-12-01, 2012), with the official splits.

    UCF-101/<Class>/v_<Class>_g<group>_c<clip>.avi
    ucfTrainTestlist/classInd.txt       `1 ApplyEyeMakeup`
    ucfTrainTestlist/trainlist01.txt    `ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`
    ucfTrainTestlist/testlist01.txt     `ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi`

Clips of one class and group come from one video.  The number of a group means nothing across
classes, so the group is class and number: `ApplyEyeMakeup_g08`.
"""

import re
from pathlib import Path

from seqvision.data.datasets.base import (
    Listed,
    Reading,
    ReadOptions,
    clips_by_key,
    first_there,
    keep_present,
    numbered_lines,
)
from seqvision.errors import DataError

_LISTS = ("ucfTrainTestlist", "UCF101TrainTestSplits-RecognitionTask/ucfTrainTestlist", ".")
_VIDEOS = ("UCF-101", "UCF101", "videos", ".")
_NAME = re.compile(r"v_(?P<group>.+_g\d+)_c\d+", re.IGNORECASE)


def fits(data: Path) -> bool:
    """Return whether the official list of classes is here."""
    return _lists(data) is not None


def read(data: Path, options: ReadOptions) -> Reading:
    """Read the official split `options.official`.

    Raises:
        DataError: a list is missing, one of its lines is wrong, or none of its clips is there.
    """
    lists = _lists(data)
    if lists is None:
        raise DataError(f"{data}: no ucfTrainTestlist/classInd.txt, so it is not UCF101")
    classes = _classes(lists / "classInd.txt")
    number = f"{options.official:02d}"
    listed = [
        *_rows(lists / f"trainlist{number}.txt", "train", classes),
        *_rows(lists / f"testlist{number}.txt", "test", classes),
    ]
    videos = first_there(data, *_VIDEOS) or data
    return keep_present(listed, clips_by_key(videos), videos)


def _lists(data: Path) -> Path | None:
    found = first_there(data, *(f"{name}/classInd.txt" for name in _LISTS))
    return found.parent if found else None


def _classes(path: Path) -> dict[str, str]:
    """Return class name → its number, as text."""
    classes: dict[str, str] = {}
    for where, line in numbered_lines(path):
        number, _, name = line.partition(" ")
        if not number.isdigit() or not name.strip():
            raise DataError(f"{where}: {line!r} is not a number and a class")
        classes[name.strip()] = number
    return classes


def _rows(path: Path, split: str, classes: dict[str, str]) -> list[Listed]:
    rows = []
    for where, line in numbered_lines(path):
        name, _, number = line.partition(" ")
        label, _, file = name.partition("/")
        if label not in classes:
            raise DataError(f"{where}: {line!r} names no class of classInd.txt")
        if number.strip() not in ("", classes[label]):
            raise DataError(
                f"{where}: {label} is class {classes[label]} in classInd.txt, not {number.strip()}"
            )
        stem = file.rpartition(".")[0]
        match = _NAME.fullmatch(stem)
        if match is None:
            raise DataError(f"{where}: {file!r} is not like v_{label}_g01_c01.avi")
        rows.append(Listed(f"{label}/{stem}".casefold(), label, match["group"], split))
    return rows
