"""The sources of a running device, for clients elsewhere."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from typing_extensions import Self

from seqvision_edge.frame import CONNECTING, Image, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.server.sse import Record, records

_QUALITY = 80


class Watching(Protocol):
    """What a server asks about the sources of a device; each call comes from any thread."""

    def sources(self) -> list[dict[str, Any]]:
        """Return how each source is."""

    def picture(self, name: str) -> bytes | None:
        """Return the newest picture of a source as JPEG; None before the first one.

        Raises:
            KeyError: no such source.
        """

    def listen(self, name: str, hear: Callable[[Record], None]) -> Callable[[], None]:
        """Tell `hear` how a source is, and then its records, until what is returned is called.

        `hear` returns at once.

        Raises:
            KeyError: no such source.
        """


@dataclass
class _Seen:
    """The newest of one source."""

    state: Record
    answer: Record | None = None
    bgr: Image | None = None
    frame: int = -1
    jpeg: tuple[int, bytes] | None = None
    came: float | None = None
    listeners: list[Callable[[Record], None]] = field(default_factory=list)


class Newest:
    """A sink that keeps the newest picture, answer and state of each source, and tells listeners.

    A picture is only encoded when somebody asks for it.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Keep sources of these names from the start, others as they come."""
        self._lock = threading.Lock()
        self._seen = {name: _Seen(CONNECTING.to_json()) for name in names}

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Keep the results of the step and pass them to listeners."""
        messages = records(step)
        with self._lock:
            seen = self._seen.get(step.source)
            if seen is None:
                seen = self._seen[step.source] = _Seen(step.state.to_json())
            seen.state = step.state.to_json()
            if step.frame is not None:
                seen.bgr, seen.frame = step.frame.bgr, step.frame.index
                seen.came = monotonic()
            # An answer of before a gap says nothing of now.
            seen.answer = step.prediction.to_json() if step.prediction else None
            listeners = list(seen.listeners)
        for hear in listeners:
            for record in messages:
                hear(record)

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def sources(self) -> list[dict[str, Any]]:
        """Return how each source is, in the order in which they came.

        `frame_age_ms` is how long ago the newest picture came; None before the first one.
        """
        now = monotonic()
        with self._lock:
            return [
                {
                    "name": name,
                    "state": seen.state,
                    "prediction": seen.answer,
                    "picture": seen.bgr is not None,
                    "frame_age_ms": None if seen.came is None else round(1000 * (now - seen.came)),
                }
                for name, seen in self._seen.items()
            ]

    def picture(self, name: str) -> bytes | None:
        """Return the newest picture of a source as JPEG; None before the first one."""
        with self._lock:
            seen = self._seen[name]
            bgr, frame, jpeg = seen.bgr, seen.frame, seen.jpeg
        if bgr is None:
            return None
        if jpeg is not None and jpeg[0] == frame:
            return jpeg[1]
        good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert good, "every frame of a source is a picture"
        content: bytes = data.tobytes()
        with self._lock:
            seen.jpeg = frame, content
        return content

    def listen(self, name: str, hear: Callable[[Record], None]) -> Callable[[], None]:
        """Call `hear` with the state of a source and then with its records, until unsubscribed."""
        with self._lock:
            seen = self._seen[name]
            seen.listeners.append(hear)
            state = seen.state
        hear(state)

        def stop() -> None:
            with self._lock:
                seen.listeners.remove(hear)

        return stop
