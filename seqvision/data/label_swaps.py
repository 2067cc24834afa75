"""What a mirror and playing backwards do to labels."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from seqvision.config import AugmentOptions
from seqvision.errors import DataError

_SIDES = ("left", "right", "cw", "ccw", "clockwise", "counterclockwise", "anticlockwise")
_HEIGHTS = ("up", "down", "upward", "downward", "upwards", "downwards", "top", "bottom",
            "cw", "ccw", "clockwise", "counterclockwise", "anticlockwise")  # fmt: skip
# Words of a movement that is another one when played backwards.
_WAYS = (*_SIDES, *_HEIGHTS, "in", "out", "open", "close", "on", "off", "forward", "forwards",
         "backward", "backwards", "push", "pull", "stand", "sit", "raise", "lower", "fall", "throw",
         "catch", "enter", "leave", "pick", "put", "drop")  # fmt: skip
_FORM = "write two labels with a colon between, like swipe_left:swipe_right"


def check_swaps(
    options: AugmentOptions, labels: Sequence[str]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return what a mirror and playing backwards make of labels, as label index → label index.

    Raises:
        DataError: a name that is not a label of the data, or a label that would become wrong.
    """
    mirrored = mirror_labels(labels, options.swap)
    if options.flip:
        refuse_unsafe_flip(labels, mirrored)
    reversal = reversal_labels(labels, options.reverse_swap)
    if options.reverse:
        refuse_empty_reversal(reversal)
    return mirrored, reversal


def mirror_labels(labels: Sequence[str], swap: Sequence[str]) -> dict[int, int]:
    """Read `left:right` pairs into label index → label index.

    Raises:
        DataError: a pair that is not two labels of the data.
    """
    pairs: dict[int, int] = {}
    for text in swap:
        one, other = _pair(labels, text, "--swap")
        if other is None:
            raise DataError(f"--swap {text}: one label only; {_FORM}")
        pairs[one], pairs[other] = other, one
    return pairs


def refuse_unsafe_flip(labels: Sequence[str], pairs: Mapping[int, int]) -> None:
    """Refuse to mirror clips whose label names a side that the mirror exchanges.

    Raises:
        DataError: such a label has no partner in `pairs`.
    """
    for number, label in enumerate(labels):
        if number not in pairs and _names(label, _SIDES):
            raise DataError(
                f"--flip: a mirror changes the label {label}; name the label that it becomes: "
                f"--swap {label}:{_partner(label, labels)}"
            )


def refuse_unsafe_mirrors(labels: Sequence[str], mirrors: Iterable[str]) -> None:
    """Refuse Fliplr and Flipud among the augmenters where they would make a label wrong.

    Raises:
        DataError: a label names a side (Fliplr) or a height (Flipud).
    """
    for name in sorted(mirrors):
        words = _SIDES if name == "Fliplr" else _HEIGHTS
        for label in labels:
            if _names(label, words):
                hint = "; --flip exchanges labels with --swap" if name == "Fliplr" else ""
                raise DataError(f"--augment: {name} makes the label {label} wrong{hint}")


def reversal_labels(labels: Sequence[str], swap: Sequence[str]) -> dict[int, int]:
    """Read what playing backwards makes of labels into label index → label index.

    `left:right` exchanges two, `wave` alone (or `wave:wave`) looks the same backwards.  A label
    that is not named is never played backwards: few movements stay what they are, and a name does
    not tell which.

    Raises:
        DataError: a name that is not a label of the data, or a label by itself that names a way.
    """
    pairs: dict[int, int] = {}
    for text in swap:
        one, other = _pair(labels, text, "--reverse-swap")
        if other in (None, one):
            if _names(labels[one], _WAYS):
                raise DataError(
                    f"--reverse-swap {text}: {labels[one]} is another movement when played "
                    f"backwards; name its partner, as in {labels[one]}:…, or leave it out"
                )
            other = one
        pairs[one], pairs[other] = other, one
    return pairs


def refuse_empty_reversal(pairs: Mapping[int, int]) -> None:
    """Refuse to play backwards where no label allows it.

    Raises:
        DataError: no label was named.
    """
    if not pairs:
        raise DataError(
            "--reverse: say which labels may be played backwards: --reverse-swap "
            "swipe_left:swipe_right for two that exchange, wave for one that stays the same"
        )


def _pair(labels: Sequence[str], text: str, option: str) -> tuple[int, int | None]:
    """Return the indices of `one:other`; other is None for a label alone.

    A label may itself have a colon in its name.
    """
    index = {label: number for number, label in enumerate(labels)}
    if text in index:
        return index[text], None
    for place in (place for place, letter in enumerate(text) if letter == ":"):
        one, other = text[:place], text[place + 1 :]
        if one in index and other in index:
            return index[one], index[other]
    if ":" not in text:
        raise DataError(f"{option} {text}: {_FORM}")
    one, _, other = text.partition(":")
    strange = next((name for name in (one, other) if name not in index), text)
    near = difflib.get_close_matches(strange, labels, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the labels are {', '.join(labels)}"
    raise DataError(f"{option} {text}: no label {strange!r}; {hint}")


def _partner(label: str, labels: Sequence[str]) -> str:
    """Return the label that differs by the other side alone, or a word in its place."""
    for one, other in (("left", "right"), ("ccw", "cw"), ("counterclockwise", "clockwise")):
        for here, there in ((one, other), (other, one)):
            if here in label and label.replace(here, there) in labels:
                return label.replace(here, there)
    return "OTHER"


def _names(label: str, words: Sequence[str]) -> bool:
    parts = label.lower().replace("-", "_").replace(" ", "_").split("_")
    return any(part in words for part in parts)
