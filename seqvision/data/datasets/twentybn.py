"""What Jester and Something-Something share: lists of `id;label`, clips named by their id.

The lists are called `<set>-train.csv` in the first release (20bn.com) and `labels/train.csv` in
the later one (Qualcomm).  The test part has no labels, unless `test-answers.csv` is next to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision.data.datasets.base import (
    Listed,
    Reading,
    first_there,
    keep_present,
    names_in,
    numbered_lines,
)
from seqvision.errors import DataError

FPS = 12.0
PARTS = {"train": "train", "validation": "val", "test": "test"}
_FOLDERS = (".", "labels", "annotations")


@dataclass(frozen=True)
class AnnotationRow:
    """A line of a list; the test part has no label."""

    where: str
    id: str
    label: str | None


def find_list(data: Path, prefix: str, name: str) -> Path | None:
    """Return `<prefix>-<name>`, or `labels/<name>` of the later release."""
    candidates = [f"{folder}/{prefix}-{name}" for folder in _FOLDERS]
    return first_there(data, *candidates, *(f"{folder}/{name}" for folder in _FOLDERS[1:]))


def id_rows(path: Path) -> Iterator[AnnotationRow]:
    """Yield the rows of an `id;label` list; of a list of ids without labels, too.

    Raises:
        DataError: a line without an id, or with more than two columns.
    """
    for where, line in numbered_lines(path):
        cells = [cell.strip() for cell in line.split(";")]
        if len(cells) > 2 or not cells[0].isdigit():
            raise DataError(f"{where}: {line!r} is not like 34870;Drumming Fingers")
        yield AnnotationRow(where, cells[0], cells[1] if len(cells) == 2 and cells[1] else None)


def read_test_labels(data: Path, prefix: str) -> dict[str, str]:
    """Return id → label of the test part, where it was published."""
    path = find_list(data, prefix, "test-answers.csv")
    return {row.id: row.label for row in id_rows(path) if row.label} if path else {}


def known_labels(data: Path, prefix: str) -> frozenset[str]:
    """Return the labels of `<prefix>-labels.csv`, one per line; empty where it is missing."""
    path = find_list(data, prefix, "labels.csv")
    return frozenset(line for _, line in numbered_lines(path)) if path else frozenset()


def make_clips(
    parts: Mapping[str, Iterable[AnnotationRow]],
    labels: frozenset[str],
    test_answers: dict[str, str],
    folder: Path,
    fps: float | None,
) -> Reading:
    """Return the clips that have a label and are in `folder`; notes count the others.

    Args:
        parts: train, validation and test → rows.
        labels: all that are allowed; empty for any.
        fps: rate of the frame folders, None for videos.

    Raises:
        DataError: a label that is not among `labels`, or none of the clips is there.
    """
    listed: list[Listed] = []
    unlabelled = 0
    for part, rows in parts.items():
        for row in rows:
            label = row.label or test_answers.get(row.id)
            if label is None:
                unlabelled += 1
                continue
            if labels and label not in labels:
                raise DataError(f"{row.where}: {label!r} is not in the list of labels")
            listed.append(Listed(row.id, label, split=PARTS[part], fps=fps))
    if not listed:
        raise DataError(f"{folder}: no list has a label for its clips")
    files = {name.partition(".")[0]: folder / name for name in names_in(folder)}
    clips, notes = keep_present(listed, files, folder)
    if unlabelled:
        notes.append(f"{unlabelled} clips have no label (the test part) and are left out")
    return clips, notes


def find_folder(data: Path, names: Sequence[str]) -> Path:
    """Return the folder of the clips.

    Raises:
        DataError: it is not there.
    """
    folder = first_there(data, *names)
    if folder is None:
        raise DataError(f"{data}: the folder {names[0]} with the clips is missing")
    return folder
