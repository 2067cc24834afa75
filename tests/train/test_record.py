"""`seqvision record` as a person uses it: from videos, from an emulated camera, with mistakes."""

import csv
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import square_clip, write_video
from fake_camera.camera import CountingCamera, counting_camera, missing, read_counter

from seqvision.cli import main
from seqvision.data.datasets import find_data_set
from seqvision_edge.sources.factory import open_path

FPS = 20
LABELS = "wave,clap,none"


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten seconds of a square, in the folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    clips = [square_clip(1, seed, FPS, 32) for seed in range(10)]
    return write_video(Path("video.mp4"), np.concatenate(clips), FPS)


def record(*words: str) -> int:
    source = () if "--source" in words else ("--source", "video.mp4")
    return main(["record", "takes", "--no-window", *source, *words])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_takes_of_a_video_are_clips_that_a_training_finds(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record("--labels", LABELS, "--takes", "3", "--seconds", "1", "--person", "anna") == 0
    found = find_data_set(Path("takes"))
    assert found.name == "csv"
    assert Counter((clip.label, clip.group) for clip in found.clips) == {
        ("wave", "anna"): 3, ("clap", "anna"): 3, ("none", "anna"): 3
    }  # fmt: skip
    for clip in found.clips:
        with open_path(clip.path) as source:
            assert len([*source]) == FPS
    out, err = capsys.readouterr()
    assert "wave  3 takes  (anna 3)\n" in out
    assert "next: seqvision train takes --split-by none" in out
    assert err.count(" frames at 20 fps\n") == 9


def test_the_same_command_continues_and_overwrites_nothing(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--labels", LABELS, "--takes", "4", "--seconds", "1")
    # Twelve seconds are wanted of a video of ten.
    assert record(*command) == 3
    assert "video.mp4: source ended early; 2 takes missing" in capsys.readouterr().err
    before = {path: path.read_bytes() for path in Path("takes").rglob("*.mkv")}
    assert len(before) == 10
    assert record(*command) == 0
    assert all(path.read_bytes() == content for path, content in before.items())
    assert Counter(row["label"] for row in rows(Path("takes"))) == dict.fromkeys(
        LABELS.split(","), 4
    )
    # And once more there is nothing to do.
    capsys.readouterr()
    assert record(*command) == 0
    assert capsys.readouterr().err == ""


def test_another_person_records_the_existing_labels(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for person in ("anna", "ben", "cleo"):
        labels = ("--labels", "wave,none") if person == "anna" else ()
        assert record(*labels, "--takes", "1", "--seconds", "1", "--person", person) == 0
    assert {(row["label"], row["group"]) for row in rows(Path("takes"))} == {
        (label, person) for label in ("wave", "none") for person in ("anna", "ben", "cleo")
    }
    # Three persons: now a training can validate on one of them.
    assert capsys.readouterr().out.rstrip().endswith("next: seqvision train takes")


def test_labels_without_a_background_get_a_hint(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record("--labels", "wave", "--takes", "1", "--seconds", "1") == 0
    out, err = capsys.readouterr()
    assert "no label for nothing happens" in err
    assert "one label only; next: seqvision record takes --labels none" in out
    assert record("--labels", "none", "--takes", "1", "--seconds", "1") == 0
    assert record("--labels", "bow", "--takes", "1", "--seconds", "1") == 0
    assert "no label for nothing happens" not in capsys.readouterr().err


def test_a_take_starts_after_its_countdown(video: Path) -> None:
    assert record("--labels", "wave,none", "--takes", "2", "--seconds", "1", "--countdown",
                  "1.5") == 0  # fmt: skip
    assert len(rows(Path("takes"))) == 4


def test_takes_are_reviewed_by_lines(
    video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record("--labels", "wave,none", "--takes", "2", "--seconds", "1", "--order", "turn")
    with Path("lines").open("w+") as lines:
        lines.write("none\nd\n\nq\n")
        lines.seek(0)
        monkeypatch.setattr("sys.stdin", lines)
        assert main(["record", "takes", "--review", "--no-window"]) == 0
    assert "kept 1, relabelled 1, deleted 1" in capsys.readouterr().err
    assert Counter(row["label"] for row in rows(Path("takes"))) == {"wave": 1, "none": 2}
    assert len([*Path("takes").rglob("*.mkv")]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--labels", ","), "--labels ',': no label"),
        ((), "the labels are missing: --labels wave,clap,none"),
        (("--labels", "a", "--takes", "0"), "--takes"),
        (("--labels", "a", "--seconds", "0.01"), "--seconds"),
        (("--labels", "a", "--seconds", "500"), "--seconds"),
        (("--labels", "a", "--order", "random"), "--order"),
        (("--labels", "a\x07"), "has control characters"),
        (("--labels", "a", "--person", "x" * 200), "person"),
        (("--labels", "a", "--source", "gone.mp4"), "gone.mp4: no such file"),
        (("--labels", "a", "--source", "notes.mp4"), "notes.mp4: not a video"),
        (("--review",), "takes: no such folder"),
        (("--labels", "a", "--source", "env:NOWHERE"), "NOWHERE: environment variable not set"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_files(
    video: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    Path("notes.mp4").write_text("no video")
    assert record(*words) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)
    assert not Path("takes").exists()


def test_an_unsuitable_folder_for_takes_is_one_line(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("full/wave").mkdir(parents=True)
    Path("full/wave/a.mp4").touch()
    Path("list").mkdir()
    Path("list/clips.csv").write_text("a,b\n")
    for folder, message in (
        ("full", "has clips already"), ("list", "has no column"), ("a/b", "make it first"),
        ("video.mp4", "name a folder"),
    ):  # fmt: skip
        command = ["record", folder, "--labels", "a", "--source", "video.mp4"]
        assert main(command) == 2
        assert message in capsys.readouterr().err


def test_a_full_disk_keeps_earlier_takes(
    small_disk: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["record", str(small_disk), "--source", "video.mp4", "--labels", "a,none", "--takes",
               "4", "--seconds", "1", "--no-window"]  # fmt: skip
    assert main(command) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "the disk is full" in last or "No space left on device" in last
    kept = rows(small_disk)
    assert 0 < len(kept) < 8
    assert all((small_disk / row["path"]).is_file() for row in kept)
    assert len([*small_disk.rglob("*.mkv")]) == len(kept)


def test_recording_needs_no_torch(video: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('torch', 'lightning', 'onnxruntime', 'imgaug'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from seqvision.cli import main\n"
        "sys.exit(main(['record', 'takes', '--source', 'video.mp4', '--labels', 'a,none',\n"
        "               '--takes', '1', '--seconds', '1', '--no-window']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr


class AtTerminal:
    """A command at a terminal of its own, and what it has shown so far."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "90"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seqvision", *words], cwd=folder, env=environment,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""
        self._read = 0

    def expect(self, text: str, seconds: float = 60.0) -> None:
        """Wait until it has shown this, after what was waited for before."""
        deadline = time.monotonic() + seconds
        while (found := self._plain().find(text, self._read)) < 0:
            left = deadline - time.monotonic()
            ready = select.select([self._ours], [], [], max(0.0, left))[0]
            assert ready, (text, self.shown)
            try:
                self.shown += os.read(self._ours, 4096).decode(errors="replace")
            except OSError:  # what Linux says when the other end has closed
                raise AssertionError((text, self.shown)) from None
        self._read = found + len(text)

    def _plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def __enter__(self) -> "AtTerminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def test_a_terminal_session_prompts_and_shows_the_kept_takes(video: Path) -> None:
    words = ("--source", "video.mp4", "--takes", "1", "--seconds", "1", "--no-window")
    with AtTerminal(Path.cwd(), "record", "takes", *words) as terminal:
        terminal.expect("labels, separated by commas")
        terminal.type("wave, none\n")
        terminal.expect("name of the performer")
        terminal.type("anna\n")
        terminal.expect("Enter begins and pauses")
        terminal.expect("20 frames at 20 fps")
        terminal.expect("next: seqvision train takes --split-by none")
        assert terminal.process.wait(60) == 0
    assert {(row["label"], row["group"]) for row in rows(Path("takes"))} == {
        ("wave", "anna"), ("none", "anna")
    }  # fmt: skip


def test_end_of_input_at_the_prompt_is_one_line(video: Path) -> None:
    with AtTerminal(Path.cwd(), "record", "takes", "--source", "video.mp4") as terminal:
        terminal.expect("labels, separated by commas")
        terminal.type("\x04")
        terminal.expect("no input; give --labels and --person")
        assert terminal.process.wait(60) == 2
    assert "Traceback" not in terminal.shown
    assert not Path("takes").exists()


def test_keys_start_repeat_and_stop_a_take(
    built: CountingCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.tell("ok")
    for name, value in built.environment().items():
        monkeypatch.setenv(name, value)
    words = ("--labels", "wave,none", "--person", "", "--takes", "5", "--seconds", "0.5",
             "--countdown", "0.1", "--order", "turn", "--no-window")  # fmt: skip
    with AtTerminal(tmp_path, "record", "takes", *words) as terminal:
        terminal.expect("press Enter")
        terminal.type("\n")
        terminal.expect("wave/take-001.mkv")
        terminal.type("\n")
        # A pause: nothing more is kept until the take is asked for again.
        terminal.expect("press Enter")
        terminal.type("r")
        terminal.expect("is deleted and recorded again")
        terminal.type("q")
        terminal.expect("seqvision ")
        assert terminal.process.wait(60) == 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> CountingCamera:
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    return counting_camera(tmp_path_factory.mktemp("camera"))


@contextmanager
def at_camera(camera: CountingCamera, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Record from the emulated camera in a process of its own; Enter is pressed by a pipe."""
    command = [sys.executable, "-m", "seqvision", "record", str(folder), "--no-window", *words]
    log = folder.with_suffix(".log")
    with log.open("w") as err:
        process = subprocess.Popen(
            command, env=camera.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=err, text=True, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(
    done: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 60
) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, process.returncode
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def press_enter(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("fps", [12, 30])
def test_a_camera_of_any_rate_gives_takes_of_the_given_length(
    built: CountingCamera, tmp_path: Path, fps: int
) -> None:
    camera = CountingCamera(built.library, built.frames, built.control, fps)
    camera.tell("ok")
    words = ("--labels", "a,none", "--takes", "1", "--seconds", "1.5", "--countdown", "0.3")
    with at_camera(camera, tmp_path / "takes", *words) as process:
        press_enter(process)
        assert process.wait(90) == 0
    takes = rows(tmp_path / "takes")
    assert len(takes) == 2
    for row in takes:
        with open_path(tmp_path / "takes" / row["path"]) as source:
            frames = [(frame.time, read_counter(frame.bgr)) for frame in source]
        assert frames[-1][0] + 1 / fps == pytest.approx(1.5, abs=1.5 / fps)
        # A picture is where the camera's own clock has it.
        first = frames[0][1]
        for at, number in frames:
            assert (number - first) % 256 / fps == pytest.approx(at, abs=2.5 / fps)


@pytest.mark.parametrize("fault", ["unplug", "stall"])
def test_a_take_interrupted_by_the_camera_is_repeated(
    built: CountingCamera, tmp_path: Path, fault: str
) -> None:
    built.tell("ok")
    folder = tmp_path / "takes"
    words = ("--labels", "a,none", "--takes", "1", "--seconds", "3", "--countdown", "0",
             "--order", "turn")  # fmt: skip
    with at_camera(built, folder, *words) as process:
        press_enter(process)
        # The second take goes on.
        wait_until(lambda: (folder / "clips.csv").exists(), process)
        wait_until(lambda: [*folder.glob(".*unfinished*")], process)
        built.tell(fault)  # type: ignore[arg-type]
        log = folder.with_suffix(".log")
        wait_until(lambda: "take interrupted" in log.read_text(), process)
        assert not [*folder.glob(".*unfinished*")]
        built.tell("ok")
        assert process.wait(90) == 0
    assert [row["label"] for row in rows(folder)] == ["a", "none"]
    with open_path(folder / rows(folder)[1]["path"]) as source:
        numbers = [read_counter(frame.bgr) for frame in source]
    steps = np.diff(np.unwrap(numbers, period=256))
    assert steps.max() < 30
    assert len(numbers) == pytest.approx(90, abs=6)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_a_shutdown_keep_only_complete_takes(
    built: CountingCamera, tmp_path: Path, number: int, code: int
) -> None:
    built.tell("ok")
    folder = tmp_path / "takes"
    words = ("--labels", "a,none", "--takes", "3", "--seconds", "1", "--countdown", "0")
    with at_camera(built, folder, *words) as process:
        press_enter(process)
        wait_until(lambda: (folder / "clips.csv").exists(), process)
        wait_until(lambda: [*folder.glob(".*unfinished*")], process)
        process.send_signal(number)
        assert process.wait(60) == code
    log = folder.with_suffix(".log").read_text()
    assert "Traceback" not in log
    kept = rows(folder)
    assert 1 <= len(kept) < 6
    inside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert inside == {".takes.lock", "clips.csv", *(row["path"] for row in kept)}
    if number == signal.SIGINT:
        assert "of this sitting are kept" in log


def test_a_missing_camera_is_one_line(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "takes", "--labels", "a", "--camera", "57"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "No such file" in err
    assert not Path("takes").exists()
