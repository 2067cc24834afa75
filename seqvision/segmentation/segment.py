"""`seqvision segment`: cut a long video into clips by its annotations.

read the marks → read the video's timestamps → choose the frames of each clip and of the background
between them → write the clips in one pass → write the list.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from seqvision.config import SegmentOptions
from seqvision.console import print_note, progress
from seqvision.errors import DataError
from seqvision.segmentation.annotations import (
    Mark,
    Segment,
    add_rows,
    between,
    list_parts,
    lock_list,
    parts_of,
    read_clip_rows,
    regions_of,
)
from seqvision_edge.errors import SinkError
from seqvision_edge.files import temporary_folder
from seqvision_edge.frame import Frame, Image
from seqvision_edge.regions import Region, check_size, crop
from seqvision_edge.sampling import Sampler
from seqvision_edge.sanitize import file_part
from seqvision_edge.sources.video_file import VideoFile
from seqvision_edge.video_writer import VideoWriter


@dataclass(frozen=True)
class Segmented:
    """The folder that clips were added to, its list, and how many came of each label.

    `alone` is whether all clips in the folder share one group: `train` cannot keep them apart then.
    """

    folder: Path
    listed: Path
    clips: Counter[str]
    alone: bool


def segment(options: SegmentOptions, marks: list[Mark]) -> Segmented:
    """Cut the marked parts out of a video, and parts between them in which nothing happens.

    Args:
        options: validated ones.
        marks: what is marked in the video, as `seqvision.preflight.validate_segment` found it.

    Raises:
        SeqvisionError: the video, the marks or the folder cannot be used; nothing is written.
    """
    video, folder = options.video, options.output
    with progress("reading the video") as advance:
        times, incomplete = frame_times(video, advance, regions_of(options.region))
    if incomplete:
        _note(f"{video}: {incomplete}")
    parts = _parts_of_regions(marks, times, options)
    was_there = folder.is_dir()
    try:
        with lock_list(folder):
            group = options.group or video.stem
            rows = list_parts if options.list_only else _cut
            return _added(folder, parts, rows(video, folder, parts, group))
    finally:
        if not was_there:
            with contextlib.suppress(OSError):  # where nothing was written into it
                folder.rmdir()


def _added(folder: Path, parts: Sequence[Segment], listed: Path) -> Segmented:
    groups = {row.get("group") for row in read_clip_rows(folder)[1]}
    return Segmented(folder, listed, Counter(part.label for part in parts), len(groups) == 1)


def _cut(video: Path, folder: Path, parts: Sequence[Segment], group: str) -> Path:
    """Write the clips, and their rows into the list; return it."""
    names = names_of(group, parts)
    for name in names:
        if (folder / name).exists():
            raise DataError(
                f"{folder / name}: is there already, and nothing is overwritten; "
                "another video of that name needs a --group of its own"
            )
    with progress("cutting") as advance, write_clips(video, parts, folder, names, advance):
        rows = [
            {"path": name.as_posix(), "label": part.label, "group": group}
            for name, part in zip(names, parts, strict=True)
        ]
        return add_rows(folder, rows)


def _parts_of_regions(
    marks: list[Mark], times: list[float], options: SegmentOptions
) -> list[Segment]:
    """Return the parts of each region, in the order of the video."""
    regions = regions_of(options.region)
    if not regions:
        return _parts(marks, times, options)
    parts: list[Segment] = []
    for region in regions:
        own = [mark for mark in marks if mark.view in ("", region.name)]
        if own:
            parts += [replace(part, region=region) for part in _parts(own, times, options)]
        else:
            _note(f"--region {region}: no event is marked in it")
    return sorted(parts, key=lambda part: part.first)


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


def frame_times(
    video: Path, advance: Callable[[int, int], None], regions: Sequence[Region] = ()
) -> tuple[list[float], str | None]:
    """Return the time of every frame that can be decoded, and what is missing, in words.

    Raises:
        SourceError: the video cannot be read, or a region is not in its picture.
    """
    times: list[float] = []
    with VideoFile(video) as source:
        for frame in source:
            if not times:
                size = frame.bgr.shape[0], frame.bgr.shape[1]
                for note in check_size(regions, size, source.name):
                    _note(note)
            times.append(frame.time)
            advance(len(times), source.claimed or len(times) + 1)
        return times, source.incomplete


def names_of(group: str, parts: Sequence[Segment]) -> list[Path]:
    """Return where each part goes, below the folder of the clips: label/group_first-last.mp4.

    Labels that only differ in letters that no file may have get a number.
    """
    names: dict[Path, None] = {}
    for part in parts:
        view = "" if part.region is None else f"{file_part(part.region.name)}_"
        stem = f"{file_part(group)}_{view}{part.first:06d}-{part.last - 1:06d}"
        name, number = Path(file_part(part.label)) / f"{stem}.mp4", 1
        while name in names:
            number += 1
            name = name.with_name(f"{stem}-{number}.mp4")
        names[name] = None
    return list(names)


@contextmanager
def write_clips(
    video: Path,
    parts: Sequence[Segment],
    folder: Path,
    names: Sequence[Path],
    advance: Callable[[int, int], None],
) -> Iterator[None]:
    """Write the clips into a hidden folder, and give them their names below `folder`.

    Where the block fails, they are taken away again.

    Raises:
        DataError: a clip cannot be written; none stays.
        SourceError: the video cannot be read.
    """
    was_there = folder.is_dir()
    opened = contextlib.ExitStack()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hidden = opened.enter_context(temporary_folder(folder))
    except OSError as error:
        raise DataError(f"--output {folder}: cannot be written ({error.strerror})") from None
    placed: list[Path] = []
    try:
        _write(video, parts, [hidden / f"{number}.mp4" for number in range(len(parts))], advance)
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(exist_ok=True)
            (hidden / f"{number}.mp4").rename(folder / name)
            placed.append(folder / name)
        yield
    except BaseException as error:
        for path in placed:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
        opened.close()
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"--output {folder}: cannot be written ({error.strerror})") from None
        if isinstance(error, SinkError):
            # It names a file of a folder that is gone.
            why = str(error).partition("written whole")[2] or "; is the disk full?"
            raise DataError(f"--output {folder}: a clip could not be written whole{why}") from error
        raise
    opened.close()


def _write(
    video: Path,
    parts: Sequence[Segment],
    paths: Sequence[Path],
    advance: Callable[[int, int], None],
) -> None:
    """Write each part; parts may overlap, and each takes its frames in one pass over the video."""
    waiting = sorted(zip(parts, paths, strict=True), key=lambda each: each[0].first)
    running: list[tuple[Segment, VideoWriter, Sampler]] = []
    end = max(part.last for part in parts)
    before: Frame | None = None
    try:
        with VideoFile(video) as source:
            for number, frame in enumerate(source):
                advance(number, end)
                while waiting and waiting[0][0].first <= number:
                    part, path = waiting.pop(0)
                    film = VideoWriter(path, "--output", source.fps)
                    film.open()
                    running.append((part, film, Sampler(source.fps, source.fps)))
                for part, film, clock in running:
                    # A video of varying speed is as long in the clip as it was.
                    if before is not None:
                        _hold(film, clock, before.bgr, part.region, frame.time)
                    for _ in range(clock.take(frame.time)):
                        film.write(_part_of(frame.bgr, part.region))
                    if number == part.last - 1:
                        until = frame.time + frame.duration
                        _hold(film, clock, frame.bgr, part.region, until)
                        film.close()
                before = frame
                running = [each for each in running if number < each[0].last - 1]
                if number == end - 1:
                    break
    finally:
        for _, film, _ in running:
            film.discard()


def _part_of(bgr: Image, region: Region | None) -> Image:
    return bgr if region is None else crop(bgr, region)


def _hold(
    film: VideoWriter, clock: Sampler, shown: Image, region: Region | None, until: float
) -> None:
    """Let a picture stand still until a time in seconds, where it is shown for long."""
    for still in clock.stills(until):
        for _ in range(clock.take(still, still=True)):
            film.write(_part_of(shown, region))
