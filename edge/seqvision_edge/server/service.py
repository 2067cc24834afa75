"""Shared state of all routes: the model's thread, decoding threads, limits, the model's file."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException, Request
from starlette.responses import FileResponse

from seqvision_edge.card import Decision
from seqvision_edge.regions import Region
from seqvision_edge.server.batching import Batcher, ResultRelay
from seqvision_edge.server.device_view import DeviceSources
from seqvision_edge.server.job import Job, stopped_with
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.metrics import ServerMetrics
from seqvision_edge.server.recorder import Recorder
from seqvision_edge.server.sse import EventQueue
from seqvision_edge.session import Session
from seqvision_edge.sources.decoder_process import Decoders

Result = TypeVar("Result")

# Decoding releases the GIL.  Clips have threads of their own: one may take a minute, and must not
# delay a live picture.
_PICTURE_THREADS = 2
_CLIP_THREADS = 2


class ServedFile:
    """The file as it was at the start of the server: a changed one would give other results."""

    def __init__(self, path: Path) -> None:
        """Remember the file at `path`.

        Raises:
            OSError: it does not exist.
        """
        self._path = path.absolute()
        self._was = self._state()

    def response(self) -> FileResponse:
        """Return the file as a response.

        Raises:
            HTTPException: 409, it is no longer the file that this server runs.
        """
        try:
            changed = self._state() != self._was
        except OSError:
            changed = True
        if changed:
            raise HTTPException(409, "the model's file has changed; restart the server")
        return FileResponse(self._path, media_type="application/octet-stream")

    def _state(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns


class Service:
    """The parts of a running server; `end` releases everything that waits."""

    def __init__(
        self,
        session: Session,
        limits: Limits,
        watching: DeviceSources | None = None,
        model_file: ServedFile | None = None,
        decision: Decision | None = None,
        recorder: Recorder | None = None,
        regions: Sequence[Region] = (),
    ) -> None:
        self.regions = regions
        self.session, self.limits, self.watching = session, limits, watching
        self.model_file = model_file
        self.recorder = recorder
        self.decision = decision or session.card.decision
        self.figures = ServerMetrics()
        self.relay = ResultRelay()
        self.batcher = Batcher(session, limits.room, self.figures.call, self.relay.send)
        self.pictures = ThreadPoolExecutor(_PICTURE_THREADS, "pictures")
        self.decoders = Decoders(self.limits.pixels)
        self.queues: set[EventQueue] = set()
        self.ended = threading.Event()
        self._clips = ThreadPoolExecutor(_CLIP_THREADS, "clips")
        self._clips_now = 0
        self.figures.gauge(
            "seqvision_batch_queue", "Frames and clips waiting for the model", self._queue_length
        )

    async def work(self, request: Request, task: Callable[[Job], Result]) -> Result:
        """Run a long task in a thread of the pool, for at most `clip_seconds`.

        The job passed to `task` is stopped when the server shuts down, or when the client, whose
        body has been read, disconnects.

        Raises:
            HTTPException: 429 if too many clips are waiting, and what `task` raises.
        """
        if self._clips_now >= self.limits.clips:
            raise HTTPException(429, "too many clips at once", headers={"retry-after": "5"})
        job = Job(self.limits.clip_seconds)

        def begin() -> Result:
            job.begin()
            job.check()
            return task(job)

        self._clips_now += 1
        done = asyncio.get_running_loop().run_in_executor(self._clips, begin)
        done.add_done_callback(self._clip_done)
        with stopped_with(job, request, self.ended):
            return await done

    def end(self) -> None:
        """End every event stream and thread; call it in the event loop."""
        self.ended.set()
        for queue in list(self.queues):
            queue.end()

    def close(self) -> None:
        """End all threads."""
        self.ended.set()
        self.batcher.close()
        for pool in (self.pictures, self._clips):
            pool.shutdown(cancel_futures=True)
        self.decoders.close()
        if self.recorder is not None:
            self.recorder.close()

    def _clip_done(self, job: object) -> None:
        self._clips_now -= 1

    def _queue_length(self) -> float:
        return self.batcher.reserved
