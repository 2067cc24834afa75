"""`seqvision segment`: THE WAY from a long video and its marks to clips that `train` reads.

the marks → the video's frames and their times → which frames each clip has, and what lies between
→ one pass that writes the clips → the list.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision import ready
from seqvision.config import SegmentOptions
from seqvision.console import print_note, progress
from seqvision.errors import DataError
from seqvision.segmentation.cutting import cut, frame_times, names_of
from seqvision.segmentation.listing import add_rows, alone_with_list, read_list
from seqvision.segmentation.marks import Mark
from seqvision.segmentation.parts import Segment, between, parts_of


@dataclass(frozen=True)
class Segmented:
    """The folder that clips were added to, its list, and how many came of each label.

    `alone` is whether all clips in the folder share one group: `train` cannot keep them apart then.
    """

    folder: Path
    listed: Path
    clips: Counter[str]
    alone: bool


def segment(options: SegmentOptions) -> Segmented:
    """Cut the marked parts out of a video, and parts between them in which nothing happens.

    Raises:
        SeqvisionError: the video, the marks or the folder cannot be used; nothing is written.
    """
    marks = ready.validate_segment(options)
    video, folder = options.video, options.output
    with progress("reading the video") as advance:
        times, incomplete = frame_times(video, advance)
    if incomplete:
        _note(f"{video}: {incomplete}")
    parts = _parts(marks, times, options)
    was_there = folder.is_dir()
    try:
        with alone_with_list(folder):
            return _cut(video, folder, parts, options.group or video.stem)
    finally:
        if not was_there:
            with contextlib.suppress(OSError):  # where nothing was written into it
                folder.rmdir()


def _cut(video: Path, folder: Path, parts: Sequence[Segment], group: str) -> Segmented:
    """Write the clips, and their rows into the list."""
    names = names_of(group, parts)
    for name in names:
        if (folder / name).exists():
            raise DataError(
                f"{folder / name}: is there already, and nothing is overwritten; "
                "another video of that name needs a --group of its own"
            )
    with progress("cutting") as advance, cut(video, parts, folder, names, advance):
        rows = [
            {"path": name.as_posix(), "label": part.label, "group": group}
            for name, part in zip(names, parts, strict=True)
        ]
        listed = add_rows(folder, rows)
    groups = {row.get("group") for row in read_list(folder)[1]}
    return Segmented(folder, listed, Counter(part.label for part in parts), len(groups) == 1)


def _parts(marks: list[Mark], times: list[float], options: SegmentOptions) -> list[Segment]:
    """Return the marked parts and those between them, in the order of the video."""
    for mark in marks:
        begins = mark.start >= len(times) if mark.in_frames else mark.start > times[-1]
        if begins:
            length = f"{len(times)} frames, {times[-1]:.2f} s"
            raise DataError(f"{mark.where}: begins after the end of the video ({length})")
        if mark.in_frames and mark.end > len(times):
            _note(f"{mark.where}: ends after the end of the video, and is cut there")
    marked = parts_of(marks, times)
    seen: set[tuple[str, int, int]] = set()
    for part in marked:
        if (part.label, part.first, part.last) in seen:
            raise DataError(f"{part.where}: the same part as {part.label!r} is there twice")
        seen.add((part.label, part.first, part.last))
    period = (times[-1] - times[0]) / max(1, len(times) - 1)
    margin = round(options.margin / period) if period else 0
    most = len(marked) if options.background_clips == "auto" else options.background_clips
    empty = between(marked, len(times), margin, most, options.background)
    if len(empty) < most and options.background_clips != "auto":
        _note(f"only {len(empty)} clips of {options.background} fit between the marks")
    return sorted([*marked, *empty], key=lambda part: part.first)


def _note(text: str) -> None:
    print_note(f"{text}")
