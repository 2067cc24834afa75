"""Pictures of one client as a live source of a pipeline."""

import asyncio
import time
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from seqvision_edge.batch import Answer, Frames
from seqvision_edge.card import ModelCard
from seqvision_edge.frame import Frame
from seqvision_edge.pipeline import make_pipeline
from seqvision_edge.run import MAX_AGE
from seqvision_edge.sequence import VideoSequence
from seqvision_edge.serve.batcher import ModelFailed
from seqvision_edge.serve.hearing import Record
from seqvision_edge.serve.pictures import decode_picture
from seqvision_edge.serve.post import Post
from seqvision_edge.serve.records import records
from seqvision_edge.serve.sent import FPS, Sender
from seqvision_edge.serve.service import Service

# Seconds since 1970 are far below it, and a float still tells microseconds apart.
MOST_SECONDS = 1e10


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture as it came.

    Attributes:
        data: a JPEG or PNG file, or pixels that are prepared.
        stamp: the client's own time in seconds; None takes that of the arrival.
        arrived: the monotonic clock.
        index: its number; the numbers of those that were dropped for it are left out.
        prepared: whether `data` is what the model reads, `(height, width, channels)` of a frame, or
            `(steps, height, width, channels)` of a still image.
    """

    data: bytes
    stamp: float | None
    arrived: float
    index: int
    prepared: bool = False


def steps_of(data: bytes, card: ModelCard) -> NDArray[np.uint8]:
    """Return prepared pixels, `(height, width, channels)` or those of all steps of a still image.

    Raises:
        HTTPException: 422, they are not as many as the card says.
    """
    spec, sequence = card.image, card.sequence
    size = spec.height * spec.width * spec.channels
    most = 1 if isinstance(sequence, VideoSequence) else sequence.window
    steps, rest = divmod(len(data), size)
    if rest or not 1 <= steps <= most:
        shape = f"{spec.height} x {spec.width} x {spec.channels}"
        times = "" if most == 1 else f", 1 to {most} times"
        raise HTTPException(422, f"{len(data)} bytes; prepared pixels are {shape}{times}")
    pixels = np.frombuffer(data, np.uint8).reshape(-1, spec.height, spec.width, spec.channels)
    return pixels[0] if isinstance(sequence, VideoSequence) else pixels


@dataclass(slots=True)
class _Way:
    """One picture on its way: `end` gets whether the model was asked, and its answer."""

    sample: Sample
    end: "asyncio.Future[tuple[bool, Answer]]"
    frame: Frame | None = None
    answer: "Future[Answer] | None" = None


def _arrive(post: Post, way: _Way, answer: "Future[Answer]") -> None:
    """Leave an answer where the batcher brings it from, with those of the same call."""
    if answer.cancelled():
        post.put(way.end, None, asyncio.CancelledError())
    elif error := answer.exception():
        post.put(way.end, None, error)
    else:
        post.put(way.end, (True, answer.result()))


class StreamFeed:
    """A client's stream: what the model remembers of it, and what it has come to."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._began = time.monotonic()
        self._first: float | None = None
        self._lost: list[Record] = []
        sequence = service.session.card.sequence
        fps = sequence.fps if isinstance(sequence, VideoSequence) else FPS
        self._pipeline = make_pipeline(
            service.session,
            Sender(name, fps, live=True),
            service.decision,
            MAX_AGE,
            lambda: time.monotonic() - self._began,
        )

    async def push(self, sample: Sample) -> list[Record]:
        """Take the next picture and return what it brought; one at a time.

        Raises:
            HTTPException: not a picture, or too large.
            Overloaded: the model is asked about too much; the picture was not looked at.
            ModelFailed: what ran is over, which the next picture tells.
        """
        service = self._service
        service.batcher.reserve()
        way = _Way(sample, service.post.future())
        job = service.pictures.submit(self._go, way)
        try:
            inferred, probabilities = await way.end
        except ModelFailed:
            assert way.frame is not None
            over = records(self._pipeline.handle_output(way.frame, None, inferred=True))
            self._lost += [record for record in over if record["type"] != "waiting"]
            raise
        except HTTPException:
            service.figures.frames("corrupt")
            raise
        except asyncio.CancelledError:
            if job.cancel():
                service.batcher.release()
            elif way.answer is not None:
                way.answer.cancel()
            raise
        service.figures.frames("used")
        assert way.frame is not None
        messages = records(
            self._pipeline.handle_output(way.frame, probabilities, inferred=inferred)
        )
        lost, self._lost = self._lost, []
        return [*messages[:1], *lost, *messages[1:]]

    def end(self) -> list[Record]:
        """Return what the end of the stream brings: the event that was going on."""
        return [*self._lost, *records(self._pipeline.end())]

    def _go(self, way: "_Way") -> None:
        """Decode a picture in a thread and ask the model: only the end goes back to the loop."""
        service = self._service
        try:
            way.frame, frames = self._look(way.sample)
            if frames is not None:
                (way.answer,) = service.batcher.submit([(self._pipeline.stream, frames)])
        except BaseException as error:
            service.batcher.release()
            service.post.put(way.end, None, error)
            service.post.send()
            return
        if way.answer is None:
            service.batcher.release()
            service.post.put(way.end, (False, None))
            service.post.send()
            return
        way.answer.add_done_callback(lambda answer: _arrive(service.post, way, answer))
        if way.end.cancelled():
            way.answer.cancel()

    def _look(self, sample: Sample) -> tuple[Frame, Frames | None]:
        """Return a picture as a frame, and what the model must see of it."""
        service = self._service
        if sample.prepared:
            image = steps_of(sample.data, self._service.session.card)
            bgr = image if image.ndim == 3 else image[0]
        else:
            image, bgr = (
                None,
                decode_picture(sample.data, service.limits, service.session.card.image.value_range),
            )
        stamp = sample.arrived if sample.stamp is None else sample.stamp
        if self._first is None:
            self._first = stamp
        time = stamp - self._first
        frame = Frame(bgr, time, sample.index, image=image, arrived=sample.arrived)
        return frame, self._pipeline.model_input(frame)
