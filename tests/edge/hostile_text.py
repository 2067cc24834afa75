"""Texts with control and deceptive characters, and the check that none got through."""

import unicodedata

HOSTILE = (
    # Controls of a terminal: screen, title, link, answers that it types, cursor.
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://x\x07link\x1b]8;;\x07", "\x1bP$q\x1b\\",
    "\x9b31m", "\x9d0;x\x9c", "a\x08\x08b", "\x07", "a\rb", "\x7f", "\x00", "\x0b\x0c", "\x85",
    "\x1b[6n", "\x0e\x0f", "\u2028", "\u2029",
    # The direction of a text.
    "\u202egnp.exe", "\u202a\u202b\u202c\u202d", "\u2066a\u2069", "\u2067\u2068",
    "\u200e\u200f\u061c",
    # What has no width or no shape.
    "a\u200bb", "\u2060", "\ufeff", "\u00ad", "\u180e", "pay\u200dpal", "a\u200c", "\u3164",
    "\u115f\u1160", "\uffa0", "\u2800", "\u034f", "\u17b4", "\ufe00", "a\ufe0f", "\u206a",
    "\U000e0041\U000e007f", "\U000e0100", "\ufff9a\ufffa", "\U0001d173",
    # No letters, and too many marks on one.
    "\ue000", "\U000f0000", "\udcff", "\ud800", "\uffff", "a" + "\u0301" * 50,
)  # fmt: skip
# All of it at once, with what rich takes for its own.
EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b[red]x[/y]\rfake\n: line"
_HIDDEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"


def harmless(text: str) -> bool:
    """Return whether a terminal only shows this, in lines and columns."""
    marks = 0
    for letter in text:
        kind = unicodedata.category(letter)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        joins = letter in "\u200c\u200d"
        if (
            letter in _HIDDEN
            or marks > 4
            or (kind[0] == "C" and letter not in "\n\t" and not joins)
        ):
            return False
        if kind in ("Zl", "Zp"):
            return False
    return True
