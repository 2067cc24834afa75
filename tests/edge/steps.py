"""Steps as a run passes them to its outputs, and outputs that a test can block."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from colour_model import picture

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Frame, Step
from seqvision_edge.types import Event, Prediction, SourceState

EVENT = Event("red", 1.0, 2.25, 1.5, 0.93, 2.3)
SMOOTHED = {"red": 0.75, "green": 0.25, "blue": 0.0, "none": 0.0}
LIVE = SourceState("live")
SOURCE = "camera 0"


def make_step(
    index: int = 0,
    fps: float = 20.0,
    *,
    source: str = SOURCE,
    answered: bool = True,
    events: tuple[Event, ...] = (),
    active: Event | None = None,
    colour: str = "none",
    live: bool = False,
) -> Step:
    """Return the step of a frame; `live` gives it the age of now."""
    at = index / fps
    answer = Prediction(at, index, "red", 0.75, SMOOTHED, True, 1.5)
    arrived = time.monotonic() if live else None
    if live:
        answer = replace(answer, age_ms=40.0, dropped=1, captured_at=1.7e9)
    return Step(
        source=source,
        frame=Frame(picture(colour, (160, 120)), at, index, arrived=arrived),
        prediction=answer,
        answered=answered,
        window_fill=1.0,
        smoothed=SMOOTHED,
        events=events,
        active=active,
        fps=25.0,
        fired=events,
        state=LIVE,
    )


def changed(*states: SourceState, source: str = SOURCE) -> Step:
    """Return the step that reports new states."""
    return Step(source=source, window_fill=1.0, state=states[-1], changed=states)


END = Step(source=SOURCE, window_fill=1.0, state=LIVE)
ENDED = changed(SourceState("ended"))


def events(count: int, label: str = "red") -> Iterator[Step]:
    """Yield steps with one event each, distinguished by their start."""
    for number in range(count):
        event = Event(label, float(number), number + 0.5, number + 0.2, 0.9, number + 0.6)
        yield make_step(number, events=(event,))


class Gate:
    """An outlet of numbers that lets nothing through until it is open."""

    name = "gate"

    def __init__(self, *, is_open: bool = False) -> None:
        self.trouble = ""
        self.sent: list[int] = []
        self.gate = threading.Event()
        self.is_stopped = self.is_closed = False
        self.fails: Callable[[int], bool] = lambda _: False
        if is_open:
            self.gate.set()

    def open(self) -> None:
        """Nothing to open."""

    def pick(self, step: Step) -> list[int]:
        return [] if step.frame is None else [step.frame.index]

    def send(self, item: int) -> None:
        self.gate.wait()
        if self.fails(item):
            raise SinkError("no room")
        self.sent.append(item)

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        self.is_closed = True


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds, and return what it gives."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.01)
    return found


def wait_for_text(path: Path, text: str) -> None:
    """Wait until a file has a text in it."""
    wait_for(lambda: path.exists() and text in path.read_text(encoding="utf-8"))
