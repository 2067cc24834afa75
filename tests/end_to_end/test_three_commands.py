"""The three commands, literally, in an empty folder with only `frames/`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data, square_clip, write_squares, write_video
from export_models import prove_here
from once import once
from preloaded import run, seqvision_code

from seqvision.data.datasets import find_clips

BIN = Path(sys.executable).parent


def call(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment in `folder`, without a display."""
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=folder,
        env=variables(folder) | environment,
        capture_output=True,
        text=True,
        timeout=540,
    )


def variables(folder: Path) -> dict[str, str]:
    """Return the environment of a command in a home of its own, without a display."""
    clean = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND")}
    return clean | {"XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}


def good(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done


@pytest.fixture(scope="module")
def folder() -> Path:
    """A folder in which `train` and `export` were run with few options.

    Not from nothing, with torch to load: so test_terminal.py runs the same two.
    """
    return once("three commands", train_and_export)


def train_and_export(folder: Path) -> None:
    write_squares(folder / "frames", 8, ("left", "none", "right"))
    small = ("--size", "16", "--epochs", "40", "--image-fps", "10", "--workers", "0")
    for command in (("train", "frames/", *small), ("export", "model.pt")):
        code = seqvision_code(command)
        good(run(["seqvision", *command], folder, variables(folder), code=code))


def lines(path: Path, kind: str) -> list[dict[str, object]]:
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["type"] == kind]


def test_live_predictions_equal_offline_predictions(folder: Path) -> None:
    """The proof of the toolkit: torch on the decoded window = edge-run's JSON, at every frame."""
    import torch

    from seqvision.data.cache import Cache
    from seqvision.data.clips import Clip
    from seqvision.data.decode import Store
    from seqvision.training.model_io import load_model
    from seqvision_edge.sampling import select_frames

    video = write_video(folder / "a.mp4", square_clip(1, 77, 40, 64), fps=12.5)
    good(call(folder, "edge-run", "--source", "a.mp4", "--json", "a.jsonl", "--no-window"))
    answers = lines(folder / "a.jsonl", "prediction")

    model, card = load_model(folder / "model.pt")
    clip = Store(Cache(folder / "cache2"), card.image, 30.0).load(Clip(video, ""))
    ticks = select_frames(clip.times, card.sequence.fps)
    assert [row["frame"] for row in answers] == sorted(set(ticks.tolist()))
    for row in answers:
        seen = ticks[: int(np.searchsorted(ticks, row["frame"], side="right"))]
        with torch.inference_mode():
            window = torch.from_numpy(clip.frames[seen[-card.sequence.frames :]])[None]
            expected = model(window).softmax(1)[0].tolist()
        found = [row["probabilities"][label] for label in card.labels]
        assert np.abs(np.subtract(found, expected)).max() <= 1e-4
        assert row["window_full"] is (len(seen) >= card.sequence.frames)


def test_videos_and_frame_folders_get_the_prediction_of_evaluate(folder: Path) -> None:
    for label in ("left", "right"):
        clip = square_clip(-1 if label == "left" else 1, 500, 9)
        write_video(folder / f"{label}.mp4", clip)
        good(call(folder, "edge-run", "--source", f"{label}.mp4", "--json", f"{label}.jsonl",
                  "--save", f"{label}-seen.mp4"))  # fmt: skip
        assert lines(folder / f"{label}.jsonl", "prediction")[-1]["label"] == label
        assert (folder / f"{label}-seen.mp4").stat().st_size > 1000


def test_a_training_clip_becomes_an_event(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that a person tries: one of the own clips, with no option."""
    first = good(call(folder, "edge-run", "--source", "frames/left/left1.mp4", "--no-window"))
    assert [line.split("\t")[2] for line in first.stdout.splitlines()] == ["left"]
    monkeypatch.chdir(folder)
    assert share_of_right_events(Path("frames"), capsys) >= 0.9


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(("seconds", "fps"), [(1.0, 15.0), (2.0, 25.0), (3.0, 60.0)])
def test_clips_of_one_length_become_events(
    tmp_path: Path,
    seconds: float,
    fps: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each has one full window, at its very end: too late for an event by thresholds alone."""
    from trainings import options, train

    from seqvision.config import ExportOptions
    from seqvision.training.model_io import load_model
    from seqvision_export.export import export

    for label, direction in (("left", -1), ("none", 0), ("right", 1)):
        for number in range(5):
            clip = square_clip(direction, 10 * number + len(label), round(seconds * fps), 16)
            write_video(tmp_path / "frames" / label / f"{number}.mp4", clip, fps)
    trained = train(options(tmp_path / "frames", tmp_path, 80, clips={"frames": "auto"}))
    sequence = load_model(trained.model)[1].sequence
    assert sequence.kind == "video"
    assert sequence.frames >= 15
    assert sequence.frames / sequence.fps <= seconds + 0.02
    prove_here(monkeypatch)
    export(ExportOptions(model=trained.model))
    monkeypatch.chdir(tmp_path)
    assert share_of_right_events(Path("frames"), capsys) >= 0.8


def share_of_right_events(clips: Path, capsys: pytest.CaptureFixture[str]) -> float:
    """Return how many `clips/<label>/*` give one event of their label, and none for `none`."""
    from seqvision_edge.cli import main

    found = sorted(clips.glob("*/*"))
    right = 0
    for clip in found:
        capsys.readouterr()
        assert main(["--source", str(clip), "--no-window", "--image-fps", "10"]) == 0
        events = [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()]
        right += events == [name for name in [clip.parent.name] if name != "none"]
    return right / len(found)


def test_the_runner_needs_no_torch(folder: Path) -> None:
    write_video(folder / "b.mp4", square_clip(1, 5, 20))
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('torch', 'lightning', 'onnx', 'seqvision'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from seqvision_edge.cli import main\n"
        "sys.exit(main(['--source', 'b.mp4', '--no-window']))"
    )
    good(call(folder, "python", "-c", code))


def test_a_newer_model_a_text_file_and_a_missing_camera_are_one_line(
    folder: Path,
) -> None:
    import onnx

    proto = onnx.load(folder / "model.onnx")
    for prop in proto.metadata_props:
        if prop.key == "seqvision.card":
            prop.value = re.sub(r'"spec":\d+', '"spec":99', prop.value)
    onnx.save(proto, folder / "future.onnx")
    (folder / "text.mp4").write_text("hello")
    write_video(folder / "c.mp4", square_clip(1, 5, 9))
    for arguments, message in (
        (("--source", "c.mp4", "--model", "future.onnx"), "spec 99"),
        (("--source", "text.mp4"), "text.mp4"),
        (("--camera", "63"), "63"),
        (("--source", "c.mp4", "--model", "text.mp4"), "text.mp4: not a model"),
        (("--sorce", "c.mp4"), "did you mean --source?"),
        (("--source", "c.mp4", "--device", "cuda"), "onnxruntime-gpu"),
    ):
        done = call(folder, "edge-run", *arguments)
        assert done.returncode == 2, (arguments, done)
        assert done.stderr.count("\n") == 1, done.stderr
        assert message in done.stderr


def test_camera_0_runs_live(folder: Path, tmp_path: Path) -> None:
    """Through an emulated V4L2 device: the unchanged OpenCV opens it as camera 0."""
    from fake_camera import camera

    reason = camera.missing()
    if reason:
        pytest.skip(reason)
    frames = np.concatenate([square_clip(direction, 9) for direction in (1, -1)])
    frames = frames.repeat(2, axis=1).repeat(2, axis=2)  # the square as large as was learnt
    raw = camera.write_yuyv(frames[..., ::-1], tmp_path / "camera.yuyv")
    control = tmp_path / "control"
    environment = camera.environment(camera.build(tmp_path), raw, (64, 64), 10, control)
    camera.tell(control, "ok")
    command = [str(BIN / "edge-run"), "--camera", "0", "--json", "camera.jsonl", "--no-window"]
    import signal
    import time

    with subprocess.Popen(
        command, cwd=folder, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        found: set[object] = set()
        while not {"left", "right"} <= found and time.monotonic() < deadline:
            time.sleep(0.2)
            if (folder / "camera.jsonl").exists():
                answers = lines(folder / "camera.jsonl", "prediction")
                found = {row["label"] for row in answers if row["window_full"]}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert {"left", "right"} <= found, (out, err)


@pytest.mark.long
@pytest.mark.slow
def test_the_three_commands_run_with_no_flags_on_real_clips(tmp_path: Path) -> None:
    """`frames/` is linked from the train part of a surveillance data set."""
    listed = real_data("fight", "split.csv")
    videos: list[Path] = []
    clips = [clip for clip in find_clips(listed) if clip.split == "train"]
    assert len(clips) == 198
    for label in ("fight", "noFight"):
        for clip in [clip for clip in clips if clip.label == label][:12]:
            videos.append(tmp_path / "frames" / clip.label / clip.path.name)
            videos[-1].parent.mkdir(parents=True, exist_ok=True)
            videos[-1].symlink_to(clip.path.resolve())
    # The whole default training takes minutes; two epochs of 24 clips walk the same way.
    (tmp_path / "frames" / "clips.txt").write_text("not a label")
    assert len(videos) == 24
    for command in (("train", "frames/", "--epochs", "2"), ("export", "model.pt")):
        code = seqvision_code(command)
        good(run(["seqvision", *command], tmp_path, variables(tmp_path), code=code))
    done = good(call(tmp_path, "edge-run", "--source", str(videos[0])))
    assert "fight" in done.stdout + done.stderr
