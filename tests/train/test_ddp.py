"""Two processes of a torchrun train what one process trains."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from conftest import square_clip, write_frames
from preloaded import Command

from seqvision.training.model_io import load_model

pytestmark = pytest.mark.slow

# 19 clips to train in batches of 8: the last batch, of 3, divides unevenly.
OPTIONS = ("--size", "16", "--frames", "6", "--batch-size", "8", "--hidden", "16",
           "--dropout", "0", "--patience", "0", "--keep", "last",
           "--lr", "0.001", "--cache", "cache", "--augment", "strong")  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 clips: 19 of them for training, and 5, an odd number, for validation."""
    root = tmp_path_factory.mktemp("ddp") / "frames"
    rows = ["path,label,split"]
    for number in range(24):
        label = ("left", "none", "right")[number % 3 if number < 19 else number % 2]
        direction = {"left": -1, "none": 0, "right": 1}[label]
        folder = write_frames(
            root / f"{number}", square_clip(direction, number, 5 + number % 4, 24)
        )
        rows.append(f"{folder},{label},{'train' if number < 19 else 'val'}")
    rows.append(f"{root / 'missing.mp4'},left,train")
    listed = root / "list.csv"
    listed.write_text("\n".join(rows))
    return listed


def launch(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a training of two processes in a folder, by torchrun."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
               "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
               "-m", "seqvision", "train", *arguments]  # fmt: skip
    return subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def run(folder: Path, processes: int, *arguments: str) -> str:
    """Train and return what was said, with the environment that torchrun gives its processes."""
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    alone = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    several = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes),
               "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GROUP_RANK": "0",
               "TORCHELASTIC_RUN_ID": folder.name}  # fmt: skip
    output = ""
    with ExitStack() as stack:
        started = []
        for rank in range(processes):
            own = several | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
            command = Command(["seqvision", "train", *arguments], folder, alone | own)
            started.append(stack.enter_context(command))
        for process in started:
            out, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
            output += out + errors
    return output


def metrics(folder: Path) -> dict[str, object]:
    (file,) = folder.glob("runs/*/metrics.json")
    return json.loads(file.read_text())


def logged(folder: Path) -> list[list[float]]:
    """Return the figures of each epoch, training and validation."""
    (file,) = folder.glob("runs/*/logs/metrics.csv")
    header, *rows = (line.split(",") for line in file.read_text().splitlines())
    columns = [number for number, name in enumerate(header) if "/" in name]
    return [[float(row[c]) for c in columns] for row in rows if all(row[c] for c in columns)]


@pytest.mark.parametrize(
    "model",
    [
        ("--encoder", "small_cnn"),
        (
            "--encoder",
            "small_cnn",
            "--freeze",
            "--views",
            "2",
            "--schedule",
            "plateau",
            "--bidirectional",
        ),
    ],
    ids=["batch norm", "frozen"],
)
def test_two_processes_train_the_model_of_one(
    clips: Path, tmp_path: Path, model: tuple[str, ...]
) -> None:
    output = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        output[processes] = run(folder, processes, str(clips), *OPTIONS, "--epochs", "3", *model)
    one, two = (load_model(tmp_path / str(n) / "model.pt")[0].state_dict() for n in (1, 2))
    assert one.keys() == two.keys()
    other, count = 0, 0
    for name in one:
        alike = torch.isclose(one[name].float(), two[name].float(), rtol=1e-3, atol=1e-4)
        other, count = other + int((~alike).sum()), count + alike.numel()
    # Adam divides by how large a gradient was: of one that is nearly 0 the last bit decides. A
    # fault of the division (statistics of half a batch, gradients counted twice) changes most.
    assert other <= 0.03 * count, f"{other} of {count} weights"
    alone, together = metrics(tmp_path / "1"), metrics(tmp_path / "2")
    assert alone["val"]["confusion"] == together["val"]["confusion"]
    assert alone["val"]["clips"] == together["val"]["clips"] == 5
    assert alone["val"]["loss"] == pytest.approx(together["val"]["loss"], abs=1e-4)
    assert len(logged(tmp_path / "2")) == 3
    for mine, theirs in zip(logged(tmp_path / "1"), logged(tmp_path / "2"), strict=True):
        assert mine == pytest.approx(theirs, abs=2e-4), "of every clip once"
    for line in (
        "missing.mp4",
        "is left out: cannot be read",
        "run folder:",
        "epoch   1/3",
        "model.pt written",
    ):
        assert output[2].count(line) == output[1].count(line) > 0, "only the first process talks"


@pytest.mark.long
def test_a_mistake_is_printed_once_and_ends_all_processes(clips: Path, tmp_path: Path) -> None:
    for arguments, line in (
        ((str(tmp_path / "nothing"),), "nothing"),
        ((str(clips), "--batch-size", "1"), "2 processes share each batch"),
    ):
        with launch(tmp_path, *arguments) as process:
            _, complaints = process.communicate(timeout=120)
        assert process.returncode != 0
        own = [row for row in complaints.splitlines() if line in row]
        assert len(own) == 1, complaints
        assert "seqvision/training" not in complaints, "no traceback of ours"


@pytest.mark.long
def test_ctrl_c_ends_every_process_after_one_step_and_a_resume_repeats_it(
    clips: Path, tmp_path: Path
) -> None:
    given = (str(clips), *OPTIONS, "--encoder", "small_cnn", "--epochs", "8")
    run(tmp_path / "whole", 2, *given)
    whole = load_model(tmp_path / "whole" / "model.pt")[0].state_dict()
    folder = tmp_path / "half"
    with launch(folder, *given) as process:
        assert process.stderr is not None
        output = []
        for line in process.stderr:
            output.append(line)
            if line.startswith("epoch   1"):
                process.send_signal(signal.SIGINT)
                break
        output += process.stderr.readlines()
        process.wait(60)
    text = "".join(output)
    assert len(re.findall(r"stopped; epoch \d is kept", text)) == 1, text
    assert not re.search(r'File ".*seqvision/training', text), "no traceback of ours"
    assert load_model(folder / "model.pt")[1].labels == ("left", "none", "right")
    (half,) = folder.glob("runs/*")
    assert not (half / "report.html").exists(), "stopped on the way"
    run(folder, 2, "--resume", str(half), "--output", "resumed.pt")
    resumed = load_model(folder / "resumed.pt")[0].state_dict()
    for name in whole:
        assert torch.allclose(whole[name].float(), resumed[name].float(), atol=1e-5), name
