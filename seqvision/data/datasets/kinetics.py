"""Kinetics 400, 600 and 700 (Kay et al., 2017; Carreira et al., 2018, 2019).

    *.csv or annotations/*.csv       `label,youtube_id,time_start,time_end,split[,is_cc]`
    <split>/<label>/<youtube_id>_<start, 6 digits>_<end, 6 digits>.mp4

Videos lie by split and label, by split alone or flat: only the name counts.  Videos vanish from
YouTube, so copies are incomplete: what is missing is counted.  The group is the video of origin.
"""

import os
from pathlib import Path

from seqvision.data.datasets.base import Listed, Reading, ReadOptions, keep_present, video_stem
from seqvision.data.datasets.table import Row, read_table
from seqvision.data.splits import part_called
from seqvision.errors import DataError
from seqvision_edge.number_parsing import parse_number

_COLUMNS = ("youtube_id", "time_start", "time_end", "split")
# Six digits of a name.
_MOST_SECONDS = 999_999
_NAMES: dict[str, tuple[str, ...]] = dict.fromkeys(("label", *_COLUMNS), ())


def fits(data: Path) -> bool:
    """Return whether this is a list of Kinetics, or a folder that has one."""
    return bool(_lists(data))


def read(data: Path, options: ReadOptions) -> Reading:
    """Read every list and find its videos.

    Raises:
        DataError: no list, a line is wrong, or not one video is there.
    """
    lists = _lists(data)
    if not lists:
        raise DataError(f"{data}: no CSV with the columns label,{','.join(_COLUMNS)}")
    folder = data if data.is_dir() else data.parent
    listed: dict[Listed, None] = {}  # the same row in two lists is one clip
    unlabelled = 0
    for path in lists:
        rows = _rows(path)
        listed |= dict.fromkeys(row for row in rows if row.label)
        unlabelled += sum(not row.label for row in rows)
    clips, notes = keep_present(list(listed), _videos(folder), folder)
    if unlabelled:
        notes.append(f"{unlabelled} clips have no label (the test part) and are left out")
    return clips, notes


def _lists(data: Path) -> list[Path]:
    paths = [data] if data.is_file() else [*data.glob("*.csv"), *data.glob("annotations/*.csv")]
    return sorted(path for path in paths if _is_list(path))


def _is_list(path: Path) -> bool:
    try:
        return set(_COLUMNS) <= set(read_table(path, _NAMES).columns)
    except DataError:
        return False


def _rows(path: Path) -> list[Listed]:
    return [_row(row.where, row) for row in read_table(path, _NAMES).rows]


def _row(where: str, row: Row) -> Listed:
    video, start, end, split = (row[name] for name in _COLUMNS)
    if not video:
        raise DataError(f"{where}: youtube_id is empty")
    part = part_called(split)
    if part is None:
        raise DataError(f"{where}: split is {split!r}, must be train, val or test")
    first, last = parse_number(start), parse_number(end)
    if first is None or last is None or max(abs(first), abs(last)) > _MOST_SECONDS:
        raise DataError(f"{where}: {start!r} to {end!r} are not seconds")
    name = f"{video}_{int(first):06d}_{int(last):06d}"
    return Listed(name, row["label"], group=video, split=part)


def _videos(folder: Path) -> dict[str, Path]:
    """Return name without suffix → path of every video, however deep."""
    found: dict[str, Path] = {}
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            stem = video_stem(file)
            if stem:
                found.setdefault(stem, Path(parent, file))
    return found
