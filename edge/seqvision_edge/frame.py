"""One frame of a source, and the step it becomes: answer, events and states, as plain data."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.errors import SourceError
from seqvision_edge.types import Event, Prediction, SourceState, utc

Image = NDArray[np.uint8]

# Of one frame; 8K (7680 x 4320) fits.  A file of a few kilobytes can claim frames of gigabytes.
MAX_PIXELS: Final = 1 << 25

CONNECTING = SourceState("connecting")

Record = dict[str, Any]


class FrameRefused(SourceError):  # noqa: N818
    """A frame is of a pixel format that cannot be converted, or too large."""


class FrameTooLarge(FrameRefused):
    """A frame has more pixels than may be read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        bgr: `(height, width, 3)` uint8, as OpenCV gives it; of a live source at most as large as
            people look at it.
        time: seconds since the source began, rising: by the stream's own timestamps for files, by
            the monotonic clock at arrival for live sources.
        index: the number of the frame in its source, from 0; frames that were lost are counted.
        name: of the file that is this frame; None where one file or stream holds many.
        image: `(height, width, channels)` uint8, the frame as the model reads it, where the process
            that captured it has made it already; else None.  Of a still image that its sender has
            cut already, all its steps: `(steps, height, width, channels)`.
        duration: seconds for which a file says that it is shown; 0 where that is not known.
        repeated: the frame before, which stands still, again: at a tick of the model's clock.
        arrived: the monotonic clock when a live source gave it; None for recorded ones.
    """

    bgr: Image
    time: float
    index: int
    name: str | None = None
    image: Image | None = None
    duration: float = 0.0
    repeated: bool = False
    arrived: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One frame's way through a run, as handed to every sink.

    Attributes:
        source: the name of the source that it belongs to.
        frame: the frame; None where something else is told: a new state, or the end of the source.
        prediction: the newest answer; None before the first one and after a value that is not
            finite.
        answered: whether `prediction` is this frame's own; the frames between two ticks of the
            model's clock keep the answer of the tick before.
        window_fill: how full the model's window is, 0 to 1.
        smoothed: the probabilities that decide, by label; empty while the window is not full.
            An answer that is unsure counts in them as 0 for every label.
        shown: the model's own probabilities, smoothed alike, where they can differ from `smoothed`.
        events: those that ended with this frame, each once.
        active: the event that goes on, as far as the newest answer is about.
        fps: frames per second that the run handles of this source.
        fired: the events to act on now, each gesture once: those that ended, or, with early firing,
            those that surely rise.
        state: how the source is.
        changed: the states that it went through since the step before, `state` being the last.
        nonfinite: how many of its answers were thrown away so far, because they were not finite.
    """

    source: str
    frame: Frame | None = None
    prediction: Prediction | None = None
    answered: bool = False
    window_fill: float = 0.0
    smoothed: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    active: Event | None = None
    fps: float = 0.0
    fired: tuple[Event, ...] = ()
    state: SourceState = CONNECTING
    changed: tuple[SourceState, ...] = ()
    nonfinite: int = 0

    @property
    def window_full(self) -> bool:
        """Whether the model's window is full."""
        return self.window_fill >= 1

    @property
    def is_unsure(self) -> bool:
        """Whether the newest answer is below `decision.min_confidence`."""
        return self.prediction is not None and self.prediction.unsure

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Labels with their probabilities for a person to read, the most probable first.

        Of an unsure answer they are its own, which were judged; else smoothed.
        """
        shares = self.shown or self.smoothed
        if self.prediction is not None and self.is_unsure:
            shares = self.prediction.probabilities
        return sorted(shares.items(), key=lambda item: -item[1])


def records(step: Step) -> Iterator[Record]:
    """Yield the records of a step: new states of its source, its prediction, ended events."""
    for state in step.changed:
        yield record(step.source, state)
    if step.answered and step.prediction is not None:
        yield record(step.source, step.prediction)
    for event in step.events:
        yield record(step.source, event)


def record(source: str, result: Prediction | Event | SourceState) -> Record:
    """Return an answer, an event or a state as plain data that names its source."""
    plain = result.to_json()
    return {"type": plain.pop("type"), "source": source, **plain}


def message(source: str, result: Event | SourceState) -> Record:
    """Return an event or a state as it is sent to other programs.

    `id` is the same in every copy of it, `timestamp` is the wall clock (UTC) at which it is handed
    to the outputs.
    """
    return {**record(source, result), "id": uuid.uuid4().hex, "timestamp": utc(time.time())}
