"""Parts of a video → clips under their names, all of them or none."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seqvision.errors import DataError
from seqvision.segmentation.parts import Segment
from seqvision_edge.errors import SinkError
from seqvision_edge.files import temporary_folder
from seqvision_edge.frame import Frame
from seqvision_edge.names import file_part
from seqvision_edge.sampler import Sampler
from seqvision_edge.sinks.film import Film
from seqvision_edge.sources.video_file import VideoFile


def frame_times(video: Path, advance: Callable[[int, int], None]) -> tuple[list[float], str | None]:
    """Return the time of every frame that can be decoded, and what is missing, in words.

    Raises:
        SourceError: the video cannot be read.
    """
    times: list[float] = []
    with VideoFile(video) as source:
        for frame in source:
            times.append(frame.time)
            advance(len(times), source.claimed or len(times) + 1)
        return times, source.incomplete


def names_of(group: str, parts: Sequence[Segment]) -> list[Path]:
    """Return where each part goes, below the folder of the clips: label/group_first-last.mp4.

    Labels that only differ in letters that no file may have get a number.
    """
    names: dict[Path, None] = {}
    for part in parts:
        stem = f"{file_part(group)}_{part.first:06d}-{part.last - 1:06d}"
        name, number = Path(file_part(part.label)) / f"{stem}.mp4", 1
        while name in names:
            number += 1
            name = name.with_name(f"{stem}-{number}.mp4")
        names[name] = None
    return list(names)


@contextmanager
def cut(
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
    running: list[tuple[Segment, Film, Sampler]] = []
    end = max(part.last for part in parts)
    before: Frame | None = None
    try:
        with VideoFile(video) as source:
            for number, frame in enumerate(source):
                advance(number, end)
                while waiting and waiting[0][0].first <= number:
                    part, path = waiting.pop(0)
                    film = Film(path, "--output", source.fps)
                    film.open()
                    running.append((part, film, Sampler(source.fps, source.fps)))
                for part, film, clock in running:
                    # A video of varying speed is as long in the clip as it was.
                    if before is not None:
                        _hold(film, clock, before, frame.time)
                    for _ in range(clock.take(frame.time)):
                        film.write(frame.bgr)
                    if number == part.last - 1:
                        _hold(film, clock, frame, frame.time + frame.duration)
                        film.close()
                before = frame
                running = [each for each in running if number < each[0].last - 1]
                if number == end - 1:
                    break
    finally:
        for _, film, _ in running:
            film.discard()


def _hold(film: Film, clock: Sampler, shown: Frame, until: float) -> None:
    """Let a picture stand still until a time in seconds, where it is shown for long."""
    for still in clock.stills(until):
        for _ in range(clock.take(still, still=True)):
            film.write(shown.bgr)
