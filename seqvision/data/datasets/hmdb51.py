"""HMDB51 (Kuehne, Jhuang, Garrote, Poggio, Serre: ICCV 2011), with the official splits.

    <class>/<clip>.avi
    testTrainMulti_7030_splits/<class>_test_split<1|2|3>.txt     `<clip>.avi <0|1|2>`

0 is in neither part, 1 trains, 2 tests.  A clip's name is
`<source>_<class>_<body>_<camera>_np<people>_<view>_<quality>_<number>.avi`, as in
`April_09_brush_hair_u_nm_np1_ba_goo_0.avi`: visible body parts (h, u, f, l), camera motion (cm,
nm), people, viewpoint (fr, ba, le, ri), quality (goo, med, bad).  The group is the source: one film
may serve several classes.
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
    names_in,
    numbered_lines,
)
from seqvision.errors import DataError

_LISTS = (
    "testTrainMulti_7030_splits",
    "test_train_splits/testTrainMulti_7030_splits",
    "splits/testTrainMulti_7030_splits",
)
_VIDEOS = ("hmdb51_org", "videos", ".")
_SPLITS = {"1": "train", "2": "test"}
_TAGS = re.compile(r"_[hufl]_(cm|nm)_np\d+_(fr|ba|le|ri)_(goo|med|bad)_\d+$", re.IGNORECASE)


def fits(data: Path) -> bool:
    """Return whether the folder of the official splits is here."""
    return first_there(data, *_LISTS) is not None


def read(data: Path, options: ReadOptions) -> Reading:
    """Read the official split `options.official`.

    Raises:
        DataError: no lists, a line of them is wrong, or none of their clips is there.
    """
    lists = first_there(data, *_LISTS)
    if lists is None:
        raise DataError(f"{data}: no folder testTrainMulti_7030_splits, so it is not HMDB51")
    ending = f"_test_split{options.official}.txt"
    names = [name for name in names_in(lists) if name.endswith(ending)]
    if not names:
        raise DataError(f"{lists}: no <class>{ending} in it")
    rows = [row for name in names for row in _rows(lists / name, name.removesuffix(ending))]
    videos = first_there(data, *_VIDEOS) or data
    listed = [row for row in rows if row.split]
    clips, notes = keep_present(listed, clips_by_key(videos), videos)
    unused = len(rows) - len(listed)
    if unused:
        notes.append(f"{unused} clips are in neither part of official split {options.official}")
    return clips, notes


def _rows(path: Path, label: str) -> list[Listed]:
    rows = []
    for where, line in numbered_lines(path):
        file, _, part = line.rpartition(" ")
        if part not in ("0", "1", "2") or not file.strip():
            raise DataError(f"{where}: {line!r} is not a clip and 0, 1 or 2")
        stem = file.strip().rpartition(".")[0] or file.strip()
        key = f"{label}/{stem}".casefold()
        rows.append(Listed(key, label, _source(stem, label), _SPLITS.get(part)))
    return rows


def _source(stem: str, label: str) -> str:
    """Return the video that a clip was cut from."""
    before = _TAGS.sub("", stem)
    ending = f"_{label}"
    return before[: -len(ending)] if before.lower().endswith(ending.lower()) else before
