"""Which directions a label names, however it is spelled, and which label is its mirror image.

swipe_left, SwipeLeft, leftSwipe, swipeleft, left2right, "Push left(hand)", hand_l, gauche, 左, 👈
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from seqvision.data.direction_words import (
    AGAINST,
    AND,
    ANYWHERE,
    ASCII_SIGNS,
    CLOCKWISE,
    COMPOUNDS,
    COUNTERCLOCKWISE,
    GESTURES,
    GLUED,
    GLUED_LETTERS,
    GLUED_SHORT,
    LEFT,
    LETTERS,
    MIRRORED,
    NOT_DIRECTIONS,
    NOT_TOGETHER,
    RIGHT,
    SHORT_PAIRS,
    SIGNS,
    TO,
    UPSIDE_DOWN,
    WORDS,
)

# A direction is its name in `direction_words`; any other part of a label has a mark before it, so
# that the word up in a text is never taken for one that was found to mean a direction.
Parts = tuple[str, ...]
_WORD = "="
_CAMEL = re.compile(r"[^\W\d_]+")
_BENDS = re.compile(r"(?<=[a-zà-öø-ÿа-яё])(?=[A-ZÀ-ÖØ-ÞА-ЯЁ])|(?<=[A-Z])(?=[A-Z][a-z])")
_EVERY = frozenset((*MIRRORED, *UPSIDE_DOWN))


class Directions:
    """The directions that each of the labels of a data set names.

    Attributes:
        parts: of each label, its words in order; a direction stands as its bare name.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """Read the labels; what a short form means depends on the other ones."""
        self.labels = tuple(labels)
        words = {label: _words(label) for label in labels}
        self.parts = {label: _joined(_resolve(label, words[label], words)) for label in self.labels}
        for label in self.labels:
            self._take_partners_by_spelling(label)

    def named(self, label: str) -> frozenset[str]:
        """Return the directions that a label names; none where it names both ends at once."""
        return frozenset(_EVERY.intersection(self.parts[label]))

    def words(self, label: str) -> frozenset[str]:
        """Return the words of a label that are no directions, in small letters."""
        return frozenset(part.removeprefix(_WORD) for part in self.parts[label]) - _EVERY

    def partner(self, label: str, exchanged: Mapping[str, str]) -> str | None:
        """Return the same label with its directions exchanged."""
        parts = tuple(exchanged.get(part, part) for part in self.parts[label])
        others = [other for other in self.labels if other != label]
        same = [other for other in others if self.parts[other] == parts]
        same = same or [other for other in others if sorted(self.parts[other]) == sorted(parts)]
        return same[0] if len(same) == 1 else None

    def _take_partners_by_spelling(self, label: str) -> None:
        """See a direction in bleft where there is a label bright."""
        folded = {_fold(other): other for other in self.labels}
        text = _fold(label)
        if LEFT not in text or self.named(label):
            return
        other = folded.get(text.replace(LEFT, RIGHT))
        if other is not None and not self.named(other):
            for one, side in ((label, LEFT), (other, RIGHT)):
                before, _, after = _fold(one).partition(side)
                parts = (_WORD + before, side, _WORD + after)
                self.parts[one] = tuple(part for part in parts if part != _WORD)


def _words(label: str) -> list[str]:
    """Return the words, numbers and arrows of a label, in small letters where there are such."""
    return [word for token in _tokens(label) for word in _parts_of(token)]


def _tokens(label: str) -> Iterator[str]:
    """Yield runs of letters (with their accents), runs of digits, and signs one by one."""
    run = ""
    for char in unicodedata.normalize("NFKC", label):
        kind = unicodedata.category(char)
        if kind in ("Mn", "Mc") and unicodedata.name(char, "").startswith("VARIATION SELECTOR"):
            continue  # selects the colourful form of an arrow
        kind = "L" if kind[0] in "LM" else kind[0]
        if run and (kind not in "LN" or (kind == "N") != run[-1].isnumeric()):
            yield run
            run = ""
        if kind in "LN":
            run += char
        elif char in SIGNS or char in ASCII_SIGNS:
            yield char
    if run:
        yield run


def _parts_of(token: str) -> list[str]:
    """Split a token where a capital begins, and where a direction is glued to another word."""
    if token in SIGNS or token in ASCII_SIGNS:
        return [token]
    if not any(char.isupper() or char.islower() for char in token):
        return _found_anywhere(token)
    whole = _known(_small(token))
    if whole is not None:
        return whole
    pieces = _BENDS.split(token)
    found = [part for piece in pieces for part in _part_of(_small(piece))]
    if len(pieces) > 1 and not any(part in _EVERY for part in found):
        glued = _glued(_small(token))  # CWturn is split at the wrong letter
        if glued is not None:
            return glued
    return found


def _part_of(word: str) -> list[str]:
    return _known(word) or _glued(word) or [_WORD + word]


def _known(word: str) -> list[str] | None:
    """Return a word that is in the lists; a word that only looks like a direction is itself."""
    folded = _fold(word)
    if folded in COMPOUNDS:
        return [part if part in _EVERY else _WORD + part for part in COMPOUNDS[folded]]
    direction = WORDS.get(word) or _FOLDED.get(folded)
    if direction is not None:
        return [direction]
    return [_WORD + word] if folded in NOT_DIRECTIONS else None


def _glued(word: str) -> list[str] | None:
    """Return the parts of swipeleft, lefthand, swipeleftfast, turncw, lhand; None for others."""
    folded = _fold(word)
    for part in _GLUED:
        before, found, after = folded.partition(part)
        if found and _is_apart(before, part, after):
            parts = [*_rest(before), _FOLDED[part], *_rest(after)]
            return [each for each in parts if each != _WORD]
    for part, direction in (*GLUED_SHORT.items(), *GLUED_LETTERS.items()):
        if folded.startswith(part) and folded[len(part) :] in GESTURES:
            return [direction, _WORD + folded[len(part) :]]
        # swiper and waver are words; handl and handr are not.
        ends = folded.removesuffix(part)
        is_word = part == "r" and ends.endswith(("e", "i"))
        if ends != folded and ends in GESTURES and not is_word:
            return [_WORD + ends, direction]
    return None


def _is_apart(before: str, part: str, after: str) -> bool:
    """Whether a direction inside a word is one: bright, cleft and uprightness have none."""
    looks = {RIGHT: ("b", "f", "w"), LEFT: ("c",)}.get(part, ())
    if before.endswith(looks) and before not in GESTURES:
        return False
    if before and after:
        return before in GESTURES or after in GESTURES or after in _FOLDED
    rest = before or after
    return len(rest) > 1


def _rest(text: str) -> list[str]:
    """Return the rest of a label with a direction in it, which may be another one: leftright."""
    return _part_of(text) if text else []


def _found_anywhere(token: str) -> list[str]:
    """Split a token of a script without capitals at the directions in it."""
    parts, start = [], 0
    for match in _ANYWHERE.finditer(token):
        parts += [_WORD + token[start : match.start()], ANYWHERE[match.group()]]
        start = match.end()
    parts.append(_WORD + token[start:])
    return [part for part in parts if part != _WORD]


def _resolve(label: str, words: Sequence[str], every: Mapping[str, Sequence[str]]) -> list[str]:
    """Decide what letters, short forms and signs mean among the labels that there are."""
    parts = list(words)
    has_letters = any(map(_is_text, parts))
    for index, word in enumerate(words):
        if word in SIGNS:
            between = 0 < index < len(words) - 1
            if not (between and all(_is_text(words[index + step]) for step in (-1, 1))):
                parts[index : index + 1] = [" ".join(SIGNS[word])]
            else:
                parts[index] = _WORD + "to"
        elif word in ASCII_SIGNS:
            parts[index] = _WORD + word if has_letters else " ".join(ASCII_SIGNS[word])
        else:
            parts[index] = _by_the_others(word, index, label, every) or word
    return [each for part in parts for each in (part.split(" ") if part[0] != _WORD else [part])]


def _is_text(word: str) -> bool:
    return word in _EVERY or (word[0] == _WORD and word[1:].isalpha())


def _by_the_others(
    word: str, index: int, label: str, every: Mapping[str, Sequence[str]]
) -> str | None:
    """Return the direction of a short form, seen by what other labels have at its position."""
    short = word.removeprefix(_WORD)
    if word in _EVERY or len(short) > 9:
        return None
    words = every[label]
    rivals = {
        other[index].removeprefix(_WORD)
        for other in every.values()
        if len(other) == len(words)
        and all(
            a == b
            for position, (a, b) in enumerate(zip(other, words, strict=True))
            if position != index
        )
    }
    for one, other, first, second in SHORT_PAIRS:
        is_alphabet = len(one) == 1 and _is_alphabet(rivals, {one, other})
        if short == one and rivals & {other, second} and not is_alphabet:
            return first
        if short == other and rivals & {one, first} and not is_alphabet:
            return second
    if short in ("l", "r") and not _is_alphabet(rivals, set()):
        return LETTERS[short]
    return None


def _is_alphabet(rivals: set[str], besides: set[str]) -> bool:
    """Whether single letters stand for themselves: l among a, k and m is no side."""
    directions = {"l", "r", "u", "d", "n", "s", "e", "w", "c", "m", "f", "b", "t", *besides}
    return any(len(each) == 1 and each.isalpha() and each not in directions for each in rivals)


def _joined(parts: Sequence[str]) -> Parts:
    """Read words that belong together: counter clockwise, left over, left and right."""
    parts = _one_word(parts, ("clock", "wise"), CLOCKWISE)
    bare = [part.removeprefix(_WORD) for part in parts]
    folded = [_fold(part) for part in bare]
    if any(part in AGAINST for part in folded):
        parts = [COUNTERCLOCKWISE if part == CLOCKWISE else part for part in parts]
        if COUNTERCLOCKWISE in parts:
            parts = [part for part, text in zip(parts, folded, strict=True) if text not in AGAINST]
            bare = [part.removeprefix(_WORD) for part in parts]
    for index, pair in enumerate(pairwise(bare)):
        if pair in NOT_TOGETHER:
            for position in (index, index + 1):
                parts[position] = _WORD + bare[position]
    for index in range(len(parts) - 2):
        one, other = parts[index], parts[index + 2]
        if _fold(bare[index + 1]) in AND and other == {**MIRRORED, **UPSIDE_DOWN}.get(one):
            parts[index] = parts[index + 2] = _WORD + "both"
    return tuple(_WORD + "to" if _fold(part[1:]) in TO else part for part in parts)


def _one_word(parts: Sequence[str], pair: tuple[str, str], meaning: str) -> list[str]:
    """Return the parts with two of them, one after the other, as the one word that they are."""
    found: list[str] = []
    for part in parts:
        if found and (found[-1], part) == (_WORD + pair[0], _WORD + pair[1]):
            found[-1] = meaning
        else:
            found.append(part)
    return found


def _small(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold().replace("i̇", "i"))


def _fold(text: str) -> str:
    """Return a text in small letters without accents."""
    apart = unicodedata.normalize("NFD", _small(text))
    return "".join(char for char in apart if not "\u0300" <= char <= "\u036f").replace("ı", "i")


_FOLDED = {_fold(word): direction for word, direction in WORDS.items()}
# The longest first: counterclockwise has clockwise in it.
_GLUED = sorted(map(_fold, GLUED), key=len, reverse=True)
_ANYWHERE = re.compile("|".join(map(re.escape, sorted(ANYWHERE, key=len, reverse=True))))
