"""One take: where its clip is, what it shows and who shows it, in words that a training takes."""

import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from seqvision_edge.card import MAX_LABEL_LENGTH
from seqvision_edge.errors import RecordingError
from seqvision_edge.names import folder_part, why_unseen
from seqvision_edge.recording.rows import COLLECTED_NAME, LIST_NAME, Row


@dataclass(frozen=True, slots=True)
class Take:
    """One clip of the list.

    Attributes:
        path: where it is, from the folder on, with slashes; it tells takes apart.
        label: what it shows.
        person: who shows it; may be empty.
    """

    path: str
    label: str
    person: str = ""


def clean_label(label: str) -> str:
    """Return a label as a training takes it.

    Raises:
        RecordingError: it is empty, too long, or has letters that nobody sees.
    """
    return _clean(label, "label", 1)


def clean_person(person: str) -> str:
    """Return a person's name as the list has it; it may be empty.

    Raises:
        RecordingError: it is too long, or has letters that nobody sees.
    """
    return _clean(person, "person", 0)


def _clean(text: str, what: str, shortest: int) -> str:
    # One letter can be written in several ways, and would be several labels.
    text = unicodedata.normalize("NFC", text).strip()
    if not shortest <= len(text) <= MAX_LABEL_LENGTH:
        raise RecordingError(f"{what} {text!r}: must have 1 to {MAX_LABEL_LENGTH} letters")
    why = why_unseen(text)
    if why is not None:
        raise RecordingError(f"{what} {text!r}: {why}")
    return text


def take_of(row: Row) -> Take:
    return Take(row["path"].strip(), row["label"].strip(), row.get("group", "").strip())


def row_of(path: str, label: str, person: str) -> Row:
    return {"path": path, "label": label, "group": person}


def is_ours(take: Take) -> bool:
    """Whether a take's file lies where this module puts it."""
    return PurePosixPath(take.path).parts[:-1] == (folder_name(take.label),)


def folder_name(label: str) -> str:
    """Return the folder of a label; the lists of this folder keep their own names."""
    name = folder_part(label)
    return f"{name}_" if name.casefold() in (LIST_NAME, COLLECTED_NAME) else name
