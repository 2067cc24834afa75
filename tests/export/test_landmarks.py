"""`--encoder hands+pose` from clips of signs to a video with skeletons: the three commands."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import real_data
from landmark_weights import OF_LANDMARKS, landmark_weights
from once import once

from seqvision.cli import main
from seqvision.landmarks.encoder import LandmarkEncoder
from seqvision.landmarks.runtime import run_encoder
from seqvision_edge.cli import main as edge_main
from seqvision_edge.landmarks import BODY, draw_skeletons, newest_features, presence, skeletons_in
from seqvision_edge.onnx_validation import read_model
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import open_path
from seqvision_edge.video_writer import VideoWriter

SIGNS = ("help", "please")


def write_parts(folder: Path) -> None:
    """Cut each sign into clips: its first, second and all its even frames, and so on."""
    for sign in SIGNS:
        with open_path(real_data("asl_clips") / f"{sign}.mkv") as source:
            frames = [frame.bgr for frame in source]
        for number in range(4):
            path = folder / sign / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            video = VideoWriter(path, "test", 10.0)
            video.open()
            for frame in frames[6 + number : 48 : 6]:
                video.write(frame)
            video.close()


def train_and_export(folder: Path) -> None:
    write_parts(folder / "signs")
    arguments = ["--encoder", "hands+pose", "--epochs", "2", "--frames", "4", "--hidden", "8"]
    run = ["--runs", str(folder / "runs"), "--cache", str(folder / "cache"), "--fps", "10"]
    model = folder / "model.pt"
    command = ["train", str(folder / "signs"), *arguments, *run, "--output", str(model)]
    assert main(command) == 0
    assert main(["export", str(model), "--output", str(folder / "model.onnx")]) == 0


@pytest.fixture(scope="module")
def trained() -> Path:
    real_data("asl_clips")
    landmark_weights("hands", "pose")
    return once("landmarks", train_and_export)


def test_training_reports_how_many_frames_have_hands_and_a_body(trained: Path) -> None:
    (run,) = (trained / "runs").iterdir()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert re.search(r"hands in \d+% and a body in 100% of the frames", page)


def test_data_reports_the_share_before_a_training(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = tmp_path / "findings.json"
    arguments = ["--encoder", "hands+pose", "--cache", str(trained / "cache")]
    assert main(["data", str(trained / "signs"), *arguments, "--json", str(findings)]) == 0
    found = json.loads(findings.read_text(encoding="utf-8"))["landmarks"]
    assert found["frames"] == 48
    assert found["body"] == 1
    assert 0.6 < found["hands"] < 1
    assert re.search(
        r"landmarks +hands in \d+% and a body in 100% of the frames", capsys.readouterr().out
    )


def test_the_proof_is_by_torch_on_pictures_with_hands_and_a_body(trained: Path) -> None:
    report = json.loads((trained / "model.onnx.report.json").read_text(encoding="utf-8"))
    assert report["pictures"]["real"] == 12
    assert report["pictures"]["found"]["hands"] >= 8
    assert report["pictures"]["found"]["body"] == 12
    worst = max(case["difference"] for case in report["comparisons"])
    assert 0 < worst < 5e-4
    own = [each for each in report["comparisons"] if "against frame by frame" in each["name"]]
    assert max(case["difference"] for case in own) <= 1e-6


def test_another_precision_is_refused_in_one_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--precision", "fp16", "--verify", str(trained / "signs")]
    output = tmp_path / "model.onnx"
    assert main(["export", str(trained / "model.pt"), *arguments, "--output", str(output)]) == 2
    assert "has landmarks, whose networks are exported in fp32 only" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_graph_has_fixed_shapes_and_no_choice_of_a_path(trained: Path) -> None:
    graph = onnx.load(trained / "model.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert kinds >= OF_LANDMARKS, "an operator that no export needs is one more way in"
    assert not kinds & {"If", "Loop", "Scan", "NonZero", "TopK", "NonMaxSuppression", "PRelu"}
    _, file = read_model(trained / "model.onnx")
    assert (file.card.image.width, file.card.image.height, file.card.image.fit) == (320, 240, "pad")


def test_the_state_has_the_landmarks_that_the_encoder_finds(trained: Path) -> None:
    """The file frame by frame, torch, and what training reads, on real pictures with hands."""
    session = Session(trained / "model.onnx", "cpu", trial=False)
    image = session.card.image
    with open_path(trained / "signs" / "please" / "0.mp4") as source:
        steps = np.stack([prepare(frame.bgr, image) for frame in source])[:3]
    pictures = np.ascontiguousarray(steps.transpose(0, 3, 1, 2), np.float32) / 255
    encoder = LandmarkEncoder("hands+pose", image.height, image.width).eval()
    by_runtime = run_encoder(encoder, pictures)
    encoder.by_torch = True
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(pictures)).numpy()
    assert (presence(expected) > 0.9).all(axis=1).any()
    np.testing.assert_allclose(by_runtime, expected, atol=1e-3)
    stream = session.stream()
    for step, features in zip(steps, expected, strict=True):
        stream.push(step[None])
        newest = newest_features(session.card, stream.state)
        assert newest is not None
        np.testing.assert_allclose(newest, features, atol=1e-3)


def test_skeletons_in_a_saved_video_lie_on_the_hands(trained: Path, tmp_path: Path) -> None:
    clip, saved = trained / "signs" / "please" / "1.mp4", tmp_path / "seen.mp4"
    arguments = ["--source", str(clip), "--save", str(saved)]
    assert edge_main(["--model", str(trained / "model.onnx"), *arguments]) == 0
    session = Session(trained / "model.onnx", "cpu", trial=False)
    stream, image = session.stream(), session.card.image
    with open_path(clip) as source, open_path(saved) as written:
        shown, drawn = [[frame.bgr for frame in each][:4] for each in (source, written)]
    for frame in shown:
        stream.push(prepare(frame, image)[None])
    before, after = shown[-1], drawn[-1]
    assert before.shape == after.shape
    features = newest_features(session.card, stream.state)
    assert features is not None
    skeletons = skeletons_in(features, image, (before.shape[1], before.shape[0]))
    assert {each.slot for each in skeletons} >= {1, BODY}
    skeleton = np.zeros_like(before)
    draw_skeletons(skeleton, skeletons)
    lines = cv2.erode((skeleton.max(axis=2) > 40).astype(np.uint8), np.ones((2, 2))) > 0
    lines[400:] = lines[:130] = False  # there are the panels
    around = cv2.dilate(lines.astype(np.uint8), np.ones((61, 61))) > 0
    around &= cv2.dilate(lines.astype(np.uint8), np.ones((25, 25))) == 0
    changed = np.abs(before.astype(int) - after).mean(axis=2)
    assert changed[lines].mean() > 3 * changed[around].mean() + 10
