"""A folder `data/<label>/<clip>`, divided or not: `data/<train|val|test>/<label>/<clip>`.

A clip is a video file or a folder of images, at any depth below its label; the sub-folder that it
lies in is its group.  For models of still images, each image is a clip.  What is no clip is left
out, counted and noted: see `seqvision.data.file_kinds`.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seqvision.data.clips import Clip, natural
from seqvision.data.datasets.base import Reading, ReadOptions
from seqvision.data.file_kinds import (
    LeftOut,
    entries,
    is_image,
    is_next_to_data,
    is_video,
    kind_of,
    printable_name,
    why_no_file,
    why_no_folder,
)
from seqvision.data.splits import part_called
from seqvision.errors import DataError
from seqvision_edge.vector_files import VECTOR_SUFFIXES, is_single_vector, is_vector_file

_LISTS = frozenset((".csv", ".tsv", ".json", ".jsonl"))
# So many images next to a video are its own frames, fewer are its thumbnails.
_FRAMES_AT_LEAST = 5
_SHOWN = 4


@dataclass
class Branch:
    """A folder and what is in it, below which clips may lie.

    Attributes:
        items: videos, or images for models of still images, and sub-folders, in natural order.
        images: how many images lie in it where they are frames.
        depth: of folders above it, from the data set's own.
    """

    path: Path
    depth: int
    items: list["Path | Branch"] = field(default_factory=list)
    images: int = 0

    @property
    def folders(self) -> list["Branch"]:
        """The sub-folders."""
        return [item for item in self.items if isinstance(item, Branch)]

    @property
    def files(self) -> list[Path]:
        """The videos, or still images, that lie in it itself."""
        return [item for item in self.items if isinstance(item, Path)]

    @property
    def is_clip(self) -> bool:
        """Whether its images are the frames of a clip, not the thumbnails of its videos."""
        return bool(self.images) and (not self.files or self.images >= _FRAMES_AT_LEAST)

    def clips(self, inside: tuple[str, ...] = ()) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Yield each clip in it and in its folders, with the names of the folders on the way."""
        for item in self.items:
            if isinstance(item, Path):
                yield item, inside
                continue
            if item.is_clip:
                yield item.path, inside
            yield from item.clips((*inside, item.path.name))

    @property
    def has_clips(self) -> bool:
        """Whether a clip lies in it; its own images make it a clip of the folder above."""
        return next(self.clips(), None) is not None

    @property
    def labels(self) -> list["Branch"]:
        """The sub-folders in which clips lie."""
        return [folder for folder in self.folders if folder.has_clips]


def fits(data: Path) -> bool:
    """Return whether this is a folder."""
    return data.is_dir()


def read(data: Path, options: ReadOptions) -> Reading:
    """Find the clips under each label.

    Raises:
        DataError: not a folder, one that cannot be read, or a label without clips.
    """
    if not data.is_dir():
        raise DataError(f"{data}: not a folder")
    left = LeftOut(data)
    root, notes = _unwrapped(_scan(data, options, left))
    parts = _parts(root)
    if parts:
        clips, more = _read_parts(root, parts, options, left)
    else:
        clips, more = _read_labels(root, options, left)
        more += _split_like_labels(root)
        for file in root.files if clips else ():
            left.add("image" if options.images else "clip without a label", file)
    clips, grouped = _with_groups(clips)
    return clips, [*notes, *more, *grouped, *left.notes()]


# What lies where --------------------------------------------------------------------------------


def _scan(
    folder: Path,
    options: ReadOptions,
    left: LeftOut,
    depth: int = 0,
    above: frozenset[Path] = frozenset(),
) -> Branch:
    """Return what is in a folder and below it; count what is left out."""
    branch = Branch(folder, depth)
    above |= {folder.resolve()}
    for entry in sorted(entries(folder), key=lambda entry: natural(entry.name)):
        path = folder / entry.name
        if entry.is_dir():
            reason = why_no_folder(path, by_content=depth < _BY_CONTENT)
            if reason:
                left.add(reason, path)
            elif path.resolve() not in above:  # else a link back to where it is
                branch.items.append(_scan(path, options, left, depth + 1, above))
            continue
        if options.vectors:
            _take_vectors(entry, path, branch, left)
            continue
        # A frame is read only later: no look at each of a million files.
        if not options.images and is_image(entry.name) and not entry.name.startswith("."):
            branch.images += 1
            continue
        reason = why_no_file(entry)
        if reason:
            left.add_file(entry, reason)
        elif is_image(entry.name) if options.images else is_video(entry.name):
            branch.items.append(path)
        elif depth:  # next to the labels lie lists, notes and models of many kinds
            left.add("video" if is_video(entry.name) else kind_of(entry.name), path)
    if branch.files and branch.images and not branch.is_clip and depth > 1:
        left.add("image next to videos", folder, branch.images)
    return branch


def _take_vectors(entry: os.DirEntry[str], path: Path, branch: Branch, left: LeftOut) -> None:
    """Count a file as a vector of the folder's clip, or as a clip of its own."""
    reason = why_no_file(entry)
    if reason:
        left.add_file(entry, reason)
    elif not is_vector_file(entry.name):
        if branch.depth:
            left.add("video" if is_video(entry.name) else kind_of(entry.name), path)
    elif branch.images or (_has_no_file(branch) and is_single_vector(path)):
        # The first one is looked at: a folder has files of one kind.
        branch.images += 1
    elif branch.depth:  # next to the labels lie lists and notes
        branch.items.append(path)


def _has_no_file(branch: Branch) -> bool:
    return not any(isinstance(item, Path) for item in reversed(branch.items))


# Runs and caches lie next to the labels, or next to the parts of a split.
_BY_CONTENT = 3


def _unwrapped(root: Branch) -> tuple[Branch, list[str]]:
    """Go down where a folder has nothing but another one, as an unpacked archive has."""
    at = root
    while not at.files and len(at.labels) == 1 and not part_called(at.labels[0].path.name):
        at = at.labels[0]
    parts = [folder for folder in at.labels if part_called(folder.path.name)]
    if at is root or (len(at.labels) < 2 and not parts):
        return root, []
    if parts and not any(folder.labels for folder in parts):
        return root, []  # one label, and its clips divided
    kind = "parts" if len(parts) == len(at.labels) else "labels"
    return at, [
        f"{at.path}, the only folder with clips, is read as the data set: its folders "
        f"{_few([folder.path.name for folder in at.labels])} are the {kind}"
    ]


def _parts(root: Branch) -> list[tuple[Branch, str]]:
    """Return the folders that are parts of a split, with the part; none where all are labels."""
    called = [
        (folder, part)
        for folder in root.folders
        if (part := part_called(folder.path.name)) and folder.labels
    ]
    if {"val", "test"} & {part for _, part in called} == {"val"}:
        # Next to val, a folder eval is the test part.
        evals = [folder for folder, _ in called if folder.path.name.lower().startswith("eval")]
        if 0 < len(evals) < sum(part == "val" for _, part in called):
            called = [(f, "test" if f in evals else part) for f, part in called]
    chosen = {folder.path for folder, _ in called}
    others = [folder for folder in root.labels if folder.path not in chosen
              and not part_called(folder.path.name)]  # fmt: skip
    parts = {part for _, part in called}
    # A gesture may be called `test` or `train`: a split trains, and has no labels next to it.
    if not others or ("train" in parts and (len(parts) > 1 or len(others) == 1)):
        return called
    return []


def _read_parts(
    root: Branch, parts: Sequence[tuple[Branch, str]], options: ReadOptions, left: LeftOut
) -> tuple[list[Clip], list[str]]:
    clips: list[Clip] = []
    notes: list[str] = []
    known = {folder.path.name for branch, part in parts if part == "train"
             for folder in branch.labels}  # fmt: skip
    for branch, part in parts:
        some, more = _read_labels(branch, options, left, known)
        clips += [replace(clip, split=part) for clip in some]
        notes += more
        for file in branch.files:
            left.add("clip without a label", file)
    taken = {branch.path for branch, _ in parts}
    for folder in root.folders:
        if folder.path in taken:
            continue
        part_of_it = part_called(folder.path.name)
        loose = [path for path, _ in folder.clips()]
        if part_of_it and not loose:
            notes.append(f"{folder.path} has no clips: there is no part {part_of_it}")
        elif part_of_it:
            for path in loose:
                left.add("clip without a label", path)
        elif loose or folder.images:
            left.add_folder("folder next to the parts of the split", folder.path)
    for file in root.files:
        left.add("clip without a label", file)
    unusual = [f"{branch.path.name} is {part}" for branch, part in parts
               if branch.path.name.lower() != part]  # fmt: skip
    if unusual:
        notes.insert(0, f"read as a split: {', '.join(map(printable_name, unusual))}")
    if not any(part == "train" for _, part in parts):
        there = " and ".join(sorted({branch.path.name for branch, _ in parts}))
        notes.insert(0, f"{root.path} has no folder train, only {there}: nothing to learn from")
    return clips, notes


def _read_labels(
    root: Branch,
    options: ReadOptions,
    left: LeftOut,
    known: frozenset[str] | set[str] = frozenset(),
) -> tuple[list[Clip], list[str]]:
    """Return the clips of the labels in a folder; `known` are those of the part that trains."""
    clips: list[Clip] = []
    empty: list[Branch] = []
    divided = _is_divided(root)
    for folder in root.folders:
        found = list(folder.clips())
        clips += [_clip(path, folder.path.name, inside, divided) for path, inside in found]
        if folder.images and found and not folder.files:
            left.add("loose image", folder.path, folder.images)
        elif folder.images and found:
            left.add("image next to videos", folder.path, folder.images)
        if found:
            continue
        if known and folder.images and folder.path.name not in known:
            left.add("clip without a label", folder.path)
        else:
            empty.append(folder)
    lost = [folder for folder in empty if not is_next_to_data(folder.path)]
    if clips and lost:
        raise DataError(
            f"{lost[0].path}: label {lost[0].path.name!r} has no clips ({_contents(lost[0].path)})"
        )
    if not clips:
        raise DataError(_nothing(root, empty, options))
    for folder in empty:
        left.add_folder("folder without clips", folder.path)
    notes = ["folders train, val and test inside the labels are read as a split"] if divided else []
    return clips, notes


def _is_divided(root: Branch) -> bool:
    """Return whether the parts of the split lie inside each label: `wave/train/a.mp4`."""
    return any(
        part_called(folder.path.name) == "train" and folder.has_clips
        for label in root.labels
        for folder in label.folders
    )


def _clip(path: Path, label: str, inside: tuple[str, ...], divided: bool) -> Clip:
    part = part_called(inside[0]) if divided and inside else None
    way = inside[1:] if part else inside
    return Clip(path, label, "/".join(way) or None, part)


def _with_groups(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """Return the clips with the first sub-folder that divides their label as group, and a note."""
    ways: dict[str, list[list[str]]] = {}
    for clip in clips:
        ways.setdefault(clip.label, []).append(clip.group.split("/") if clip.group else [])
    shared = {label: _common(some) for label, some in ways.items()}
    grouped = []
    for clip in clips:
        way = clip.group.split("/") if clip.group else []
        rest = way[shared[clip.label] :]
        grouped.append(replace(clip, group=rest[0] if rest else None))
    groups = list(dict.fromkeys(clip.group for clip in grouped if clip.group))
    if len(groups) < 2:
        return [replace(clip, group=None) for clip in grouped], []
    return grouped, [
        f"clips in sub-folders are taken, each sub-folder as a group: {len(groups)} groups "
        f"({_few(groups)}); --split-by none ignores them"
    ]


def _common(ways: Sequence[Sequence[str]]) -> int:
    """Return how many folders all ways begin with."""
    count = 0
    while ways and all(len(way) > count and way[count] == ways[0][count] for way in ways):
        count += 1
    return count


def _split_like_labels(root: Branch) -> list[str]:
    """Return a note where a folder named like a part of a split was read as a label."""
    named = [folder.path.name for folder in root.labels if part_called(folder.path.name)]
    others = [folder.path.name for folder in root.labels if not part_called(folder.path.name)]
    if not named or not others:
        return []
    return [
        f"{_few(named)} is read as a label, next to {_few(others)}; "
        "a split is train/<label>/<clip> and test/<label>/<clip>"
    ]


def vector_clips(path: Path, left: LeftOut) -> Iterator[Path]:
    """Yield the clips of vectors that a path is, or those in a folder of any layout."""
    if not path.is_dir():
        if is_vector_file(path.name):
            yield path
        return
    branch = _scan(path, ReadOptions(vectors=True), left, depth=1)
    if branch.is_clip:
        yield path
    yield from (clip for clip, _ in branch.clips())


# What is wrong ----------------------------------------------------------------------------------


def _nothing(root: Branch, empty: Sequence[Branch], options: ReadOptions) -> str:
    """Return why a folder has no clips under labels, and what may be meant."""
    data = root.path
    if options.vectors:
        kinds = " ".join(VECTOR_SUFFIXES)
        return (
            f"{data}: no clips of vectors; expected {data}/<label>/<clip>.npy, or a folder "
            f"{data}/<label>/<clip> with a file for each vector ({kinds})"
        )
    what, images = "image" if options.images else "video", options.images
    lists = [
        entry.name
        for entry in entries(data)
        if Path(entry.name).suffix.lower() in _LISTS and not entry.name.startswith(".")
    ]
    if root.files or root.images:
        count = len(root.files) or root.images
        loose = f"{count} {what if root.files else 'image'}{'s' if count > 1 else ''}"
        hint = f"expected {data}/<label>/<clip>"
        if lists:
            hint += f", or give the list: {data / lists[0]}"
        elif root.images and not root.files:
            hint += "; a folder of images is one clip, and its label is the folder above"
        return f"{data}: no clips under a label: {loose} in it and no folders of labels; {hint}"
    if empty:
        at = _down_to_files(empty[0].path)
        contents = _contents(at)
        expected = "images" if images else "videos or folders of images"
        hint = "; --sequence makes a clip of each image" if "loose image" in contents else ""
        return f"{data}: no clips in it; {at} has {contents}, expected {expected}{hint}"
    hint = f"; is {data / lists[0]} the list of its clips?" if lists else ""
    return f"{data}: no clips; expected {data}/<label>/<clip>.mp4 or folders of images{hint}"


def _down_to_files(folder: Path) -> Path:
    """Return the first folder that has files, on the way down through the first ones."""
    while True:
        inside = [entry for entry in entries(folder) if not entry.name.startswith(".")]
        below = [Path(entry.path) for entry in inside if entry.is_dir()]
        if len(below) < len(inside) or not below or not entries(below[0]):
            return folder
        folder = below[0]


def _contents(folder: Path) -> str:
    kinds: Counter[str] = Counter()
    for entry in entries(folder):
        if entry.is_dir():
            has_images = any(is_image(child.name) for child in entries(Path(entry.path)))
            kinds["folders of images" if has_images else "folders without images"] += 1
        elif reason := why_no_file(entry):
            kinds[f"{reason} files" if reason != "system file" else "system files"] += 1
        elif is_image(entry.name):
            kinds["loose images"] += 1
        else:
            kinds[f"{Path(entry.name).suffix or 'other'} files"] += 1
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "nothing"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(printable_name(name) for name in names[:_SHOWN])
    return shown + (", …" if len(names) > _SHOWN else "")
