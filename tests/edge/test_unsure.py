"""A prediction below `decision.min_confidence` counts for no label; it is shown as unsure."""

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colour_model import LABELS, card_data, make_card, model_bytes, picture, write_video
from rich.console import Console
from served import files, jpeg, serving
from servers import web
from steps import SOURCE, make_step, wait_for
from terminals import Terminal as AtTerminal

from seqvision_edge.cli import main
from seqvision_edge.drawing import colours
from seqvision_edge.events import EventDetector
from seqvision_edge.frame import Step
from seqvision_edge.overlay import Overlay
from seqvision_edge.session import Session
from seqvision_edge.sinks.terminal import TerminalSink

# For a grey picture the colour model predicts none, with 87 %.
REJECT = 0.95
SHARES = {"red": 0.05, "green": 0.04, "blue": 0.62, "none": 0.29}


def unsure_card(**more: object) -> dict[str, object]:
    return card_data(decision={**card_data()["decision"], "reject": REJECT, **more})


@pytest.fixture
def unsure_model(tmp_path: Path) -> Path:
    """The colour model after a calibration that refuses what is below 95 %."""
    path = tmp_path / "unsure.onnx"
    path.write_bytes(model_bytes(make_card(**unsure_card())))
    return path


def unsure_step(shares: dict[str, float] = SHARES) -> Step:
    """Return a step whose answers were rejected for as long as the smoothing reaches."""
    step = make_step(live=True)
    assert step.prediction is not None
    label = max(shares, key=shares.__getitem__)
    answer = replace(
        step.prediction,
        label=label,
        probability=shares[label],
        probabilities=shares,
        unsure=True,
    )
    return replace(step, prediction=answer, smoothed=dict.fromkeys(LABELS, 0.0), shown=shares)


def test_the_live_line_marks_unsure_with_the_unsmoothed_value(unsure_model: Path) -> None:
    grey = picture("none")
    with web.WebServer({"/camera": web.mjpeg(lambda _: grey)}) as server:
        command = [sys.executable, "-m", "seqvision_edge", "--model", unsure_model, "--no-window",
                   "--source", f"{server.url}/camera"]  # fmt: skip
        with AtTerminal(command, 100, 24) as terminal:
            terminal.wait_for(r"unsure · none .* 87%")
            terminal.interrupt()
            assert terminal.wait_exit() == 130
            assert not re.search(r"none\s+[─━]* +0%", terminal.text)
            assert re.search(r"last answer: unsure · none 87%", terminal.text)


def test_json_lines_carry_the_model_s_own_probabilities(unsure_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "grey.mp4", [("none", 2.0), ("red", 1.0)])
    log = tmp_path / "run.jsonl"
    given = ["--model", str(unsure_model), "--source", str(video), "--json", str(log)]
    assert main([*given, "--no-window"]) == 0
    answers = [each for each in map(json.loads, log.read_text().splitlines())
               if each["type"] == "prediction" and each["window_full"]]  # fmt: skip
    grey, red = answers[0], answers[-1]
    assert grey["unsure"] is True
    assert grey["label"] == "none"
    assert grey["probability"] == pytest.approx(0.87, abs=0.01)
    assert sum(grey["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert "unsure" not in red


def test_pictures_that_are_unsure_end_their_line_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence = {"kind": "rows", "steps": 1, "longer": "subsample"}
    image = {**card_data()["image"], "height": 1}
    card = make_card(**{**unsure_card(), "sequence": sequence, "image": image})
    (tmp_path / "rows.onnx").write_bytes(model_bytes(card))
    for name in ("none", "red"):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg(name))
    given = ["--model", str(tmp_path / "rows.onnx"), "--source", str(tmp_path / "*.jpg")]
    assert main([*given, "--no-window"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0][0::3] == ["none.jpg", "unsure"]
    assert len(rows[1]) == 3


def test_the_server_marks_clips_windows_and_streams(unsure_model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "grey.mp4", [("none", 2.0)])
    with serving(Session(unsure_model)) as running, running.client() as client:
        clip = {"file": video.read_bytes()}
        output = client.post("/v1/predict?timeline=true&probabilities=true", files=clip).json()
        (answer,) = output["predictions"]
        assert answer["unsure"] is True
        assert answer["label"] == "none"
        assert answer["probability"] == pytest.approx(0.87, abs=0.01)
        assert {window.get("unsure") for window in answer["windows"]} == {True}
        sure = client.post("/v1/predict", files=files([jpeg("red")] * 8)).json()
        assert "unsure" not in sure["predictions"][0]

        stream = client.post("/v1/streams").json()["id"]
        records = []
        for number in range(8):
            output = client.post(
                f"/v1/streams/{stream}/frames",
                content=jpeg("none"),
                headers={"x-timestamp": str(number / 10)},
            )
            records += output.json()["records"]
    answers = [each for each in records if each["type"] == "prediction"]
    assert answers
    assert all(each["unsure"] for each in answers)


def test_the_overlay_is_grey_and_has_the_model_s_own_bars() -> None:
    card = make_card(**unsure_card())
    shown = {
        label: (Overlay(card).draw(unsure_step()) == np.array(colour[::-1], np.uint8)).all(axis=2)
        for label, colour in colours(LABELS, "none").items()
    }
    assert not shown["blue"].any()
    assert not shown["red"].any()
    other = dict(SHARES, blue=0.9, none=0.01)
    seen = [Overlay(card).draw(unsure_step(shares))[:200] for shares in (SHARES, other)]
    assert not np.array_equal(*seen), "the bars are those of the probabilities"
    nothing = Overlay(card).draw(replace(unsure_step(), smoothed=SHARES, prediction=None))[:200]
    assert not np.array_equal(seen[0], nothing)


def test_a_terminal_keeps_its_columns_when_answers_become_unsure() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with TerminalSink(LABELS, "none", [(SOURCE, "")], console, may_be_unsure=True) as sink:
        sink.write(unsure_step())
        wait_for(lambda: "unsure · blue" in out.getvalue())
        sink.write(replace(make_step(live=True), shown=SHARES))
        wait_for(lambda: "25 fps" in out.getvalue().rpartition("unsure · blue")[2])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    numbers = {row.index("%") for row in re.split(r"[\r\n]+", text) if "62%" in row}
    assert len(numbers) == 1


def test_a_sure_answer_after_unsure_ones_is_shown_with_its_own_probability() -> None:
    card = make_card(**unsure_card(smoothing_frames=5))
    detector = EventDetector(card.decision, LABELS)
    for number in range(5):
        detector.step(number / 10, [0.1, 0.1, 0.0, 0.8])
    detector.step(0.5, [0.0, 0.0, 0.04, 0.96])
    assert detector.smoothed["none"] == pytest.approx(0.96 / 5)
    assert detector.shown["none"] == pytest.approx((4 * 0.8 + 0.96) / 5)
    detector.close(0.6)
    assert detector.shown == {}
