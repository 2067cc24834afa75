"""Clips without labels: a folder of any layout, a list, or a data set whose labels are not read."""

from dataclasses import replace
from pathlib import Path

from seqvision.data.datasets import find_data_set
from seqvision.data.datasets.base import Reading
from seqvision.data.datasets.clip_list import columns_of, read_list
from seqvision.data.datasets.detect import find_unnamed
from seqvision.data.datasets.table import why_no_list
from seqvision.data.file_kinds import why_no_folder
from seqvision.data.splits import part_called
from seqvision.errors import DataError

# What `edge-run --save-uncertain` calls its list; the label in it is what a model predicted.
COLLECTED = "collected.csv"


def find_unlabelled(path: Path, images: bool, truth: bool, vectors: bool = False) -> Reading:
    """Return the clips of a folder or list; those that it keeps for validation or test left out.

    The notes are about what else was left out.

    Args:
        path: a folder in any layout, a CSV with the column `path`, or a public data set.
        images: each loose image is a clip, a still image that is cut into a sequence.
        vectors: clips are files of numbers.
        truth: read their labels too, for the report; else every label is empty.

    Raises:
        DataError: nothing there, no clip, or labels are required and there are none.
    """
    clips, notes = _read(path, images, truth, vectors)
    learnt = [clip for clip in clips if clip.split in (None, "train")]
    if not learnt:
        raise DataError(f"{path}: no clips to learn from, all of them are to validate or to test")
    return (learnt if truth else [replace(clip, label="") for clip in learnt]), notes


def _read(path: Path, images: bool, truth: bool, vectors: bool) -> Reading:
    if not path.exists():
        raise DataError(f"{path}: no such folder or list")
    if path.is_file() and (problem := why_no_list(path)):
        raise DataError(problem)
    if path.is_file() and "label" not in columns_of(path):
        if truth:
            raise DataError(f"--truth: {path} has no column label")
        return read_list(path, labelled=False)
    if truth:
        if (path / COLLECTED).is_file():
            raise DataError(f"--truth: the clips collected in {path} have no true labels")
        return _data_set(path, images, vectors)
    if path.is_file() or _is_data_set(path, images, vectors):
        return _data_set(path, images, vectors)
    found, notes = find_unnamed(str(path), images, vectors)
    return [replace(clip, split=_split_of(clip.path, path)) for clip in found], notes


def _data_set(path: Path, images: bool, vectors: bool) -> Reading:
    data_set = find_data_set(path, images=images, vectors=vectors)
    return data_set.clips, list(data_set.notes)


def _is_data_set(path: Path, images: bool, vectors: bool) -> bool:
    """Distinguish a public data set, or a folder with its own list, from a folder of any layout."""
    if (path / COLLECTED).is_file():
        return False
    try:
        return find_data_set(path, images=images, vectors=vectors).name != "folder"
    except DataError:
        return False


def _split_of(path: Path, location: Path) -> str | None:
    """Return the part that `folder/<train|val|test>/…` gives, as training reads such a folder."""
    folders = [child for child in location.iterdir() if child.is_dir() and not why_no_folder(child)]
    inside = path.relative_to(location).parts
    if len(inside) > 1 and all(part_called(folder.name) for folder in folders):
        return part_called(inside[0])
    return None
