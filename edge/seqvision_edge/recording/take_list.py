"""One take, the list of takes `clips.csv`, and which takes are still to be recorded."""

import csv
import random
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from seqvision_edge.background_label import backgrounds
from seqvision_edge.card import MAX_LABEL_LENGTH
from seqvision_edge.csv_cells import dict_reader, write_dicts
from seqvision_edge.errors import RecordingError
from seqvision_edge.sanitize import folder_part, why_unseen

LIST_NAME = "clips.csv"
# Clips collected by a run; see review.py.
COLLECTED_NAME = "collected.csv"
COLUMNS = ("path", "label", "group")

Row = dict[str, str]

Order = Literal["shuffled", "turn"]

NAME = ".takes.lock"


@dataclass(frozen=True, slots=True)
class Take:
    """One clip of the list.

    Attributes:
        path: relative to the folder, with slashes; identifies the take.
        label: its label.
        person: the person in it; may be empty.
    """

    path: str
    label: str
    person: str = ""


def clean_label(label: str) -> str:
    """Return a label in the form that training expects.

    Raises:
        RecordingError: it is empty, too long, or has invisible characters.
    """
    return _clean(label, "label", 1)


def clean_person(person: str) -> str:
    """Return a person's name as stored in the list; it may be empty.

    Raises:
        RecordingError: it is too long, or has invisible characters.
    """
    return _clean(person, "person", 0)


def _clean(text: str, what: str, shortest: int) -> str:
    # One character can be encoded in several ways, and would become several labels.
    text = unicodedata.normalize("NFC", text).strip()
    if not shortest <= len(text) <= MAX_LABEL_LENGTH:
        raise RecordingError(f"{what} {text!r}: must have 1 to {MAX_LABEL_LENGTH} characters")
    why = why_unseen(text)
    if why is not None:
        raise RecordingError(f"{what} {text!r}: {why}")
    return text


def take_of(row: Row) -> Take:
    return Take(row["path"].strip(), row["label"].strip(), row.get("group", "").strip())


def take_row(path: str, label: str, person: str) -> Row:
    return {"path": path, "label": label, "group": person}


def is_ours(take: Take) -> bool:
    """Return whether a take's file is where this module puts it."""
    return PurePosixPath(take.path).parts[:-1] == (folder_name(take.label),)


def folder_name(label: str) -> str:
    """Return the folder of a label; the lists of this folder keep their own names."""
    name = folder_part(label)
    return f"{name}_" if name.casefold() in (LIST_NAME, COLLECTED_NAME) else name


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns of a list, and its rows in their order."""

    columns: tuple[str, ...] = COLUMNS
    rows: tuple[Row, ...] = ()


def read_take_list(path: Path) -> Rows:
    """Return the contents of a list; empty if there is no such file.

    Raises:
        RecordingError: it is not a list of clips, or cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = dict_reader(file, restval="")
            columns = tuple(reader.fieldnames or ())
            missing = {"path", "label"} - set(columns)
            if missing:
                raise RecordingError(f"{path}: the first line has no column {min(missing)}")
            # A cell beyond the columns has no name: its key is None.
            rows = [{name: row[name] for name in columns} for row in reader]
    except FileNotFoundError:
        return Rows()
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a readable CSV ({error})") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from None
    return Rows(columns, tuple(rows))


def write_take_list(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write a list.

    Raises:
        OSError: it cannot be written, for example on a full disk.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        write_dicts(file, columns, rows, "\n")


def still_to_record(labels: Sequence[str], takes: int, done: Mapping[str, int]) -> Counter[str]:
    """Return the number of missing takes of each label, in the order of the labels."""
    missing = Counter({label: max(0, takes - done.get(label, 0)) for label in labels})
    return +missing


def recording_order(missing: Mapping[str, int], order: Order, seed: int | None = None) -> list[str]:
    """Return the label of each take to record, one after the other.

    Light, pose and mood change during a session.  With all takes of a label in a row, they change
    with the label, and a model may learn them instead of the gesture.  So `shuffled` spreads every
    label over the whole session, each of its takes at a random position in its own section.  `turn`
    is easier to perform: label by label, with the takes of labels without motion spread between the
    others.
    """
    if order == "shuffled":
        generator = random.Random(seed)
        moments = [
            ((number + generator.random()) / count, label)
            for label, count in missing.items()
            for number in range(count)
        ]
        return [label for _, label in sorted(moments)]
    nothing = backgrounds(list(missing))
    shown = [label for label in missing if label not in nothing]
    shown = [label for label in shown for _ in range(missing[label])]
    hidden = [label for label in missing if label in nothing]
    hidden = [label for label in hidden for _ in range(missing[label])]
    indices = [((number + 0.5) / len(shown), 0, label) for number, label in enumerate(shown)]
    indices += [((number + 0.5) / len(hidden), 1, label) for number, label in enumerate(hidden)]
    # A stable sort: labels at the same position keep their order.
    return [label for *_, label in sorted(indices, key=lambda index: index[:2])]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for writing during the block.

    The system releases the lock of a process that dies.

    Raises:
        OSError: the folder cannot be written to, or its file system has no locks.
    """
    with (folder / NAME).open("ab") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield
