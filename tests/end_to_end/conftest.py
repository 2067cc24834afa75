"""What the commands of bad days read."""

from pathlib import Path

import pytest
from conftest import write_squares


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("bad-days") / "frames", 5)


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    pytest.importorskip("torch", reason="needs the training package")

    from once import once
    from trainings import options, train

    return once("model-of-bad-days", lambda to: train(options(data, to, 1))) / "model.pt"
