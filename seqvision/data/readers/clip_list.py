"""A list: CSV with the columns `path,label[,group][,split][,fps]`.

`path` is a video, a folder of frames or an image; relative ones start at the list's own folder.
"""

import csv
from pathlib import Path

from seqvision.data.clips import SPLITS, Clip
from seqvision.data.readers import kinetics
from seqvision.data.readers.reader import Reading, Wanted
from seqvision.errors import DataError

LIST_NAME = "clips.csv"


def fits(data: Path) -> bool:
    """Tell whether this is a list, or a folder that has one under the name `clips.csv`."""
    if data.is_file():
        return data.suffix.lower() == ".csv" and not kinetics.fits(data)
    return (data / LIST_NAME).is_file()


def read(data: Path, wanted: Wanted) -> Reading:
    """Read the list.

    Raises:
        DataError: a missing column, or a row that is not complete, with its line.
    """
    return read_list(data if data.is_file() else data / LIST_NAME), []


def read_list(path: Path, labelled: bool = True) -> list[Clip]:
    """Read a list; where nobody has labelled it, its column `path` is enough.

    Raises:
        DataError: a missing column, or a row that is not complete, with its line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = ({"path", "label"} if labelled else {"path"}) - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path}: the first line lacks the column {sorted(missing)[0]}")
            return [_row(path, reader.line_num, row, labelled) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _row(path: Path, line: int, row: dict[str, str | None], labelled: bool) -> Clip:
    where = f"{path}, line {line}"
    name, label = (row["path"] or "").strip(), (row.get("label") or "").strip()
    if not name or (labelled and not label):
        raise DataError(f"{where}: path{' or label' if labelled else ''} is empty")
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
