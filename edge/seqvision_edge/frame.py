"""One frame of a source, and the resulting step: prediction, events and states, as plain data."""

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
    """A frame is too large, or of a pixel format that cannot be converted."""


class FrameTooLarge(FrameRefused):
    """A frame has more pixels than allowed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        bgr: `(height, width, 3)` uint8, BGR as in OpenCV; of a live source at most as large as
            displayed.
        time: seconds since the source began, rising: by the stream's own timestamps for files, by
            the monotonic clock at arrival for live sources.
        index: the number of the frame in its source, from 0; lost frames are counted.
        name: the name of the frame's file; None if a file or stream holds many.
        image: `(height, width, channels)` uint8, the model's input, if the capturing process has
            computed it; of a source of vectors `(features,)` float32, which has no picture; else
            None.  For a still image that its sender has cut already, all its
            steps: `(steps, height, width, channels)`.
        duration: seconds for which the file shows it; 0 if unknown.
        repeated: the previous frame again, still shown at a tick of the model's clock.
        arrived: the arrival by the monotonic clock for live sources; None for recorded ones.
        ticks: how many ticks of the model's clock it answers; None until it is sampled.
        after_gap: the time before it is unknown: no window spans it.  Set when it is sampled.
        images: the model's input of each region of the source, as `image` is that of the whole
            picture; empty without regions, or if it has not been computed.
        size: height and width of the picture as captured, if `bgr` shows it reduced.
    """

    bgr: Image
    time: float
    index: int
    name: str | None = None
    image: NDArray[Any] | None = None
    duration: float = 0.0
    repeated: bool = False
    arrived: float | None = None
    ticks: int | None = None
    after_gap: bool = False
    images: tuple[Image, ...] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of one frame, as passed to every sink.

    Attributes:
        source: the name of its source.
        frame: the frame; None for a new state, or at the end of the source.
        prediction: the newest prediction; None before the first one and after a non-finite
            value.
        answered: whether `prediction` is this frame's own; frames between two ticks of the
            model's clock keep the one of the previous tick.
        window_fill: filled fraction of the model's window, 0 to 1.
        smoothed: the deciding probabilities, by label; empty while the window is not full.
            An unsure prediction counts in them as 0 for every label.
        shown: the model's own probabilities, smoothed alike, if they can differ from `smoothed`.
        events: those that ended with this frame, each once.
        active: the running event, up to the time of the newest prediction.
        fps: frames per second that the run processes of this source.
        fired: the events to act on now, each gesture once: those that ended, or, with early firing,
            those whose label clearly rises.
        state: the state of the source.
        changed: its state changes since the previous step, `state` being the last.
        landmarks: features of its newest step that a model of landmarks has computed, see
            `seqvision_edge.landmarks`; None if there are none.
        nonfinite: number of its predictions discarded so far because they were not finite.
        view: the name of the part of the picture that it is about; "" for all of it.
        outline: the corners (x, y) of that part, as fractions of the picture.
        views: one step per part, in place of `prediction`, `smoothed` and `active`, for a source
            with several views; `events` and `fired` are then those of all of them.
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
    landmarks: NDArray[np.float32] | None = None
    nonfinite: int = 0
    view: str = ""
    outline: tuple[tuple[float, float], ...] = ()
    views: "tuple[Step, ...]" = ()

    @property
    def parts(self) -> "tuple[Step, ...]":
        """The steps that have a prediction each: those of its views, or itself."""
        return self.views or (self,)

    @property
    def title(self) -> str:
        """Its source, and its view if it has one, for display."""
        return f"{self.source} · {self.view}" if self.view else self.source

    @property
    def is_quiet(self) -> bool:
        """Whether the model does not run, since nothing moves."""
        return self.state.reason == "quiet"

    @property
    def window_full(self) -> bool:
        """Whether the model's window is full."""
        return self.window_fill >= 1

    @property
    def is_unsure(self) -> bool:
        """Whether the newest prediction is below `decision.min_confidence`."""
        return self.prediction is not None and self.prediction.unsure

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Return labels with their probabilities for display, the most probable first.

        Those of an unsure prediction are its own; otherwise they are smoothed.
        """
        shares = self.shown or self.smoothed
        if self.prediction is not None and self.is_unsure:
            shares = self.prediction.probabilities
        return sorted(shares.items(), key=lambda item: -item[1])


def records(step: Step) -> Iterator[Record]:
    """Yield the records of a step: new states of its source, its prediction, ended events."""
    for state in step.changed:
        yield to_record(step.source, state)
    for part in step.parts:
        if part.answered and part.prediction is not None:
            yield to_record(step.source, part.prediction)
    for event in step.events:
        yield to_record(step.source, event)


def to_record(source: str, result: Prediction | Event | SourceState) -> Record:
    """Return a prediction, an event or a state as plain data with the name of its source."""
    plain = result.to_json()
    return {"type": plain.pop("type"), "source": source, **plain}


def message(source: str, result: Event | SourceState) -> Record:
    """Return an event or a state as sent to other programs.

    `id` is the same in every copy, `timestamp` is the wall clock (UTC) at which it is passed to the
    outputs.
    """
    return {**to_record(source, result), "id": uuid.uuid4().hex, "timestamp": utc(time.time())}
