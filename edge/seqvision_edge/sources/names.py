"""What a source is called: printable, short, and like no other one of its run."""

from collections.abc import Sequence

LONGEST = 64


def printable(text: str) -> str:
    """Return the text without control characters, and without the middle of a long one.

    Both ends of a path or URL tell more than its middle does.
    """
    letters = (letter if letter.isprintable() else " " for letter in text)
    clean = " ".join("".join(letters).split()) or "source"
    if len(clean) <= LONGEST:
        return clean
    head = LONGEST // 3
    return f"{clean[:head]}…{clean[head + 1 - LONGEST :]}"


def unique(names: Sequence[str]) -> list[str]:
    """Return the names, with ` (2)`, ` (3)` … behind those that came before."""
    taken: set[str] = set()
    found: list[str] = []
    for name in names:
        number, new = 1, name
        # A later name may itself look like "camera 0 (2)".
        while new in taken:
            number += 1
            suffix = f" ({number})"
            new = name[: LONGEST - len(suffix)] + suffix
        taken.add(new)
        found.append(new)
    return found
