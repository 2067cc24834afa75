"""Outputs: refused before work begins, whole when it ends."""

import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from colour_model import LABELS, make_card, picture
from rich.console import Console

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.result import Event, Prediction, SourceState, clock
from seqvision_edge.sinks import Quit, window
from seqvision_edge.sinks.console import LiveLine, PlainLines
from seqvision_edge.sinks.jsonl import JsonLines
from seqvision_edge.sinks.memory import EventList
from seqvision_edge.sinks.video import VideoFile
from seqvision_edge.step import Step

EVENT = Event("red", 1.0, 2.25, 1.5, 0.93, 2.3)
SMOOTHED = {"red": 0.75, "green": 0.25, "blue": 0.0, "none": 0.0}


def make_step(
    index: int = 0, fps: float = 20.0, *, answered: bool = True, events: tuple[Event, ...] = ()
) -> Step:
    time = index / fps
    answer = Prediction(time, index, "red", 0.75, SMOOTHED, True, 1.5)
    frame = Frame(picture("none", (160, 120)), time, index)
    return Step(
        source="camera 0",
        frame=frame,
        prediction=answer,
        answered=answered,
        warmth=1.0,
        smoothed=SMOOTHED,
        events=events,
        fps=25.0,
        fired=events,
        state=LIVE,
    )


LIVE = SourceState("live")
END = Step(source="camera 0", warmth=1.0, state=LIVE)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_lines_say_what_runs_then_each_answer_and_event(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with JsonLines(path, {"model": "m.onnx", "labels": list(LABELS)}) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1, answered=False))
        sink.write(make_step(2, events=(EVENT,)))
        sink.write(END)
    assert [line["type"] for line in lines(path)] == ["run", "answer", "answer", "event"]
    assert lines(path)[0] == {"type": "run", "model": "m.onnx", "labels": list(LABELS)}
    assert lines(path)[1] == {
        "type": "answer",
        "time": 0.0,
        "frame": 0,
        "label": "red",
        "probability": 0.75,
        "probabilities": SMOOTHED,
        "warm": True,
        "latency_ms": 1.5,
    }
    assert lines(path)[3] == {
        "type": "event",
        "label": "red",
        "start": 1.0,
        "end": 2.25,
        "peak": 1.5,
        "confidence": 0.93,
        "told": 2.3,
    }


def test_json_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with JsonLines(path, {}) as sink:
        for index in range(5):
            sink.write(make_step(index))
            assert len(lines(path)) == index + 2


def test_a_second_run_is_appended_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        with JsonLines(path, {}) as sink:
            sink.write(make_step())
    assert [line["type"] for line in lines(path)] == ["run", "answer", "run", "answer"]


def test_a_json_file_in_no_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"--json .*cannot be written"):
        JsonLines(tmp_path / "none" / "run.jsonl", {}).__enter__()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
def test_a_full_disk_is_one_line() -> None:
    with pytest.raises(SinkError, match="No space left"), JsonLines(Path("/dev/full"), {}):
        pass


def read_video(path: Path) -> tuple[int, float, tuple[int, int]]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    fps = video.get(cv2.CAP_PROP_FPS)
    count, size = 0, (0, 0)
    while (read := video.read())[0]:
        count, size = count + 1, (read[1].shape[1], read[1].shape[0])
    return count, fps, size


@pytest.mark.parametrize("ending", ["mp4", "avi", "mkv"])
def test_a_saved_video_has_every_frame_at_the_rate_of_the_source(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"out.{ending}"
    with VideoFile(path, Overlay(make_card()), 20.0) as sink:
        for index in range(10):
            sink.write(make_step(index))
        assert not path.exists()
        sink.write(END)
    assert read_video(path) == (10, 20.0, (640, 480))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("source_fps", [10.0, 40.0])
def test_a_saved_video_of_an_unsteady_camera_plays_in_real_time(
    tmp_path: Path, source_fps: float
) -> None:
    path = tmp_path / "out.mp4"
    with VideoFile(path, Overlay(make_card()), 20.0) as sink:
        for index in range(int(source_fps / 2)):
            sink.write(make_step(index, source_fps))
    # Half a second; the last picture stands for one frame of the video.
    assert read_video(path)[0] == pytest.approx(10, abs=1)


def test_a_saved_video_is_kept_when_the_run_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoFile(path, Overlay(make_card()), 20.0).__enter__()
    sink.write(make_step())
    sink.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert read_video(path)[0] == 1


def test_a_run_without_frames_leaves_no_video_and_an_older_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    with VideoFile(path, Overlay(make_card()), 20.0):
        pass
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_changes_its_size_is_fitted_into_the_video(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    other = replace(make_step(1), frame=Frame(picture("red", (801, 603)), 0.05, 1))
    with VideoFile(path, Overlay(make_card()), 20.0) as sink:
        sink.write(make_step(0))
        sink.write(other)
    assert read_video(path) == (2, 20.0, (640, 480))


def test_a_saved_video_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    path, plain = tmp_path / "out.mp4", tmp_path / "plain"
    plain.touch()
    with VideoFile(path, Overlay(make_card()), 20.0) as sink:
        sink.write(make_step())
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("name", "reason"),
    [("out.txt", "ends in .mp4"), ("out", "ends in .mp4"), ("none/out.mp4", "cannot be written")],
)
def test_a_video_that_cannot_be_written_is_refused_at_the_start(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(SinkError, match=reason):
        VideoFile(tmp_path / name, Overlay(make_card()), 20.0).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_gets_events_only_and_the_summary_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PlainLines() as sink:
        sink.write(make_step(0))
        sink.write(make_step(1, answered=False, events=(EVENT,)))
        sink.write(END)
    said = capsys.readouterr()
    assert said.out == "1.00\t2.25\tred\t0.930\n"
    assert said.err.startswith("2 frames · 1 answer · ")
    assert said.err.endswith(" · 1 event\n")


def test_a_run_without_events_ends_with_its_last_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines() as sink:
        sink.write(make_step())
    assert "last answer: red 75%" in capsys.readouterr().err


def live_line(width: int = 100) -> tuple[LiveLine, io.StringIO]:
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=width, color_system=None)
    return LiveLine((*LABELS, "[bold]"), "none", terminal), out


def test_a_terminal_has_one_live_line_and_lasting_lines_for_events() -> None:
    line, out = live_line()
    with line as sink:
        sink.write(make_step(0))
        sink.write(make_step(1, events=(EVENT,)))
    assert "red" in out.getvalue()
    assert "75%" in out.getvalue()
    assert "25 fps" in out.getvalue()
    assert out.getvalue().count("●") == 1


def test_a_terminal_says_that_the_window_is_not_full() -> None:
    line, out = live_line()
    step = make_step()
    with line as sink:
        sink.write(replace(step, warmth=0.5, smoothed={}))
    assert "warming up" in out.getvalue()
    assert "red" not in out.getvalue()


def test_a_label_is_never_read_as_markup() -> None:
    line, out = live_line()
    with line as sink:
        sink.write(make_step(0, events=(Event("[bold]", 0, 1, 0, 1.0, 1),)))
    assert "[bold]" in out.getvalue()


def test_a_narrow_terminal_keeps_the_live_line_in_one_line() -> None:
    line, out = live_line(width=30)
    with line as sink:
        sink.write(make_step(0))
    visible = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "red" in visible
    assert max(map(len, re.split(r"[\r\n]", visible))) <= 28


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00.0"), (59.96, "1:00.0"), (75.25, "1:15.2"), (3661, "1:01:01.0")]
)
def test_times_are_said_as_a_clock_does(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_an_event_list_keeps_the_events() -> None:
    with EventList() as sink:
        sink.write(make_step(events=(EVENT,)))
        sink.write(END)
    assert sink.events == [EVENT]


@pytest.mark.skipif(os.name != "posix", reason="displays are asked for on Linux only")
@pytest.mark.parametrize("display", [None, "", ":4242", "nonsense"])
def test_without_a_display_that_answers_no_window_is_opened(
    no_display: None, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    assert not window.can_show()


def test_an_opencv_without_windows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert not window.can_show()


def fake_window(
    monkeypatch: pytest.MonkeyPatch, key: int = -1, visible: float = 1.0
) -> list[tuple[int, int]]:
    """Replace OpenCV's window and return the sizes of the pictures it is given."""
    shown: list[tuple[int, int]] = []
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    for name in ("namedWindow", "resizeWindow", "destroyWindow"):
        monkeypatch.setattr(cv2, name, quiet)
    monkeypatch.setattr(cv2, "imshow", lambda _, bgr: shown.append(bgr.shape[:2]))
    monkeypatch.setattr(cv2, "waitKey", lambda _: key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: visible)
    return shown


def test_a_window_shows_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = fake_window(monkeypatch)
    with window.Window(Overlay(make_card())) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1))
        sink.write(END)
    assert shown == [(480, 640)] * 2


@pytest.mark.parametrize(("key", "visible"), [(ord("q"), 1.0), (27, 1.0), (-1, 0.0)])
def test_q_escape_and_the_close_button_end_the_run(
    monkeypatch: pytest.MonkeyPatch, key: int, visible: float
) -> None:
    fake_window(monkeypatch, key, visible)
    with pytest.raises(Quit), window.Window(Overlay(make_card())) as sink:
        sink.write(make_step())


def test_a_window_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_window(monkeypatch)

    def fail(*_: object) -> None:
        raise cv2.error("no GUI")

    monkeypatch.setattr(cv2, "imshow", fail)
    with window.Window(Overlay(make_card())) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1))
