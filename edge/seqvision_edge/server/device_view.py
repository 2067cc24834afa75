"""The sources of a running device, as served to clients."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from typing_extensions import Self

from seqvision_edge.card import ImageSpec
from seqvision_edge.frame import CONNECTING, Image, Step
from seqvision_edge.landmarks import draw_landmarks
from seqvision_edge.opencv import cv2
from seqvision_edge.server.sse import Record, step_records

_QUALITY = 80


class DeviceSources(Protocol):
    """The server's interface to the sources of a device; thread-safe."""

    def sources(self) -> list[dict[str, Any]]:
        """Return the status of each source."""

    def picture(self, name: str) -> bytes | None:
        """Return the newest picture of a source as JPEG; None before the first one.

        Raises:
            KeyError: no such source.
        """

    def listen(self, name: str, push: Callable[[Record], None]) -> Callable[[], None]:
        """Call `push` with the state of a source, then with its records, until unsubscribed.

        `push` must not block.  Returns the function that unsubscribes.

        Raises:
            KeyError: no such source.
        """


@dataclass
class _SourceView:
    """The newest data of one source."""

    state: Record
    answer: Record | None = None
    views: tuple[Step, ...] = ()
    bgr: Image | None = None
    parts: tuple[Step, ...] = ()
    frame: int = -1
    jpeg: tuple[int, bytes] | None = None
    arrived: float | None = None
    listeners: list[Callable[[Record], None]] = field(default_factory=list)


class DeviceView:
    """A sink that keeps the newest picture, prediction and state of each source, and notifies
    listeners.

    A picture is encoded only on request.
    """

    def __init__(self, names: Sequence[str] = (), image: ImageSpec | None = None) -> None:
        """Keep sources of these names from the start; others are added at their first step.

        `image` is that of the model's card, for the skeletons of a model of landmarks.
        """
        self._lock = threading.Lock()
        self._image = image
        self._seen = {name: _SourceView(CONNECTING.to_json()) for name in names}

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Keep the results of the step and pass them to listeners."""
        messages = step_records(step)
        with self._lock:
            seen = self._seen.get(step.source)
            if seen is None:
                seen = self._seen[step.source] = _SourceView(step.state.to_json())
            seen.state = step.state.to_json()
            if step.frame is not None:
                seen.bgr, seen.frame = step.frame.bgr, step.frame.index
                seen.parts = step.parts
                seen.arrived = monotonic()
            # A prediction from before a gap is not valid now.
            seen.answer = step.prediction.to_json() if step.prediction else None
            seen.views = step.views
            listeners = list(seen.listeners)
        for push in listeners:
            for record in messages:
                push(record)

    def __exit__(self, *_: object) -> None:
        """Do nothing: no resource is open."""

    def sources(self) -> list[dict[str, Any]]:
        """Return the status of each source, in the order in which they were added.

        `frame_age_ms` is the age of the newest picture; None before the first one.  `views` has the
        regions, each with its outline: corners (x, y) as fractions of the picture.
        """
        now = monotonic()
        with self._lock:
            return [
                {
                    "name": name,
                    "state": seen.state,
                    "prediction": seen.answer,
                    "picture": seen.bgr is not None,
                    "frame_age_ms": None
                    if seen.arrived is None
                    else round(1000 * (now - seen.arrived)),
                    **({"views": [_view(step) for step in seen.views]} if seen.views else {}),
                }
                for name, seen in self._seen.items()
            ]

    def picture(self, name: str) -> bytes | None:
        """Return the newest picture of a source as JPEG; None before the first one."""
        with self._lock:
            seen = self._seen[name]
            bgr, frame, jpeg = seen.bgr, seen.frame, seen.jpeg
            parts = seen.parts
        if bgr is None:
            return None
        if jpeg is not None and jpeg[0] == frame:
            return jpeg[1]
        if self._image is not None and any(part.landmarks is not None for part in parts):
            bgr = bgr.copy()
            draw_landmarks(bgr, parts, self._image, (bgr.shape[1], bgr.shape[0]))
        good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert good, "every frame of a source is a picture"
        content: bytes = data.tobytes()
        with self._lock:
            seen.jpeg = frame, content
        return content

    def listen(self, name: str, push: Callable[[Record], None]) -> Callable[[], None]:
        """Call `push` with the state of a source and then with its records, until unsubscribed."""
        with self._lock:
            seen = self._seen[name]
            seen.listeners.append(push)
            state = seen.state
        push(state)

        def stop() -> None:
            with self._lock:
                seen.listeners.remove(push)

        return stop


def _view(step: Step) -> Record:
    return {
        "name": step.view,
        "outline": [[round(x, 5), round(y, 5)] for x, y in step.outline],
        "prediction": step.prediction.to_json() if step.prediction else None,
    }
