"""Jester (Materzynska, Berger, Bax, Memisevic: ICCV workshops 2019): frame folders at 12 fps.

    20bn-jester-v1/<id>/00001.jpg
    jester-v1-labels.csv                       one label per line
    jester-v1-train.csv, -validation.csv       `34870;Drumming Fingers`
    jester-v1-test.csv                         `10041`

The later release has the same lists as `labels/train.csv`, …, and `labels/test-answers.csv`.
The performers were not published, so there are no groups.
"""

from pathlib import Path

from seqvision.data.datasets.base import Reading, ReadOptions, first_there
from seqvision.data.datasets.twentybn import (
    FPS,
    PARTS,
    find_folder,
    find_list,
    id_rows,
    known_labels,
    make_clips,
    read_test_labels,
)
from seqvision.errors import DataError

_PREFIX = "jester-v1"
_FRAMES = ("20bn-jester-v1",)


def fits(data: Path) -> bool:
    """Return whether the frames or a list of Jester are here."""
    return first_there(data, *_FRAMES, f"{_PREFIX}-train.csv") is not None


def read(data: Path, options: ReadOptions) -> Reading:
    """Read the lists; train, validation and test are the data set's own.

    Raises:
        DataError: a list or the frames are missing, or a line is wrong.
    """
    lists = {part: find_list(data, _PREFIX, f"{part}.csv") for part in PARTS}
    if lists["train"] is None:
        raise DataError(f"{data}: no {_PREFIX}-train.csv and no labels/train.csv")
    parts = {part: id_rows(path) for part, path in lists.items() if path}
    labels = known_labels(data, _PREFIX)
    return make_clips(
        parts, labels, read_test_labels(data, _PREFIX), find_folder(data, _FRAMES), FPS
    )
