"""A connection's transport, with two things that asyncio leaves to its user.

Reading may be paused for several reasons at once, and a connection that is closed, or whose client
takes nothing, ends although its last bytes cannot be sent.
"""

import asyncio
from collections.abc import Callable
from typing import Any

# Of one read: whoever sends much gets many turns of the event loop, not long ones.
READ_BYTES = 16 << 10


class BoundedTransport:
    """A transport around asyncio's; what is not here is that one's."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float
    ) -> None:
        """Wrap a transport; `seconds` are given to a client that takes nothing."""
        self._transport, self._loop, self._seconds = transport, loop, seconds
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

    def close(self) -> None:
        """Close it once everything is sent, or the time for it is up."""
        if not self._transport.is_closing():
            self._transport.close()
        if self._transport.get_write_buffer_size():
            self._later(self._transport.abort)

    def _later(self, act: Callable[[], None]) -> None:
        if self._stalled is None:
            self._stalled = self._loop.call_later(self._seconds, act)
