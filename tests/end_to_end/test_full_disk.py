"""Commands that write, on a disk that fills up: one line, nothing half-written, and on they go.

The disk is a real one in memory, which only root may mount.  Temporary files and caches lie on it
too.  Some commands are tried always with one size, all of them with more by `SEQVISION_FUZZ=all`.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import mounted
from writing_commands import WORDS, Dirs, prepare

pytest.importorskip("torch", reason="needs the training package")

from preloaded import run

from seqvision.training.model_io import load_model
from seqvision_edge.onnx_validation import read_model

pytestmark = pytest.mark.fuzz
ALL = os.environ.get("SEQVISION_FUZZ") == "all"


def predict_words(dirs: Dirs) -> list[str]:
    return ["predict", str(dirs.model), str(dirs.data), "--csv", dirs.path("answers.csv")]


def evaluate_words(dirs: Dirs) -> list[str]:
    return ["evaluate", str(dirs.model), str(dirs.data), "--output", dirs.path("figures.json"),
            "--cache", dirs.cache]  # fmt: skip


def data_words(dirs: Dirs) -> list[str]:
    return ["data", str(dirs.data), "--json", dirs.path("data.json"), "--cache",
            dirs.cache]  # fmt: skip


def sheet_words(dirs: Dirs) -> list[str]:
    return ["data", str(dirs.data), "--sheet", dirs.path("sheet.png"), "--cache",
            dirs.cache]  # fmt: skip


def safetensors_words(dirs: Dirs) -> list[str]:
    return ["calibrate", str(dirs.model), str(dirs.data), "--output",
            dirs.path("c.safetensors"), "--cache", dirs.cache]  # fmt: skip


# Kilobytes of disk; each command writes more than that.
DISKS: dict[str, tuple[Callable[[Dirs], list[str]], tuple[int, ...]]] = {
    "train": (WORDS["train"], (400, 64, 200, 300, 500, 600)),
    "tune": (WORDS["tune"], (300, 64, 150, 500, 700)),
    "self-train": (WORDS["self-train"], (400, 100, 250, 550)),
    "export": (WORDS["export"], (48, 16, 32, 64)),
    "calibrate": (WORDS["calibrate"], (32, 16, 64)),
    "calibrate-safetensors": (safetensors_words, (16, 32)),
    "segment": (WORDS["segment"], (32, 16)),
    "predict": (predict_words, (0,)),
    "evaluate": (evaluate_words, (0,)),
    "data": (data_words, (0,)),
    "data-sheet": (sheet_words, (8, 0)),
}


# Tried always, with their first size: of the others tests of their own have limits of files.
ALWAYS = ("self-train", "calibrate", "segment", "predict", "evaluate", "data")
CASES = [
    (name, kilobytes)
    for name, (_, sizes) in DISKS.items()
    for kilobytes in (sizes if ALL else sizes[: name in ALWAYS])
]


@pytest.mark.parametrize(("name", "kilobytes"), CASES)
def test_a_full_disk_is_one_line_and_the_same_command_resumes_later(
    name: str,
    kilobytes: int,
    data: Path,
    model: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    words = DISKS[name][0]
    with mounted(tmp_path / "disk", 16 << 10) as disk:
        dirs = Dirs(data, model, disk, clips=tmp_path / "cache")
        prepare(name, dirs)
        (disk / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": dirs.path("tmp"), "HOME": str(disk),
                       "XDG_CACHE_HOME": dirs.path("own")}  # fmt: skip
        given = {path for path in disk.rglob("*") if path.is_file()}
        fill(disk, kilobytes << 10)
        done = run(["seqvision", *words(dirs)], tmp_path, environment)
        assert done.returncode == 2, done.stderr
        last = done.stderr.splitlines()[-1]
        assert "No space left on device" in last
        assert str(disk) in last
        assert "Traceback" not in done.stderr
        (disk / "filler").unlink()
        found = {path for path in disk.rglob("*") if path.is_file()} - given
        assert not [path for path in found if ".unfinished" in path.name or path.suffix == ".lock"]
        for path in found:
            if path.suffix in (".pt", ".safetensors"):
                load_model(path)
            if path.suffix == ".onnx":
                read_model(path)
        goes_on = "--resume" in words(dirs)
        again = run(["seqvision", *words(dirs)], tmp_path, environment)
        assert again.returncode == 0, again.stderr
        if goes_on:
            assert "resume with: seqvision" in last
    record_property("tried", ("commands on a full disk", 1))


def fill(disk: Path, room: int) -> None:
    """Leave so many bytes of a disk."""
    with (disk / "filler").open("wb") as file:
        about = os.fstatvfs(file.fileno())
        os.posix_fallocate(file.fileno(), 0, about.f_bavail * about.f_frsize - room)
