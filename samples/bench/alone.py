"""What a server has to do at least: decoding and the model, nothing between.

`python -m bench.alone MODEL` works each time a line `WAY STREAMS SECONDS` comes on stdin, and
prints how much it did per second and the milliseconds of processor for one, with decoding and then
without: frames of `websocket`, clips of the other ways.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from bench.cameras import pictures
from bench.clients import CLIP_FRAMES, SIZE
from seqvision_edge.preprocess import prepare
from seqvision_edge.session import Session, run_batch
from seqvision_edge.sources.image_files import decode_image


def main() -> None:
    """Work whenever a line comes, until none comes any more."""
    session = Session(sys.argv[1], "cpu")
    scene = [np.frombuffer(data, np.uint8) for data in pictures(CLIP_FRAMES, SIZE)]
    steps = np.stack([_decoded(data, session) for data in scene])
    print("ready", flush=True)
    for line in sys.stdin:
        way, streams, seconds = line.split()
        make = _frames if way == "websocket" else _clips
        whole = make(session, scene, steps, int(streams), way != "json")
        bare = make(session, scene, steps, int(streams), False)
        print(*_rate(whole, float(seconds)), *_rate(bare, float(seconds)), flush=True)


def _frames(
    session: Session, scene: list[np.ndarray], steps: np.ndarray, streams: int, decodes: bool
) -> Callable[[int], int]:
    """Return a call that answers one frame of each stream, all in one call of the model."""
    opened = [session.stream() for _ in range(streams)]
    for stream in opened:
        stream.push(steps)

    def work(number: int) -> int:
        index = number % len(scene)
        requested = [
            (stream, (_decoded(scene[index], session) if decodes else steps[index])[None])
            for stream in opened
        ]
        run_batch(session, requested)
        return streams

    return work


def _clips(
    session: Session, scene: list[np.ndarray], steps: np.ndarray, _: int, decodes: bool
) -> Callable[[int], int]:
    """Return a call that answers one clip."""

    def work(_: int) -> int:
        clip = np.stack([_decoded(data, session) for data in scene]) if decodes else steps
        session.run(clip[None])
        return 1

    return work


def _decoded(data: np.ndarray, session: Session) -> np.ndarray:
    bgr = decode_image(data)
    assert bgr is not None
    return prepare(bgr, session.card.image)


def _rate(work: Callable[[int], int], seconds: float) -> tuple[float, float]:
    """Return how much is done per second, and the milliseconds of processor for one."""
    work(0)
    began, used, done, number = time.perf_counter(), time.process_time(), 0, 0
    while time.perf_counter() < began + seconds:
        done += work(number)
        number += 1
    used = time.process_time() - used
    return done / (time.perf_counter() - began), 1000 * used / done


if __name__ == "__main__":
    main()
