"""The token that a server demands, and the cookie that a page gets for it."""

import hashlib
import hmac
import secrets

COOKIE = "seqvision"
SHORTEST = 16
_MOST_COOKIES = 200
_MOST_OF_OURS = 4


class Key:
    """Knows a token, and a secret of this process that stands for it in a browser."""

    def __init__(self, token: str) -> None:
        self._token = _hash(token)
        self.cookie = secrets.token_urlsafe(32)

    def is_token(self, given: str) -> bool:
        """Whether this is the token; how long the answer takes says nothing of it."""
        return hmac.compare_digest(_hash(given), self._token)

    def opens(self, headers: dict[bytes, bytes]) -> bool:
        """Whether a request with these headers has the token, or the cookie that stands for it."""
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(token.strip()):
            return True
        return any(
            hmac.compare_digest(_hash(held), _hash(self.cookie))
            for held in _cookies(headers.get(b"cookie", b"").decode("latin-1"))
        )


def _cookies(header: str) -> list[str]:
    """Return the values of our cookie; a browser may send it for several paths.

    Python's own parser takes time that grows with the square of the header (CVE-2024-7592), before
    anyone has shown a token.  Our values are plain, so that nothing needs to be unquoted.
    """
    pairs = (part.strip().partition("=") for part in header.split(";", _MOST_COOKIES))
    return [value for name, _, value in pairs if name == COOKIE][:_MOST_OF_OURS]


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(32)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
