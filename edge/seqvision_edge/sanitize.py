"""Make untrusted text safe to print, log, and use in file and topic names; redact secrets.

Only the standard library: the command line uses it before anything else is imported.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

# Of a part of a file's name.  File systems count bytes, and two parts, a time and a number fit.
_LONGEST, _LONGEST_BYTES = 48, 96
# Of a source; the number that distinguishes two is appended after it.
LONGEST_SOURCE = 60
# Separators, wildcards, and characters with a meaning in Windows or MQTT.
_NOT_IN_FILES = frozenset('<>:"/\\|?*+#%')
# Windows opens a device under these names, whatever ending they have.
_DEVICES = frozenset(("con", "prn", "aux", "nul", "clock$", "conin$", "conout$")) | frozenset(
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
)
_NOT_IN_TOPICS = frozenset("+#/$\0")

# Classified as letters or symbols, but invisible.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
_NON_JOINER, _JOINER = "\u200c", "\u200d"
# The flags of England, Scotland, Wales and the like: a flag and its name in tag characters.
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")
_VARIANTS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_VIRAMA = 9
_MOST_MARKS = 4

HIDDEN = "***"

# A password may contain every character, so it extends to the last @ that can end it.  A URL that
# was taken for a path has lost one of its slashes; a single letter before them is a drive.
_ACCOUNT = re.compile(r"([a-z][a-z0-9+.-]+:/{1,2})[^\n]*@", re.IGNORECASE)
# Names of secrets in URLs of cameras and services, as a whole name or as a part of one.
_SECRET = (
    r"(?:[\w.%-]*(?:pass|pwd|secret|token|auth|credential|signature|session|api_?key)[\w.%-]*"
    r"|[\w.%-]*[_.-]key|key|sig|usr|user|username|login|account|loginuse|loginpas|sid|jwt|pin)"
)
_VALUE = re.compile(rf"([?&;#]{_SECRET})=[^&;#\s]*", re.IGNORECASE)


def file_part(text: str) -> str:
    """Return the text as a part of a file's name: `a/../b` is `a_.._b`; never empty or hidden."""
    safe = _kept(text.replace(" ", "_"), _NOT_IN_FILES)
    # In a locale that is not UTF-8 some characters cannot be used in a name, and "?" neither.
    encoding = sys.getfilesystemencoding()
    safe = safe.encode(encoding, "replace").decode(encoding).replace("?", "_")
    # The end of a long path is its most specific part.
    short = safe[-_LONGEST:].encode()[-_LONGEST_BYTES:].decode(errors="ignore")
    if len(short) < len(safe):
        # Combining marks of a character that was cut off.
        short = short.lstrip("".join(each for each in short if not _stands_alone(each)))
    return short.strip("._ ") or "_"


def folder_part(text: str) -> str:
    """Return the text as the whole name of a folder or file: `CON` is `CON_` because of Windows."""
    safe = file_part(text)
    head, dot, rest = safe.partition(".")
    return f"{head}_{dot}{rest}" if head.casefold() in _DEVICES else safe


def topic_part(text: str) -> str:
    """Return the text as one level of an MQTT topic: `a/#` is `a__`; never empty."""
    return _kept(text, _NOT_IN_TOPICS) or "_"


def printable(text: str, kept: str = "") -> str:
    """Return the text with control and invisible characters escaped: `\\x1b[2J`.

    These are the ones that `why_unseen` refuses in a label, and excess combining marks.

    Args:
        text: of any origin.
        kept: characters that stay, such as a line break.
    """
    return _spelt(text, lambda letter: letter.encode("unicode_escape").decode(), kept)


def json_line(value: Any) -> str:
    """Return plain data as JSON with readable characters, safe on a terminal too."""
    return _spelt(json.dumps(value, ensure_ascii=False), lambda letter: json.dumps(letter)[1:-1])


def _spelt(text: str, spell: Callable[[str], str], kept: str = "") -> str:
    if text.isascii() and text.isprintable():
        return text
    letters, before, marks = [], "", 0
    for letter, shown in zip(text, _shown(text), strict=True):
        marks = marks + 1 if unicodedata.category(letter) in ("Mn", "Me") else 0
        # A keypad symbol has an emoji form; other ASCII characters have no variants.
        is_odd = (
            marks > _MOST_MARKS
            or letter in _BLANK
            or (bool(_VARIANTS.match(letter)) and before.isascii() and before not in "0123456789#*")
        )
        is_space = unicodedata.category(letter) == "Zs"
        is_plain = letter in kept or ((shown or is_space) and not is_odd)
        letters.append(letter if is_plain else spell(letter))
        before = letter
    return "".join(letters)


def why_unseen(text: str) -> str | None:
    """Return why a text is invisible or ambiguous; None if it is neither.

    Joiners are accepted where they join: inside emoji, and in words of scripts that need them.
    """
    blank = next((letter for letter in text if letter in _BLANK), None)
    hidden = next(
        (letter for letter, shown in zip(text, _shown(text), strict=True) if not shown), blank
    )
    if hidden is not None and unicodedata.category(hidden) == "Cc":
        return "has control characters"
    if hidden is not None:
        return f"has characters that cannot be shown (U+{ord(hidden):04X})"
    if text and not any(unicodedata.category(letter)[0] in "LNPS" for letter in text):
        return "has no visible character"
    return None


def source_name(text: str) -> str:
    """Return the name of a source: its text in one line, without the middle of a long one.

    Both ends of a path or URL are more specific than its middle.
    """
    letters = (letter if letter.isprintable() else " " for letter in text)
    clean = " ".join("".join(letters).split()) or "source"
    if len(clean) <= LONGEST_SOURCE:
        return clean
    head = LONGEST_SOURCE // 3
    return f"{clean[:head]}…{clean[head + 1 - LONGEST_SOURCE :]}"


def deduplicate(names: Iterable[str]) -> list[str]:
    """Return the names, repeated ones with a number: `cam`, `cam-2`."""
    given: list[str] = []
    for name in names:
        number, free = 1, name
        while free in given:
            number += 1
            free = f"{name}-{number}"
        given.append(free)
    return given


def _kept(text: str, refused: frozenset[str]) -> str:
    """Return the text with `_` for refused or invisible characters."""
    return "".join(
        letter if shown and letter not in refused else "_"
        for letter, shown in zip(text, _shown(text), strict=True)
    )


def _shown(text: str) -> list[bool]:
    """Return for each character whether it is visible, or belongs to one that is.

    Invisible are controls, surrogates, unassigned characters, direction marks, and joiners and
    variation selectors that have nothing to join or to vary.
    """
    shown = [letter.isprintable() for letter in text]
    for index, letter in enumerate(text):
        before, after = text[index - 1 : index], text[index + 1 : index + 2]
        if letter in (_NON_JOINER, _JOINER):
            shown[index] = bool(before and after) and _joins(letter, before, after)
        elif _VARIANTS.match(letter):
            is_lone = not before or not shown[index - 1] or bool(_VARIANTS.match(before))
            shown[index] = not is_lone
    for flag in _FLAG.finditer(text):
        shown[flag.start() : flag.end()] = [True] * (flag.end() - flag.start())
    return shown


def _joins(joiner: str, before: str, after: str) -> bool:
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL":
        return True
    is_picture = unicodedata.category(before) in ("So", "Sm", "Sk", "Me") or before == "\ufe0f"
    return joiner == _JOINER and is_picture and unicodedata.category(after) in ("So", "Sm")


def _stands_alone(letter: str) -> bool:
    """Return whether a character is not a combining one."""
    return unicodedata.category(letter)[0] not in "MC" and not _VARIANTS.match(letter)


def redact(text: str) -> str:
    """Return the text without the user, the password and the secret query values of its URLs.

    It hides too much rather than too little: in a line, everything from `://` to the last `@` is
    taken for user and password.
    """
    return _VALUE.sub(rf"\1={HIDDEN}", _ACCOUNT.sub(rf"\1{HIDDEN}@", text))
