"""What mirrors, turns and playing backwards do to labels."""

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence

from seqvision.config import AugmentOptions
from seqvision.data.clips import normal
from seqvision.data.direction_words import MIRRORED, TURNED, UPSIDE_DOWN, WAYS
from seqvision.data.directions import Directions
from seqvision.errors import DataError

# How a label changes under each kind of turn of the picture.
_CHANGED = {
    "mirror": MIRRORED.keys(),
    "upside-down mirror": UPSIDE_DOWN.keys(),
    "quarter turn": TURNED,
    "half turn": TURNED,
}
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
        DataError: such a label is not in `pairs`; the line has the pairs that fit its spelling.
    """
    directions = Directions(labels)
    unsafe = [
        label
        for number, label in enumerate(labels)
        if number not in pairs and _is_changed(directions, label, "mirror")
    ]
    if not unsafe:
        return
    swaps, lone = [], []
    for label in unsafe:
        partner = directions.partner(label, MIRRORED)
        if partner is None or labels.index(partner) in pairs:
            lone.append(label)
        elif f"{partner}:{label}" not in swaps:
            swaps.append(f"{label}:{partner}")
    first, also = unsafe[0], f" (also {_some(unsafe[1:])})" if len(unsafe) > 1 else ""
    if lone:
        advice = (
            f"no other label is the mirror image of {lone[0]}: leave out --flip, or name what each "
            f"becomes, --swap {_quoted([*swaps, f'{lone[0]}:OTHER'])} "
            f"({_quoted([f'{lone[0]}:{lone[0]}'])} where it looks the same mirrored)"
        )
    else:
        advice = f"name the label that it becomes: --swap {_quoted(swaps)}"
    raise DataError(f"--flip: a mirror changes the label {first}{also}; {advice}")


def refuse_unsafe_turns(
    labels: Sequence[str], turns: Mapping[str, Iterable[str]], pairs: Mapping[int, int]
) -> None:
    """Refuse augmenters that mirror or turn the picture where that would make a label wrong.

    Args:
        labels: of the data.
        turns: what each augmenter may do, as `seqvision.data.augment.turns` reads it.
        pairs: what a mirror makes of labels; one that becomes itself looks the same in any case.

    Raises:
        DataError: a label names a direction that the picture would no longer show.
    """
    directions = Directions(labels)
    for name in sorted(turns):
        kinds = set(turns[name])
        for number, label in enumerate(labels):
            if pairs.get(number) == number:
                continue
            if any(_is_changed(directions, label, kind) for kind in kinds):
                hint = (
                    f"leave it out, or --swap {_quoted([f'{label}:{label}'])} if it looks the same"
                )
                if kinds == {"mirror"}:
                    hint = "--flip exchanges labels with --swap"
                elif name not in ("Fliplr", "Flipud", "Rot90"):
                    hint = (
                        f"turn by 45 degrees at most, or {hint.removeprefix('leave it out, or ')}"
                    )
                raise DataError(f"--augment: {name} makes the label {label} wrong; {hint}")


def swap_notes(
    options: AugmentOptions, labels: Sequence[str], turns: Mapping[str, Iterable[str]]
) -> list[str]:
    """Return notes on the effect of the mirrors that were given.

    Which labels are exchanged and which are taken to stay what they are: a name that is not
    understood as a direction is the one thing that no check finds.
    """
    notes = []
    if options.flip:
        pairs = mirror_labels(labels, options.swap)
        swapped = [(a, b) for a, b in sorted(pairs.items()) if a < b]
        stay = [label for n, label in enumerate(labels) if pairs.get(n, n) == n]
        parts = []
        if swapped:
            exchanged = ", ".join(f"{labels[a]} ↔ {labels[b]}" for a, b in swapped)
            parts.append(f"exchanges {exchanged}")
        if stay:
            parts.append(f"leaves unchanged: {', '.join(stay)}")
        notes.append(f"--flip: {'; '.join(parts)}")
    if turns:
        names = ", ".join(sorted(turns))
        verb = "leave" if len(turns) > 1 else "leaves"
        notes.append(f"--augment: {names} {verb} unchanged: {', '.join(labels)}")
    if options.flip or turns:
        notes += _characters(labels, "--flip" if options.flip else "--augment")
    return notes


def _characters(labels: Sequence[str], option: str) -> list[str]:
    """Return a warning where labels are digits or letters: few look alike mirrored or turned."""
    single = [label for label in labels if len(label) == 1 and label.isalnum()]
    if len(single) < max(2, len(labels) * 2 // 3):
        return []
    return [
        f"{option}: the labels look like digits or letters, and a mirrored or turned 2, 7, b or E "
        "is not one any more; leave it out unless these are names of something else"
    ]


def reversal_labels(labels: Sequence[str], swap: Sequence[str]) -> dict[int, int]:
    """Read what playing backwards makes of labels into label index → label index.

    `left:right` exchanges two, `wave` alone (or `wave:wave`) looks the same backwards.  A label
    that is not named is never played backwards: few movements stay what they are, and a name does
    not distinguish which.

    Raises:
        DataError: a name that is not a label of the data, or a label by itself that names a way.
    """
    pairs: dict[int, int] = {}
    for text in swap:
        one, other = _pair(labels, text, "--reverse-swap")
        if other in (None, one):
            if _is_way(labels[one], labels):
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
            "--reverse: name the labels that may be played backwards: --reverse-swap "
            "swipe_left:swipe_right for two that exchange, wave for one that stays the same"
        )


def _pair(labels: Sequence[str], text: str, option: str) -> tuple[int, int | None]:
    """Return the indices of `one:other`; other is None for a label alone.

    A label may itself have a colon in its name.
    """
    index = {label: number for number, label in enumerate(labels)}
    text = text if text in index else normal(text)
    if text in index:
        return index[text], None
    for position in (position for position, letter in enumerate(text) if letter == ":"):
        one, other = text[:position], text[position + 1 :]
        if one in index and other in index:
            return index[one], index[other]
    if ":" not in text:
        raise DataError(f"{option} {text}: {_FORM}")
    one, _, other = text.partition(":")
    unknown = next((name for name in (one, other) if name not in index), text)
    near = difflib.get_close_matches(unknown, labels, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the labels are {', '.join(labels)}"
    raise DataError(f"{option} {text}: no label {unknown!r}; {hint}")


def _is_changed(directions: Directions, label: str, turn: str) -> bool:
    return not directions.named(label).isdisjoint(_CHANGED[turn])


def _is_way(label: str, labels: Sequence[str]) -> bool:
    """Whether a label names a movement that is another one when played backwards."""
    directions = Directions(labels)
    return bool(directions.named(label)) or not WAYS.isdisjoint(directions.words(label))


def _quoted(pairs: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, pairs))


def _some(labels: Sequence[str], most: int = 5) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more
