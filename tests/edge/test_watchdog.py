"""A model that fails or hangs ends the run, with a message."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from colour_model import card_data, make_card, model_bytes, write_video

from seqvision_edge import runner
from seqvision_edge.cli import FAILED, main
from seqvision_edge.runner import CallFailed, Watchdog
from seqvision_edge.session import Session


def test_a_call_in_time_is_answered() -> None:
    with Watchdog("model.onnx", 20.0, None) as dog:
        assert dog.call(lambda _: 3) == 3


def test_a_call_that_takes_too_long_is_stopped() -> None:
    session = Session(model_bytes(), "cpu")
    frames = np.zeros((1, 100_000, 12, 16, 3), np.uint8)
    with (
        Watchdog("model.onnx", 0.001, None) as dog,
        pytest.raises(CallFailed, match=r"model.onnx: a call took longer than 0.001 s; it was"),
    ):
        dog.call(lambda options: session.run(frames, run_options=options))


def test_an_unstoppable_call_is_reported_by_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_MERCY_SECONDS", 0.1)
    output: list[str] = []
    ended = threading.Event()

    def stuck(line: str) -> None:
        output.append(line)
        ended.set()

    with Watchdog("model.onnx", 0.1, stuck) as dog:
        assert dog.call(lambda _: ended.wait(30))
    assert output == ["model.onnx: a call took longer than 0.1 s and cannot be stopped"]


def test_an_error_of_onnxruntime_is_one_line() -> None:
    session = Session(model_bytes(), "cpu")
    past = np.zeros((1, 0, 3), np.float32)
    wrong = {"frames": np.zeros((1, 1, 5, 5, 4), np.uint8), "past": past}
    with (
        Watchdog("model.onnx", 20.0, None) as dog,
        pytest.raises(CallFailed, match=r"^model.onnx: failed while it ran \(.{10,160}\)$"),
    ):
        dog.call(lambda options: session._session.run(None, wrong, options))


def test_an_internal_error_is_not_converted() -> None:
    with Watchdog("model.onnx", 20.0, None) as dog, pytest.raises(ZeroDivisionError):
        dog.call(lambda _: 1 // 0)


def test_edge_run_ends_with_1_and_keeps_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_display: None
) -> None:
    image = {**card_data()["image"], "height": 1500, "width": 2000}
    (tmp_path / "model.onnx").write_bytes(model_bytes(make_card(image=image)))
    video = write_video(tmp_path / "clip.mp4", [("red", 1.0)])
    log = tmp_path / "events.jsonl"
    words = ("--model", tmp_path / "model.onnx", "--source", video, "--json", log)
    began = time.monotonic()
    assert main([*map(str, words), "--call-timeout", "0.0001"]) == FAILED
    assert time.monotonic() - began < 20
    assert "model.onnx: a call took longer than 0.0001 s; it was stopped" in capsys.readouterr().err
    assert log.read_text().startswith('{"type": "run"')
