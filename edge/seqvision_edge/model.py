"""The Python API of the runtime: one exported model, on clips, live sources and pushed frames.

    from seqvision_edge import Model

    model = Model("model.onnx")
    model.predict("clip.mp4").label
    for event in model.events("rtsp://camera.local/stream"):
        print(event.label, event.start, event.end)

Silent, and without torch.  The commands `edge-run` and `seqvision predict` give the same results.
"""

import math
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.card import Decision, ModelCard, TimedSequence, VectorSequence
from seqvision_edge.errors import ModelError, SourceError
from seqvision_edge.events import is_unsure
from seqvision_edge.frame import Frame, Step
from seqvision_edge.pipeline import Pipeline, make_pipeline, preprocessed_frames
from seqvision_edge.providers import Device
from seqvision_edge.regions import Region, cropped, make_region, named, parse_region
from seqvision_edge.runner import MAX_AGE, run
from seqvision_edge.sampling import centre_start, window_fill, window_starts
from seqvision_edge.session import Frames, Session, run_batch
from seqvision_edge.sinks import Quit
from seqvision_edge.sources.factory import IMAGE_FPS, RecordedSource, Source, open_path
from seqvision_edge.sources.vectors import NO_PICTURE, VectorFile, checked_vector
from seqvision_edge.types import Event, SourceState
from seqvision_edge.vector_files import vectors_of

__all__ = ["ClipPrediction", "LiveStream", "Model", "Update", "Window"]

_NO_LIMIT: Final = float("inf")
# Windows per call of the model.
_BATCH = 8


@dataclass(frozen=True, slots=True)
class Window:
    """The prediction for one window of a clip: from `start` to `end`, in seconds."""

    start: float
    end: float
    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """The prediction for a clip or picture.

    Attributes:
        label: the most probable label.
        probability: its probability, 0 to 1.
        probabilities: those of every label, in the order of the model's labels.
        unsure: whether `probability` is below the threshold that the model was calibrated with.
        windows: the predictions of the windows, of which this is the mean; one for a short clip.
        window_fill: the fraction of the model's window that the clip fills, 1 for most.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    unsure: bool
    windows: tuple[Window, ...]
    window_fill: float = 1.0

    def _repr_html_(self) -> str:
        """Show the probabilities as bars, in a notebook."""
        rows = "".join(
            f"<tr><td style='text-align:left'>{escape(label)}</td><td>{share:.1%}</td>"
            f"<td><div style='background:#5b8def;height:0.8em;width:{100 * share:.0f}px'></div>"
            "</td></tr>"
            for label, share in sorted(self.probabilities.items(), key=lambda item: -item[1])
        )
        return f"<table>{rows}</table>"


@dataclass(frozen=True, slots=True)
class Update:
    """The result of one frame of a stream.

    Attributes:
        time: seconds since the stream began.
        label: the most probable label; None while the model's window is not full.
        probability: its probability, 0 to 1; 0 without a label.
        probabilities: those of every label; empty without a label.
        unsure: whether `probability` is below the threshold that the model was calibrated with.
        window_fill: filled fraction of the model's window, 0 to 1.
        events: events that ended with this frame.
    """

    time: float
    label: str | None
    probability: float
    probabilities: dict[str, float]
    unsure: bool
    window_fill: float
    events: tuple[Event, ...]


class Model:
    """A loaded model file: immutable, for any number of clips, sources and threads."""

    def __init__(
        self, model: str | Path | bytes, *, device: Device = "auto", threads: int = 1
    ) -> None:
        """Load a model.

        Args:
            model: the path of a `model.onnx`, or its bytes.
            device: where it runs; `auto` takes CUDA if available, else the CPU.
            threads: CPU threads of one call.

        Raises:
            ModelError: the file is missing, damaged or not an exported model.
            DeviceError: `device` is not available here.
        """
        self.session = Session(model, device, threads)

    @property
    def card(self) -> ModelCard:
        """The model card: labels, window, picture, decision, origin."""
        return self.session.card

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return self.card.labels

    def __repr__(self) -> str:
        return (
            f"Model({self.session.where!r}, labels={list(self.labels)}, "
            f"{self.card.sequence}, {self.card.step_size}, device={self.session.device!r})"
        )

    def predict(
        self,
        clip: str | Path | NDArray[Any],
        *,
        fps: float | None = None,
        every_window: bool = False,
        region: str | None = None,
    ) -> ClipPrediction:
        """Classify a clip or picture, as `seqvision predict` does.

        The steps of the clip are kept in memory, at the size of the model's input; for hours of
        video use `events`.

        Args:
            clip: a video, a picture or a folder of pictures; or frames `(time, height, width, 3)`
                uint8 in the order blue, green, red, as in OpenCV.  Of a model of vectors a file of
                them, or an array `(time, features)`; NaN is a missing value.
            fps: frames per second of pictures and arrays; default 30, or for vectors the rate of
                the clips of the training.
            every_window: classify windows along the whole clip, and return their mean, instead of
                its middle.
            region: the part of the picture to classify, `0.1,0.2,0.4,0.9`, as for
                `edge-run --region`.

        Raises:
            SourceError: it does not exist, or cannot be read as frames; or not such a region.
            ModelError: a prediction is not finite.
        """
        if self.card.vectors is not None:
            if region is not None:
                raise SourceError(f"region {region}: the model reads vectors, not pictures")
            return self._answer_vectors(clip, self.card.vectors, fps, every_window)
        rate = IMAGE_FPS if fps is None else fps
        part = None if region is None else parse_region(region, "region")
        if isinstance(clip, np.ndarray):
            return self._answer(_Frames(_checked(clip), rate), every_window, part)
        with open_path(clip, rate, self.card.image.value_range) as source:
            return self._answer(source, every_window, part)

    def events(
        self,
        source: int | str | Path | Iterable[tuple[float, NDArray[Any]]],
        *,
        decision: Decision | None = None,
        regions: Mapping[str, str] | None = None,
    ) -> Iterator[Event]:
        """Yield the events of a source, each when it has ended.

        A live source never ends by itself: leave the loop, or close the iterator.

        Args:
            source: a camera's number, an address, a file; or pairs of a time in seconds, rising,
                and a frame `(height, width, 3)` uint8 in the order blue, green, red, or a vector
                `(features,)`.
            decision: how probabilities become events; None takes the card's.
            regions: parts of the picture that have events of their own, by name:
                `{"door": "0.1,0.2,0.4,0.9"}`; the name is the event's `view`.  Of a camera, address
                or file.

        Raises:
            SourceError: it cannot be read, or is lost for good; or not such a region.
            ModelError: the model reads still images, which have no events.
            ValueError: `regions` for pairs.
        """
        if not isinstance(self.card.sequence, TimedSequence):
            raise ModelError(f"{self.session.where}: it reads still images, which have no events")
        parts = named(
            make_region(name, text.split(","), f"regions: {name}={text}")
            for name, text in (regions or {}).items()
        )
        if parts and self.card.vectors is not None:
            raise SourceError(f"regions {parts[0]}: the model reads vectors, not pictures")
        if isinstance(source, (int, str, Path)):
            return self._watch(_opened(source, self.card), decision, parts)
        if parts:
            raise ValueError("regions: of a camera, an address or a file only")
        return self._replay(source, decision)

    def stream(self, *, decision: Decision | None = None) -> "LiveStream":
        """Return a stream for frames that your program pushes one by one.

        Raises:
            ModelError: the model reads still images; use `predict` for each.
        """
        if not isinstance(self.card.sequence, TimedSequence):
            raise ModelError(f"{self.session.where}: it reads still images; use predict for each")
        return LiveStream(self.session, decision)

    def _answer_vectors(
        self,
        clip: str | Path | NDArray[Any],
        vectors: VectorSequence,
        fps: float | None,
        every_window: bool,
    ) -> ClipPrediction:
        if not isinstance(clip, np.ndarray):
            return self._answer(VectorFile(Path(clip), vectors, fps), every_window, None)
        found = vectors_of(clip, vectors.rate if fps is None else fps).values
        pairs = ((index / (fps or vectors.rate), each) for index, each in enumerate(found))
        return self._answer(_Timed(pairs, fps or vectors.rate, vectors), every_window, None)

    def _answer(
        self,
        source: "RecordedSource | _Timed | VectorFile",
        every_window: bool,
        region: Region | None,
    ) -> ClipPrediction:
        sequence = self.card.sequence
        pipeline = make_pipeline(self.session, source, None, _NO_LIMIT, time.monotonic)
        found = [
            steps
            for frame in preprocessed_frames(pipeline, cropped(source, region, source.name))
            if isinstance(frame, Frame) and (steps := pipeline.model_input(frame)) is not None
        ]
        if not found:
            raise SourceError(f"{source.name}: no frame in it can be read")
        if isinstance(sequence, TimedSequence):
            steps, length, fps = np.concatenate(found), sequence.frames, sequence.fps
        elif len(found) == 1:
            (steps,), length, fps = found, sequence.window, 1.0
        else:
            raise SourceError(
                f"{source.name}: {len(found)} pictures; the model reads one at a time"
            )
        starts = (
            window_starts(len(steps), length)
            if every_window
            else [centre_start(len(steps), length)]
        )
        windows = tuple(self._windows(steps, starts, length, fps))
        mean = np.mean([list(each.probabilities.values()) for each in windows], axis=0)
        shares = dict(zip(self.labels, mean.tolist(), strict=True))
        label = max(shares, key=lambda name: shares[name])
        return ClipPrediction(
            label=label,
            probability=shares[label],
            probabilities=shares,
            unsure=is_unsure(shares[label], self.card.decision.min_confidence),
            windows=windows,
            window_fill=window_fill(len(steps), sequence),
        )

    def _windows(
        self, steps: Frames, starts: list[int], length: int, fps: float
    ) -> Iterator[Window]:
        ahead = iter(starts)
        while batch := list(islice(ahead, _BATCH)):
            frames = np.stack([steps[start : start + length] for start in batch])
            answers, _ = self.session.run(frames)
            if not np.isfinite(answers).all():
                raise ModelError(f"{self.session.where}: its answer is not finite; train it again")
            for start, answer in zip(batch, answers, strict=True):
                shares = dict(zip(self.labels, answer.tolist(), strict=True))
                label = max(shares, key=lambda name: shares[name])
                end = min(len(steps), start + length)
                yield Window(start / fps, end / fps, label, shares[label], shares)

    def _watch(
        self, source: Source, decision: Decision | None, regions: Sequence[Region]
    ) -> Iterator[Event]:
        """Run a source in a thread of its own, and yield its events."""
        outbox = _Outbox()

        def work() -> None:
            try:
                parts = {source.name: regions}
                run([source], self.session, [outbox], decision, regions=parts)
            except BaseException as error:
                outbox.found.put(error)
            else:
                outbox.found.put(None)

        thread = threading.Thread(target=work, name=f"events of {source.name}", daemon=True)
        thread.start()
        try:
            while (found := outbox.found.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            outbox.closed.set()
            source.stop()
            thread.join()

    def _replay(
        self, frames: Iterable[tuple[float, NDArray[Any]]], decision: Decision | None
    ) -> Iterator[Event]:
        source = _Timed(frames, vectors=self.card.vectors)
        pipeline = make_pipeline(self.session, source, decision, _NO_LIMIT, time.monotonic)
        for frame in preprocessed_frames(pipeline, source):
            assert isinstance(frame, Frame)
            yield from _pushed(self.session, pipeline, frame).events
        yield from pipeline.handle_state([SourceState("ended")]).events


class LiveStream:
    """A stream of frames pushed by a program, and its results.

        stream = model.stream()
        while (read := camera.read())[0]:
            update = stream.push(read[1])
            for event in update.events: ...
        stream.finish()  # returns the running event

    Each stream has its own state; a gap between frames resets it, as in a live run.
    """

    def __init__(self, session: Session, decision: Decision | None = None) -> None:
        sequence = session.card.sequence
        assert isinstance(sequence, TimedSequence)
        self._session = session
        self._pipeline = make_pipeline(
            session, _Pushed("stream", sequence.fps), decision, MAX_AGE, time.monotonic
        )
        self._index = -1
        self._time = 0.0
        self._first: float | None = None
        self._vectors = session.card.vectors

    def push(self, frame: NDArray[Any], *, time: float | None = None) -> Update:
        """Process the next frame and return its result.

        Frames between two ticks of the model's clock cost nothing, so push every one.

        Args:
            frame: `(height, width, 3)` uint8, blue, green, red, or `(height, width)` grey; of a
                model of vectors `(features,)` numbers, NaN for missing ones.
            time: its time in seconds of any clock, rising; None takes the current time.

        Raises:
            ValueError: the frame has another shape or type, or its time does not rise.
        """
        bgr, values = NO_PICTURE, None
        if self._vectors is not None:
            values = checked_vector(frame, self._vectors)
        elif not isinstance(frame, np.ndarray) or frame.ndim not in (2, 3):
            shape = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else f"{frame}"
            raise ValueError(f"a frame is {shape}; give uint8 (height, width, 3)")
        else:
            bgr = _checked(frame[None, ..., None] if frame.ndim == 2 else frame[None])[0]
        first = self._first
        if time is None:
            now = _now()
            if first is not None:  # a clock may not advance between two frames
                now = max(now, math.nextafter(first + self._time, math.inf))
        else:
            now = time
        first = now if first is None else first
        if not math.isfinite(now) or (self._index >= 0 and now - first <= self._time):
            raise ValueError(f"time {now:g}: later than the frame before, {first + self._time:g}")
        self._first, self._time = first, now - first
        self._index += 1
        pushed = Frame(bgr, self._time, self._index, image=values)
        step = _pushed(self._session, self._pipeline, pushed)
        return _update(step, self._time)

    def finish(self) -> tuple[Event, ...]:
        """Return the running event and reset; more frames may follow."""
        return self._pipeline.end().events


@dataclass(frozen=True)
class _Pushed:
    """The source of a pipeline of pushed frames."""

    name: str
    fps: float
    live: bool = True


class _Timed:
    """Pairs of a time and a frame as a recorded source."""

    name, live = "frames", False

    def __init__(
        self,
        frames: Iterable[tuple[float, NDArray[Any]]],
        fps: float = 0.0,
        vectors: VectorSequence | None = None,
    ) -> None:
        self._frames, self._vectors = frames, vectors
        # Unknown; the times of the frames are used.
        self.fps = fps

    def __iter__(self) -> Iterator[Frame]:
        first = before = None
        for index, (stamp, image) in enumerate(self._frames):
            if not np.isfinite(stamp) or (before is not None and stamp <= before):
                raise SourceError(f"frame {index}: its time {stamp:g} is not after {before}")
            first, before = stamp if first is None else first, stamp
            if self._vectors is None:
                yield Frame(_checked(image[None])[0], stamp - first, index)
                continue
            values = checked_vector(image, self._vectors)
            lasts = 1 / self.fps if self.fps else 0.0
            yield Frame(NO_PICTURE, stamp - first, index, image=values, duration=lasts)


class _Frames(_Timed):
    """An array of frames at a constant rate."""

    def __init__(self, frames: NDArray[np.uint8], fps: float) -> None:
        if not 0 < fps < _NO_LIMIT:
            raise ValueError(f"fps {fps:g}: must be above 0")
        super().__init__(((index / fps, image) for index, image in enumerate(frames)), fps)

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            yield replace(frame, duration=1 / self.fps)


class _Outbox:
    """A sink that passes events to another thread, and ends the run when that one stops reading."""

    def __init__(self) -> None:
        self.found: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        self.closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Pass the events on."""
        self.idle()
        for event in step.events:
            self.found.put(event)

    def idle(self) -> None:
        """End the run once its events are no longer read."""
        if self.closed.is_set():
            raise Quit

    def __exit__(self, *_: object) -> None:
        """Do nothing: no resource is open."""


def _opened(where: int | str | Path, card: ModelCard) -> Source:
    from seqvision_edge.sources.factory import ReadSettings, open_sources
    from seqvision_edge.sources.parse import parse_camera, parse_source

    text = str(where)
    address = parse_camera(text) if isinstance(where, int) else parse_source(text)
    settings = ReadSettings(value_range=card.image.value_range, vectors=card.vectors)
    (source,) = open_sources([address], settings)
    return source


def _pushed(session: Session, pipeline: Pipeline, frame: Frame) -> Step:
    steps = pipeline.model_input(frame)
    if steps is None:
        return pipeline.handle_output(frame, None, inferred=False)
    (answer,) = run_batch(session, [(pipeline.stream, steps)])
    return pipeline.handle_output(frame, answer, inferred=True)


def _update(step: Step, seconds: float) -> Update:
    answer = step.prediction
    return Update(
        time=seconds,
        label=None if answer is None else answer.label,
        probability=0.0 if answer is None else answer.probability,
        probabilities={} if answer is None else answer.probabilities,
        unsure=answer is not None and answer.unsure,
        window_fill=step.window_fill,
        events=step.events,
    )


def _checked(frames: NDArray[Any]) -> NDArray[np.uint8]:
    """Return frames `(time, height, width, 3)`; grey ones get three channels.

    Raises:
        ValueError: another shape or type.
    """
    if frames.ndim == 4 and frames.shape[3] == 1:
        frames = np.repeat(frames, 3, axis=3)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ValueError(
            f"frames are {frames.dtype} {frames.shape}; "
            "give uint8 (time, height, width, 3), blue, green, red"
        )
    return frames


def _now() -> float:
    return time.perf_counter()
