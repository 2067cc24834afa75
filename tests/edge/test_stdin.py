"""Frames through standard input."""

import contextlib
import fcntl
import os
import select
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import make_card, model_bytes
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from preloaded import run_edge

from seqvision_edge.errors import SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.sources import image_files
from seqvision_edge.sources.image_files import pictures
from seqvision_edge.sources.stdin import Rate, open_pipe

Image = NDArray[np.uint8]


def grey(level: int, width: int = 35, height: int = 21) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def jpeg(level: int, *, progressive: bool = False) -> bytes:
    """Return a picture whose scan holds every kind of byte."""
    noise = np.random.default_rng(level).integers(0, 40, (48, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return bytes(cv2.imencode(".jpg", noise + np.uint8(level), options)[1].tobytes())


def piped(
    data: bytes, size: tuple[int, int] | None = None, rate: Rate | None = 10
) -> tuple[Any, list[Frame]]:
    """Send some bytes through a pipe, and return the source and its frames."""
    reading, writing = os.pipe()

    def send() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
            file.write(data)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with open_pipe("standard input", reading, rate, size) as source:
            return source, list(source)
    finally:
        os.close(reading)
        sender.join()


# ---- raw frames ----


def test_raw_frames_are_read_at_the_given_rate() -> None:
    # Larger than what a pipe holds at once.
    sent = [grey(level, 401, 303) for level in (0, 50, 200, 255)]
    source, frames = piped(b"".join(frame.tobytes() for frame in sent), (401, 303))
    for frame, bgr in zip(frames, sent, strict=True):
        np.testing.assert_array_equal(frame.bgr, bgr)
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0), (1, 0.1), (2, 0.2), (3, 0.3)]
    assert (source.live, source.fps, source.decoded, source.damaged) == (False, 10, 4, 0)
    assert source.incomplete is None


def test_a_raw_frame_can_be_drawn_into_without_touching_the_next() -> None:
    _, [first, second] = piped(grey(1).tobytes() + grey(2).tobytes(), (35, 21))
    first.bgr[:] = 9
    assert (second.bgr == 2).all()


def test_a_torn_last_frame_is_counted() -> None:
    source, frames = piped(grey(1).tobytes() + grey(2).tobytes()[:-1], (35, 21))
    assert [int(frame.bgr[0, 0, 0]) for frame in frames] == [1]
    assert (source.damaged, source.incomplete) == (1, "decoded 1 of 2 frames")


# ---- MJPEG ----


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pictures_are_found_by_their_first_bytes(progressive: bool) -> None:
    sent = [jpeg(level, progressive=progressive) for level in (10, 90, 170)]
    source, frames = piped(b"".join(sent))
    for frame, data in zip(frames, sent, strict=True):
        whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(frame.bgr, whole)
    assert [frame.time for frame in frames] == [0, 0.1, 0.2]
    assert source.incomplete is None


def test_a_grey_jpeg_becomes_bgr() -> None:
    data = cv2.imencode(".jpg", grey(80)[:, :, 0])[1].tobytes()
    _, [frame] = piped(data)
    assert frame.bgr.shape == (21, 35, 3)


def test_a_damaged_jpeg_leaves_a_gap() -> None:
    broken = bytearray(jpeg(90))
    # No decoder can do without the size of the picture.
    broken[broken.index(b"\xff\xc0") + 5 : broken.index(b"\xff\xc0") + 9] = bytes(4)
    source, frames = piped(jpeg(10) + broken + jpeg(170))
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0), (2, 0.2)]
    assert source.incomplete == "decoded 2 of 3 frames"


@given(st.integers(2, 4000), st.booleans())
@example(206, True)
def test_a_torn_jpeg_is_counted_and_the_next_one_is_found(cut: int, progressive: bool) -> None:
    torn = jpeg(90, progressive=progressive)
    torn = torn[: min(cut, len(torn) - 1)]
    found = list(pictures([jpeg(10), torn]))
    assert found[0] == (jpeg(10), True)
    assert [whole for _, whole in found[1:]] in ([False], [])
    # Half a length may swallow the beginning of the next picture.
    found = list(pictures([torn, jpeg(10), jpeg(20), jpeg(30)]))
    assert found[-1] == (jpeg(30), True)


@given(st.lists(st.integers(1, 3000), max_size=12), st.binary(max_size=9))
def test_pictures_are_whole_however_their_bytes_arrive(sizes: list[int], between: bytes) -> None:
    between = between.replace(b"\xff", b"")
    sent = [jpeg(10), jpeg(90, progressive=True), jpeg(170)]
    data = between.join(sent)

    def chunks() -> Iterator[bytes]:
        location = 0
        for size in sizes:
            yield data[location : location + size]
            location += size
        yield data[location:]

    assert list(pictures(chunks())) == [(picture, True) for picture in sent]


def test_a_picture_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "LARGEST", 1 << 15)
    found = list(pictures([jpeg(10)[:-2], *[bytes(1 << 14)] * 4, jpeg(20)]))
    assert found == [(b"", False), (jpeg(20), True)]


# ---- the end, and what is no source ----


@pytest.mark.parametrize(
    ("data", "size", "reason"),
    [
        (b"", None, "ended without a complete frame"),
        (b"", (4, 4), "ended without a complete frame"),
        (b"\xff\xd8\xff", None, "ended without a complete frame"),
        (
            b"RIFF....",
            None,
            "neither a video nor JPEG pictures; of raw frames give the size and rate",
        ),
        (b"R", None, "neither a video nor JPEG pictures"),
        (
            b"\x1a\x45\xdf\xa3torn",
            None,
            "the video in it cannot be read; use for example: ffmpeg -i",
        ),
        (
            b"\0\0\0\x20ftypisom" + bytes(99),
            None,
            "the video in it cannot be read .an MP4 with its",
        ),
        (b"\0\0\0\1\x67" + bytes(99), None, "ended without a complete frame"),
    ],
)
def test_a_pipe_without_frames_is_one_clear_line(data: bytes, size: Any, reason: str) -> None:
    with pytest.raises(SourceError, match=f"^standard input: {reason}"):
        piped(data, size)


def test_reading_a_silent_pipe_can_be_cancelled() -> None:
    reading, writing = os.pipe()
    source = open_pipe("standard input", reading, 10, (4, 4))
    ended = threading.Event()

    def read() -> None:
        assert list(source) == []
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(0.2)
    assert not ended.is_set()
    source.stop()
    assert ended.wait(60)
    os.close(writing)
    os.close(reading)


EDGE_RUN = [sys.executable, "-m", "seqvision_edge", "--no-window"]


def edge_run(data: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run_edge([*EDGE_RUN, *arguments], data)


def test_a_run_on_standard_input_answers_for_every_frame(model: Path) -> None:
    red = np.full((48, 64, 3), (30, 30, 220), np.uint8).tobytes()
    raw = ["--model", model, "--source", "-", "--stdin-size", "64x48", "--image-fps", "10"]
    done = edge_run(red * 20, *raw)
    assert (done.returncode, done.stdout.decode().split("\t")[2]) == (0, "red")
    assert "20 frames · 20 answers" in done.stderr.decode()
    torn = edge_run(red * 20 + red[:9], *raw)
    assert torn.returncode == 3
    assert torn.stderr.decode().endswith("standard input: decoded 20 of 21 frames\n")


# ---- what brings its own times, and what must be told a rate ----

FFMPEG = shutil.which("ffmpeg")
SIZE = (64, 48)
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg (tests/install.sh)")


@pytest.fixture(scope="module")
def gestures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video at 15 frames a second: 2 s of red, 2 of black, 2 of blue, 2 of black."""
    path = tmp_path_factory.mktemp("gestures") / "clip.mp4"
    colours = [(30, 30, 220), (0, 0, 0), (220, 30, 30), (0, 0, 0)]
    raw = b"".join(np.full((*SIZE[::-1], 3), bgr, np.uint8).tobytes() * 30 for bgr in colours)
    arriving = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "64x48", "-r", "15", "-i", "-"]
    command = [*arriving, "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    assert FFMPEG is not None
    subprocess.run([FFMPEG, "-v", "error", *command, path], input=raw, check=True)
    return path


def encoded(clip: Path, *options: str) -> bytes:
    """Return what ffmpeg writes to a pipe for a clip."""
    assert FFMPEG is not None
    command = [FFMPEG, "-v", "error", "-i", str(clip), *options, "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def events(done: subprocess.CompletedProcess[bytes]) -> list[list[str]]:
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[:3] for line in done.stdout.decode().splitlines()]


WITH_TIMES = {
    "nut, raw": "-f nut -c:v rawvideo",
    "nut, raw BGR": "-f nut -c:v rawvideo -pix_fmt bgr24",
    "nut, FFV1": "-f nut -c:v ffv1",
    "matroska": "-f matroska -c copy",
    "webm": "-f webm -c:v libvpx -b:v 1M",
    "mpegts": "-f mpegts -c copy",
    "mpegts, MPEG-2": "-f mpegts -c:v mpeg2video -vf fps=25 -q:v 2",
    "y4m": "-f yuv4mpegpipe",
    "avi": "-f avi -c:v mjpeg",
    "flv": "-f flv -c copy",
    "mp4, fragmented": "-f mp4 -c copy -movflags frag_keyframe+empty_moov",
    "mpeg": "-f mpeg -c:v mpeg2video -vf fps=25 -q:v 2",
}
WITHOUT_TIMES = {
    "mjpeg": "-f image2pipe -c:v mjpeg",
    "png": "-f image2pipe -c:v png",
    "ppm": "-f image2pipe -c:v ppm",
    "bmp": "-f image2pipe -c:v bmp",
    "h264": "-f h264 -c copy -bsf:v h264_mp4toannexb",
    "hevc": "-f hevc -c:v libx265 -x265-params log-level=none",
    "mpeg2": "-f mpeg2video -c:v mpeg2video -vf fps=25 -q:v 2",
    "mpeg4": "-f m4v -c:v mpeg4 -q:v 2",
    "raw": "-f rawvideo -pix_fmt bgr24",
}


@needs_ffmpeg
@pytest.mark.parametrize("kind", list(WITH_TIMES))
def test_a_container_brings_its_own_times(gestures: Path, kind: str) -> None:
    source, frames = piped(encoded(gestures, *WITH_TIMES[kind].split()), rate=None)
    rate = 25 if "fps=25" in WITH_TIMES[kind] else 15
    assert len(frames) == pytest.approx(8 * rate, abs=1)
    times = [frame.time for frame in frames]
    assert times == pytest.approx([number / rate for number in range(len(times))], abs=0.002)
    shown = [frame.bgr[24, 32] for frame in frames]
    assert int(shown[rate][2]) - int(shown[rate][0]) > 150, "red"
    assert int(shown[5 * rate][0]) - int(shown[5 * rate][2]) > 150, "blue"
    assert source.incomplete is None


@needs_ffmpeg
@pytest.mark.parametrize("kind", list(WITHOUT_TIMES))
def test_pictures_without_times_need_a_given_rate(gestures: Path, kind: str) -> None:
    size = SIZE if kind == "raw" else None
    data = encoded(gestures, *WITHOUT_TIMES[kind].split())
    with pytest.raises(SourceError, match=r"^--image-fps: standard input brings .*, which have no"):
        piped(data, size, rate=None)
    source, frames = piped(data, size, rate=12.5)
    assert len(frames) == pytest.approx(200 if "fps=25" in WITHOUT_TIMES[kind] else 120, abs=1)
    assert [frame.time for frame in frames] == [number / 12.5 for number in range(len(frames))]
    assert int(frames[15].bgr[24, 32, 2]) - int(frames[15].bgr[24, 32, 0]) > 150, "red"
    assert source.incomplete is None


def test_pictures_of_a_live_camera_can_have_the_times_at_which_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    # What lay in the pipe when it was opened is old.
    gaps = [0.0] * 5 + [0.4, 0.3, 0.2]
    waiting = threading.Event()
    sent: list[float] = []
    plain = select.select

    def wait(*given: Any) -> Any:
        waiting.set()
        return plain(*given)

    def send() -> None:
        with os.fdopen(writing, "wb", 0) as file:
            for number, gap in enumerate(gaps):
                if gap:
                    # However busy the machine is, the reader waits already when the gap begins.
                    while fcntl.ioctl(reading, termios.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0":
                        time.sleep(0.01)
                    waiting.clear()
                    assert waiting.wait(60)
                    time.sleep(gap)
                sent.append(time.monotonic())
                file.write(jpeg(20 * number))

    monkeypatch.setattr(select, "select", wait)
    sender = threading.Thread(target=send)
    sender.start()
    with open_pipe("standard input", reading, "arrival", None) as source:
        frames = list(source)
    sender.join()
    os.close(reading)
    assert source.live
    assert [frame.index for frame in frames] == [5, 6, 7]
    arrived = [frame.arrived for frame in frames if frame.arrived is not None]
    assert [frame.time for frame in frames] == [each - arrived[0] for each in arrived]
    assert all(came >= when for came, when in zip(arrived, sent[5:], strict=True))
    assert arrived[0] < sent[6] < arrived[1] < sent[7]
    assert source.incomplete is None


def test_recorded_pictures_that_are_called_live_are_refused_in_one_line() -> None:
    with pytest.raises(SourceError, match="give the rate of recorded ones: --image-fps 15"):
        piped(jpeg(10) * 20, rate="arrival")


@pytest.fixture(scope="module")
def of_file(gestures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The events of the video itself."""
    model = tmp_path_factory.mktemp("model") / "model.onnx"
    model.write_bytes(model_bytes(make_card()))
    found = events(edge_run(b"", "--model", model, "--source", gestures))
    assert [label for *_, label in found] == ["red", "blue"]
    return found


def lines_of(document: str) -> list[str]:
    """Return the commands of a document that pipe a video into edge-run, each in one line."""
    path = Path(__file__).parents[2] / document
    text = path.read_text(encoding="utf-8").replace("|\n", "| ").replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith("ffmpeg ")]


PIPES = [*lines_of("docs/sources.md"), *lines_of("edge/seqvision_edge/sources/stdin.py")]


@needs_ffmpeg
@pytest.mark.parametrize("line", sorted(set(PIPES)))
def test_a_pipe_of_the_documents_gives_the_events_of_the_file(
    model: Path, gestures: Path, of_file: list[list[str]], line: str
) -> None:
    """As it is typed, by a shell."""
    assert line.startswith("ffmpeg -i clip.mp4 ")
    run = f"{sys.executable} -m seqvision_edge --no-window --model {model}"
    line = line.replace("640x480", "64x48").replace("edge-run", run)
    line = line.replace("ffmpeg -i clip.mp4", f"{FFMPEG} -v error -i {gestures}")
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=300)
    assert events(done) == of_file


def test_the_documents_show_how_to_pipe() -> None:
    assert len(set(PIPES)) >= 3


@needs_ffmpeg
def test_a_rate_that_is_missing_or_has_no_effect_is_one_line(
    model: Path, gestures: Path, tmp_path: Path
) -> None:
    jpegs = encoded(gestures, *WITHOUT_TIMES["mjpeg"].split())
    done = edge_run(jpegs, "--model", model, "--source", "-")
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "--image-fps: standard input brings JPEG pictures, which have no frame rate; give it "
        "(such as 15, or arrival for a live camera), or pipe frames with their times: "
        "ffmpeg -i clip.mp4 -f nut -c:v rawvideo - | edge-run --source -\n"
    )
    nut = encoded(gestures, *WITH_TIMES["nut, raw"].split())
    done = edge_run(nut, "--model", model, "--source", "-", "--image-fps", "30")
    assert [label for *_, label in events(done)] == ["red", "blue"]
    assert "standard input: --image-fps 30.0 has no effect: " in done.stderr.decode()
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), grey(0))
    done = edge_run(b"", "--model", model, "--source", tmp_path)
    assert (
        ": images have no frame rate; 30 frames/s assumed (--image-fps)\n" in done.stderr.decode()
    )
    done = edge_run(b"", "--model", model, "--source", tmp_path, "--image-fps", "30")
    assert "assumed" not in done.stderr.decode()
    done = edge_run(b"", "--model", model, "--source", tmp_path, "--image-fps", "arrival")
    assert done.returncode == 2
    assert "--image-fps arrival: only standard input has arrival times" in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--source", "-", "--source", "-"], "standard input can be one source only"),
        (["--source", "-", "--stdin-size", "640"], "--stdin-size 640"),
        (["--source", "-", "--stdin-size", "0x48"], "--stdin-size 0x48"),
    ],
)
def test_a_wrong_use_of_standard_input_is_one_line(
    model: Path, arguments: list[str], reason: str
) -> None:
    done = edge_run(b"", "--model", model, *arguments)
    assert done.returncode == 2
    assert reason in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
