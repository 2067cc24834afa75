"""Damaged files: what can be read is run, and what is missing is said."""

import random
import time
from pathlib import Path

import pytest
from colour_model import write_video
from faults.table import Row, keep
from faults.watched_run import EDGE_RUN
from preloaded import run_edge

SECONDS = 6.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("video")
    scenes = [("none", 2.0), ("red", 2.0), ("blue", 2.0)]
    return write_video(folder / "whole.mp4", scenes, fps=25).read_bytes()


def edge_run(model: Path, source: Path) -> tuple[int, str, float]:
    """Return the exit code, stderr and the seconds that it took."""
    command = [*EDGE_RUN, "--model", str(model), "--source", str(source), "--no-window"]
    began = time.monotonic()
    done = run_edge(command, text=True, timeout=120)
    return done.returncode, done.stderr, time.monotonic() - began


def test_a_file_with_flipped_bits_is_run_to_its_end(
    model: Path, whole: bytes, tmp_path: Path
) -> None:
    damaged = bytearray(whole)
    dice = random.Random(1)
    start = whole.index(b"mdat") + 64
    end = whole.rindex(b"moov") - 8
    for _ in range(300):
        damaged[dice.randrange(start, end)] ^= 1 << dice.randrange(8)
    path = tmp_path / "flipped.mp4"
    path.write_bytes(damaged)
    code, err, _ = edge_run(model, path)
    assert code in (0, 3), err
    assert "Traceback" not in err
    said = f"exit {code}, what could be decoded was run"
    keep(Row(40, "300 bits flipped in a video", said))


@pytest.mark.parametrize(
    ("number", "what", "content"),
    [
        (41, "a video cut in the middle of its index", "cut"),
        (42, "an empty file", "empty"),
        (43, "a text that is called .mp4", "text"),
        (44, "random bytes", "random"),
    ],
)
def test_what_is_no_video_is_one_line(
    model: Path, whole: bytes, tmp_path: Path, number: int, what: str, content: str
) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "empty": b"",
            "text": b"hello\n" * 1000,
            "random": random.Random(2).randbytes(50_000),
        }[content]
    )
    code, err, _ = edge_run(model, path)
    assert code == 2
    assert err.count("\n") == 1, err
    keep(Row(number, what, "exit 2, one line"))


def test_a_file_that_ends_early_says_how_much_of_it_was_there(model: Path, tmp_path: Path) -> None:
    """An AVI has its index at the end, and its frames can be read without it."""
    path = write_video(tmp_path / "short.avi", [("none", 3.0), ("red", 3.0)], fps=25)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    code, err, _ = edge_run(model, path)
    assert code == 3
    assert " of 150 frames" in err
    keep(Row(45, "a video cut in half (AVI)", "exit 3, “decoded n of 150 frames”"))
