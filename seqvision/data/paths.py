"""Which clips a path stands for, where nobody has to say their labels."""

import glob
from collections.abc import Iterator
from pathlib import Path

from seqvision.data.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural
from seqvision.errors import DataError
from seqvision_edge.path_hints import archive, missing


def find_paths(given: str, images: bool = False) -> list[Path]:
    """Return the clips that a path stands for, without labels.

    A video, an image or a folder of images is one clip; any other folder stands for the clips in it
    and in its folders; a pattern such as `takes/*.mp4` stands for what it matches.

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


def _find(given: str, images: bool) -> list[Path]:
    path = Path(given)
    if path.exists() and not path.is_dir():
        if packed := archive(path):
            raise DataError(f"{given}: {packed}")
        return [path]
    if path.is_dir():
        matches, nothing = [path], f"no {'images' if images else 'videos or images'} in it"
    elif glob.has_magic(given):
        matches = list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        matches.sort(key=lambda match: [natural(part) for part in match.parts])
        nothing = "no clip matches this pattern"
    else:
        raise DataError(missing(given))
    clips = [clip for match in matches for clip in _below(match, images)]
    if not clips:
        raise DataError(f"{given}: {nothing}")
    return clips


def _below(path: Path, images: bool, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield a clip, or those in a folder and its folders, in natural order."""
    if path.is_file():
        if _is_image(path) or (path.suffix.lower() in VIDEO_SUFFIXES and not images):
            yield path
        return
    if path.resolve() in above:  # a link back to where it is
        return
    above |= {path.resolve()}
    inside = [child for child in path.iterdir() if not child.name.startswith(".")]
    if not images and any(_is_image(child) for child in inside):
        yield path
        inside = [child for child in inside if not _is_image(child)]
    for child in sorted(inside, key=natural):
        yield from _below(child, images, above)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
