"""Runs for the tests of what comes after a training: reports, comparisons, predictions."""

import csv
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import square_clip, write_frames, write_video
from trainings import PEOPLE, train

from seqvision.config import (
    ClipOptions,
    ModelOptions,
    SequenceOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.training.train import Trained

DIRECTIONS = {"left": -1, "right": 1, "none": 0}


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of each label by each of ten people; tests must not write to it."""
    root = tmp_path_factory.mktemp("people") / "people"
    for label, direction in (("left", -1), ("right", 1)):
        for seed, person in enumerate(PEOPLE):
            for number in range(2):
                clip = square_clip(direction, 100 * seed + 10 * number + direction + 1, 8)
                write_video(root / label / person / f"{number}.mp4", clip)
    return root


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Four clips of each of two labels."""
    for label in "ab":
        for number in range(4):
            write_frames(tmp_path / "clips" / label / str(number), square_clip(1, number, 4))
    return tmp_path / "clips"


def write_list(folder: Path, names: dict[str, str] | None = None) -> Path:
    """Write clips and their list: three performers, of whom one validates and one tests.

    `names` gives a label, or a performer, another name in the list.
    """
    called = names or {}
    rows = [["path", "label", "group", "split"]]
    for performer, split in (("ann", "train"), ("bob", "train"), ("cid", "val"), ("dan", "test")):
        for label, direction in DIRECTIONS.items():
            for number in range(3):
                clip = square_clip(direction, hash_of(performer, label, number), 8 + number)
                name = f"{performer}/{label}{number}"
                if number == 1:
                    path = write_video(folder / f"{name}.mp4", clip)
                else:
                    path = write_frames(folder / name, clip)
                row = [str(path.relative_to(folder)), label, performer, split]
                rows.append([called.get(cell, cell) for cell in row])
    listed = folder / "list.csv"
    with listed.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return listed


def hash_of(*parts: object) -> int:
    """Return a number that is the same in every process."""
    return sum(ord(letter) * 31**index for index, letter in enumerate(str(parts))) % 2**31


def train_small(data: Path, folder: Path, epochs: int = 2, **model: object) -> Trained:
    """Train for a second or two."""
    return train(
        TrainOptions(
            data=data,
            output=folder / "model.pt",
            runs=folder / "runs",
            clips=ClipOptions(size=16, frames=6, workers=0, cache=folder / "cache"),
            model=ModelOptions(**{"encoder": "flatten", "hidden": 16, **model}),
            training=TrainingOptions(epochs=epochs, batch_size=8),
        )
    )


@pytest.fixture(scope="session")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of clips with performers and splits; tests must not write to its folder."""
    return write_list(tmp_path_factory.mktemp("listed"))


@pytest.fixture(scope="session")
def attentive(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training with attention pooling."""
    return train_small(listed, tmp_path_factory.mktemp("attentive"), pool="attention")


@pytest.fixture(scope="session")
def plain(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training of the same clips with a GRU's last step, and for longer."""
    return train_small(listed, tmp_path_factory.mktemp("plain"), epochs=3, head="gru")


@pytest.fixture(scope="session")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training on still images `images/<label>/<number>.png`, read row by row."""
    folder = tmp_path_factory.mktemp("stills")
    for label, direction in (("high", -1), ("low", 1)):
        for number in range(8):
            picture = square_clip(direction, 100 * number, 2, 16)[:1].swapaxes(1, 2)
            (frame,) = write_frames(folder / "new", picture).iterdir()
            (folder / "images" / label).mkdir(parents=True, exist_ok=True)
            frame.rename(folder / "images" / label / f"{number}.png")
            (folder / "new").rmdir()
    return train(
        TrainOptions(
            data=folder / "images",
            output=folder / "model.pt",
            runs=folder / "runs",
            clips=ClipOptions(size=16, workers=0, cache=folder / "cache"),
            images=SequenceOptions(sequence="rows", step=2),
            model=ModelOptions(encoder="flatten", hidden=16, pool="attention"),
            training=TrainingOptions(epochs=2, batch_size=8),
        )
    )


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URL of a database of a PostgreSQL server that lives as long as the test."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([*map(str, reversed(homes)), os.environ.get("PATH", "")])
    initdb, pg_ctl = (shutil.which(name, path=path) for name in ("initdb", "pg_ctl"))
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed here (Debian: apt install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed here")
    # Not under pytest's folder: the server refuses to be root, and another user cannot look there.
    folder = Path(tempfile.mkdtemp(prefix="sv", dir="/tmp"))
    other: dict[str, str] = {}
    if os.getuid() == 0:
        other = {"user": "nobody"}
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)

    def call(*command: str) -> None:
        done = subprocess.run(
            command, cwd=folder, text=True, capture_output=True, timeout=120, **other
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    call(initdb, "-D", data, "-U", "tuner", "--auth=trust", "--no-sync", "--no-instructions")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    call(pg_ctl, "-D", data, "-o", settings, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://tuner@/postgres?host={folder}"
    finally:
        call(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
