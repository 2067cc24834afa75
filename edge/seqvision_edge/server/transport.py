"""A connection's transport, with what asyncio leaves to its user.

Reading may be paused for several reasons at once.  A client that still sends when it has been
refused gets the answer, as nothing is reset under it.  A connection that is closed, or whose client
takes nothing, ends although its last bytes cannot be sent.
"""

import asyncio
from collections.abc import Callable
from typing import Any

# Of one read: whoever sends much gets many turns of the event loop, not long ones.
READ_BYTES = 64 << 10
# For a client to take its answer, while what it still sends is thrown away (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0


class BoundedTransport:
    """A transport around asyncio's; what is not here is that one's."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        may_send_more: Callable[[], bool],
    ) -> None:
        """Wrap a transport.

        Args:
            transport: asyncio's.
            loop: the event loop.
            seconds: for a client that takes nothing.
            may_send_more: whether the client may be in the middle of a request.
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
        """Read nothing more until every reason that was given for it is gone."""
        if not self._reasons and not self._transport.is_closing():
            self._transport.pause_reading()
        self._reasons.add(reason)

    def resume_reading(self, reason: str = "protocol") -> None:
        """Take one reason back."""
        had = bool(self._reasons)
        self._reasons.discard(reason)
        if had and not self._reasons and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Take that the client takes nothing; it has some seconds to begin."""
        self._later(self._transport.abort)

    def resume_writing(self) -> None:
        """Take that it takes something again."""
        if self._stalled is not None and not self._transport.is_closing():
            self._stalled.cancel()
            self._stalled = None

    def is_closing(self) -> bool:
        """Whether it is closed, or lingers."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close it once everything is sent, or the time for it is up; a second time, at once."""
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
        except OSError:  # the client has reset the connection: it takes no answer
            transport.abort()
            return
        transport.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, self.close)

    def _later(self, act: Callable[[], None]) -> None:
        if self._stalled is None:
            self._stalled = self._loop.call_later(self._seconds, act)
