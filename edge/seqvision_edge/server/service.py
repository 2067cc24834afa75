"""What all routes share: the model's thread, threads that decode, bounds, the model's file."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException, Request
from starlette.responses import FileResponse

from seqvision_edge.card import Decision
from seqvision_edge.server.batching import Batcher, Post
from seqvision_edge.server.device_view import Watching
from seqvision_edge.server.job import Job, stopped_with
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.metrics import Figures
from seqvision_edge.server.recorder import Recorder
from seqvision_edge.server.sse import EventQueue
from seqvision_edge.session import Session
from seqvision_edge.sources.isolated import Decoders

Result = TypeVar("Result")

# Decoding lets go of Python's lock.  Clips have threads of their own: one may take a minute, and a
# live picture must not wait for it.
_PICTURE_THREADS = 2
_CLIP_THREADS = 2


class ModelFile:
    """A file as it was when the server began: another one would answer differently."""

    def __init__(self, path: Path) -> None:
        """Remember the file at `path`.

        Raises:
            OSError: it is not there.
        """
        self._path = path.absolute()
        self._was = self._state()

    def response(self) -> FileResponse:
        """Return the file as an answer.

        Raises:
            HTTPException: 409, it is not the file any more that this server runs.
        """
        try:
            changed = self._state() != self._was
        except OSError:
            changed = True
        if changed:
            raise HTTPException(409, "the model's file has changed; start the server anew")
        return FileResponse(self._path, media_type="application/octet-stream")

    def _state(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns


class Service:
    """A running server's parts; `end` lets everything that waits return."""

    def __init__(
        self,
        session: Session,
        limits: Limits,
        watching: Watching | None = None,
        model_file: ModelFile | None = None,
        decision: Decision | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.session, self.limits, self.watching = session, limits, watching
        self.model_file = model_file
        self.recorder = recorder
        self.decision = decision or session.card.decision
        self.figures = Figures()
        self.post = Post()
        self.batcher = Batcher(session, limits.room, self.figures.call, self.post.send)
        self.pictures = ThreadPoolExecutor(_PICTURE_THREADS, "pictures")
        self.decoders = Decoders(self.limits.pixels)
        self.ears: set[EventQueue] = set()
        self.ended = threading.Event()
        self._clips = ThreadPoolExecutor(_CLIP_THREADS, "clips")
        self._clips_now = 0
        self.figures.gauge(
            "seqvision_batch_queue", "Frames and clips waiting for the model", self._asked
        )

    async def work(self, request: Request, task: Callable[[Job], Result]) -> Result:
        """Do what takes long in a thread of its own kind, for `clip_seconds` at most.

        The job that `task` gets is stopped when the server ends, or when the client has left, whose
        body has been read.

        Raises:
            HTTPException: 429 where as many clips wait as may, and what `task` raises.
        """
        if self._clips_now >= self.limits.clips:
            raise HTTPException(429, "enough clips are being decoded", headers={"retry-after": "5"})
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
        """Let every listener and every thread come to its end; call it in the event loop."""
        self.ended.set()
        for ear in list(self.ears):
            ear.end()

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

    def _asked(self) -> float:
        return self.batcher.reserved
