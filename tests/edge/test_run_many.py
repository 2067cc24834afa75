"""A run with several sources: one model for all, and no source affects another."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import FPS, LAG, Segments, picture, write_video
from typing_extensions import Self

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame, Step
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import Source, open_path
from seqvision_edge.types import Event, SourceState


class Live:
    """A live source: `items` are frames, states, or seconds to wait; then it ends or raises.

    With a `reader` it waits until that has got each frame: none is dropped, however busy this
    machine is.
    """

    live = True
    incomplete: str | None = None
    claimed: int | None = None

    def __init__(
        self,
        items: Sequence[Frame | SourceState | float],
        name: str = "cam",
        then: BaseException | None = None,
        reader: "Record | None" = None,
    ) -> None:
        self.name = name
        self.fps = 10.0
        self.decoded = self.damaged = 0
        self.stopped = threading.Event()
        self._items, self._then, self._reader = items, then, reader

    def stop(self) -> None:
        self.stopped.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def __iter__(self) -> Iterator[Frame | SourceState]:
        for item in self._items:
            if isinstance(item, float):
                self.stopped.wait(item)
            elif isinstance(item, Frame):
                yield replace(item, arrived=time.monotonic() - (item.arrived or 0.0))
                if self._reader is not None:
                    self._reader.wait_for(self.name, item.index)
            else:
                yield item
        if self._then is not None:
            raise self._then


class Record:
    """A sink that keeps its steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def write(self, step: Step) -> None:
        self.steps.append(step)

    def wait_for(self, name: str, index: int) -> None:
        """Wait until a frame of a source has come here."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if any(step.frame and step.frame.index >= index for step in self.of(name)[-3:]):
                return
            time.sleep(0.001)

    def of(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.source == name]

    def events(self, name: str) -> list[Event]:
        return [event for step in self.of(name) for event in step.events]

    def states(self, name: str = "cam") -> list[str]:
        return [state.state for step in self.of(name) for state in step.changed]

    def answers(self, name: str = "cam") -> list[Any]:
        return [step.prediction for step in self.of(name) if step.answered]


def paced(
    colours: Segments, start: float = 0.0, first: int = 0, pause: float = 0.02
) -> list[Frame | SourceState | float]:
    """Return frames at 10 per second of their own time, each after a short pause of ours."""
    items: list[Frame | SourceState | float] = []
    names = [colour for colour, seconds in colours for _ in range(round(10 * seconds))]
    for number, colour in enumerate(names):
        items += [pause, Frame(picture(colour), start + number / 10, first + number)]
    return items


def test_several_files_have_the_answers_and_events_that_each_has_alone(
    session: Session, tmp_path: Path
) -> None:
    scenes: dict[str, Segments] = {
        "a.mp4": [("none", 1.0), ("red", 1.2), ("none", 1.0)],
        "b.mp4": [("none", 0.5), ("blue", 1.0), ("green", 1.0), ("none", 0.6)],
        "c.mp4": [("green", 2.0)],
    }
    paths = [write_video(tmp_path / name, each, FPS) for name, each in scenes.items()]
    together = Record()
    summary = run([open_path(path) for path in paths], session, [together])
    frames = 0
    for path in paths:
        alone = Record()
        frames += run([open_path(path)], session, [alone]).frames
        assert together.events(str(path)) == alone.events(str(path))
        assert together.events(str(path))
        both = together.answers(str(path)), alone.answers(str(path))
        for mine, other in zip(*both, strict=True):
            assert mine.time == other.time
            np.testing.assert_allclose(
                list(mine.probabilities.values()), list(other.probabilities.values()), atol=1e-6
            )
    assert summary.frames == frames


def test_ready_frames_of_several_sources_are_one_call_of_the_model(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 3.0)], FPS)
    copies = [tmp_path / f"{number}.mp4" for number in range(4)]
    for copy in copies:
        copy.write_bytes(path.read_bytes())
    sizes: list[int] = []
    plain = Session.run

    def counting(self: Session, frames: Any, *rest: Any, **more: Any) -> Any:
        sizes.append(frames.shape[0])
        time.sleep(0.002)  # so that the readers are ahead
        return plain(self, frames, *rest, **more)

    monkeypatch.setattr(Session, "run", counting)
    summary = run([open_path(copy) for copy in copies], session)
    assert sum(sizes) == summary.answers == 4 * 30
    assert max(sizes) == 4
    assert len(sizes) < 4 * 30 / 2


def test_one_lost_source_among_several_fails_alone(session: Session, tmp_path: Path) -> None:
    path = write_video(tmp_path / "good.mp4", [("none", 1.0), ("red", 1.0)], FPS)
    record = Record()
    bad = Live(paced([("red", 1.2)]), then=SourceError("cam: gone"), reader=record)
    sources: list[Source] = [bad, open_path(path)]
    summary = run(sources, session, [record])
    assert [event.label for event in record.events("cam")] == ["red"]
    assert [event.label for event in record.events(str(path))] == ["red"]
    assert record.states()[-1] == "failed"
    assert record.states(str(path))[-1] == "ended"
    assert summary.failed == ("cam: cam: gone",)


@pytest.mark.timed
def test_a_silent_source_does_not_hold_up_the_others(session: Session) -> None:
    silent = Live([Frame(picture("red"), 0.0, 0), 60.0], "silent")

    class UntilEnd(Record):
        def write(self, step: Step) -> None:
            super().write(step)
            if step.source == "good" and step.state.state == "ended":
                raise KeyboardInterrupt

    record = UntilEnd()
    good = Live(paced([("none", 0.8), ("red", 1.2)]), "good", reader=record)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run([silent, good], session, [record])
    assert time.monotonic() - began < 20
    assert silent.stopped.is_set()
    assert [event.label for event in record.events("good")] == ["red"]


def test_states_come_in_order_and_no_label_before_a_full_window(
    session: Session,
) -> None:
    items = [
        SourceState("connecting", attempt=1),
        SourceState("live"),
        *paced([("red", 1.2)]),
        0.1,
        SourceState("stalled", "timeout", "no frame for 3 s"),
        SourceState("connecting", attempt=2),
        SourceState("live"),
        *paced([("red", 1.2)], start=5.0, first=12),
    ]
    record = Record()
    run([Live(items, reader=record)], session, [record], max_age=60)
    assert record.states() == [
        "connecting", "warming_up", "live", "stalled", "connecting", "warming_up", "live", "ended",
    ]  # fmt: skip
    for step in record.steps:
        if step.state.state != "live" and step.state.state != "ended":
            assert step.prediction is None
            assert step.active is None
            assert step.smoothed == {}
    times = [answer.time for answer in record.answers()]
    live = [0.5 + tick / 10 for tick in range(7)]
    assert times == pytest.approx([*live, *(5 + time for time in live)])
    first, second = record.events("cam")
    assert (first.end, second.start) == (pytest.approx(1.1 - LAG), pytest.approx(5.5 - LAG))
    since = [state.since for step in record.steps for state in step.changed]
    assert since == sorted(since)


def test_an_unreported_pause_of_frames_is_a_gap(session: Session) -> None:
    items = [*paced([("red", 1.0)]), *paced([("red", 1.0)], start=1.5, first=10)]
    record = Record()
    run([Live(items, reader=record)], session, [record], max_age=60)
    assert record.states() == ["warming_up", "live", "warming_up", "live", "ended"]
    assert len(record.events("cam")) == 2


class EveryThird(Record):
    """A sink of a device that has time for every third frame: by their order, by no clock.

    As a source's `reader` it holds that up until it has got the frame three before the next; it
    waits, with a frame, until the third after that was sent.
    """

    def __init__(self, last: int) -> None:
        """Remember which frame is the last."""
        super().__init__()
        self._last = last
        self._sent = self._got = -1
        self._moved = threading.Condition()

    def wait_for(self, name: str, index: int) -> None:
        with self._moved:
            self._sent = index
            self._moved.notify_all()
            assert self._moved.wait_for(lambda: self._got >= index - 2, 120)

    def write(self, step: Step) -> None:
        super().write(step)
        if step.frame is not None:
            with self._moved:
                self._got = step.frame.index
                self._moved.notify_all()
                assert self._moved.wait_for(
                    lambda: self._sent >= min(self._got + 3, self._last), 120
                )


def test_an_overloaded_device_sheds_evenly_and_reports_its_rate(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera sends 10 frames per second of its clock; the model has time for a third."""
    monkeypatch.setattr("seqvision_edge.pipeline.state._SECONDS", 2.0)
    scene: Segments = [("none", 3.0), ("red", 3.0), ("none", 3.0)]
    record = EveryThird(last=89)
    source = Live(paced(scene, pause=0.0), reader=record)
    summary = run([source], session, [record], max_age=600)
    answers = record.answers()
    steps = np.diff([answer.time for answer in answers])
    assert 20 < len(answers) < 60
    assert steps.max() <= 3 * np.median(steps)
    assert 20 < summary.shed <= 90 - len(answers)
    overloaded = [
        state for step in record.steps for state in step.changed if state.reason == "overloaded"
    ]
    assert overloaded
    assert overloaded[0].state == "live"
    assert "of 10 fps" in overloaded[0].message
    (event,) = record.events("cam")
    # Held steps keep the speed: the gesture is where it was, and as long.
    assert event.start == pytest.approx(3.3, abs=0.7)
    assert event.seconds == pytest.approx(3.0, abs=0.8)
    assert sum(answer.dropped for answer in answers) > 20


def test_a_prediction_older_than_max_age_is_not_reported(session: Session) -> None:
    items = paced([("red", 2.0)])
    late = [replace(item, arrived=5.0) if isinstance(item, Frame) else item for item in items]
    record = Record()
    run([Live(late)], session, [record], max_age=1.0)
    assert record.answers() == []


def test_a_live_prediction_has_capture_time_and_age(session: Session) -> None:
    record = Record()
    began = time.time()
    run([Live(paced([("red", 1.0)]), reader=record)], session, [record], max_age=60)
    for answer in record.answers():
        assert began <= answer.captured_at <= time.time()
        assert 0 <= answer.age_ms < 10_000
        assert answer.to_json()["captured_at"].endswith("Z")


def test_a_clock_that_is_set_back_changes_no_age(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = time.time
    hops = iter([0, -3600] * 1000)
    monkeypatch.setattr("time.time", lambda: plain() + next(hops))
    record = Record()
    run([Live(paced([("red", 1.0)]), reader=record)], session, [record], max_age=60)
    assert record.states() == ["warming_up", "live", "ended"]
    assert all(0 <= answer.age_ms < 10_000 for answer in record.answers())
