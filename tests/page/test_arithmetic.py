"""The page computes in the browser what this package computes: to the pixel, tick and event.

The modules of the page run in node, on random pictures, times and answers.
"""

import base64
import json
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import card_data
from numpy.typing import NDArray
from servers.hostile import HostileServer, answers, drips

import seqvision_edge
from seqvision_edge.card import Decision, ModelCard, SmoothingKind, VideoSequence
from seqvision_edge.events import EventDetector
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.sampling import Sampler
from seqvision_edge.still_images import image_steps

PAGE = Path(seqvision_edge.__file__).parent / "server" / "static"
# OpenCV rounds its linear resize by a hair differently on other processors.
TOLERANCE = 0 if platform.machine().lower() in ("x86_64", "amd64") else 1


@pytest.fixture
def send_query(tmp_path: Path) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here, which runs the page's modules")

    def go(cases: list[dict[str, Any]]) -> list[Any]:
        file = tmp_path / "cases.json"
        file.write_text(json.dumps(cases))
        command = [node, str(Path(__file__).with_name("arithmetic.mjs")), str(PAGE), str(file)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return list(json.loads(result.stdout))

    return go


def _random_picture(generator: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    picture = generator.integers(0, 256, (height, width, 3), np.uint8)
    return picture if generator.random() < 0.5 else cv2.GaussianBlur(picture, (0, 0), 1.5)


def _requested(bgr: NDArray[np.uint8], card: ModelCard) -> dict[str, Any]:
    return {
        "kind": "steps",
        "rgb": base64.b64encode(np.ascontiguousarray(bgr[:, :, ::-1])).decode(),
        "height": bgr.shape[0],
        "width": bgr.shape[1],
        "card": json.loads(card.to_json()),
    }


def _card(sequence: dict[str, Any] | None, **image: Any) -> ModelCard:
    data = card_data()
    data["image"] = {**data["image"], **image}
    data["sequence"] = sequence or data["sequence"]
    return ModelCard.from_json(json.dumps(data), "test")


def _agree(send_query: Any, requested: list[tuple[NDArray[np.uint8], ModelCard]]) -> None:
    answers = send_query([_requested(bgr, card) for bgr, card in requested])
    assert len(answers) == len(requested)
    for (bgr, card), answer in zip(requested, answers, strict=True):
        if isinstance(card.sequence, VideoSequence):
            expected = prepare(bgr, card.image)[None]
        else:
            expected = image_steps(bgr, card.image, card.sequence)
        found = np.frombuffer(base64.b64decode(answer["data"]), np.uint8)
        what = f"{bgr.shape} with {card.image} and {card.sequence}"
        assert answer["steps"] == len(expected), what
        difference = np.abs(found.reshape(expected.shape).astype(int) - expected).max()
        assert difference <= TOLERANCE, f"{what}: off by {difference}"


def test_a_frame_becomes_the_same_step(send_query: Any) -> None:
    generator = np.random.default_rng(1)
    sizes = [(480, 640), (360, 640), (121, 163), (37, 41), (10, 12), (24, 32), (5, 3), (96, 32)]
    targets = [(112, 112), (24, 32), (9, 7)]
    requested = []
    for number, size in enumerate(sizes):
        for target in targets:
            for fit in ("stretch", "crop", "pad"):
                channels = 1 + 2 * (number % 2)
                shape = {"height": target[0], "width": target[1], "channels": channels}
                requested.append((_random_picture(generator, *size), _card(None, **shape, fit=fit)))
    _agree(send_query, requested)


@pytest.mark.parametrize("longer", ["crop", "subsample"])
def test_a_still_image_becomes_the_same_sequence(send_query: Any, longer: str) -> None:
    generator = np.random.default_rng(2)
    sequences: list[dict[str, Any]] = [
        {"kind": "rows", "steps": 9, "longer": longer},
        {"kind": "columns", "steps": 4, "longer": longer},
        {"kind": "windows", "along": "width", "stride": 5, "steps": 6, "longer": longer},
        {"kind": "windows", "along": "height", "stride": 3, "steps": 60, "longer": longer},
        {"kind": "windows", "along": "height", "stride": 3, "steps": 1, "longer": longer},
        {"kind": "patches", "rows": 3, "columns": 4, "order": "raster"},
        {"kind": "patches", "rows": 3, "columns": 4, "order": "snake"},
        {"kind": "channels"},
    ]
    requested = []
    for sequence in sequences:
        for size in ((60, 45), (33, 121), (8, 8)):
            for channels in (1,) if sequence["kind"] == "channels" else (1, 3):
                card = _card(sequence, height=8, width=12, channels=channels, fit="crop")
                requested.append((_random_picture(generator, *size), card))
    _agree(send_query, requested)


def test_the_same_frames_are_chosen_and_the_same_gaps_are_seen(send_query: Any) -> None:
    generator = np.random.default_rng(3)
    cases, expected = [], []
    for fps, source_fps, claimed in ((10, 30, 0), (15, 15, 0), (8, 3, 3), (10, 24.7, 25)):
        steps = generator.normal(1 / source_fps, 0.2 / source_fps, 300).clip(0)
        steps[generator.integers(0, 300, 6)] += generator.uniform(0.1, 2, 6)
        steps[200] = -1.5
        times = np.cumsum(steps).round(3).tolist()
        cases.append({"kind": "frames", "fps": fps, "claimed": claimed, "times": times})
        sampler, output = Sampler(fps, claimed or None), []
        for time in times:
            is_gap = sampler.is_gap(time)
            if is_gap:
                sampler.restart()
            output.append([is_gap, sampler.take(time)])
        expected.append(output)
    assert send_query(cases) == expected
    assert sum(is_gap for output in expected for is_gap, _ in output) > 10


def test_a_picture_that_stands_still_answers_the_same_ticks(send_query: Any) -> None:
    generator = np.random.default_rng(4)
    cases, expected = [], []
    for fps, source_fps, claimed in ((10, 30, 30), (15, 15, 0), (8, 3, 3), (10, 24.7, 25)):
        steps = generator.normal(1 / source_fps, 0.2 / source_fps, 100).clip(0)
        steps[generator.integers(0, 100, 6)] += generator.uniform(0.1, 2, 6)
        times = np.cumsum(steps).round(3).tolist()
        cases.append({"kind": "stills", "fps": fps, "claimed": claimed, "times": times})
        sampler, output = Sampler(fps, claimed or None), []
        for time in times:
            stills = list(sampler.stills(time))
            output.append(
                [stills, [sampler.take(still, still=True) for still in stills], sampler.take(time)]
            )
        expected.append(output)
    answers = send_query(cases)
    assert answers == expected
    assert sum(len(stills) for output in expected for stills, _, _ in output) > 30


def test_answers_become_the_same_events(send_query: Any) -> None:
    generator = np.random.default_rng(4)
    labels = ("wave", "point", "none")
    cases, expected = [], []
    settings: list[tuple[SmoothingKind, float, float | None, float]] = [
        ("none", 0.0, None, 0.0),
        ("mean", 0.5, None, 0.5),
        ("mean", 0.0, 0.9, 0.5),
        ("exponential", 0.6, 0.8, 0.0),
    ]
    for smoothing, reject, early, cooldown in settings:
        decision = Decision(
            temperature=1.0,
            smoothing=smoothing,
            smoothing_frames=3,
            min_confidence=reject,
            on_threshold=0.6,
            off_threshold=0.4,
            early=early,
            minimum_seconds=0.3,
            cooldown_seconds=cooldown,
            background="none",
        )
        scores = cv2.blur(generator.normal(0, 9, (400, 3)), (1, 7))
        answers = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        times = (np.arange(400) / 10).tolist()
        cases.append(
            {
                "kind": "events",
                "decision": decision.model_dump(),
                "labels": labels,
                "answers": answers.tolist(),
                "times": times,
                "lag": 0.75,
            }
        )
        detector = EventDetector(decision, labels, 0.75)
        reported = [
            event
            for time, answer in zip(times, answers, strict=True)
            for event in detector.step(time, answer).ended
        ]
        reported += detector.close(times[-1]).ended
        expected.append(reported)
    for found, reported in zip(send_query(cases), expected, strict=True):
        assert len(reported) > 5
        assert [event["label"] for event in found] == [event.label for event in reported]
        for key in ("start", "end", "peak", "confidence", "reported_at"):
            np.testing.assert_allclose(
                [event[key] for event in found], [getattr(event, key) for event in reported]
            )


DEADLINE = """
const [page, base] = process.argv.slice(1);
const { deadlines, model, takes } = await import(page);
deadlines.answer = 0.5;
const real = globalThis.fetch;
globalThis.fetch = (path, options) => real(base + path, options);
for (const ask of [model, takes]) await ask().catch((error) => console.log(error.message));
process.exit();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here, which runs the page")
def test_the_page_times_out_on_missing_and_slow_responses() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    with HostileServer(drips(head + b" " * 1000), answers(head, b" ")) as server:
        words = [str(PAGE / "server.mjs"), f"http://127.0.0.1:{server.port}"]
        ran = subprocess.run(
            ["node", "--input-type=module", "-e", DEADLINE, *words],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert ran.stdout.splitlines() == ["the server does not answer"] * 2, ran.stderr
