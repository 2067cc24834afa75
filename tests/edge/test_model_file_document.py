"""docs/model-file.md matches the code: its examples are run, its keys are the card's."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from seqvision_edge import card
from seqvision_edge.card import Decision, ImageSpec, ModelCard
from seqvision_edge.events import EventDetector, window_lag
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import prepare
from seqvision_edge.sampling import Sampler, select_frames
from seqvision_edge.still_images import cut_steps

TEXT = (Path(__file__).parents[2] / "docs" / "model-file.md").read_text(encoding="utf-8")
CARD, *VECTORS = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.S))


def vectors(name: str) -> list[dict[str, Any]]:
    (found,) = (each[name] for each in VECTORS if name in each)
    assert found
    return list(found)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    y, x, c = np.mgrid[:height, :width, :3]
    return ((37 * y + 59 * x + 101 * c) % 256).astype(np.uint8)


def test_the_card_of_the_page_is_one() -> None:
    card = ModelCard.from_json(json.dumps(CARD), "the page")
    assert json.loads(card.to_json()) == CARD


def test_the_page_names_every_key_of_the_card() -> None:
    parts = [
        part
        for module in (card, card)
        for part in vars(module).values()
        if isinstance(part, type) and issubclass(part, BaseModel)
    ]
    keys = {key for part in parts for key in _file_keys(part)}
    assert keys > {"labels", "smoothing_frames", "stride", "sha256"}
    named = {key for text in re.findall(r"`([^`\n]+)`", TEXT) for key in re.split(r"\W+", text)}
    assert keys - named == set()


def _file_keys(part: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in part.model_fields.items()}


@pytest.mark.parametrize("case", vectors("prepare"), ids=lambda case: str(case["image"]))
def test_a_frame_becomes_the_step_of_the_page(case: dict[str, Any]) -> None:
    spec = ImageSpec.model_validate(case["image"])
    step = prepare(picture(case["height"], case["width"]), spec)
    # OpenCV's linear resize may round another way on another processor.
    assert np.abs(step.astype(int) - np.array(case["step"])).max() <= 1


@pytest.mark.parametrize("case", vectors("frames"), ids=lambda case: f"{case['fps']} fps")
def test_the_frames_of_the_page_are_chosen(case: dict[str, Any]) -> None:
    sampler = Sampler(case["fps"], case.get("claimed"))
    chosen, resets = [], []
    for number, time in enumerate(case["times"]):
        if sampler.is_gap(time):
            resets.append(number)
            sampler.restart()
        chosen += [number] * sampler.take(time)
    assert (chosen, resets) == (case["chosen"], case["resets"])
    if not resets:
        assert select_frames(case["times"], case["fps"]).tolist() == case["chosen"]


@pytest.mark.parametrize("case", vectors("cut"), ids=lambda case: str(case["sequence"]))
def test_a_still_image_is_cut_as_on_the_page(case: dict[str, Any]) -> None:
    sequence = ModelCard.from_json(json.dumps({**CARD, "sequence": case["sequence"]}), "").sequence
    assert sequence.kind != "video"
    line = np.arange(10, dtype=np.uint8)[None, :, None]
    spec = ImageSpec(height=1, width=4, channels=1, fit="stretch")
    assert cut_steps(line, spec, sequence)[:, 0, :, 0].tolist() == case["steps"]


@pytest.mark.parametrize("case", vectors("events"), ids=["mean", "exponential", "early"])
def test_answers_become_the_events_of_the_page(case: dict[str, Any]) -> None:
    detector = EventDetector(Decision.model_validate(case["decision"]), case["labels"], case["lag"])
    reported = []
    for number, answer in enumerate(case["answers"]):
        reported += detector.step(number * case["seconds"], answer).ended
    reported += detector.close(len(case["answers"]) * case["seconds"]).ended
    expected = [{"type": "event", **each} for each in case["events"]]
    assert [event.to_json() for event in reported] == expected


def test_answers_lag_by_half_a_window() -> None:
    sequence = ModelCard.from_json(json.dumps(CARD), "the page").sequence
    assert sequence.kind == "video"
    assert window_lag(sequence) == (sequence.frames - 1) / sequence.fps / 2 == 0.75


def test_the_arithmetic_of_the_page_is_opencv_s() -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (64, 64, 3), np.uint8)
    b, g, r = (image[..., channel].astype(int) for channel in range(3))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert (grey == (9798 * r + 19235 * g + 3735 * b + 16384) >> 15).all()
    wide = image.astype(int)
    four = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    half = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    assert (half == (four + 2) >> 2).all()
    for height, width in ((100, 90), (33, 40)):
        sized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        exact = _linear(_linear(image, height).swapaxes(0, 1), width).swapaxes(0, 1)
        assert np.abs(sized - exact).max() <= 1
    for height, width in ((50, 40), (64, 33)):
        sized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        mean = np.einsum("oi,pj,ijc->opc", _area(64, height), _area(64, width), image.astype(float))
        assert np.abs(sized - mean).max() <= 0.51


def _linear(image: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Return an image with another length of its first axis, by the formula of the page."""
    source = len(image)
    location = np.clip((np.arange(length) + 0.5) * source / length - 0.5, 0, source - 1)
    before = location.astype(int)
    after = np.minimum(before + 1, source - 1)
    share = (location - before)[:, None, None]
    return np.asarray(image[before] * (1 - share) + image[after] * share, np.float64)


def _area(source: int, length: int) -> NDArray[np.float64]:
    """Return the share of each source pixel in each target pixel."""
    ratio = source / length
    target, pixel = np.arange(length)[:, None], np.arange(source)[None]
    end = np.minimum(pixel + 1, (target + 1) * ratio)
    return np.maximum(0, end - np.maximum(pixel, target * ratio)) / ratio
