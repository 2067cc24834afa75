"""Errors of cameras and streams, as an error code and one line."""

import errno
import socket
import ssl
from typing import Literal

from seqvision_edge.errors import SourceError

# code → its message, and the system's error number.
_MEANINGS = {
    "unauthorized": ("the user or password is missing or wrong", errno.EACCES),
    "forbidden": ("the server forbids it", errno.EACCES),
    "not_found": ("the server has nothing under this path", errno.ENOENT),
    "refused": ("no server answers at this port", errno.ECONNREFUSED),
    "unreachable": ("no route to this host", errno.EHOSTUNREACH),
    "unknown_host": ("no host has this name", errno.EHOSTUNREACH),
    "timeout": ("the server does not answer", errno.ETIMEDOUT),
    "tls": ("the TLS handshake fails", errno.EPROTO),
    "redirected": ("it redirects to another address; use that one", errno.EREMOTE),
    "server_error": ("the server has an error", errno.EIO),
    "unreadable": ("no readable video", errno.EIO),
    "codec": ("its video cannot be decoded here", errno.EIO),
    "one_picture": (
        "this address gives one picture, not a stream; give the camera's MJPEG or RTSP address",
        errno.EIO,
    ),
    "no_keyframe": (
        "no key frame received; set a shorter key-frame interval in the camera",
        errno.EIO,
    ),
    "ended": ("the stream ended", errno.ECONNRESET),
}
_STATUS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 407: "unauthorized"}
# By name, as only the process of a stream imports PyAV.
_ERRORS = {
    "HTTPUnauthorizedError": "unauthorized",
    "HTTPNotFoundError": "not_found",
    "HTTPServerError": "server_error",
    **dict.fromkeys(
        (
            "HTTPBadRequestError",
            "HTTPForbiddenError",
            "HTTPOtherClientError",
            "HTTPTooManyRequestsError",
        ),
        "forbidden",
    ),
    # Interrupted by our own deadline.
    "ExitError": "timeout",
}
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)

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


class StreamFault(OSError):  # noqa: N818
    """A stream that cannot be opened, or ended.

    Attributes:
        reason: an error code, one of those above.
        detail: further details for the message; "" if there are none.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        meaning, number = _MEANINGS[reason]
        super().__init__(number, f"{meaning} ({detail})" if detail else meaning)
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type["StreamFault"], tuple[str, str]]:
        # It is pickled between the two processes.
        return StreamFault, (self.reason, self.detail)


def of_status(status: int) -> str | None:
    """Return the error code for a status of HTTP or RTSP; None for success."""
    if status in _STATUS:
        return _STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    if 400 <= status < 500:
        return "forbidden"
    return "server_error" if status >= 500 else None


def of_error(error: Exception) -> str:
    """Return the error code for an error of FFmpeg, a socket or an HTTP client."""
    known = _ERRORS.get(type(error).__name__)
    if known:
        return known
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "unknown_host"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return "unreachable"
    return "unreadable"


class CaptureFault(SourceError):  # noqa: N818
    """A live source that cannot be opened, or was lost.

    Attributes:
        state: `stalled` if it is open but silent, else `disconnected`.
        reason: an error code: `missing`, `forbidden`, `busy`, `not_a_camera`, `timeout`, `refused`,
            `unauthorized`, `not_found`, `crashed`, `unreadable`, …
    """

    def __init__(self, message: str, reason: str, state: Silent = "disconnected") -> None:
        super().__init__(message)
        self.state: Silent = state
        self.reason = reason


def error_code(error: OSError) -> str:
    """Return the error code for a system error, or its own `reason` if it has one."""
    own: str | None = getattr(error, "reason", None)
    return own or _WORDS.get(error.errno or 0, "unreadable")
