"""Pictures of one client as a live source: the pipeline of a run, asked over the network."""

import asyncio
import time
from dataclasses import dataclass

from fastapi import HTTPException

from seqvision_edge.batch import Frames
from seqvision_edge.frame import Frame
from seqvision_edge.pipeline import make_pipeline
from seqvision_edge.run import MAX_AGE
from seqvision_edge.sequence import VideoSequence
from seqvision_edge.serve.hearing import Record
from seqvision_edge.serve.pictures import decode_picture
from seqvision_edge.serve.records import records
from seqvision_edge.serve.sent import FPS, Sender
from seqvision_edge.serve.service import Service

# Seconds since 1970 are far below it, and a float still tells microseconds apart.
MOST_SECONDS = 1e10


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture as it came.

    Attributes:
        data: a JPEG or PNG file.
        stamp: the client's own time in seconds; None takes that of the arrival.
        arrived: the monotonic clock.
        index: its number; the numbers of those that were dropped for it are left out.
    """

    data: bytes
    stamp: float | None
    arrived: float
    index: int


class Feed:
    """A client's stream: what the model remembers of it, and what it has come to."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._began = time.monotonic()
        self._first: float | None = None
        sequence = service.session.card.sequence
        fps = sequence.fps if isinstance(sequence, VideoSequence) else FPS
        self._pipeline = make_pipeline(
            service.session,
            Sender(name, fps, live=True),
            None,
            MAX_AGE,
            lambda: time.monotonic() - self._began,
        )

    async def push(self, sample: Sample) -> list[Record]:
        """Take the next picture and return what it brought; one at a time.

        Raises:
            HTTPException: not a picture, or too large.
            Overloaded: the model is asked about too much; the picture was not looked at.
        """
        service = self._service
        service.batcher.reserve()
        asked = False
        try:
            frame, frames = await asyncio.get_running_loop().run_in_executor(
                service.pictures, self._look, sample
            )
            probabilities = None
            if frames is not None:
                asked = True
                (answer,) = service.batcher.ask([(self._pipeline.stream, frames)])
                probabilities = await asyncio.wrap_future(answer)
        except HTTPException:
            service.figures.frames("corrupt")
            raise
        finally:
            if not asked:
                service.batcher.release()
        service.figures.frames("used")
        return records(self._pipeline.tell(frame, probabilities, asked=asked))

    def end(self) -> list[Record]:
        """Return what the end of the stream brings: the event that was going on."""
        return records(self._pipeline.end())

    def _look(self, sample: Sample) -> tuple[Frame, Frames | None]:
        """Return a picture as a frame, and what the model must see of it."""
        bgr = decode_picture(sample.data, self._service.limits)
        stamp = sample.arrived if sample.stamp is None else sample.stamp
        if self._first is None:
            self._first = stamp
        frame = Frame(bgr, stamp - self._first, sample.index, arrived=sample.arrived)
        return frame, self._pipeline.ask(frame)
