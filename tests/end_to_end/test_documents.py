"""Every command of README and docs: run as typed on tiny data, or listed with the reason why not.

A line that no rule knows fails: add a rule, or the reason why it cannot be run here.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import square_clip, write_squares, write_video
from export_models import prove_here

from seqvision import cli, config
from seqvision_edge import cli as edge_cli
from seqvision_edge import command_line
from seqvision_edge.opencv import cv2
from seqvision_edge.server import cli as serve_cli

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
README = ["README.md", "CONTRIBUTING.md", "edge/README.md"]
DOCUMENTS = [*README, *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
# Documents whose lines other tests run, one after the other, with what they need.
RUN_ELSEWHERE = {
    "docs/your-own-gestures.md": "tests/end_to_end/test_your_own_gestures.py",
    "docs/server.md": "tests/edge/test_server_docs.py",
    "docs/vectors.md": "tests/train/test_vectors.py",
}
KINDS = {
    "train": config.TrainOptions, "tune": config.TuneOptions, "data": config.DataOptions,
    "self-train": config.SelfTrainOptions, "evaluate": config.EvaluateOptions,
    "export": config.ExportOptions, "verify": config.VerifyOptions, "bench": config.BenchOptions,
    "inspect": config.InspectOptions, "calibrate": config.CalibrateOptions,
    "fetch": config.FetchOptions, "landmarks": config.LandmarksOptions,
    "segment": config.SegmentOptions, "compare": config.CompareOptions,
    "predict": config.PredictOptions, "record": config.RecordOptions,
}  # fmt: skip
PROGRAMS = {"edge-run": edge_cli.RunOptions, "edge-serve": serve_cli.ServeOptions}
# What the documents leave to its defaults, made small.
TRAINING = "--size 16 --frames 6 --workers 0 --encoder flatten --hidden 16 --lr 0.01 --epochs 12"
SMALL = {
    "train": TRAINING,
    "tune": f"{TRAINING} --trials 1",
    "self-train": "--epochs 1 --rounds 1 --views 1 --threshold 0.3",
    # One false event in three seconds is a thousand in an hour.
    "calibrate": "--max-false-per-hour 5000",
    "bench": "--seconds 0.01 --threads 1",
}
# Cannot be run by a test, and why; what can be checked of it is.
REASONS = {
    r"make (demo|test|lint|install)\b": "runs all of it: .ci/run does",
    r"python samples/(scoreboard|make_samples).py DATA": "takes hours, and data that are not here",
    r"make (bench|coverage|faults|fuzz|release)\b": "takes long",
    r"\.ci/run$": "runs all tests",
    r"git clone ": "needs the network",
    r"python3 -m venv \S+( && \S.*)?$": "what make install does too",
    r"python3 -m venv --system-site-packages ": "needs a Jetson",
    r"sudo apt install ": "changes the machine",
    r"py -3|\.venv\\Scripts|python samples\\demo": "needs Windows",
    r"\S*pip (install|uninstall) |python3 -m pip wheel ": "needs the network; names are checked",
    r"docker ": "needs Docker",
    r"seqvision fetch landmarks": "needs the network: tests/train/test_landmarks.py",
    r"seqvision (data|train) frames/ --encoder hands(\+pose)?$": (
        "needs it too: tests/export/test_landmarks.py"
    ),
    r"seqvision landmarks ": "likewise: tests/train/test_vectors.py",
    r"seqvision train vectors/": "needs what that writes",
    r"torchrun ": "needs several processes: tests/train/test_ddp.py runs it",
    r"rpicam-vid ": "needs the camera of a Raspberry Pi",
    r"\S*edge-run .*(--camera|rtsp:)": "needs a camera: test_three_commands.py has one",
    r"edge-run --source - ": "needs what stands before the pipe",
    r"seqvision record ": "needs a camera: test_your_own_gestures.py runs it with one",
    r"edge-serve ": "does not end: tests/edge/test_server_cli.py starts it",
    r"curl ": "needs a server: tests/edge/test_server_docs.py has one",
}


@dataclass(frozen=True)
class Command:
    """A command of a document, as it is typed."""

    document: str
    text: str


def commands(document: str) -> Iterator[Command]:
    """Yield the commands of a document's sh blocks, without comments, continued lines joined."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:sh|bash|console|powershell)\n(.*?)^```", text, re.S | re.M):
        joined = re.sub(r"\\\n\s*|(?<=\|)\n\s*", " ", block)
        for line in joined.splitlines():
            plain = re.sub(r"\s+#\s.*$|^#.*$", "", line).strip()
            if plain:
                yield Command(document, plain)


EVERY = [command for document in DOCUMENTS for command in commands(document)]


def words_of(text: str) -> list[str]:
    program, *rest = shlex.split(text)
    return [Path(program).name, *rest]


def parse(text: str) -> None:
    """Read the options of a command of ours, the last one of a pipe; others are not looked at."""
    words = words_of(text.rpartition("| ")[2])
    if words[0] == "torchrun":
        words = words[words.index("seqvision") :]
    if words[0] == "seqvision" and words[1] in KINDS:
        command_line.parse(KINDS[words[1]], "seqvision", words[2:])
    elif words[0] in PROGRAMS:
        command_line.parse(PROGRAMS[words[0]], words[0], words[1:])


def check_pip(text: str) -> None:
    """What is not on an index is installed from the checkout, from a folder that is there."""
    words = shlex.split(text)
    named, skip = [], False
    for word in words[next(n for n, word in enumerate(words) if word.endswith("pip")) + 2 :]:
        if not skip and not word.startswith("-"):
            named.append(word)
        skip = word in ("-c", "--index-url", "-w", "-r")
    assert named, text
    for name in named:
        assert not re.match(r"seqvision([^_]|$)", name), f"{name} is on no index: {text}"
        path, _, extra = name.partition("[")
        if path.startswith(".") and not path.endswith(".whl"):
            project = ROOT / path / "pyproject.toml"
            assert project.is_file(), text
            assert not extra or f"\n{extra.rstrip(']')} = [" in project.read_text()


def reason(text: str) -> str | None:
    return next((why for rule, why in REASONS.items() if re.match(rule, text)), None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that the documents name, in which their commands are typed."""
    write_squares(tmp_path / "frames", 6, ("left", "right", "none"))
    for same in ("CLIPS", "labelled"):
        shutil.copytree(tmp_path / "frames", tmp_path / same)
    unlabelled = tmp_path / "unlabelled"
    for number, direction in enumerate((-1, 1, 0)):
        write_video(unlabelled / f"{number}.mp4", square_clip(direction, 40 + number))
    still, moving = square_clip(0, 50, 20), square_clip(-1, 50, 10)
    clip = np.concatenate([still, moving, moving, still])
    for name in ("clip", "long", "monday"):
        write_video(tmp_path / f"{name}.mp4", clip)
    for name in ("events", "monday"):
        (tmp_path / f"{name}.csv").write_text("start,end,label\n2.0,4.0,left\n")
    truth = '{"video": "clip.mp4", "events": [{"label": "left", "start": 2.0, "end": 4.0}]}'
    (tmp_path / "events.json").write_text(truth)
    for folder in ("VIDEOS", "takes"):
        write_video(tmp_path / folder / "clip.mp4", clip)
        (tmp_path / folder / "clip.json").write_text(truth)
    (tmp_path / "device" / "frames").mkdir(parents=True)
    for number, frame in enumerate(clip[:8]):
        cv2.imwrite(str(tmp_path / "device" / "frames" / f"{number}.jpg"), frame)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(command: Command) -> object:
    """Run a command in this process, or, a pipe, in a shell; return what is not 0 if it failed."""
    if "|" in command.text:
        shell = ["bash", "-euo", "pipefail", "-c", command.text]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=300)
        return done.returncode and done.stderr
    words = words_of(command.text.replace("…", ""))
    words = [each for word in words for each in expanded(word)]
    if words[0] == "seqvision":
        words = shrunk(words, shlex.split(SMALL.get(words[1], "")))
        programs: Callable[[Sequence[str]], int] = cli.main
    else:
        programs = edge_cli.main
    try:
        return programs(words[1:])
    except SystemExit as ended:  # --help
        return ended.code


def shrunk(words: Sequence[str], small: Sequence[str]) -> list[str]:
    """Return a command with the options of `small`, also in place of those that it has."""
    made = list(words)
    for flag, value in zip(small[::2], small[1::2], strict=True):
        if flag in made:
            made[made.index(flag) + 1] = value
        else:
            made += [flag, value]
    return made


def expanded(word: str) -> list[str]:
    """Return what a shell makes of a pattern that it is to expand."""
    found = sorted(map(str, Path().glob(word))) if word.endswith("/*") else []
    return found or [word]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_commands_and_options_exist(document: str) -> None:
    for command in commands(document):
        assert "seqvision-edge" not in command.text
        why = reason(command.text)
        first = words_of(command.text)[0]
        runs = first in ("seqvision", "edge-run", "ffmpeg") or document in RUN_ELSEWHERE
        assert why or runs, f"{command}: no test runs it; say in REASONS why, or how it is run"
        if "pip " in command.text:
            check_pip(command.text)
        elif first == "make":
            assert re.search(
                rf"^{words_of(command.text)[1]}:.*## ", (ROOT / "Makefile").read_text(), re.M
            )
        elif not command.text.endswith(" --help"):
            parse(command.text)


def test_documents_run_by_other_tests_are_run_there() -> None:
    for document, test in RUN_ELSEWHERE.items():
        assert Path(document).name in (ROOT / test).read_text()
    for why in REASONS.values():
        for test in re.findall(r"tests/\S+\.py", why):
            assert (ROOT / test).is_file()


@pytest.mark.long
@pytest.mark.slow
def test_documented_commands_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)
    known: set[str] = set()
    failed: list[tuple[Command, object]] = []
    for document in DOCUMENTS:
        if document in RUN_ELSEWHERE:
            continue
        monkeypatch.chdir(folder / "device" if document == "edge/README.md" else folder)
        if document == "edge/README.md":
            for name in ("model.onnx", "clip.mp4", "events.json"):
                shutil.copyfile(folder / name, name)
            shutil.copyfile("model.onnx", "gestures.onnx")
        for command in commands(document):
            if reason(command.text) is None and command.text not in known:
                known.add(command.text)
                code = run(command)
                if code:
                    failed.append((command, code))
    assert not failed
    assert (folder / "model.onnx").is_file()
    assert (folder / "answers.csv").is_file()
    assert (folder / "clips.png").is_file()
    assert (folder / "device" / "run.jsonl").is_file()


def test_flags_named_in_sentences_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    """`seqvision export --precision auto` in the middle of a sentence, too."""
    helps: dict[str, str] = {}
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
        for span in spans:
            words = span.split()
            program = " ".join(words[: 2 if words and words[0] == "seqvision" else 1])
            if words and words[0] in ("pip", "~/seqvision/bin/pip"):
                check_pip(span)
            if words[:1] not in (["seqvision"], ["edge-run"], ["edge-serve"]) or len(words) < 3:
                continue
            if program == "seqvision COMMAND":
                continue
            if program not in helps:
                entry = {"edge-run": edge_cli.main, "edge-serve": serve_cli.main}
                with contextlib.suppress(SystemExit):
                    entry.get(words[0], cli.main)([*program.split()[1:], "--help"])
                helps[program] = capsys.readouterr().out
            for flag in re.findall(r"--[a-z][a-z-]*", span):
                assert flag in helps[program], f"{document}: {span}"


def test_documents_never_install_our_packages_from_an_index() -> None:
    """Messages, docstrings, units and the page as well: the packages are on no index yet."""
    suffixes = (".py", ".md", ".mjs", ".html", ".service", ".toml", ".txt", ".sh")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if name.startswith("tests/") or not path.is_file():
            continue
        if path.suffix in suffixes or path.name in ("Dockerfile", "Makefile", "run"):
            for line in path.read_text(encoding="utf-8").splitlines():
                assert not re.search(r"pip3? install [^#\n]*(?<![./_\w])seqvision", line), (
                    name,
                    line,
                )
