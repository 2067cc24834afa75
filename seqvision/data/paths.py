"""Unlabelled clips of a path."""

import glob
from collections.abc import Iterator
from pathlib import Path

from seqvision.data.clips import Clip, natural
from seqvision.data.kinds import (
    LeftOut,
    entries,
    is_image,
    is_video,
    kind_of,
    why_no_file,
    why_no_folder,
)
from seqvision.data.readers.clip_list import columns_of, read_list
from seqvision.data.readers.table import SUFFIXES
from seqvision.errors import DataError
from seqvision_edge.path_hints import archive, missing


def find_unnamed(given: str, images: bool = False) -> tuple[list[Clip], list[str]]:
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
        return _find(given, images)
    except OSError as error:
        raise DataError(f"{error.filename or given}: cannot be read ({error.strerror})") from None


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
        raise DataError(missing(given))
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
