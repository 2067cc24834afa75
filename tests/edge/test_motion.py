"""`--when-moving`: the model runs only while something moves, with the same answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import COLOURS, FPS, WINDOW
from test_cli import edge_run, refusal
from test_run_many import Live, Record

from seqvision_edge.card import VideoSequence
from seqvision_edge.frame import Frame, Image
from seqvision_edge.opencv import cv2
from seqvision_edge.pipeline.motion import MotionGate
from seqvision_edge.regions import named, parse_region
from seqvision_edge.runner import run
from seqvision_edge.session import Session

SEQUENCE = VideoSequence(kind="video", fps=FPS, frames=WINDOW)
# Two gestures with long pauses; the second is in the right half alone.
SECONDS, GESTURES = 30.0, ((8.0, 9.2, "red", slice(0, 64)), (20.0, 21.2, "blue", slice(32, 64)))


def scene(time: float, noise: float = 4.0) -> Image:
    """Return a picture of a still, noisy camera, in which a colour comes and goes."""
    rng = np.random.default_rng(round(time * 1000))
    bgr = np.full((48, 64, 3), COLOURS["none"], np.float64)
    for start, end, colour, columns in GESTURES:
        if start <= time < end:
            bgr[:, columns] = COLOURS[colour]
    return np.asarray((bgr + rng.normal(0, noise, bgr.shape)).clip(0, 255), np.uint8)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [Frame(scene(i / FPS), i / FPS, i) for i in range(round(SECONDS * FPS))]


def watched(
    session: Session, frames: list[Frame], when_moving: bool, regions: tuple[Any, ...] = ()
) -> tuple[Record, list[int]]:
    """Run, and return the steps, and the batch of each call of the model."""
    record, batches = Record(), []
    inner = session.run

    def counted(pixels: Any, *more: Any, **options: Any) -> Any:
        batches.append(len(pixels))
        return inner(pixels, *more, **options)

    session.run = counted  # type: ignore[method-assign]
    try:
        source = Live(frames, reader=record)
        run([source], session, [record], regions={"cam": regions}, when_moving=when_moving)
    finally:
        session.run = inner  # type: ignore[method-assign]
    return record, batches


def test_events_are_the_same_and_most_calls_are_saved(
    session: Session, frames: list[Frame]
) -> None:
    always, all_calls = watched(session, frames, when_moving=False)
    moving, calls = watched(session, frames, when_moving=True)
    assert [(e.label, e.start, e.end) for e in moving.events("cam")] == [
        (e.label, e.start, e.end) for e in always.events("cam")
    ]
    assert [event.label for event in moving.events("cam")] == ["red", "blue"]
    assert len(all_calls) == len(frames)
    assert len(calls) < 0.6 * len(all_calls)
    # The answers that it gives are those of a run that never paused.
    others = {answer.frame: answer for answer in always.answers()}
    for answer in moving.answers():
        np.testing.assert_allclose(
            list(answer.probabilities.values()),
            list(others[answer.frame].probabilities.values()),
            atol=1e-6,
        )
    reasons = [(s.state, s.reason) for step in moving.steps for s in step.changed]
    assert reasons[-1][0] == "ended"
    assert [state for state in reasons if state[1] == "quiet"] == 3 * [("live", "quiet")]
    quiet = [step for step in moving.steps if step.is_quiet and step.frame]
    assert len(quiet) == len(frames) - len(calls)
    assert all(step.prediction is None and step.active is None for step in quiet)


def test_only_the_region_in_which_something_moves_is_asked(
    session: Session, frames: list[Frame]
) -> None:
    regions = named(map(parse_region, ("left=0.0,0.0,0.5,1.0", "right=0.5,0.0,1.0,1.0")))
    record, batches = watched(session, frames, when_moving=True, regions=regions)
    assert [(e.view, e.label) for e in record.events("cam")] == [
        ("left", "red"),
        ("right", "red"),
        ("right", "blue"),
    ]
    late = [step for step in record.steps if step.frame and 20.2 < step.frame.time < 21]
    assert all(step.views[0].is_quiet and step.views[1].answered for step in late)
    assert {step.state.reason for step in late} == {""}
    assert 1 in batches
    assert 2 in batches


@pytest.mark.parametrize("noise", [0.0, 3.0, 8.0])
def test_noise_is_no_motion_and_a_small_thing_is(noise: float) -> None:
    gate = MotionGate(SEQUENCE)
    rng = np.random.default_rng(0)
    room = rng.integers(40, 200, (64, 64, 3)).astype(float)
    opened = []
    for index in range(200):
        image = np.asarray((room + rng.normal(0, noise, room.shape)).clip(0, 255), np.uint8)
        if 150 <= index < 160:
            image[20:30, 3 * (index - 150) : 3 * (index - 150) + 10] = 235
        gate.take(image, index / FPS, 1)
        opened.append(gate.is_open)
    hold = round((WINDOW / FPS + 1) * FPS)
    assert all(opened[:hold])
    assert not any(opened[hold + 20 : 150]), "noise is learnt within two seconds"
    assert all(opened[150 : 160 + hold - 1])
    assert not any(opened[160 + hold + 12 :])


def test_a_window_is_given_at_once_when_something_moves() -> None:
    gate = MotionGate(SEQUENCE)
    still = np.full((12, 16, 3), 90, np.uint8)
    while gate.is_open:
        steps = gate.take(still, getattr(gate, "now", 0.0), 1)
        gate.now = getattr(gate, "now", 0.0) + 1 / FPS  # type: ignore[attr-defined]
    assert steps is None
    bright = cv2.rectangle(still.copy(), (2, 2), (9, 9), (255, 255, 255), -1)
    for index in range(2 * WINDOW):
        assert gate.take(still, 10 + index / FPS, 1) is None
    steps = gate.take(bright, 20.0, 2)
    assert steps is not None
    assert steps.shape == (WINDOW, 12, 16, 3)
    assert np.array_equal(steps[-2:], [bright, bright])
    assert np.array_equal(steps[0], still)
    gate.restart()
    steps = gate.take(bright, 20.1, 1)
    assert steps is not None
    assert len(steps) == 1


def test_edge_run_says_that_nothing_moves(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], frames: list[Frame]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for frame in frames[:140]:
        cv2.imwrite(str(folder / f"{frame.index:03d}.png"), frame.bgr)
    log = tmp_path / "run.jsonl"
    common = [folder, "--image-fps", "10", "--model", model, "--no-window", "--json", log]
    code, out, _ = edge_run(capsys, *common, "--when-moving", "--save", tmp_path / "out.mp4")
    assert code == 0
    assert out.split("\t")[2] == "red"
    text = log.read_text()
    assert '"reason": "quiet", "message": "nothing moves"' in text
    assert 0 < text.count('"prediction"') < 100


def test_a_model_of_still_images_has_regions_and_no_motion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(__file__).parents[1] / "old_models" / "spec4-rows.onnx"
    cv2.imwrite(str(tmp_path / "a.png"), scene(1.0))
    common = [tmp_path / "a.png", "--model", model, "--no-window"]
    line = refusal(capsys, *common, "--when-moving")
    assert "--when-moving" in line
    assert "reads no video" in line
    parts = ["--region", "left=0.0,0.0,0.5,1.0", "--region", "right=0.5,0.0,1.0,1.0"]
    code, out, _ = edge_run(capsys, *common, *parts)
    assert code == 0
    assert [line.split("\t")[3] for line in out.splitlines()] == ["left", "right"]
