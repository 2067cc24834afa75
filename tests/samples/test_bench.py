"""What `make bench` compares works: each contestant takes a turn."""

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
TURN = """
import sys
from pathlib import Path
from bench.timing import Contestant
from bench.training import draw

folder = Path(sys.argv[1])
draw(folder / "clips")
for what in ("ours", "frozen"):
    contestant = Contestant(what, "small_cnn", folder)
    assert contestant() > 0, what
    contestant.close()
"""


@pytest.mark.slow
def test_compared_trainings_take_turns(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TURN, str(tmp_path)],
        cwd=SAMPLES,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_part_of_the_benchmark_can_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=SAMPLES, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
