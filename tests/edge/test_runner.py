"""A run on real sessions: from frames to events."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import FPS, LAG, WINDOW, Segments, make_card, model_bytes, picture, write_video
from numpy.typing import NDArray
from typing_extensions import Self

from seqvision_edge.card import StripSequence
from seqvision_edge.errors import SinkError, SourceError
from seqvision_edge.frame import Frame, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.runner import RunSummary, run
from seqvision_edge.sampling import centre, select_frames
from seqvision_edge.session import Session
from seqvision_edge.sinks import Quit, Sink
from seqvision_edge.sources.factory import open_path
from seqvision_edge.still_images import image_steps
from seqvision_edge.types import Prediction


@dataclass(frozen=True)
class KeptClip:
    """A clip as `seqvision_edge.sampling` takes it."""

    frames: NDArray[np.uint8]
    times: NDArray[np.float64]
    source_fps: float | None = None
    end: float | None = None


SCENES = [("none", 1.0), ("red", 1.0), ("none", 1.0)]


class Frames:
    """A source made of given frames; `then` is raised after them."""

    name = "frames"
    incomplete: str | None = None
    claimed: int | None = None

    def __init__(
        self, frames: Sequence[Frame], *, live: bool = False, then: BaseException | None = None
    ) -> None:
        self.frames = frames
        self.live = live
        self.fps = 10.0
        self.decoded = self.damaged = 0
        self.is_closed = False
        self.reader: Record | None = None
        self._then = then

    def stop(self) -> None:
        """Nothing waits."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.frames:
            yield replace(frame, arrived=time.monotonic())
            # A machine that is busy must not make a live source drop any.
            deadline = time.monotonic() + 120
            while self.live and self.reader is not None and time.monotonic() < deadline:
                if any(step.frame and step.frame.index == frame.index
                       for step in self.reader.steps[-3:]):  # fmt: skip
                    break
                time.sleep(0.001)
        if self._then is not None:
            raise self._then


class Record:
    """A sink that keeps its steps; `fail_at` raises at that step."""

    def __init__(self, fail_at: int = -1, error: BaseException | None = None) -> None:
        self.steps: list[Step] = []
        self.is_closed = False
        self._fail = fail_at, error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def write(self, step: Step) -> None:
        self.steps.append(step)
        at, error = self._fail
        if len(self.steps) - 1 == at and error is not None:
            raise error

    @property
    def answers(self) -> list[Prediction]:
        return [step.prediction for step in self.steps if step.answered and step.prediction]

    @property
    def labels(self) -> list[str]:
        return [event.label for step in self.steps for event in step.events]


def scene(segments: Segments, fps: float = 10.0, start: float = 0.0) -> list[Frame]:
    """Return frames of one colour after the other, each for some seconds."""
    frames = [colour for colour, seconds in segments for _ in range(round(seconds * fps))]
    return [
        Frame(picture(colour), start + index / fps, index) for index, colour in enumerate(frames)
    ]


def go(session: Session, frames: Sequence[Frame], **source: Any) -> tuple[RunSummary, Record]:
    record = Record()
    given = Frames(frames, **source)
    given.reader = record
    return run([given], session, [record], max_age=60), record


@pytest.mark.parametrize("live", [False, True])
def test_a_gesture_becomes_one_event_where_it_happened(session: Session, live: bool) -> None:
    summary, record = go(session, scene(SCENES), live=live)
    (event,) = [event for step in record.steps for event in step.events]
    assert event.label == "red"
    assert 0.9 <= event.start <= event.peak <= event.end <= 2.6
    # Live, a window that is not full is no answer.
    answers = 30 - (WINDOW - 1 if live else 0)
    assert (summary.frames, summary.answers, summary.events) == (30, answers, 1)


@pytest.mark.parametrize("fps", [4.0, 10.0, 25.0, 60.0])
def test_every_answer_is_the_offline_answer_for_its_window(
    session: Session, tmp_path: Path, fps: float
) -> None:
    path = write_video(tmp_path / "clip.mp4", [("none", 1.0), ("red", 0.6), ("blue", 0.7)], fps)
    record = Record()
    run([open_path(path)], session, [record])

    frames = list(open_path(path))
    chosen = select_frames([frame.time for frame in frames], FPS)
    steps = np.stack([prepare(frames[index].bgr, session.card.image) for index in chosen])
    for answer in record.answers:
        # A frame that answers several ticks is reported once, at the last of them.
        end = int(np.searchsorted(chosen, answer.frame, side="right"))
        offline, _ = session.run(steps[None, max(0, end - WINDOW) : end])
        live = list(answer.probabilities.values())
        np.testing.assert_allclose(live, offline[0], atol=1e-6)
        assert answer.window_full == (end >= WINDOW)


def test_a_clip_shorter_than_the_window_still_has_its_answer(session: Session) -> None:
    frames = scene([("red", 0.3)])
    summary, record = go(session, frames)
    clip = np.stack([prepare(frame.bgr, session.card.image) for frame in frames])
    assert summary.prediction is not None
    assert summary.prediction.label == "red"
    assert not summary.prediction.window_full
    np.testing.assert_allclose(
        list(summary.prediction.probabilities.values()), session.run(clip[None])[0][0], atol=1e-6
    )
    (event,) = [event for step in record.steps for event in step.events]
    assert (event.label, event.start, event.end) == ("red", 0.0, frames[-1].time)
    assert event.confidence == pytest.approx(summary.prediction.probability)
    assert event.to_json()["window_fill"] == 0.5


@pytest.mark.parametrize("fps", [7.0, 10.0, 30.0])
@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 3.0])
def test_a_clip_of_one_gesture_is_one_event_however_long_it_is(
    session: Session, seconds: float, fps: float
) -> None:
    frames = scene([("red", seconds)], fps)
    _, record = go(session, frames)
    (event,) = [event for step in record.steps for event in step.events]
    assert event.label == "red"
    fired = [event for step in record.steps for event in step.fired]
    assert fired == [event]
    chosen = select_frames([frame.time for frame in frames], FPS)
    full = len(chosen) >= WINDOW
    assert (event.window_fill == 1.0) is full
    if not full:
        assert event.window_fill == pytest.approx(len(chosen) / WINDOW)


def test_a_short_clip_is_judged_by_its_middle_as_predict_does(session: Session) -> None:
    frames = scene([("none", 0.1), ("blue", 0.5), ("none", 0.1)])
    _, record = go(session, frames)
    steps = np.stack([prepare(frame.bgr, session.card.image) for frame in frames])
    clip = KeptClip(steps, np.array([frame.time for frame in frames]))
    offline = session.run(centre(clip, session.card.image, session.card.sequence)[None])[0][0]
    (event,) = [event for step in record.steps for event in step.events]
    assert (event.label, event.confidence) == ("blue", pytest.approx(offline.max(), abs=1e-6))


@pytest.mark.parametrize(
    ("segments", "source", "changes"),
    [
        ([("none", 0.4)], {}, {}),
        ([("red", 0.4)], {"live": True}, {}),
        ([("red", 0.6)], {"live": True}, {}),
        ([("red", 0.4)], {"then": KeyboardInterrupt()}, {}),
        ([("red", 0.2), ("green", 0.2)], {}, {"on_threshold": 0.99}),
        ([("red", 0.4)], {}, {"min_confidence": 1.0}),
    ],
    ids=["background", "live", "live, just full", "interrupted", "unsure", "rejected"],
)
def test_a_short_rise_is_an_event_only_for_a_whole_sure_file(
    session: Session, segments: Segments, source: dict[str, Any], changes: dict[str, Any]
) -> None:
    record = Record()
    given = Frames(scene(segments), **source)
    given.reader = record
    decision = session.card.decision.model_copy(update=changes)
    with contextlib.suppress(KeyboardInterrupt):
        run([given], session, [record], decision, max_age=60)
    assert record.labels == []


def test_a_long_file_gets_no_event_because_it_ends(session: Session) -> None:
    _, record = go(session, scene([("none", 4.0), ("red", 0.4)]))
    assert record.labels == []


def test_a_file_with_a_gap_is_no_short_clip(session: Session) -> None:
    _, record = go(session, [*scene([("red", 0.4)]), *scene([("red", 0.4)], start=9.0)])
    assert record.labels == []


def test_nothing_is_decided_before_the_window_is_full(session: Session) -> None:
    _, record = go(session, scene([("red", 2.0)]))
    assert all(not step.smoothed and not step.active for step in record.steps[: WINDOW - 1])
    assert record.steps[WINDOW - 2].window_fill == pytest.approx((WINDOW - 1) / WINDOW)
    assert record.steps[WINDOW].smoothed["red"] > 0.6
    (event,) = [event for step in record.steps for event in step.events]
    assert event.start == pytest.approx((WINDOW - 1) / FPS - LAG)


def test_frames_between_two_ticks_keep_the_answer_and_are_still_shown(session: Session) -> None:
    summary, record = go(session, scene(SCENES, fps=30))
    assert summary.frames == 90
    assert summary.answers == pytest.approx(30, abs=1)
    assert len(record.steps) == 91
    between = [step for step in record.steps if step.frame and not step.answered]
    assert len(between) == 90 - summary.answers
    assert all(step.prediction is not None for step in between)


def test_the_window_never_spans_a_gap(session: Session) -> None:
    before, after = scene([("red", 1.0)]), scene([("none", 1.0)], start=9.0)
    _, record = go(session, [*before, *after])
    fresh = record.steps[len(before)]
    assert fresh.window_fill == pytest.approx(1 / WINDOW)
    assert fresh.smoothed == {}
    assert record.labels == ["red"]
    assert fresh.events[0].end == pytest.approx(0.9 - LAG)
    warm = [answer.window_full for answer in record.answers[len(before) :]]
    assert warm == [False] * (WINDOW - 1) + [True] * 5


def test_time_that_starts_over_begins_a_new_window(session: Session) -> None:
    _, record = go(session, [*scene([("none", 1.0)]), *scene([("none", 1.0)])])
    assert record.steps[10].window_fill == pytest.approx(1 / WINDOW)


def test_an_answer_that_is_not_finite_gives_no_label_and_a_fresh_window() -> None:
    session = Session(model_bytes(nan_on_black=True), "cpu")
    frames = scene([("red", 1.0), ("black", 0.1), ("red", 1.0)])
    summary, record = go(session, frames)
    assert summary.nonfinite == 1
    assert summary.answers == 20
    spoilt = record.steps[10]
    assert spoilt.prediction is None
    assert not spoilt.answered
    assert [event.label for event in spoilt.events] == ["red"]
    assert record.steps[11].window_fill == pytest.approx(1 / WINDOW)


def test_a_running_event_is_reported_at_the_end_of_the_source(session: Session) -> None:
    summary, record = go(session, scene([("none", 1.0), ("red", 1.0)]))
    assert summary.events == 1
    assert record.steps[-1].frame is None
    assert record.steps[-1].events[0].label == "red"


def test_settings_of_the_decision_can_be_replaced(session: Session) -> None:
    strict = session.card.decision.model_copy(update={"minimum_seconds": 30.0})
    summary = run([Frames(scene(SCENES))], session, decision=strict)
    assert summary.events == 0


def test_a_slow_source_fills_the_window_by_repetition() -> None:
    card = make_card(sequence={"kind": "video", "fps": 1000.0, "frames": WINDOW})
    frames = [Frame(picture("red"), float(second), second) for second in range(4)]
    source = Frames(frames)
    source.fps = 1.0
    summary = run([source], Session(model_bytes(card), "cpu"))
    assert summary.prediction is not None
    assert (summary.prediction.label, summary.prediction.window_full) == ("red", True)


def test_an_empty_source_gives_an_empty_summary(session: Session) -> None:
    summary, _ = go(session, [])
    assert (summary.frames, summary.answers, summary.prediction) == (0, 0, None)


def closed_after(session: Session, source: Frames, sinks: Sequence[Sink]) -> BaseException | None:
    source.reader = next((sink for sink in sinks if isinstance(sink, Record)), None)
    try:
        run([source], session, sinks, max_age=60)
    except BaseException as error:
        return error
    finally:
        assert source.is_closed
    return None


@pytest.mark.parametrize("live", [False, True])
def test_a_lost_source_is_an_error_after_its_last_event(session: Session, live: bool) -> None:
    record = Record()
    lost = SourceError("camera 0: gone")
    frames = scene([("none", 1.0), ("red", 1.0)])
    assert closed_after(session, Frames(frames, live=live, then=lost), [record]) is lost
    assert record.labels == ["red"]
    assert record.is_closed


@pytest.mark.parametrize("live", [False, True])
def test_ctrl_c_reports_the_running_event(session: Session, live: bool) -> None:
    record = Record(fail_at=19, error=KeyboardInterrupt())
    frames = scene([("none", 1.0), ("red", 9.0)])
    error = closed_after(session, Frames(frames, live=live), [record])
    assert isinstance(error, KeyboardInterrupt)
    assert record.labels == ["red"]
    assert record.is_closed


def test_closing_the_window_ends_the_run_without_an_error(session: Session) -> None:
    record = Record(fail_at=4, error=Quit())
    assert closed_after(session, Frames(scene(SCENES)), [record]) is None
    assert len(record.steps) == 6
    assert record.is_closed


def test_an_output_that_fails_closes_the_others(session: Session) -> None:
    good, bad = Record(), Record(fail_at=3, error=SinkError("disk full"))
    assert isinstance(closed_after(session, Frames(scene(SCENES)), [good, bad]), SinkError)
    assert good.is_closed
    assert bad.is_closed


def test_the_example_of_the_readme_gives_the_answer_of_the_run(
    tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = Path(__file__).parents[2] / "edge" / "README.md"
    code = readme.read_text(encoding="utf-8").split("```python")[1].split("```")[0]
    (tmp_path / "model.onnx").write_bytes(model_bytes())
    path = write_video(tmp_path / "clip.mp4", [("none", 1.0), ("green", 1.0)])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    summary = run([open_path(path)], session)
    assert summary.prediction is not None
    answer = list(summary.prediction.probabilities.values())
    np.testing.assert_allclose(names["probabilities"], answer, atol=1e-6)


ROWS = {"kind": "rows", "steps": WINDOW, "longer": "crop"}


def test_a_picture_model_answers_for_each_picture_of_a_folder_by_itself(tmp_path: Path) -> None:
    card = make_card(sequence=ROWS)
    for name, colour in (("1", "red"), ("2", "green"), ("10", "blue")):
        # One row of steps, and many: a short picture is whole, not warming up.
        size = (16, 12) if name == "1" else (16, 96)
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), picture(colour, size))
    record = Record()
    summary = run([open_path(tmp_path)], Session(model_bytes(card)), [record])
    answers = [step.prediction for step in record.steps if step.answered]
    assert [(answer.image, answer.label) for answer in answers if answer] == [
        ("1.png", "red"),
        ("2.png", "green"),
        ("10.png", "blue"),
    ]
    assert all(answer.window_full for answer in answers if answer)
    assert (summary.frames, summary.answers, summary.events) == (3, 3, 0)


def test_the_answer_for_a_picture_is_that_of_its_steps_in_one_call(tmp_path: Path) -> None:
    card = make_card(sequence=ROWS)
    session = Session(model_bytes(card))
    path = tmp_path / "half.png"
    half = np.concatenate((picture("red", (32, 60)), picture("blue", (32, 60))))
    assert cv2.imwrite(str(path), half)
    summary = run([open_path(path)], session)
    assert isinstance(card.sequence, StripSequence)
    steps = image_steps(half, card.image, card.sequence)
    expected, _ = session.run(steps[None])
    assert summary.prediction is not None
    assert list(summary.prediction.probabilities.values()) == pytest.approx(expected[0].tolist())


def test_a_window_can_be_closed_while_no_source_brings_anything(session: Session) -> None:
    class Silent(Frames):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            left.wait(60)

        def stop(self) -> None:
            super().stop()
            left.set()

    class Looked(Record):
        idles = 0

        def idle(self) -> None:
            self.idles += 1
            if self.idles == 3:
                raise Quit

    left = threading.Event()
    looked = Looked()
    run([Silent(scene([("red", 1.0)]), live=True)], session, [looked])
    assert left.is_set()
    assert looked.idles == 3
