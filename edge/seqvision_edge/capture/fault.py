"""Why a live source gives no frames."""

import errno
from typing import Literal

from seqvision_edge.errors import SourceError

Silent = Literal["stalled", "disconnected"]

_WORDS = {
    errno.ENOENT: "missing",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
    errno.EBUSY: "busy",
    errno.ENODEV: "not_a_camera",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNREFUSED: "refused",
}


class CaptureFault(SourceError):  # noqa: N818
    """A live source cannot be opened, or was lost.

    Attributes:
        state: `stalled` where it is open and silent, else `disconnected`.
        reason: a word for programs: `missing`, `forbidden`, `busy`, `not_a_camera`, `timeout`,
            `refused`, `unauthorized`, `not_found`, `crashed`, `unreadable`, …
    """

    def __init__(self, message: str, reason: str, state: Silent = "disconnected") -> None:
        super().__init__(message)
        self.state: Silent = state
        self.reason = reason


def error_code(error: OSError) -> str:
    """Return the word for what the system says; an error may bring its own as `reason`."""
    own: str | None = getattr(error, "reason", None)
    return own or _WORDS.get(error.errno or 0, "unreadable")
