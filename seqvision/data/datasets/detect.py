"""Find the clips of a data set: detect its layout, or take clips that need no labels."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from seqvision.data.clips import Clip, alike_notes, natural, normal
from seqvision.data.datasets import (
    clip_list,
    folder,
    hmdb51,
    jester,
    kinetics,
    mnist,
    something,
    ucf101,
)
from seqvision.data.datasets.base import Reader, ReadOptions
from seqvision.data.datasets.clip_list import columns_of, read_list
from seqvision.data.datasets.table import SUFFIXES, why_no_list
from seqvision.data.file_kinds import (
    LeftOut,
    entries,
    is_image,
    is_video,
    kind_of,
    why_no_file,
    why_no_folder,
)
from seqvision.errors import DataError
from seqvision_edge.errors import SourceError
from seqvision_edge.hints import archive, path_error
from seqvision_edge.vector_files import ARRAYS, is_vector_file, read_vectors

# In this order: a list that the user wrote has priority; a plain folder is the last resort.
READERS: dict[str, Reader] = {
    "csv": Reader(clip_list.fits, clip_list.read),
    "ucf101": Reader(ucf101.fits, ucf101.read),
    "hmdb51": Reader(hmdb51.fits, hmdb51.read),
    "jester": Reader(jester.fits, jester.read),
    "something": Reader(something.fits, something.read),
    "kinetics": Reader(kinetics.fits, kinetics.read),
    "fashion_mnist": mnist.reader("FashionMNIST"),
    "kmnist": mnist.reader("KMNIST"),
    "mnist": mnist.reader("MNIST"),
    "folder": Reader(folder.fits, folder.read),
}
OfficialSplit = int | Literal["off"]
WITH_SEVERAL_SPLITS = ("ucf101", "hmdb51")


@dataclass(frozen=True)
class DataSet:
    """Clips, where and in which layout they were found, and what was left out."""

    path: Path
    name: str
    clips: list[Clip]
    notes: tuple[str, ...] = ()


def find_clips(
    data: Path, dataset: str = "auto", images: bool = False, official: OfficialSplit = 1
) -> list[Clip]:
    """Return the clips of a data set, in a stable order; see `find_data_set`."""
    return find_data_set(data, dataset, images, official).clips


def find_data_set(
    data: Path,
    dataset: str = "auto",
    images: bool = False,
    official: OfficialSplit = 1,
    region: str | None = None,
    vectors: bool = False,
) -> DataSet:
    """Return the clips of a data set with the name of its layout and notes.

    Args:
        data: a folder or a list.
        dataset: a name of READERS, or `auto`: what it looks like.
        images: each loose image is a clip, a still image that is cut into a sequence.
        official: number of the official split of UCF101 and HMDB51, 1 to 3; off: no clip is of
            a part, whatever split the data has.
        region: the part of the picture of clips whose list gives none, `0.1,0.2,0.4,0.9`.
        vectors: clips are files of numbers, in folders or a list.

    Raises:
        DataError: nothing there, no clips, a label without clips, or a bad line of a list.
    """
    if not data.exists():
        where = "" if data.is_absolute() else f" in {Path.cwd()}"
        raise DataError(f"{data}: no such folder or list of clips{where}")
    if vectors:
        if dataset not in ("auto", "folder", "csv"):
            raise DataError(f"--dataset {dataset}: has pictures, not vectors; leave it out")
        is_list = data.is_file() or (data / clip_list.LIST_NAME).is_file()
        dataset = "csv" if is_list and dataset != "folder" else "folder"
    name = _layout(data) if dataset == "auto" else dataset
    if official not in (1, "off") and name not in WITH_SEVERAL_SPLITS:
        raise DataError(
            f"--official-split {official}: {data} is read as {name}, which has only one split; "
            f"{' and '.join(WITH_SEVERAL_SPLITS)} have three"
        )
    number = 1 if official == "off" else official
    clips, notes = READERS[name].read(data, ReadOptions(images, number, vectors))
    if not clips:
        raise DataError(
            f"{data}: no clips; expected {data}/<label>/<clip>.mp4 or folders of images"
        )
    # A label is one label in whatever form of Unicode a disk or a list has it.
    clips = [replace(clip, label=normal(clip.label)) for clip in clips]
    if official == "off":
        clips = [replace(clip, split=None) for clip in clips]
    clips = with_region(clips, region)
    return DataSet(data, name, clips, (*notes, *alike_notes(clip.label for clip in clips)))


def with_region(clips: Sequence[Clip], region: str | None) -> list[Clip]:
    """Return clips of which those without a region have the given one, `0.1,0.2,0.4,0.9`.

    Raises:
        SourceError: it is not a region.
    """
    if region is None:
        return list(clips)
    from seqvision_edge.regions import parse_region

    part = replace(parse_region(region), name="")
    return [clip if clip.region or clip.index is not None else replace(clip, region=part)
            for clip in clips]  # fmt: skip


def _layout(data: Path) -> str:
    if data.is_file() and (problem := why_no_list(data)):
        raise DataError(problem)
    names = [name for name, reader in READERS.items() if reader.fits(data)]
    own = [name for name in names if name not in ("csv", "folder")]
    if "csv" not in names and len(own) > 1:
        raise DataError(f"{data}: could be {' or '.join(own)}; choose with --dataset {own[0]}")
    return names[0]


def holds_vectors(data: Path) -> bool:
    """Return whether a data set is made of vectors: files of numbers, and no pictures or videos.

    Raises:
        DataError: a folder cannot be read.
    """
    if data.is_file() or (data / clip_list.LIST_NAME).is_file():
        return clip_list.names_vectors(data if data.is_file() else data / clip_list.LIST_NAME)
    if not data.is_dir() or any(
        reader.fits(data) for name, reader in READERS.items() if name not in ("csv", "folder")
    ):
        return False
    return _hold_vectors(data)


# Files looked at before a folder without pictures is taken for one of vectors.
_MOST_LOOKED_AT = 5000


def _hold_vectors(data: Path) -> bool:
    """Return whether files of numbers lie below the labels: the first picture or video decides.

    Of text files, which may be notes, the first one must be a table of numbers.
    """
    text: Path | None = None
    arrays = False
    for count, path in enumerate(_files_below(data)):
        if is_video(path.name) or is_image(path.name):
            return False
        if is_vector_file(path.name) and path.suffix.lower() in ARRAYS:
            arrays = True
        elif is_vector_file(path.name):
            text = text or path
        if count > _MOST_LOOKED_AT:
            break
    if arrays or text is None:
        return arrays
    try:
        read_vectors(text, 1.0)
    except SourceError:
        return False
    return True


def _files_below(data: Path) -> Iterator[Path]:
    """Yield the files at least one folder below, system folders and runs left out."""
    for label in entries(data):
        if not label.is_dir() or why_no_folder(Path(label.path)):
            continue
        for at, folders, names in os.walk(label.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(at, name) for name in sorted(names) if not name.startswith("."))


def find_unnamed(
    given: str, images: bool = False, vectors: bool = False
) -> tuple[list[Clip], list[str]]:
    """Return the clips that a path stands for, without labels, and notes on what is left out.

    A video, an image or a folder of images is one clip; a list stands for the clips in it, any
    other folder for those in it and in its folders; a pattern such as `takes/*.mp4` for what it
    matches.

    Args:
        given: the path or pattern.
        images: each image is a clip of its own, a still image that is cut; there are no videos.

    Raises:
        DataError: nothing there, or no clip in it.
    """
    try:
        return _find_vectors(given) if vectors else _find(given, images)
    except OSError as error:
        raise DataError(f"{error.filename or given}: cannot be read ({error.strerror})") from None


def _find_vectors(given: str) -> tuple[list[Clip], list[str]]:
    """Return the clips of vectors that a path stands for, without labels."""
    path = Path(given)
    if path.exists() and not path.is_dir():
        if path.suffix.lower() in (".csv", ".tsv") and clip_list.names_vectors(path):
            return read_list(path, labelled=False)
        return [Clip(path, "")], []
    if path.is_dir():
        matches = [path]
    elif glob.has_magic(given):
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))), key=natural)
    else:
        raise DataError(path_error(given))
    left = LeftOut(path)
    found = [clip for match in matches for clip in folder.vector_clips(match, left)]
    if not found:
        raise DataError("; ".join([f"{given}: no clip of vectors in it", *left.notes()]))
    return [Clip(clip, "") for clip in found], left.notes()


def find_paths(given: str, images: bool = False) -> list[Path]:
    """Return the files and folders of `find_unnamed`."""
    return [clip.path for clip in find_unnamed(given, images)[0]]


def _find(given: str, images: bool) -> tuple[list[Clip], list[str]]:
    path = Path(given)
    if path.exists() and not path.is_dir():
        if packed := archive(path):
            raise DataError(f"{given}: {packed}")
        if _is_list(path):
            return read_list(path, labelled=False)
        return [Clip(path, "")], []
    if path.is_dir():
        matches, nothing = [path], f"no {'images' if images else 'videos or images'} in it"
    elif glob.has_magic(given):
        matches = list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        matches.sort(key=lambda match: [natural(part) for part in match.parts])
        nothing = "no clip matches this pattern"
    else:
        raise DataError(path_error(given))
    left = LeftOut(path)
    clips = [Clip(clip, "") for match in matches for clip in _match(match, images, left)]
    if not clips:
        raise DataError("; ".join([f"{given}: {nothing}", *left.notes()]))
    return clips, left.notes()


def _is_list(path: Path) -> bool:
    """Return whether a file is a list of clips; other text is refused when it is opened."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return True
    try:
        return suffix in SUFFIXES and "path" in columns_of(path)
    except DataError:
        return False


def _match(path: Path, images: bool, left: LeftOut) -> Iterator[Path]:
    """Yield a clip that was named, or those in a folder."""
    if path.is_dir():
        yield from _below(path, images, left)
    elif is_image(path.name) or (is_video(path.name) and not images):
        yield path


def _below(
    path: Path, images: bool, left: LeftOut, above: frozenset[Path] = frozenset()
) -> Iterator[Path]:
    """Yield the clips in a folder and its folders, in natural order."""
    if path.resolve() in above:  # a link back to where it is
        return
    above |= {path.resolve()}
    inside = sorted(entries(path), key=lambda entry: natural(entry.name))
    if not images and any(is_image(child.name) and not why_no_file(child) for child in inside):
        yield path
        inside = [child for child in inside if not is_image(child.name)]
    for child in inside:
        if child.is_dir():
            reason = why_no_folder(path / child.name)
            if reason:
                left.add(reason, path / child.name)
            else:
                yield from _below(path / child.name, images, left, above)
        elif reason := why_no_file(child):
            left.add_file(child, reason)
        elif is_image(child.name) or (is_video(child.name) and not images):
            yield path / child.name
        else:
            left.add("video" if is_video(child.name) else kind_of(child.name), path / child.name)
