"""Labels and names of sources made safe for files, topics and terminals: they hold any letter."""

import unicodedata
from collections.abc import Iterable

_LONGEST = 48
# Of a source; the number that tells two apart comes after it.
LONGEST_SOURCE = 60
# Neither a folder, nor a wildcard, nor what Windows or MQTT gives a meaning of its own.
_NOT_IN_FILES = frozenset('<>:"/\\|?*+#%')
# Windows opens a device under these names, whatever ending they have.
_DEVICES = frozenset(("con", "prn", "aux", "nul", "clock$", "conin$", "conout$")) | frozenset(
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
)
_NOT_IN_TOPICS = frozenset("+#/$\0")


def file_part(text: str) -> str:
    """Return the text as a part of a file's name: `a/../b` is `a_.._b`; never empty or hidden."""
    safe = "".join(_kept(letter, _NOT_IN_FILES) for letter in text.replace(" ", "_"))
    # A long path tells most at its end.
    return safe[-_LONGEST:].strip("._ ") or "_"


def folder_part(text: str) -> str:
    """Return the text as the whole name of a folder or file: `CON` is `CON_` for Windows' sake."""
    safe = file_part(text)
    head, dot, rest = safe.partition(".")
    return f"{head}_{dot}{rest}" if head.casefold() in _DEVICES else safe


def topic_part(text: str) -> str:
    """Return the text as one level of an MQTT topic: `a/#` is `a__`; never empty."""
    return "".join(_kept(letter, _NOT_IN_TOPICS) for letter in text) or "_"


def printable(text: str) -> str:
    """Return the text with what would steer a terminal spelt out: `\\x1b[2J`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def source_name(text: str) -> str:
    """Return what a source is called: its text in one line, without the middle of a long one.

    Both ends of a path or URL tell more than its middle does.
    """
    letters = (letter if letter.isprintable() else " " for letter in text)
    clean = " ".join("".join(letters).split()) or "source"
    if len(clean) <= LONGEST_SOURCE:
        return clean
    head = LONGEST_SOURCE // 3
    return f"{clean[:head]}…{clean[head + 1 - LONGEST_SOURCE :]}"


def told_apart(names: Iterable[str]) -> list[str]:
    """Return the names with a number after each that came before: `cam`, `cam-2`."""
    given: list[str] = []
    for name in names:
        number, free = 1, name
        while free in given:
            number += 1
            free = f"{name}-{number}"
        given.append(free)
    return given


def _kept(letter: str, refused: frozenset[str]) -> str:
    # Controls, surrogates, unassigned letters and marks that turn the direction of a text.
    is_odd = unicodedata.category(letter).startswith("C")
    return "_" if is_odd or letter in refused else letter
