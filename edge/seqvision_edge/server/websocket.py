"""uvicorn's WebSocket protocol with a limit on the number of frames that clients send.

Neither uvicorn nor websockets count frames: an empty one costs them as much as one with a picture,
and takes six bytes.  So a client's frames are counted before they are parsed.  It wraps uvicorn's
protocol, and uses only the methods of it that asyncio calls.
"""

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from seqvision_edge.server.limits import Limits
from seqvision_edge.server.transport import BoundedTransport

# Of all connections together, before other tasks have their turn: about a millisecond.
_FRAMES_AT_ONCE = 16
_CONTINUATION = 0
_DATA_CODES = (1, 2)
_POLICY = 1008


class FrameCounter:
    """Find where the frames of a client begin (RFC 6455, 5.2); each byte is scanned once."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._payload = 0
        self.fragments = 0

    def pass_frames(self, data: memoryview, most: int) -> tuple[int, int]:
        """Return the bytes up to the end of `most` frames, and how many frames those are.

        A frame counts when its header is complete.  `fragments` is then the number of frames of the
        current message.
        """
        at = frames = 0
        size = len(data)
        while at < size:
            if self._payload:
                step = min(self._payload, size - at)
                self._payload -= step
                at += step
                continue
            if frames == most:
                break
            step = min(_head_size(self._head) - len(self._head), size - at)
            self._head += data[at : at + step]
            at += step
            if len(self._head) == _head_size(self._head):
                frames += 1
                self._begin()
        return at, frames

    def _begin(self) -> None:
        head = self._head
        length = head[1] & 0x7F
        if length == 126:
            length = int.from_bytes(head[2:4], "big")
        elif length == 127:
            length = int.from_bytes(head[2:10], "big")
        self._payload = length
        code = head[0] & 0x0F
        if code in _DATA_CODES:
            self.fragments = 1
        elif code == _CONTINUATION:
            self.fragments += 1
        self._head = bytearray()


def _head_size(head: bytearray) -> int:
    """Return the length of a frame's header, as far as its first bytes show."""
    if len(head) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
    return 2 + extended + (4 if head[1] & 0x80 else 0)


class Turns:
    """Share the event loop among connections: some frames, then other tasks have their turn."""

    def __init__(self) -> None:
        self._waiting: deque[Metered] = deque()
        self._left = _FRAMES_AT_ONCE
        self._is_renewing = False

    def join(self, connection: "Metered") -> None:
        """Parse the frames of a connection: now, or when it is its turn."""
        if connection not in self._waiting:
            self._waiting.append(connection)
        self._go(connection.loop)

    def _go(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._left > 0:
            connection = self._waiting.popleft()
            self._left -= max(1, connection.parse(self._left))
            if connection.has_more:
                self._waiting.append(connection)
        if not self._is_renewing:
            self._is_renewing = True
            loop.call_soon(self._renew, loop)

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = _FRAMES_AT_ONCE
        self._is_renewing = False
        if self._waiting:
            self._go(loop)


class Metered(asyncio.Protocol):
    """A WebSocket whose frames are limited per second and per message."""

    limits = Limits()
    turns = Turns()

    def __init__(self, **given: Any) -> None:
        """Take the arguments that uvicorn passes to its protocols."""
        self.loop = asyncio.get_running_loop()
        self._inner = WebSocketsSansIOProtocol(**given)
        self._transport: BoundedTransport | None = None
        self._counter = FrameCounter()
        self._waiting = bytearray()
        self._frames = float(self.limits.socket_frames)
        self._counted = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._is_upgraded = self._is_full = self._is_over = False

    @property
    def handshake_complete(self) -> bool:
        """Whether its handshake was answered."""
        return self._inner.handshake_complete

    @property
    def has_more(self) -> bool:
        """Whether frames are waiting that may be parsed now."""
        return bool(self._waiting) and self._timer is None and not (self._is_full or self._is_over)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, BoundedTransport), "the HTTP protocol gives its own"
        self._transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._inner.connection_lost(exc)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        # Otherwise a client that reads nothing could fill the memory with pongs to its pings.
        self._is_full = True
        if self._transport is not None:
            self._transport.pause_writing()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._transport is not None:
            self._transport.resume_writing()
        self._inner.resume_writing()
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if not self._is_upgraded:  # the handshake, from the HTTP protocol
            self._is_upgraded = True
            self._inner.data_received(data)
        elif not self._is_over:
            self._waiting += data
            self._go_on()

    def parse(self, most: int) -> int:
        """Parse up to `most` waiting frames, and return how many they were."""
        assert self._transport is not None
        now, rate = self.loop.time(), self.limits.socket_frames
        self._frames = min(rate, self._frames + rate * (now - self._counted))
        self._counted = now
        with memoryview(self._waiting) as waiting:
            size, frames = self._counter.pass_frames(waiting, min(most, int(self._frames)))
            data = bytes(waiting[:size])
        del self._waiting[:size]
        self._frames -= frames
        if self._counter.fragments > self.limits.fragments:
            self._refuse()
            return frames
        if data:
            try:
                self._inner.data_received(data)
            except InvalidState:  # uvicorn responds to frames after the close
                self._transport.close()
        if self._transport.is_closing():
            self._end()
        elif not self._waiting:
            self._transport.resume_reading("frames")
        elif self._frames < 1:
            self._timer = self.loop.call_later(2 * _FRAMES_AT_ONCE / rate, self._go_on)
        return frames

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.has_more:
            self.turns.join(self)
        if self._waiting and self._transport is not None:
            self._transport.pause_reading("frames")

    def _refuse(self) -> None:
        """Close a connection whose message has too many fragments."""
        assert self._transport is not None
        reason = b"too many fragments"
        payload = _POLICY.to_bytes(2, "big") + reason
        self._transport.write(bytes((0x88, len(payload))) + payload)
        self._end()
        self._transport.close()

    def _end(self) -> None:
        self._is_over = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def websocket_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Return the protocol class for the WebSockets of one server."""
    return type("MeteredWebSocket", (Metered,), {"limits": limits, "turns": Turns()})
