"""Depth and other pictures with more than 8 bits: what training measures, says and keeps."""

from pathlib import Path

import numpy as np
import pytest
from trainings import options, train

from seqvision.cli import main
from seqvision.data.clips import Clip
from seqvision.data.value_range import measure_range
from seqvision.training.model_io import load_model
from seqvision_edge.opencv import cv2


def write_depth(folder: Path, direction: int, seed: int, scale: float = 1.0) -> None:
    """Write a hand at 600 mm that moves before a wall at 4400 mm, in a sensor's noise."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for step in range(10):
        depth = generator.normal(4400, 8, (24, 32))
        left = 12 + round(direction * (step - 4.5) * 2.2)
        depth[6:16, max(0, left) : left + 8] = 600
        depth[generator.random(depth.shape) < 0.01] = 0  # what it could not measure
        depth[0, 0] = 65535 / scale
        assert cv2.imwrite(str(folder / f"{step}.png"), (depth * scale).round().astype(np.uint16))


@pytest.fixture(scope="module")
def depth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("depth") / "frames"
    for label, direction in (("left", -1), ("right", 1)):
        for number in range(8):
            write_depth(root / label / str(number), direction, 10 * number + direction + 1)
    return root


def test_depth_range_is_measured_printed_and_saved(
    depth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train(options(depth, tmp_path, 30, model={"encoder": "small_cnn"}))
    err = capsys.readouterr().err
    assert (
        "16 of 16 clips have pictures with more than 8 bits: values from 0 (black) to 4500" in err
    )
    assert "0, such as missing depth, is black" in err
    card = load_model(trained.model)[1]
    assert card.image.value_range == (0, 4500)
    assert trained.val.accuracy >= 0.9
    assert "more than 8 bits" in (trained.run / "report.html").read_text()
    assert main(["evaluate", str(trained.model), str(depth), "--cache", str(tmp_path / "c")]) == 0
    assert "values from 0 (black) to 4500 (white) are read" in capsys.readouterr().err


def test_a_given_range_is_used_and_an_invalid_one_refused(
    depth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(depth, tmp_path, 1, clips={"value_range": "500,5000"})
    assert load_model(train(given).model)[1].image.value_range == (500, 5000)
    for wrong in ("5,5", "9,1", "1", "a,b", "0,inf"):
        assert main(["train", str(depth), "--value-range", wrong]) == 2
        assert "--value-range" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("most", "kind", "expected"),
    [
        (4400.0, np.uint16, (0, 4400)),
        (4095.0, np.uint16, (0, 4100)),
        (200.0, np.uint16, (0, 255)),
        (60000.0, np.uint16, (0, 60000)),
        (8.1, np.float32, (0, 8.1)),
        (1.0, np.float32, (0, 1)),
        (200.0, np.uint8, None),
    ],
)
def test_the_range_follows_the_values(
    tmp_path: Path, most: float, kind: type, expected: tuple[float, float] | None
) -> None:
    values = np.linspace(0, most, 64 * 64).reshape(64, 64).astype(kind)
    ending = "tiff" if kind is np.float32 else "png"
    assert cv2.imwrite(str(tmp_path / f"0.{ending}"), values)
    found = measure_range([Clip(tmp_path, "a")] * 3)
    assert found == (expected if expected is None else pytest.approx(expected, rel=0.03))
