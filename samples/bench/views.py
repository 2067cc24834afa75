"""Regions: what many views of one picture cost against one, and how an overloaded run shares.

*cost* is processor time of a whole run on a video of 640x480, decoding included, with the given
number of regions; the ratio is that to one region, in the same round.  *whole* has none.

*live* reads network cameras of this machine's own, five at 15 fps with six regions each, which is
more than the machine holds: every view should get its share, and memory should stay as it is.

*quiet* reads eight cameras in which nothing moves, with and without `--when-moving`.
"""

import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table
from typing_extensions import Self

from bench.cameras import cameras, pictures
from bench.models import exported
from bench.timing import in_turn, ratio
from seqvision_edge.cli import frame_format
from seqvision_edge.frame import Step
from seqvision_edge.opencv import cv2
from seqvision_edge.regions import Region
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import ReadSettings, open_path, open_sources
from seqvision_edge.sources.parse import parse_source
from seqvision_edge.video_writer import VideoWriter

ENCODER = "mobilenet_v2"
COUNTS = (1, 8, 30)
SIZE, FPS = (640, 480), 15
_SECONDS, _ROUNDS = 6, 3
_CAMERAS, _EACH, _LIVE_SECONDS = 5, 6, 40.0
# The gate is open for a window and a second, longer where the first pictures are learnt.
_QUIET_CAMERAS, _SETTLED, _QUIET_SECONDS = 8, 12.0, 10.0


def views(folder: Path) -> dict[str, float]:
    """Measure both; print and return the figures."""
    session = Session(exported(folder, ENCODER, fps=FPS, int8=False)["fp32"], "cpu")
    found = _cost(session, folder) | _live(session)
    table = Table("figure", "found", "goal", title=f"views, {ENCODER} of 16 frames of 112x112",
                  title_justify="left")  # fmt: skip
    goals = {"8 views / one": "< 8", "least / most answers of a view": "≥ 0.9"}
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}", goals.get(name, ""))
    Console().print(table)
    return found


def regions(count: int) -> tuple[Region, ...]:
    """Return regions of a quarter of the picture each, which overlap."""
    lefts = np.linspace(0.0, 0.5, count)
    return tuple(
        Region(f"view {number}", ((left, 0.25), (left + 0.5, 0.75)))
        for number, left in enumerate(lefts.tolist())
    )


def _cost(session: Session, folder: Path) -> dict[str, float]:
    video = folder / "bench-views.mp4"
    film = VideoWriter(video, "--save", float(FPS))
    film.open()
    for data in pictures(_SECONDS * FPS, SIZE):
        film.write(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    film.close()

    def seconds(parts: tuple[Region, ...]) -> float:
        began = time.process_time()
        run([open_path(video)], session, regions={str(video): parts})
        return time.process_time() - began

    candidates = {"whole": lambda: seconds(())} | {
        str(count): lambda count=count: seconds(regions(count)) for count in COUNTS
    }
    times = in_turn(candidates, _ROUNDS)
    always, gated = (_quiet(session, when_moving) for when_moving in (False, True))
    return {
        "8 quiet cameras: cores, always": always,
        "8 quiet cameras: cores, --when-moving": gated,
        "one view / whole picture": ratio(times["1"], times["whole"]),
        **{f"{count} views / one": ratio(times[str(count)], times["1"]) for count in COUNTS[1:]},
        "one view, ms per frame": 1000 * median(times["1"]) / (_SECONDS * FPS),
    }


def _quiet(session: Session, when_moving: bool) -> float:
    """Return the cores that a run on quiet cameras uses; decoding has processes of its own.

    Measured after the model's first windows, which it always sees.
    """
    counts = _Counts()
    with cameras(_QUIET_CAMERAS, FPS, SIZE, still=True) as urls:
        settings = ReadSettings(frame_format=frame_format(session.card, seen=False))
        sources = open_sources([parse_source(url) for url in urls], settings)
        times: list[tuple[float, float]] = []

        def look() -> None:
            times.append((time.process_time(), time.monotonic()))
            if len(times) > 1:
                for source in sources:
                    source.stop()

        timers = [threading.Timer(after, look) for after in (_SETTLED, _SETTLED + _QUIET_SECONDS)]
        for timer in timers:
            timer.start()
        run(sources, session, [counts], when_moving=when_moving)
    (used, began), (until, ended) = times
    return (until - used) / (ended - began)


class _Counts:
    """A sink that counts the answers of each view, and ends the run after some time."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], int] = {}
        self.memory: list[float] = []
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def write(self, step: Step) -> None:
        """Count the answers, and look at the memory once a second."""
        for part in step.parts:
            if part.answered:
                key = part.source, part.view
                self.answers[key] = self.answers.get(key, 0) + 1
        if time.monotonic() > self._next:
            self._next = time.monotonic() + 1
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append(pages * 4096 / 1e6)

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def _live(session: Session) -> dict[str, float]:
    counts = _Counts()
    with cameras(_CAMERAS, FPS, SIZE) as urls:
        addresses = [replace(parse_source(url), regions=regions(_EACH)) for url in urls]
        settings = ReadSettings(frame_format=frame_format(session.card, seen=False))
        sources = open_sources(addresses, settings)
        timer = threading.Timer(_LIVE_SECONDS, lambda: [source.stop() for source in sources])
        timer.start()
        parts = {source.name: regions(_EACH) for source in sources}
        began = time.process_time()
        summary = run(sources, session, [counts], regions=parts)
        used = time.process_time() - began
        timer.cancel()
    answers = list(counts.answers.values())
    third = max(1, len(counts.memory) // 3)
    return {
        "views that answer": float(len(answers)),
        "answers per view and second": median(answers) / _LIVE_SECONDS,
        "least / most answers of a view": min(answers) / max(answers),
        "ticks that were skipped": float(summary.shed),
        "processor, cores (decoding apart)": used / _LIVE_SECONDS,
        "memory at the end / after a third": counts.memory[-1] / counts.memory[third],
    }
