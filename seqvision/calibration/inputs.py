"""What the given paths are: labelled clips, or untrimmed videos each with the truth about it.

takes/monday.mp4  takes/monday.json      a folder, or one of its videos
takes.csv                                a list with the columns video,truth
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqvision.data.clips import natural
from seqvision.data.datasets import DataSet
from seqvision.data.datasets.clip_list import columns_of
from seqvision.data.datasets.table import SUFFIXES, read_table
from seqvision.data.file_kinds import is_video
from seqvision.errors import DataError
from seqvision_edge.errors import SourceError
from seqvision_edge.event_metrics import TrueEvent, read_truth
from seqvision_edge.hints import archive, path_error
from seqvision_edge.regions import Region, parse_region


@dataclass(frozen=True)
class TruthVideo:
    """An untrimmed video, and what happens in it, or in a region of its picture."""

    video: Path
    truth: tuple[TrueEvent, ...]
    region: Region | None = None

    def of_region(self, text: str | None) -> "TruthVideo":
        """Return the part of the picture of `--region`, with the events of that region.

        None is the whole picture.  Events without a region are those of any.
        """
        region = None if text is None else parse_region(text)
        name = "" if region is None else region.name
        truth = tuple(
            event.model_copy(update={"view": ""})
            for event in self.truth
            if not name or event.view in ("", name)
        )
        return replace(self, truth=truth, region=region)


@dataclass(frozen=True)
class CalibrationInputs:
    """What a model is calibrated on.

    Attributes:
        clips: the folders and lists of labelled clips.
        takes: untrimmed videos with their truth.
        unmarked: videos without one.
        data_sets: the clips of `clips`; empty where the model's card was not known yet.
    """

    clips: tuple[Path, ...]
    takes: tuple[TruthVideo, ...]
    unmarked: tuple[Path, ...]
    data_sets: tuple[DataSet, ...] = ()


def find_inputs(paths: Sequence[Path]) -> CalibrationInputs:
    """Separate clips from takes; each take is used once.

    Raises:
        DataError: a path leads nowhere, or is neither; a list or a truth cannot be read.
    """
    clips: list[Path] = []
    unmarked: list[Path] = []
    takes: dict[Path, TruthVideo] = {}
    for path in paths:
        if not path.exists():
            raise DataError(path_error(path))
        pairs = _pairs(path)
        if not pairs:
            clips.append(path)
        for video, truth in pairs:
            if truth is None:
                unmarked.append(video)
            else:
                takes[video.resolve()] = TruthVideo(video, _read(truth))
    return CalibrationInputs(tuple(clips), tuple(takes.values()), tuple(unmarked))


def _pairs(path: Path) -> list[tuple[Path, Path | None]]:
    """Return videos and their truths; nothing where this is a data set of clips."""
    if path.is_dir():
        videos = sorted((child for child in path.iterdir() if _is_take(child)), key=natural)
        pairs = [(video, _truth_file(video)) for video in videos]
        return pairs if any(truth for _, truth in pairs) else []
    if _is_take(path):
        truth = _truth_file(path)
        if truth is None:
            raise DataError(
                f"{path}: its truth {path.with_suffix('.json').name} is missing: "
                '{"events": [{"label": …, "start": seconds, "end": seconds}, …]}'
            )
        return [(path, truth)]
    if path.suffix.lower() not in SUFFIXES:
        packed = archive(path)
        raise DataError(f"{path}: {packed or 'neither a folder, a .csv list nor a video'}")
    return list(_listed(path))


def _listed(path: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield the rows of a list of takes; a list of clips has other columns."""
    table = read_table(path, {"video": (), "truth": ()})
    if not {"video", "truth"} <= set(table.columns):
        if path.suffix.lower() != ".csv" and "path" not in columns_of(path):
            raise DataError(f"{path}: neither a folder, a .csv list nor a video")
        return
    for row in table.rows:
        found = [row[key] for key in ("video", "truth")]
        for name in found:
            if not name or not (path.parent / name).is_file():
                raise DataError(f"{row.where}: no such file: {name!r}")
        yield path.parent / found[0], path.parent / found[1]


def _read(path: Path) -> tuple[TrueEvent, ...]:
    try:
        return tuple(read_truth(path))
    except SourceError as error:
        raise DataError(str(error).removeprefix("--truth ")) from None


def _truth_file(video: Path) -> Path | None:
    truth = video.with_suffix(".json")
    return truth if truth.is_file() else None


def _is_take(path: Path) -> bool:
    return is_video(path.name) and not path.name.startswith(".") and path.is_file()
