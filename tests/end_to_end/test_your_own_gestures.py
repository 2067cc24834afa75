"""The commands of docs/your-own-gestures.md, one after the other, from videos and from a camera."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import square_clip, write_video
from fake_camera import camera
from numpy.typing import NDArray
from once import once
from preloaded import run, seqvision_code

from seqvision.data.datasets import find_clips
from seqvision_edge.recording.take_list import recording_order

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
PAGE = Path(__file__).parents[2] / "docs" / "your-own-gestures.md"
FPS = 20
# What the page leaves to its defaults, made small: a test has no minutes.
TRAINING = "--size 16 --frames 6 --epochs 25 --workers 0"
SMALL = {"train": TRAINING, "record": "--seconds 1 --order turn --no-window"}
# How the square of each label moves.
LABELS = {"wave": -1, "clap": 1, "none": 0}
PERSONS = ("anna", "ben", "cleo")
ORDER = recording_order(dict.fromkeys(LABELS, 4), "turn")


def commands() -> list[list[str]]:
    """Return the commands of the page, in its order, as words: those that stand on lines alone."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def small(words: Sequence[str], **more: str) -> list[str]:
    """Return a command of the page with what makes it small; of options given twice the last wins.

    What the page itself says of takes and seconds stays.
    """
    added = shlex.split((SMALL | more).get(words[1], ""))
    if "--takes" in words:
        added = ["--no-window"]
    return [*words, *added]


def environment(folder: Path) -> dict[str, str]:
    """Return that of a command in a home of its own, without a display."""
    clean = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    return clean | {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}


def good(
    folder: Path, words: Sequence[str], typed: str = "", more: Mapping[str, str] | None = None
) -> str:
    """Run a command, which must succeed; return what it wrote to stderr."""
    variables = environment(folder) | dict(more or {})
    if words[0] == "seqvision" and not more:
        done = run(words, folder, variables, typed, seqvision_code(words))
    else:
        done = subprocess.run(
            [BIN / words[0], *words[1:]], cwd=folder, env=variables,
            input=typed, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, (words, done.stderr[-3000:], done.stdout[-1000:])
    return done.stderr


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0].splitlines()
    return [row for row in map(json.loads, whole) if row["type"] == kind]


def sitting(labels: Sequence[str], seed: int, seconds: int = 1) -> NDArray[np.uint8]:
    """Return the frames of a person who shows these labels one after the other."""
    clips = [
        square_clip(LABELS[label], 100 * seed + index, seconds * FPS, 64)
        for index, label in enumerate(labels)
    ]
    return np.concatenate(clips)


def run_page(folder: Path) -> None:
    """Run every command of the page, with videos in place of the camera."""
    folder.mkdir()
    for number, name in enumerate(PERSONS):
        write_video(folder / f"{name}.mp4", sitting(ORDER, number), FPS)
    write_video(folder / "rest.mp4", sitting(["none"] * 16, 9, 4), FPS)
    write_video(folder / "live.mp4", sitting(["none", "wave", "none", "clap"], 77), FPS)
    for words in commands():
        command = small(words, record="--takes 4 " + SMALL["record"])
        if words[0] == "edge-run":
            index = command.index("--camera")
            command[index : index + 2] = ["--source", "live.mp4", "--json", "live.jsonl"]
        elif words[1] == "record" and "--review" not in words:
            person = words[words.index("--person") + 1]
            command += ["--source", "rest.mp4" if "--takes" in words else f"{person}.mp4"]
        output = good(folder, command, typed="\nclap\nd\n" if "--review" in words else "")
        if "--review" in words:
            assert "kept 1, relabelled 1, deleted 1" in output


@pytest.fixture(scope="module")
def page() -> Path:
    """The folder in which the commands of the page were run."""
    return once("your own gestures", run_page)


def test_the_commands_of_the_guide_go_from_videos_to_live_results(page: Path) -> None:
    counts = Counter((clip.label, clip.group) for clip in find_clips(page / "takes"))
    expected = {(label, person): 4 for label in LABELS for person in PERSONS}
    expected |= {("none", "anna"): 20}
    # What the review at the end of the page changed: the second take, and the third.
    expected[ORDER[1], "anna"] -= 1
    expected["clap", "anna"] += 1
    expected[ORDER[2], "anna"] -= 1
    assert counts == expected
    answers = lines(page / "live.jsonl", "prediction")
    assert len(answers) > 10
    assert {answer["label"] for answer in answers} <= set(LABELS)


def test_several_persons_are_validated_on_an_unseen_one(page: Path) -> None:
    newest = max((page / "runs").glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    figures = json.loads(newest.read_text())["val"]
    assert figures["clips"] == 12
    assert figures["accuracy"] > 0.8


def test_the_commands_of_the_guide_record_and_run_from_a_camera(page: Path, tmp_path: Path) -> None:
    reason = camera.missing()
    if reason:
        pytest.skip(reason)
    raw = camera.write_yuyv(sitting(["wave", "clap"], 1)[..., ::-1], tmp_path / "camera.yuyv")
    control = tmp_path / "control"
    has_camera = camera.environment(camera.build(tmp_path), raw, (64, 64), FPS, control)
    camera.tell(control, "ok")
    record, live = commands()[0], next(words for words in commands() if words[0] == "edge-run")

    brief = "--takes 2 --seconds 0.5 --countdown 0.2 --no-window"
    good(tmp_path, small(record, record=brief), more=has_camera)
    counts = Counter(clip.label for clip in find_clips(tmp_path / "takes"))
    assert counts == dict.fromkeys(LABELS, 2)

    log = tmp_path / "live.jsonl"
    command = [*live, "--model", str(page / "model.onnx"), "--json", str(log), "--no-window"]
    with subprocess.Popen(
        [BIN / command[0], *command[1:]], cwd=tmp_path, env=environment(tmp_path) | has_camera,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        try:
            while not lines(log, "prediction") and process.poll() is None:
                assert time.monotonic() < deadline, "it did not answer"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert "Traceback" not in err
    assert lines(log, "prediction"), err
    assert {answer["label"] for answer in lines(log, "prediction")} <= set(LABELS)
