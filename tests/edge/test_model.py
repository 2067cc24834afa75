"""The Python API of the runtime: a model on clips, on sources and on pushed frames."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from colour_model import FPS, WINDOW, card_data, make_card, model_bytes, picture, write_video
from servers import web

import seqvision_edge
from seqvision_edge import Model, ModelError, SourceError
from seqvision_edge.cli import main

SCENES = [("none", 1.0), ("red", 1.2), ("none", 1.0), ("blue", 1.0), ("none", 0.8)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes())
    return path


@pytest.fixture
def model(file: Path) -> Model:
    return Model(file)


def frames_of(*scenes: tuple[str, float], fps: float = 20.0) -> np.ndarray:
    return np.stack([picture(colour) for colour, long in scenes for _ in range(round(long * fps))])


def test_a_clip_gets_the_label_of_its_middle(model: Model, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", [("none", 1.0), ("red", 1.0), ("none", 1.0)])
    found = model.predict(video)
    assert found.label == "red"
    assert found.probability == found.probabilities["red"] == max(found.probabilities.values())
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert list(found.probabilities) == list(model.labels)
    assert (len(found.windows), found.window_fill, found.unsure) == (1, 1.0, False)
    (window,) = found.windows
    assert window.end - window.start == pytest.approx(WINDOW / FPS)
    assert "<table>" in found._repr_html_()


def test_every_window_is_the_mean_over_the_whole_clip(model: Model, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", [("red", 1.0), ("blue", 2.0)])
    found = model.predict(video, every_window=True)
    assert (found.windows[0].label, found.windows[-1].label) == ("red", "blue")
    mean = np.mean([each.probabilities["blue"] for each in found.windows])
    assert found.probabilities["blue"] == pytest.approx(mean)
    starts = [each.start for each in found.windows]
    assert starts == sorted(starts)
    assert found.windows[-1].end == pytest.approx(3.0)


def test_an_array_a_video_and_a_folder_of_pictures_get_one_answer(
    model: Model, tmp_path: Path
) -> None:
    from seqvision_edge.opencv import cv2

    frames = frames_of(("none", 0.5), ("green", 1.0), ("none", 0.5))
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(frames):
        assert cv2.imwrite(str(folder / f"{number:03}.png"), frame)
    from_array = model.predict(frames, fps=20)
    assert model.predict(folder, fps=20) == from_array
    assert from_array.label == "green"


def test_a_clip_shorter_than_the_window_is_marked(model: Model) -> None:
    found = model.predict(frames_of(("red", 0.3)), fps=20)
    assert found.label == "red"
    assert found.window_fill == pytest.approx(0.5)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4, 3), np.float32), np.zeros((0, 4, 4, 3))],
)
def test_frames_of_another_shape_or_type_are_refused(model: Model, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"give uint8 \(time, height, width, 3\)"):
        model.predict(frames)


def test_what_cannot_be_read_is_one_error(model: Model, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        model.predict(tmp_path / "nowhere.mp4")
    with pytest.raises(SourceError, match="nowhere"):
        list(model.events(tmp_path / "nowhere.mp4"))


def test_an_unsure_answer_is_marked(tmp_path: Path) -> None:
    decision = {**card_data()["decision"], "reject": 0.95}
    model = Model(model_bytes(make_card(decision=decision)))
    assert model.predict(frames_of(("none", 1.0))).unsure
    assert not model.predict(frames_of(("red", 1.0))).unsure


def test_events_of_a_file_are_those_of_edge_run(file: Path, model: Model, tmp_path: Path) -> None:
    video, log = write_video(tmp_path / "clip.mp4", SCENES), tmp_path / "run.jsonl"
    given = ["--model", str(file), "--source", str(video), "--json", str(log), "--no-window"]
    assert main(given) == 0
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    expected = [{k: v for k, v in row.items() if k in ("label", "start", "end", "confidence")}
                for row in rows if row["type"] == "event"]  # fmt: skip
    events = [event.to_json() for event in model.events(video)]
    assert [{k: event[k] for k in expected[0]} for event in events] == expected
    assert [event["label"] for event in events] == ["red", "blue"]


def test_events_of_frames_with_times(model: Model) -> None:
    frames = frames_of(*SCENES)
    pairs = ((100 + number / 20, frame) for number, frame in enumerate(frames))
    assert [event.label for event in model.events(pairs)] == ["red", "blue"]
    with pytest.raises(SourceError, match="frame 1: its time 5 is not after 5"):
        list(model.events([(5.0, frames[0]), (5.0, frames[1])]))


def test_leaving_the_loop_ends_a_live_source(model: Model) -> None:
    def shown(number: int) -> np.ndarray:
        return picture("red" if number // 15 % 2 else "none")

    with web.WebServer({"/camera": web.mjpeg(shown)}) as server:
        events = model.events(f"{server.url}/camera")
        (event,) = islice(events, 1)
        assert event.label == "red"
        events.close()  # type: ignore[attr-defined]
        assert list(events) == []


def test_pushed_frames_bring_updates_and_events(model: Model) -> None:
    frames = frames_of(*SCENES)
    stream = model.stream()
    updates = [stream.push(each, time=7 + n / 20) for n, each in enumerate(frames)]
    assert stream.finish() == ()
    assert updates[0].label is None
    assert updates[0].window_fill < 1
    assert updates[-1].label == "none"
    assert updates[-1].probability == updates[-1].probabilities["none"]
    events = [event for update in updates for event in update.events]
    assert [event.label for event in events] == ["red", "blue"]
    assert 0.9 < events[0].start < events[0].end < 2.6


def test_a_stream_uses_its_own_clock_and_refuses_falling_times(model: Model) -> None:
    stream = model.stream()
    red = picture("red")
    assert stream.push(red).time == 0
    assert stream.push(red).time > 0
    stream = model.stream()
    for wrong in (None, np.zeros((2, 4, 4, 3), np.uint8), np.zeros(4, np.uint8), red.astype(float)):
        with pytest.raises(ValueError, match=r"give uint8 \("):
            stream.push(wrong)  # type: ignore[arg-type]
    stream.push(red, time=3.0)
    with pytest.raises(ValueError, match=r"time 2: later than the frame before, 3"):
        stream.push(red, time=2.0)


def test_a_model_of_still_images_answers_for_one_picture(tmp_path: Path) -> None:
    card = make_card(sequence={"kind": "rows", "steps": 6, "longer": "crop"})
    model = Model(model_bytes(card))
    assert model.predict(picture("red")[None]).label == "red"
    with pytest.raises(SourceError, match="2 pictures; the model reads one at a time"):
        model.predict(np.stack([picture("red")] * 2))
    for refused in (lambda: model.events(0), model.stream):
        with pytest.raises(ModelError, match="still images"):
            refused()


def test_the_public_names_are_listed_and_nothing_else() -> None:
    assert set(dir(seqvision_edge)) == set(seqvision_edge.__all__)
    for name in seqvision_edge.__all__:
        assert getattr(seqvision_edge, name) is not None


def test_the_api_is_silent_and_without_torch(file: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", SCENES)
    program = (
        "import sys; from seqvision_edge import Model; m = Model(sys.argv[1])\n"
        "assert m.predict(sys.argv[2]).label\n"
        "assert [e.label for e in m.events(sys.argv[2])] == ['red', 'blue']\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [
        sys.executable,
        "-W",
        "error::DeprecationWarning:seqvision",
        "-c",
        program,
        file,
        video,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_running_event_is_reported_at_the_end(model: Model) -> None:
    stream = model.stream()
    for number, frame in enumerate(frames_of(("none", 1.0), ("red", 1.0))):
        assert stream.push(frame, time=number / 20).events == ()
    (event,) = stream.finish()
    assert event.label == "red"


def test_grey_frames_and_a_clock_that_stands_still(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqvision_edge.model._now", lambda: 5.0)
    stream = model.stream()
    grey = picture("none")[..., 0]
    times = [stream.push(grey).time for _ in range(3)]
    assert times == sorted(set(times)), "each is later than the one before"
