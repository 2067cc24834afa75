"""What `make bench` compares works: each contestant takes a turn."""

from pathlib import Path

import pytest
from preloaded import run

SAMPLES = Path(__file__).parents[2] / "samples"
TURN = """
import sys
from pathlib import Path
from bench import training
from bench.timing import Contestant

folder = Path(sys.argv[1])
training.CLIPS = 40  # five batches are a turn too
training.draw(folder / "clips")
for what in ("ours", "frozen"):
    contestant = Contestant(what, "small_cnn", folder)
    assert contestant() > 0, what
    contestant.close()
"""
BENCH = "import runpy; runpy.run_module('bench', run_name='__main__', alter_sys=True)"


@pytest.mark.slow
def test_compared_trainings_take_turns(tmp_path: Path) -> None:
    done = run(["-c", tmp_path], SAMPLES, code=TURN, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_part_of_the_benchmark_can_be_imported() -> None:
    done = run(["bench", "--help"], SAMPLES, code=BENCH)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "training" in done.stdout
