"""Secrets of addresses, kept out of everything that people or programs read.

Only the standard library: the command line uses it before anything else is imported.
"""

import re

HIDDEN = "***"

# A password may hold every character, so it reaches to the last @ that can end it.  A URL that was
# taken for a path has lost one of its slashes; one letter before them is a drive.
_ACCOUNT = re.compile(r"([a-z][a-z0-9+.-]+:/{1,2})[^\n]*@", re.IGNORECASE)
# What cameras and services call their secrets, as a whole name or as a part of one.
_SECRET = (
    r"(?:[\w.%-]*(?:pass|pwd|secret|token|auth|credential|signature|session|api_?key)[\w.%-]*"
    r"|[\w.%-]*[_.-]key|key|sig|usr|user|username|login|account|loginuse|loginpas|sid|jwt|pin)"
)
_VALUE = re.compile(rf"([?&;#]{_SECRET})=[^&;#\s]*", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text without the user, the password and the secret query values of its URLs.

    It rather hides too much: in a line, everything from `://` to the last `@` is taken for user and
    password.
    """
    return _VALUE.sub(rf"\1={HIDDEN}", _ACCOUNT.sub(rf"\1{HIDDEN}@", text))
