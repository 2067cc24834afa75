"""Why a stream of the network gives nothing, and how it is found in what FFmpeg writes."""

import errno
import re

# word → what is said of it, and the system's number for it.
_SAID = {
    "unauthorized": ("the user or password is missing or wrong", errno.EACCES),
    "forbidden": ("the server forbids it", errno.EACCES),
    "not_found": ("the server has nothing under this path", errno.ENOENT),
    "refused": ("no server answers at this port", errno.ECONNREFUSED),
    "unreachable": ("no way leads to this host", errno.EHOSTUNREACH),
    "unknown_host": ("no host has this name", errno.EHOSTUNREACH),
    "timeout": ("the server does not answer", errno.ETIMEDOUT),
    "tls": ("no safe connection (TLS) can be made with it", errno.EPROTO),
    "redirected": ("it sends on to another address; give that one", errno.EREMOTE),
    "server_error": ("the server has an error", errno.EIO),
    "unreadable": ("no video comes that can be read", errno.EIO),
    "ended": ("the stream ended", errno.ECONNRESET),
}
_STATUS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 407: "unauthorized"}
# "method DESCRIBE failed: 401 Unauthorized", "HTTP error 404 Not Found"
_NUMBER = re.compile(r"(?:failed:|HTTP error|returned) (\d{3})\b")
_WORDS = (
    ("refused", "Connection refused"),
    ("unknown_host", "Failed to resolve hostname"),
    ("timeout", "Immediate exit requested|timed out"),
    ("unreachable", "No route to host|Network is unreachable"),
    ("tls", "SSL routines|certificate|TLS"),
)


class StreamFault(OSError):  # noqa: N818
    """A stream gives nothing.

    Attributes:
        reason: a word for programs, one of those above.
    """

    def __init__(self, reason: str) -> None:
        said, number = _SAID[reason]
        super().__init__(number, said)
        self.reason = reason

    def __reduce__(self) -> tuple[type["StreamFault"], tuple[str]]:
        # It crosses from one process to the other.
        return StreamFault, (self.reason,)


def of_status(status: int) -> str | None:
    """Return the word for a status of HTTP or RTSP; None for one that is no fault."""
    if status in _STATUS:
        return _STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    if 400 <= status < 500:
        return "forbidden"
    return "server_error" if status >= 500 else None


def of_log(text: str) -> str | None:
    """Return the word for what FFmpeg wrote; None where it says nothing of use."""
    if found := _NUMBER.search(text):
        return of_status(int(found[1]))
    return next((word for word, pattern in _WORDS if re.search(pattern, text)), None)
