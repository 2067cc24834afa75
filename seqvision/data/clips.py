"""Where clips are: a folder `data/<label>/<clip>` or a list, as plain `Clip` records."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision.errors import DataError

VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg"))
IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))
LIST_NAME = "clips.csv"
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
BACKGROUNDS = ("none", "background", "nothing", "no_gesture")


@dataclass(frozen=True)
class Clip:
    """One labelled clip: a video file or a folder of frames.

    Attributes:
        group: what must stay on one side of a split, such as the performer.
        split: `train`, `val` or `test`, where the data says so.
        fps: rate of a frame folder; None where nobody said it, or for a video.
        index: the place of a still image in a file of many.
    """

    path: Path
    label: str
    group: str | None = None
    split: str | None = None
    fps: float | None = None
    index: int | None = None


def find_clips(data: Path, images: bool = False) -> list[Clip]:
    """Return the clips of a data set, in a stable order.

    `data` is a CSV with the columns `path,label[,group][,split][,fps]`, a folder that has such a
    list under the name `clips.csv`, a folder `data/<label>/<clip>`, or one with
    `data/<train|val|test>/<label>/<clip>`.  A clip is a video file or a folder of images.

    Raises:
        DataError: nothing there, no clips, or a label without clips.
    """
    if data.is_file():
        if data.suffix.lower() != ".csv":
            raise DataError(f"{data}: neither a folder nor a .csv list")
        clips = read_list(data)
    elif (data / LIST_NAME).is_file():
        clips = read_list(data / LIST_NAME)
    elif data.is_dir():
        clips = _read_tree(data, images)
    else:
        raise DataError(f"{data}: no such folder or list")
    if not clips:
        raise DataError(
            f"{data}: no clips; expected {data}/<label>/<clip>.mp4 or folders of images"
        )
    return clips


def labels_of(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Return the labels in alphabetical order.

    Raises:
        DataError: fewer than two, so that there is nothing to tell apart.
    """
    labels = tuple(sorted({clip.label for clip in clips}))
    if len(labels) < 2:
        raise DataError(
            f"only one label ({labels[0]}): a classifier needs two or more, "
            "for example a label none for nothing happens"
        )
    return labels


def find_background(labels: Sequence[str], asked: str | None) -> str | None:
    """Return the label that stands for nothing happens.

    Raises:
        DataError: the label that was asked for is not there.
    """
    if asked is not None and asked not in labels:
        raise DataError(f"--background {asked}: not a label here ({', '.join(labels)})")
    return asked or next((label for label in labels if label.lower() in BACKGROUNDS), None)


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key under which 2.jpg comes before 10.jpg."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", path.name)
        if part
    ]


def read_list(path: Path) -> list[Clip]:
    """Read a CSV of clips; relative paths start at its folder.

    Raises:
        DataError: a missing column, or a row that is not complete, with its line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path}: the first line lacks the column {sorted(missing)[0]}")
            return [_row(path, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from None


def _row(path: Path, line: int, row: dict[str, str | None]) -> Clip:
    where = f"{path}, line {line}"
    name, label = (row["path"] or "").strip(), (row["label"] or "").strip()
    if not name or not label:
        raise DataError(f"{where}: path or label is empty")
    split = (row.get("split") or "").strip().lower()
    if split and split not in SPLITS:
        raise DataError(f"{where}: split is {split!r}, must be train, val or test")
    fps = (row.get("fps") or "").strip()
    try:
        rate = float(fps) if fps else None
    except ValueError:
        rate = 0.0
    if rate is not None and not 0 < rate <= 1000:
        raise DataError(f"{where}: fps is {fps!r}, must be a number above 0")
    return Clip(
        path=path.parent / name,
        label=label,
        group=(row.get("group") or "").strip() or None,
        split=SPLITS[split] if split else None,
        fps=rate,
    )


def _read_tree(data: Path, images: bool) -> list[Clip]:
    folders = _folders(data)
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        return [
            Clip(clip.path, clip.label, split=SPLITS[folder.name.lower()])
            for folder in folders
            for clip in _read_labels(folder, images)
        ]
    return _read_labels(data, images)


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
        raise DataError(
            f"{data}: no clips in it; {empty[0]} has {_contents(empty[0])}, "
            "expected videos or folders of images"
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
            if _is_image(path) and path.is_file():
                yield path
            continue
        is_frames = path.is_dir() and any(_is_image(child) for child in path.iterdir())
        if is_frames or (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES):
            yield path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _contents(folder: Path) -> str:
    kinds = Counter(
        "folders without images"
        if path.is_dir()
        else "loose images"
        if _is_image(path)
        else f"{path.suffix or 'other'} files"
        for path in folder.iterdir()
    )
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "nothing"
