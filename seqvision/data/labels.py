"""Labels in one form of Unicode, and those that differ only in how they are written."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

_DIVIDER = re.compile(r"(?<!\d)[\s_\-\u2010-\u2014]+|[\s_\-\u2010-\u2014]+(?!\d)")


def normal(label: str) -> str:
    """Return a label in Unicode's composed form (NFC): a Mac's `ü` is the `ü` of a list."""
    return unicodedata.normalize("NFC", label)


def alike_notes(labels: Iterable[str]) -> list[str]:
    """Return a question for each set of labels that differ only in case, spaces or the like."""
    sets: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        sets[_bare(label)].append(label)
    return [
        f"labels {_listed(same)} differ only in {_difference(same)}: are they one?"
        for same in sets.values()
        if len(same) > 1
    ]


def _bare(label: str) -> str:
    return _joined(_visible(label).casefold())


def _visible(label: str) -> str:
    """Return the label in plain letters: no full-width forms, no letters that are not seen."""
    plain = unicodedata.normalize("NFKC", label)
    return "".join(
        " " if letter.isspace() else letter
        for letter in plain
        if unicodedata.category(letter) != "Cf"
    )


def _joined(label: str) -> str:
    """Return a label without what divides its words; what divides numbers stays."""
    return _DIVIDER.sub("", label)


def _difference(labels: list[str]) -> str:
    """Return in words how labels differ: each way without which they would still differ."""
    ways: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("case", str.casefold),
        ("spaces, _ or -", _joined),
        ("the form of their letters", _visible),
    )
    for name, way in ways:
        if len({way(label) for label in labels}) == 1:
            return name
    apart = []
    for number, (name, _) in enumerate(ways):
        texts = set(labels)
        for other, (_, way) in enumerate(ways):
            if other != number:
                texts = {way(text) for text in texts}
        if len(texts) > 1:
            apart.append(name)
    return " and ".join(apart or [name for name, _ in ways])


def _listed(labels: list[str]) -> str:
    shown = [repr(label) for label in labels]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
