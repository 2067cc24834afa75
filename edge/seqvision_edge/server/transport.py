"""A wrapper of asyncio's transport that handles slow and misbehaving clients.

Reading may be paused for several reasons at once.  A client that is refused while it still sends
gets the response, since the connection is not reset.  A connection that is closed, or whose client
reads nothing, ends even if its last bytes cannot be sent.
"""

import asyncio
from collections.abc import Callable
from typing import Any

# Of one read: a client that sends much gets many short turns of the event loop.
READ_BYTES = 64 << 10
# For a client to read its response, while what it still sends is discarded (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0


class BoundedTransport:
    """Wrap asyncio's transport; everything not defined here is delegated to it."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        may_send_more: Callable[[], bool],
    ) -> None:
        """Wrap a transport.

        Args:
            transport: the wrapped transport.
            loop: the event loop.
            seconds: time limit for a client that reads nothing.
            may_send_more: returns whether the client may be in the middle of a request.
        """
        self._transport, self._loop, self._seconds = transport, loop, seconds
        self._may_send_more = may_send_more
        self.is_lingering = False
        self._reasons: set[str] = set()
        self._stalled: asyncio.TimerHandle | None = None
        if hasattr(transport, "max_size"):  # of asyncio's own event loops
            transport.max_size = READ_BYTES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pause_reading(self, reason: str = "protocol") -> None:
        """Stop reading until every reason given for it is removed."""
        if not self._reasons and not self._transport.is_closing():
            self._transport.pause_reading()
        self._reasons.add(reason)

    def resume_reading(self, reason: str = "protocol") -> None:
        """Remove one reason for not reading."""
        had = bool(self._reasons)
        self._reasons.discard(reason)
        if had and not self._reasons and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Handle a full send buffer: the client has some seconds to read again."""
        self._later(self._transport.abort)

    def resume_writing(self) -> None:
        """Handle that the client reads again."""
        if self._stalled is not None and not self._transport.is_closing():
            self._stalled.cancel()
            self._stalled = None

    def is_closing(self) -> bool:
        """Return whether it is closed, or lingering."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close it once everything is sent, or after a time limit; a second call closes at once."""
        transport = self._transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size():
            self._later(transport.abort)
        if self.is_lingering or not (self._may_send_more() and transport.can_write_eof()):
            transport.close()
            return
        self.is_lingering = True
        try:
            transport.write_eof()
        except OSError:  # the client has reset the connection
            transport.abort()
            return
        transport.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, self.close)

    def _later(self, act: Callable[[], None]) -> None:
        if self._stalled is None:
            self._stalled = self._loop.call_later(self._seconds, act)
