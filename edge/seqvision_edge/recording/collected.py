"""Clips that a run collected for later: files beside each other, and what the model thought.

    FOLDER/20261121T130405.123Z_camera_0.mp4
    FOLDER/collected.csv        clip,label,confidence and any other columns

`clip` begins at the folder, `label` is the model's guess and `confidence` how sure it was, 0 to 1;
both may be empty.  A column `group` is the person or recording.  Who looks through them never
writes here: a clip that has its line in `clips.csv`, or is gone, has been looked at.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from seqvision_edge.csv_cells import dict_reader
from seqvision_edge.errors import RecordingError
from seqvision_edge.numerals import number
from seqvision_edge.recording.rows import COLLECTED_NAME
from seqvision_edge.recording.takes import Takes


@dataclass(frozen=True, slots=True)
class Collected:
    """A clip without a label of a person; `confidence` is None where nobody said it."""

    path: Path
    guess: str
    confidence: float | None
    group: str = ""


def read_collected(folder: Path) -> list[Collected]:
    """Return the clips that a run collected; none where there is no such list.

    Raises:
        RecordingError: the list cannot be read, lacks a column, or leads out of the folder.
    """
    path = folder / COLLECTED_NAME
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = dict_reader(file, restval="")
            missing = {"clip", "label", "confidence"} - set(reader.fieldnames or ())
            if missing:
                raise RecordingError(f"{path}: the first line has no column {min(missing)}")
            return [_clip(folder, reader.line_num, row) for row in reader]
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a readable CSV ({error})") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from None


def not_looked_at(takes: Takes) -> list[Collected]:
    """Return the collected clips that nobody has kept or deleted, the most doubtful first."""
    listed = {take.path for take in takes.all()}
    waiting = [
        clip
        for clip in read_collected(takes.folder)
        if clip.path.is_file() and clip.path.relative_to(takes.folder).as_posix() not in listed
    ]
    return sorted(waiting, key=lambda clip: clip.confidence or 0.0)


def _clip(folder: Path, line: int, row: dict[str, str]) -> Collected:
    where = f"{folder / COLLECTED_NAME}, line {line}"
    path = folder / row["clip"]
    if not row["clip"] or not path.resolve().is_relative_to(folder.resolve()):
        raise RecordingError(f"{where}: {row['clip']!r} is no clip of this folder")
    text = row["confidence"].strip()
    confidence = number(text)
    if text and confidence is None:
        raise RecordingError(f"{where}: confidence is {text!r}, must be a number")
    return Collected(path, row["label"].strip(), confidence, row.get("group", "").strip())
