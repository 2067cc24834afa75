"""What every reader of a layout shares: its form, lists with line numbers, files that are missing.

A reader lists a folder once and searches the listing; it never opens each of 100,000 files.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision.data.clips import Clip
from seqvision.data.datasets.table import read_text
from seqvision.data.file_kinds import is_video
from seqvision.errors import DataError


@dataclass(frozen=True)
class ReadOptions:
    """Options of a reader.

    Attributes:
        images: each still image is a clip of its own (it is cut into a sequence later).
        vectors: clips are files of numbers, or folders with a file for each vector.
        official: number of the official split, 1 to 3, where a data set has several.
    """

    images: bool = False
    official: int = 1
    vectors: bool = False


Reading = tuple[list[Clip], list[str]]
"""The clips, and notes about what was left out."""


@dataclass(frozen=True)
class Reader:
    """A layout: does a path look like it, and what clips has it."""

    fits: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Reading]


@dataclass(frozen=True)
class Listed:
    """A clip of an official list, before anyone knows whether its file is there.

    `key` is how the listing of files calls it.
    """

    key: str
    label: str
    group: str | None = None
    split: str | None = None
    fps: float | None = None


def first_there(data: Path, *names: str) -> Path | None:
    """Return the first of `data/<name>` that is there; `.` stands for data itself."""
    return next((data / name for name in names if (data / name).exists()), None)


def numbered_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield `(where, text)` of each line that is not empty, where is `file, line 3`.

    Raises:
        DataError: the file cannot be read.
    """
    text, _ = read_text(path)
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def clips_by_key(folder: Path) -> dict[str, Path]:
    """Return `<folder>/<clip>` (lower case, no suffix) → path, of the clips in sub-folders.

    A clip is a video file or a folder.
    """
    found: dict[str, Path] = {}
    for parent in _listing(folder):
        if parent.is_dir():
            for entry in _listing(Path(parent.path)):
                stem = video_stem(entry.name)
                if stem:
                    found[f"{parent.name}/{stem}".casefold()] = Path(entry.path)
                elif entry.is_dir():
                    found[f"{parent.name}/{entry.name}".casefold()] = Path(entry.path)
    return found


def keep_present(
    listed: Sequence[Listed], files: dict[str, Path], folder: Path
) -> tuple[list[Clip], list[str]]:
    """Return the clips that are there, and a note that counts the others.

    Raises:
        DataError: none is there.
    """
    clips: list[Clip] = []
    missing: list[str] = []
    for row in listed:
        path = files.get(row.key)
        if path is None:
            missing.append(row.key)
        else:
            clips.append(Clip(path, row.label, row.group, row.split, row.fps))
    if missing and not clips:
        raise DataError(
            f"{folder}: none of the {len(listed)} clips of the lists is there; "
            f"the first would be {missing[0]}"
        )
    if not missing:
        return clips, []
    few = f"{len(missing)} of {len(listed)} listed clips are not in {folder}"
    return clips, [f"{few}, the first is {missing[0]}"]


def video_stem(name: str) -> str | None:
    """Return a video file's name without its suffix; None for another file."""
    return name.rpartition(".")[0] if is_video(name) else None


def names_in(folder: Path) -> Iterable[str]:
    """Return the names in a folder, hidden ones left out."""
    return (entry.name for entry in _listing(folder))


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not entry.name.startswith(".")),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
