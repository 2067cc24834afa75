"""The whole way on drawn samples: draw → train → calibrate → export → run on an untrimmed video.

`python samples/demo.py FOLDER` calls the commands as a person would and prints each of them.
"""

import argparse
import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

# Gestures of the samples last up to three seconds: 16 frames at 8 fps are two.  A head that reads
# in both directions has seen the beginning of a gesture as freshly as its end.  Mirrored clips are
# as good as twice the performers.
TRAINING = ("--size", "64", "--frames", "16", "--fps", "8", "--epochs", "20",
            "--head", "gru", "--bidirectional",
            "--flip", "--swap", "swipe_left:swipe_right", "rotate_cw:rotate_ccw")  # fmt: skip
INTERRUPTED = 130


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo"))
    folder = parser.parse_args().folder
    try:
        return show(folder)
    except KeyboardInterrupt:
        # The command that ran got Ctrl-C too and printed what it kept.
        print(
            "\nstopped; the same command again begins with what is drawn already", file=sys.stderr
        )
        return INTERRUPTED


def show(folder: Path) -> int:
    """Draw, train, calibrate, export and run, each by the command that a person would type."""
    began = time.monotonic()
    samples, model = folder / "samples", folder / "model.pt"
    onnx, video, log = folder / "model.onnx", folder / "annotated.mp4", folder / "events.jsonl"
    clips = samples / "clips"
    log.unlink(missing_ok=True)

    if not (samples / "takes").exists():
        step("draw clips of a hand, and untrimmed videos; nothing is downloaded")
        call(sys.executable, Path(__file__).with_name("make_samples.py"), samples, "--force")
    step("train on 8 performers, validate on 2, test on 2 others")
    train(folder, clips, model)
    step("calibrate: thresholds of events, from two validation videos")
    call("seqvision", "calibrate", model, samples / "takes", clips, "--cache", folder / "cache")
    step("export, and prove that the file answers as the model does")
    call("seqvision", "export", model, "--cache", folder / "cache")
    step("run on the untrimmed video of a performer whom the model has never seen")
    call("edge-run", "--model", onnx, "--source", samples / "untrimmed.mp4",
         "--truth", samples / "untrimmed.json", "--json", log, "--save", video,
         "--no-window")  # fmt: skip

    picture = draw_events(log, video, folder / "events.png")
    (metrics,) = sorted((folder / "runs").glob("*/metrics.json"))[-1:]
    accuracy = json.loads(metrics.read_text())["test"]["accuracy"]
    print(f"\n{accuracy:.1%} of the clips of unseen performers are right")
    print(f"look at {video}, {picture} and {metrics.parent / 'report.html'}")
    print("this model knows a drawn hand only; for gestures of your own, from a camera:")
    print("  seqvision record takes --labels wave,clap,none")
    print("  seqvision train takes --split-by none")
    print(f"{time.monotonic() - began:.0f} s in all")
    return 0


def train(folder: Path, clips: Path, model: Path) -> None:
    """Train, or resume a training that Ctrl-C stopped."""
    runs, stopped = folder / "runs", folder / "stopped.txt"
    cache = ("--cache", folder / "cache")
    begun = Path(stopped.read_text().strip()) if stopped.is_file() else None
    before = set(runs.glob("*"))
    try:
        if begun is not None and (begun / "checkpoints" / "last.ckpt").is_file():
            call("seqvision", "train", "--resume", begun, *cache)
        else:
            call("seqvision", "train", clips, *TRAINING, "--output", model, "--runs", runs, *cache)
    except KeyboardInterrupt:
        for run in sorted(set(runs.glob("*")) - before)[-1:]:
            stopped.write_text(f"{run}\n")
        raise
    stopped.unlink(missing_ok=True)


def draw_events(log: Path, video: Path, picture: Path, count: int = 4) -> Path:
    """Put the frames at which events of different labels were surest side by side."""
    import numpy as np

    from seqvision_edge.opencv import cv2

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    answers = [row for row in rows if row["type"] == "prediction"]
    # Not an event's peak: there the hand moved, and half a window later the answer came.
    events = {
        event["label"]: max(
            (row for row in answers if event["start"] <= row["time"] <= event["reported_at"]),
            key=lambda row: row["probabilities"][event["label"]],
        )["time"]
        for event in reversed(rows)
        if event["type"] == "event"
    }
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    frames = []
    peaks = sorted(events.values())
    spread = np.linspace(0, len(peaks) - 1, min(count, len(peaks))).round().astype(int)
    for peak in (peaks[index] for index in spread):
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * peak)
        there, frame = capture.read()
        if there:
            smaller = cv2.resize(frame, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
            frames.append(cv2.copyMakeBorder(smaller, 0, 0, 3, 3, cv2.BORDER_CONSTANT,
                                             value=(255, 255, 255)))  # fmt: skip
    capture.release()
    if frames:
        cv2.imwrite(str(picture), np.hstack(frames))
    return picture


def step(what: str) -> None:
    """Print the next step."""
    print(f"\n── {what}", flush=True)


def call(program: str | Path, *arguments: str | Path) -> None:
    """Run a command of this environment, shown as it could be typed; end if it fails.

    Raises:
        KeyboardInterrupt: it was stopped by Ctrl-C.
    """
    words = [str(argument) for argument in arguments]
    print("$", Path(program).name, shlex.join(words), flush=True)
    # The command next to this Python, not another one that PATH may have.
    running = subprocess.Popen([Path(sys.executable).parent / program, *words])
    try:
        code = running.wait()
    except KeyboardInterrupt:
        # The terminal gave Ctrl-C to the command too: let it end and print what it kept.
        with contextlib.suppress(KeyboardInterrupt):
            running.wait(timeout=20)
        raise
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait()
    if code in (INTERRUPTED, -signal.SIGINT):
        raise KeyboardInterrupt
    if code:
        sys.exit(code)


if __name__ == "__main__":
    sys.exit(main())
