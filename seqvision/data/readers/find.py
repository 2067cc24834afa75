"""The way from a path to clips: which layout is it, and what does its reader find."""

from dataclasses import dataclass, replace
from pathlib import Path

from seqvision.data.clips import Clip
from seqvision.data.labels import alike_notes, normal
from seqvision.data.readers import (
    clip_list,
    folder,
    hmdb51,
    idx,
    jester,
    kinetics,
    something,
    ucf101,
)
from seqvision.data.readers.reader import Reader, ReadOptions
from seqvision.data.readers.table import why_no_list
from seqvision.errors import DataError

# In this order: a list that the user wrote himself is meant; a plain folder is the last resort.
READERS: dict[str, Reader] = {
    "csv": Reader(clip_list.fits, clip_list.read),
    "ucf101": Reader(ucf101.fits, ucf101.read),
    "hmdb51": Reader(hmdb51.fits, hmdb51.read),
    "jester": Reader(jester.fits, jester.read),
    "something": Reader(something.fits, something.read),
    "kinetics": Reader(kinetics.fits, kinetics.read),
    "fashion_mnist": idx.reader("FashionMNIST"),
    "kmnist": idx.reader("KMNIST"),
    "mnist": idx.reader("MNIST"),
    "folder": Reader(folder.fits, folder.read),
}
WITH_SEVERAL_SPLITS = ("ucf101", "hmdb51")


@dataclass(frozen=True)
class DataSet:
    """Clips, the layout that they were found in, and what was left out."""

    name: str
    clips: list[Clip]
    notes: tuple[str, ...] = ()


def find_clips(
    data: Path, dataset: str = "auto", images: bool = False, official: int = 1
) -> list[Clip]:
    """Return the clips of a data set, in a stable order; see `find_data_set`."""
    return find_data_set(data, dataset, images, official).clips


def find_data_set(
    data: Path, dataset: str = "auto", images: bool = False, official: int = 1
) -> DataSet:
    """Return the clips of a data set with the name of its layout and notes.

    Args:
        data: a folder or a list.
        dataset: a name of READERS, or `auto`: what it looks like.
        images: each loose image is a clip, a still image that is cut into a sequence.
        official: number of the official split of UCF101 and HMDB51, 1 to 3.

    Raises:
        DataError: nothing there, no clips, a label without clips, or a bad line of a list.
    """
    if not data.exists():
        where = "" if data.is_absolute() else f" in {Path.cwd()}"
        raise DataError(f"{data}: no such folder or list of clips{where}")
    name = _layout(data) if dataset == "auto" else dataset
    if official != 1 and name not in WITH_SEVERAL_SPLITS:
        raise DataError(
            f"--official-split {official}: {data} is read as {name}, which has only one split; "
            f"{' and '.join(WITH_SEVERAL_SPLITS)} have three"
        )
    clips, notes = READERS[name].read(data, ReadOptions(images, official))
    if not clips:
        raise DataError(
            f"{data}: no clips; expected {data}/<label>/<clip>.mp4 or folders of images"
        )
    # A label is one label in whatever form of Unicode a disk or a list has it.
    clips = [replace(clip, label=normal(clip.label)) for clip in clips]
    return DataSet(name, clips, (*notes, *alike_notes(clip.label for clip in clips)))


def _layout(data: Path) -> str:
    if data.is_file() and (problem := why_no_list(data)):
        raise DataError(problem)
    names = [name for name, reader in READERS.items() if reader.fits(data)]
    own = [name for name in names if name not in ("csv", "folder")]
    if "csv" not in names and len(own) > 1:
        raise DataError(f"{data}: could be {' or '.join(own)}; say which, as in --dataset {own[0]}")
    return names[0]
