"""A folder `data/<label>/<clip>` or `data/<train|val|test>/<label>/<clip>`.

A clip is a video file or a folder of images; where still images are wanted, each image that lies
in the label's folder.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seqvision.data.clips import IMAGE_SUFFIXES, SPLITS, VIDEO_SUFFIXES, Clip, natural
from seqvision.data.readers.reader import Reading, Wanted
from seqvision.errors import DataError


def fits(data: Path) -> bool:
    """Tell whether this is a folder."""
    return data.is_dir()


def read(data: Path, wanted: Wanted) -> Reading:
    """Find the clips under each label.

    Raises:
        DataError: not a folder, or a label without clips.
    """
    if not data.is_dir():
        raise DataError(f"{data}: not a folder")
    folders = _folders(data)
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        return [
            replace(clip, split=SPLITS[folder.name.lower()])
            for folder in folders
            for clip in _read_labels(folder, wanted.images)
        ], []
    return _read_labels(data, wanted.images), []


def _read_labels(data: Path, images: bool) -> list[Clip]:
    clips, empty = [], []
    for folder in _folders(data):
        paths = list(_clip_paths(folder, images))
        clips += [Clip(path, folder.name) for path in paths]
        if not paths:
            empty.append(folder)
    if clips and empty:
        raise DataError(f"{empty[0]}: label {empty[0].name!r} has no clips ({_contents(empty[0])})")
    if not clips and empty:
        contents = _contents(empty[0])
        expected = "images" if images else "videos or folders of images"
        hint = "; --sequence makes a clip of each image" if "loose images" in contents else ""
        raise DataError(
            f"{data}: no clips in it; {empty[0]} has {contents}, expected {expected}{hint}"
        )
    return clips


def _folders(data: Path) -> list[Path]:
    return sorted(
        (path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=natural,
    )


def _clip_paths(folder: Path, images: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=natural):
        if path.name.startswith("."):
            continue
        if images:
            if _is_image(path):
                yield path
            continue
        is_frames = path.is_dir() and any(_is_image(child) for child in path.iterdir())
        if is_frames or (path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()):
            yield path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _contents(folder: Path) -> str:
    kinds: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.is_dir():
            has_images = any(_is_image(child) for child in path.iterdir())
            kinds["folders of images" if has_images else "folders without images"] += 1
        elif _is_image(path):
            kinds["loose images"] += 1
        else:
            kinds[f"{path.suffix or 'other'} files"] += 1
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "nothing"
