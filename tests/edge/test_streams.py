"""Network streams, from real servers on this machine."""

import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pace import quiet_seconds, slowdown
from servers import clock_code, rtsp, web
from servers.rtsp import RtspServer
from servers.web import WebServer

from seqvision_edge.frame import Frame
from seqvision_edge.sources.capture_process import WHOLE, Capture
from seqvision_edge.sources.faults import CaptureFault
from seqvision_edge.sources.live import LiveSource, Timeouts
from seqvision_edge.sources.parse import parse_source
from seqvision_edge.types import SourceState

PASSWORD = "p@s/s:w#1?"
ACCOUNT = f"viewer:{PASSWORD}"
QUOTED = "viewer:p%40s%2Fs%3Aw%231%3F"
# A busy machine is slow to start a process; what is tested does not take so long.
DEADLINE = 60.0

needs_rtsp = pytest.mark.skipif(rtsp.missing() is not None, reason=str(rtsp.missing()))


@pytest.fixture(scope="module")
def clock() -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


def encode(path: Path, size: str, seconds: float, *options: str) -> Path:
    """Make a clip with ffmpeg."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs ffmpeg (tests/install.sh)")
    picture = f"testsrc2=size={size}:rate={clock_code.FPS}:duration={seconds}"
    command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", picture, "-g", "15", *options, path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def playlist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a playlist of one-second files."""
    folder = tmp_path_factory.mktemp("hls")
    encode(folder / "live.m3u8", "160x120", 3, "-f", "hls", "-hls_time", "1", "-hls_list_size", "0")
    return folder


def watch(
    url: str, enough: Callable[[list[Frame], list[SourceState]], bool], stall: float = 3.0
) -> tuple[list[Frame], list[SourceState]]:
    """Watch a stream until there is enough; return the frames and the states."""
    frames: list[Frame] = []
    states: list[SourceState] = []
    source = LiveSource(parse_source(url), WHOLE, Timeouts(stall=stall))
    too_long = threading.Timer(DEADLINE, source.stop)
    too_long.start()
    with source:
        for item in source:
            if isinstance(item, Frame):
                frames.append(item)
            else:
                states.append(item)
            if enough(frames, states):
                too_long.cancel()
                return frames, states
    raise AssertionError(f"too little came: {len(frames)} frames, {states}")


def some(count: int) -> Callable[[list[Frame], list[SourceState]], bool]:
    return lambda frames, _: len(frames) >= count


def lost(_: list[Frame], states: list[SourceState]) -> bool:
    return states[-1].state in ("disconnected", "stalled")


# ---- RTSP ----


@pytest.mark.timed
@needs_rtsp
def test_an_rtsp_stream_comes_at_its_speed_and_is_never_old(clock: RtspServer) -> None:
    frames, states = watch(clock.url, some(30))
    assert [state.state for state in states] == ["connecting", "live"]
    assert {frame.bgr.shape for frame in frames} == {(240, 320, 3)}
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    shown = [clock_code.read(frame.bgr) / 1000 for frame in frames]
    assert shown == sorted(set(shown))
    # The code in the picture and the clock here go alike: nothing piles up, nothing is caught up.
    lag = [here - there for here, there in zip(times, shown, strict=True)]
    assert max(lag) - min(lag) < 0.5
    gaps = [after - before for before, after in pairwise(shown)]
    assert statistics.median(gaps) == pytest.approx(1 / clock_code.FPS, abs=0.02)


@needs_rtsp
def test_a_user_and_any_password_are_understood(tmp_path: Path) -> None:
    with RtspServer(account=ACCOUNT) as server:
        address = f"rtsp://{{}}@127.0.0.1:{server.port}/cam"
        frames, _ = watch(address.format(QUOTED), some(1))
        assert frames[0].bgr.shape == (240, 320, 3)
        for account in ("viewer:wrong", "nobody:s3cret"):
            _, states = watch(address.format(account), lost)
            assert states[-1].reason == "unauthorized"
            assert states[-1].message == (
                f"rtsp://***@127.0.0.1:{server.port}/cam: the user or password is missing or wrong"
            )
        _, states = watch(server.url, lost)
        assert states[-1].reason == "unauthorized"


@needs_rtsp
def test_a_missing_path_on_the_server_is_reported(clock: RtspServer) -> None:
    _, states = watch(clock.url.replace("/cam", "/nope"), lost)
    assert states[-1].reason == "not_found"


@needs_rtsp
def test_a_file_that_a_server_plays_ends_and_is_watched_again(tmp_path: Path) -> None:
    # What the server sends while the stream is opened is old, and two seconds are soon over.  Its
    # first picture is needed for all others: some cameras send a whole one only every minute.
    clip = encode(tmp_path / "clip.mp4", "160x120", 6, "-pix_fmt", "yuv420p", "-g", "1000")
    with RtspServer(clip) as server:
        frames, states = watch(server.url, lambda _, states: len(states) == 4)
    reported = [(state.state, state.reason) for state in states]
    assert reported[1:] == [("live", ""), ("disconnected", "ended"), ("connecting", "")]
    # The last ones come together, from inside the decoder; of those the newest counts.
    numbers = [frame.index for frame in frames]
    assert numbers == sorted(set(numbers))
    assert frames[-1].time - frames[0].time > 1


# ---- HTTP ----


def test_an_mjpeg_stream_of_grey_odd_pictures_is_watched() -> None:
    def draw(number: int) -> NDArray[np.uint8]:
        return np.full((21, 35), 8 * number % 256, np.uint8)

    with WebServer({"/video": web.mjpeg(draw)}) as server:
        frames, states = watch(f"{server.url}/video", some(10))
    assert [state.state for state in states] == ["connecting", "live"]
    assert {frame.bgr.shape for frame in frames} == {(21, 35, 3)}
    levels = [float(frame.bgr.mean()) for frame in frames]
    numbers = [round(level / 8) for level in levels]
    assert levels == pytest.approx([8 * number for number in numbers], abs=2)
    # Of pictures that wait for a busy machine the newest is taken.
    pictures = [(after - before) % 32 for before, after in pairwise(numbers)]
    assert min(pictures) > 0
    gaps = [after.time - before.time for before, after in pairwise(frames)]
    each = [gap / count for gap, count in zip(gaps, pictures, strict=True)]
    assert statistics.median(each) == pytest.approx(1 / 15, abs=0.03)


@pytest.mark.timed
def test_frames_queued_before_reading_are_dropped() -> None:
    queued = 20

    def route(handler: BaseHTTPRequestHandler) -> None:
        # A camera that had no reader for more than a second.
        begun = clock_code.now()

        def draw(number: int) -> NDArray[np.uint8]:
            return picture_of(begun - 10_000 if number < queued else clock_code.now())

        web.mjpeg(draw, ahead=queued)(handler)

    with WebServer({"/video": route}) as server:
        frames, _ = watch(f"{server.url}/video", some(10))
    assert max(clock_code.age(frame.bgr) - waited(frame) for frame in frames) < 5


def picture_of(milliseconds: int) -> NDArray[np.uint8]:
    width, height = clock_code.SIZE
    return np.frombuffer(clock_code.draw(milliseconds), np.uint8).reshape(height, width)


def waited(frame: Frame) -> float:
    """Return how many seconds ago a frame arrived."""
    assert frame.arrived is not None
    return time.monotonic() - frame.arrived


@pytest.mark.parametrize(
    ("then", "state", "reason"),
    [
        ("close", "disconnected", "ended"),
        ("torn", "disconnected", "ended"),
        ("stall", "stalled", "timeout"),
    ],
)
def test_the_end_or_stall_of_a_stream_is_reported(then: str, state: str, reason: str) -> None:
    with WebServer({"/video": web.mjpeg(count=20, then=then)}) as server:
        frames, states = watch(f"{server.url}/video", lost, stall=1.5)
    assert (states[-1].state, states[-1].reason) == (state, reason)
    assert len(frames) > 5


def test_a_stream_continues_after_a_change_of_size(tmp_path: Path) -> None:
    parts = [
        encode(tmp_path / f"{size}.ts", size, 1.5, "-c:v", "mpeg2video").read_bytes()
        for size in ("160x120", "320x240")
    ]

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp2t")
        handler.end_headers()
        for part in parts:
            for piece in range(25):
                handler.wfile.write(part[piece * len(part) // 25 : (piece + 1) * len(part) // 25])
                time.sleep(0.06)
        handler.close_connection = True

    with WebServer({"/live.ts": route}) as server:
        frames, _ = watch(f"{server.url}/live.ts", lost)
    assert {frame.bgr.shape for frame in frames} == {(120, 160, 3)}
    assert len(frames) > 20


def test_a_playlist_is_given_at_its_own_speed(playlist: Path) -> None:
    with WebServer(web.files(playlist)) as server:
        frames, states = watch(f"{server.url}/live.m3u8?token=1", some(30))
        assert {"/live0.ts", "/live1.ts"} <= set(server.hits)
    assert [state.state for state in states] == ["connecting", "live"]
    assert frames[-1].index - frames[0].index <= 32
    gaps = [after.time - before.time for before, after in pairwise(frames)]
    assert statistics.median(gaps) == pytest.approx(1 / 15, abs=0.03)


def test_a_camera_with_a_self_signed_certificate_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, other = make_certificate(tmp_path, "camera"), make_certificate(tmp_path, "other")
    with WebServer({"/video": web.mjpeg()}, certificate) as server:
        frames, _ = watch(f"{server.url}/video", some(1))
        assert frames
        monkeypatch.setenv("SEQVISION_CA_FILE", str(other))
        _, states = watch(f"{server.url}/video", lost)
        assert states[-1].reason == "tls"


def make_certificate(folder: Path, name: str) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    key, path = folder / f"{name}.key", folder / f"{name}.pem"
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [*request, *names, "-keyout", key, "-out", path]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(key.read_bytes() + path.read_bytes())
    return path


# ---- servers that are not there ----


def start(url: str) -> tuple[str, float, int | None]:
    """Return why a stream cannot be opened, how long that took, and its process, if any."""
    capture = Capture(parse_source(url))
    began = time.monotonic()
    with pytest.raises(CaptureFault) as caught:
        capture.start()
    return caught.value.reason, time.monotonic() - began, capture.pid


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_no_process_is_started_for_an_unreachable_server(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Capture, "_spawn", None)
    assert start(f"{scheme}://127.0.0.1:{rtsp.free_port()}/cam")[::2] == ("refused", None)
    # RFC 6761: no such name will ever be.
    assert start(f"{scheme}://camera.invalid/cam")[::2] == ("unknown_host", None)


@pytest.mark.timed
def test_an_unresponsive_host_fails_within_five_seconds() -> None:
    with web.black_hole() as port:
        reason, seconds, pid = start(f"rtsp://127.0.0.1:{port}/cam")
    assert (reason, pid) == ("timeout", None)
    assert 2 < seconds < 5 * slowdown()


@contextmanager
def mute() -> Iterator[int]:
    """Yield a port that accepts connections and never responds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield int(listener.getsockname()[1])


@pytest.mark.timed
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_run_can_be_stopped_while_a_server_is_silent(scheme: str) -> None:
    with mute() as port:
        source = LiveSource(parse_source(f"{scheme}://127.0.0.1:{port}/cam"), WHOLE)
        states: list[SourceState | Frame] = []
        with source:
            reader = threading.Thread(target=lambda: states.extend(source))
            reader.start()
            time.sleep(0.5)
            began = time.monotonic()
            source.stop()
            reader.join(5)
            assert not reader.is_alive()
        assert quiet_seconds(began) < 2
    assert [state.state for state in states if isinstance(state, SourceState)] == ["connecting"]
