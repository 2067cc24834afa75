"""The pictures of streams: interlaced, joined at any time, damaged, and every kind of MJPEG."""

import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from servers import rtsp, web
from servers.rtsp import RtspServer
from servers.web import WebServer
from test_streams import encode, lost, some, watch

from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2
from seqvision_edge.sources.faults import StreamFault
from seqvision_edge.sources.ffmpeg import open_stream

FFMPEG = shutil.which("ffmpeg")
needs_rtsp = pytest.mark.skipif(rtsp.missing() is not None, reason=str(rtsp.missing()))

INTERLACED = {
    "h264": ["-c:v", "libx264", "-flags", "+ildct+ilme", "-bf", "0", "-pix_fmt", "yuv420p"],
    "mpeg2": ["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2", "-pix_fmt", "yuv420p"],
}


UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def truth(path: Path) -> NDArray[np.uint8]:
    """Return the frames of a clip as ffmpeg decodes them, `(frames, height, width, 3)` BGR."""
    assert FFMPEG is not None
    width, height = 320, 240
    command = [FFMPEG, "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def nearest(bgr: Image, frames: NDArray[np.uint8]) -> tuple[int, float]:
    """Return which of the frames a picture is, and by how many levels they differ in the mean."""
    errors = np.abs(frames.astype(np.int16) - bgr).mean(axis=(1, 2, 3))
    return int(errors.argmin()), float(errors.min())


def read_all(url: str, seconds: float = 5.0) -> tuple[list[Image], int]:
    """Return the pictures of a stream until it ends, and how many were damaged."""
    video = open_stream(url, seconds, seconds)
    found: list[Image] = []

    def read() -> None:
        while True:
            if video.grab():
                bgr = video.retrieve()
                assert bgr is not None
                found.append(bgr)

    with pytest.raises(StreamFault, match="the stream ended"):
        read()
    return found, video.damaged


# ---- interlaced, mirrored, damaged ----


@pytest.mark.parametrize("codec", list(INTERLACED))
def test_an_interlaced_stream_over_http_has_ffmpegs_own_pictures(
    tmp_path: Path, codec: str
) -> None:
    clip = encode(tmp_path / "clip.ts", "320x240", 2, *INTERLACED[codec])
    with WebServer(web.files(tmp_path)) as server:
        found, damaged = read_all(f"{server.url}/clip.ts")
    frames = truth(clip)
    matched = [nearest(bgr, frames) for bgr in found]
    assert [number for number, _ in matched] == list(range(len(frames)))
    assert max(error for _, error in matched) < 1
    assert damaged == 0


@needs_rtsp
def test_an_interlaced_stream_over_rtsp_has_ffmpegs_own_pictures(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", "320x240", 2, *INTERLACED["h264"])
    with RtspServer(clip) as server:
        found, _ = read_all(server.url)
    frames = truth(clip)
    matched = [nearest(bgr, frames) for bgr in found]
    assert [number for number, _ in matched] == list(range(len(frames)))
    assert max(error for _, error in matched) < 1


def test_a_stream_that_is_joined_in_the_middle_begins_with_a_whole_picture(tmp_path: Path) -> None:
    for codec, options in INTERLACED.items():
        clip = encode(tmp_path / f"{codec}.ts", "320x240", 3, *options)
        data = clip.read_bytes()
        (tmp_path / "joined.ts").write_bytes(data[len(data) // 2 // 188 * 188 :])
        with WebServer(web.files(tmp_path)) as server:
            found, _ = read_all(f"{server.url}/joined.ts")
        frames = truth(clip)
        assert 10 <= len(found) < len(frames) // 2 + 2
        assert max(nearest(bgr, frames)[1] for bgr in found) < 1, codec


@pytest.mark.parametrize("codec", list(INTERLACED))
def test_damaged_pictures_are_counted_and_dropped(tmp_path: Path, codec: str) -> None:
    clip = encode(tmp_path / "clip.ts", "320x240", 4, *INTERLACED[codec])
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    random = np.random.default_rng(1)
    # Headers of packets (each 188th byte) stay, so that pictures are hit and not their container.
    for at in random.integers(middle, middle + len(data) // 40, 60):
        if at % 188 > 24:
            data[at] ^= 0xFF
    (tmp_path / "damaged.ts").write_bytes(data)
    with WebServer(web.files(tmp_path)) as server:
        found, damaged = read_all(f"{server.url}/damaged.ts")
    frames = truth(clip)
    assert damaged > 0
    assert len(found) + damaged >= len(frames) - 2
    assert max(nearest(bgr, frames)[1] for bgr in found) < 1


def test_damage_ends_at_the_next_key_frame_or_a_timeout() -> None:
    from seqvision_edge.sources.stream_video import Wholeness

    whole = Wholeness("hevc")
    assert not whole.accept(is_key=False, is_corrupt=False, now=0)
    assert whole.accept(is_key=True, is_corrupt=False, now=0.1)
    assert whole.accept(is_key=False, is_corrupt=False, now=0.2)
    assert not whole.accept(is_key=False, is_corrupt=True, now=0.3)
    assert not whole.accept(is_key=False, is_corrupt=False, now=0.4)
    assert whole.accept(is_key=True, is_corrupt=False, now=0.5)
    assert not whole.accept(is_key=False, is_corrupt=True, now=1.0)
    assert not whole.accept(is_key=False, is_corrupt=True, now=2.9)
    assert whole.accept(is_key=False, is_corrupt=False, now=3.1)


def test_a_playlist_whose_pictures_are_mirrored_shows_them_as_a_player(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", "320x240", 2, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    assert FFMPEG is not None
    options = ["-i", plain, "-c", "copy", "-f", "hls", "-hls_segment_type", "fmp4"]
    command = [FFMPEG, "-v", "error", *options, "-hls_list_size", "0", tmp_path / "live.m3u8"]
    subprocess.run(command, check=True)
    # The matrix of the track (ISO 14496-12, tkhd), as a phone's front camera writes it.
    head = tmp_path / "init.mp4"
    box, matrix, rest = head.read_bytes().partition(struct.pack(">9i", *UPRIGHT))
    assert b"mvhd" in box
    track, matrix, rest = rest.partition(matrix)
    assert b"tkhd" in track
    mirrored = struct.pack(">9i", -UPRIGHT[0], 0, 0, 0, *UPRIGHT[4:6], 320 << 16, 0, UPRIGHT[8])
    head.write_bytes(box + matrix + track + mirrored + rest)
    with WebServer(web.files(tmp_path)) as server:
        video = open_stream(f"{server.url}/live.m3u8", 5, 5)
        bgr = video.retrieve()
    assert bgr is not None
    frames = truth(plain)
    assert nearest(np.ascontiguousarray(bgr[:, ::-1]), frames)[1] < 1
    assert nearest(bgr, frames)[1] > 5


def paced(data: bytes, kind: str, seconds: float) -> web.Route:
    """Send data as slowly as a camera does."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        for piece in range(100):
            handler.wfile.write(data[piece * len(data) // 100 : (piece + 1) * len(data) // 100])
            if handler.closing.wait(seconds / 100):  # type: ignore[attr-defined]
                return
        handler.close_connection = True

    return route


@pytest.mark.parametrize("codec", list(INTERLACED))
def test_an_interlaced_stream_is_watched_live(tmp_path: Path, codec: str) -> None:
    clip = encode(tmp_path / "clip.ts", "320x240", 6, *INTERLACED[codec])
    with WebServer({"/live.ts": paced(clip.read_bytes(), "video/mp2t", 6)}) as server:
        frames, _ = watch(f"{server.url}/live.ts", some(10))
    known = truth(clip)
    numbers = [nearest(frame.bgr, known)[0] for frame in frames]
    assert numbers == sorted(set(numbers))
    assert max(nearest(frame.bgr, known)[1] for frame in frames) < 1


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_stream_without_key_frames_is_reported(tmp_path: Path, codec: str) -> None:
    options = ["-c:v", codec, "-g", "600", "-sc_threshold", "0", "-pix_fmt", "yuv420p"]
    data = encode(tmp_path / "clip.ts", "320x240", 10, *options).read_bytes()
    joined = data[len(data) // 2 // 188 * 188 :]
    with (
        WebServer({"/live.ts": paced(joined, "video/mp2t", 20)}) as server,
        pytest.raises(StreamFault, match="set a shorter key-frame interval in the camera"),
    ):
        open_stream(f"{server.url}/live.ts", 1, 5)


# ---- MJPEG ----


def picture(number: int) -> bytes:
    """Return a JPEG of one grey level per number."""
    level = np.full((48, 64, 3), 16 * (number % 16), np.uint8)
    return bytes(cv2.imencode(".jpg", level)[1].tobytes())


def parts(
    head: str, start: bytes = b"--frame\r\n", end: bytes = b"\r\n"
) -> Callable[[bytes], bytes]:
    """Return what makes a part: `{}` in the head is the picture's length."""
    return lambda jpeg: start + head.format(len(jpeg)).encode() + jpeg + end


MULTIPART = "multipart/x-mixed-replace; boundary=frame"
KINDS: dict[str, tuple[str | None, Callable[[bytes], bytes]]] = {
    "image/jpeg": (MULTIPART, parts("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n")),
    "image/jpg": (MULTIPART, parts("Content-Type: image/jpg\r\nContent-Length: {}\r\n\r\n")),
    "with a parameter": (MULTIPART, parts("Content-Type: image/jpeg; charset=x\r\n\r\n")),
    "octet-stream": (MULTIPART, parts("Content-Type: application/octet-stream\r\n\r\n")),
    "no type": (MULTIPART, parts("Content-Length: {}\r\n\r\n")),
    "no head at all": (MULTIPART, parts("\r\n")),
    "small letters": (MULTIPART, parts("content-type:image/jpeg\r\ncontent-length:{}\r\n\r\n")),
    "quoted boundary": (
        MULTIPART.replace("frame", '"frame"'),
        parts("Content-Type: image/jpg\r\n\r\n"),
    ),
    "boundary with its dashes": (
        MULTIPART.replace("frame", "--frame"),
        parts("Content-Type: image/jpeg\r\n\r\n"),
    ),
    "boundary without dashes": (
        MULTIPART,
        parts("Content-Type: image/jpeg\r\n\r\n", start=b"frame\r\n"),
    ),
    "boundary never named": (
        "multipart/x-mixed-replace",
        parts("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"),
    ),
    "line feeds alone": (
        MULTIPART,
        parts("Content-Type: image/jpeg\n\n", start=b"--frame\n", end=b"\n"),
    ),
    "a length too small": (
        MULTIPART,
        parts("Content-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n"),
    ),
    "a length too large": (
        MULTIPART,
        parts("Content-Type: image/jpeg\r\nContent-Length: 9{}\r\n\r\n"),
    ),
    "not called multipart": ("text/plain", parts("Content-Type: image/jpeg\r\n\r\n")),
    "not called anything": (None, parts("Content-Type: image/jpeg\r\n\r\n")),
    "bare pictures": ("image/jpeg", parts("", start=b"", end=b"")),
    "bare pictures, as video": ("video/x-motion-jpeg", parts("", start=b"", end=b"")),
    "bare pictures, untyped": (None, parts("", start=b"", end=b"")),
}


def endless(kind: str | None, part: Callable[[bytes], bytes], count: int = 1 << 20) -> web.Route:
    """Send parts as a camera does, 25 a second."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if kind:
            handler.send_header("Content-Type", kind)
        handler.end_headers()
        closing = handler.closing  # type: ignore[attr-defined]
        for number in range(count):
            handler.wfile.write(part(picture(number)))
            if closing.wait(0.04):
                return
        handler.close_connection = True

    return route


@pytest.fixture(scope="module")
def cameras() -> Iterator[WebServer]:
    routes = {
        f"/{number}": endless(kind, part) for number, (kind, part) in enumerate(KINDS.values())
    }
    with WebServer(routes) as server:
        yield server


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_mjpeg_is_read_picture_by_picture(cameras: WebServer, kind: str) -> None:
    video = open_stream(f"{cameras.url}/{list(KINDS).index(kind)}", 5, 5)
    levels = []
    for _ in range(6):
        assert video.grab()
        bgr = video.retrieve()
        assert bgr is not None
        assert bgr.shape == (48, 64, 3)
        levels.append(round(float(bgr.mean()) / 16))
    first = levels[0]
    assert levels == [(first + number) % 16 for number in range(6)]
    assert video.damaged == 0


def test_a_picture_is_given_as_soon_as_it_is_whole() -> None:
    """Not when the next one begins: that would be a period late."""
    got = threading.Semaphore(0)

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", MULTIPART)
        handler.end_headers()
        _, part = KINDS["image/jpg"]
        for number in range(3):
            handler.wfile.write(part(picture(number)))
            while not got.acquire(timeout=0.1):
                if handler.closing.is_set():  # type: ignore[attr-defined]
                    return

    with WebServer({"/video": route}) as server:
        video = open_stream(f"{server.url}/video", 60, 60)
        for _ in range(3):
            # The server sends the next one only after this one has come.
            assert video.grab()
            got.release()


def test_truncated_and_damaged_pictures_are_counted_and_dropped() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    whole = bytes(cv2.imencode(".jpg", noise)[1].tobytes())
    torn = whole[: len(whole) // 2]
    cut = whole[: len(whole) // 2] + whole[-2:]
    data = b"".join(parts("\r\n")(jpeg) for jpeg in (whole, torn, whole, cut, whole))
    with WebServer({"/video": web.content(data, MULTIPART)}) as server:
        found, damaged = read_all(f"{server.url}/video")
    assert (len(found), damaged) == (3, 2)
    assert all(np.array_equal(bgr, found[0]) for bgr in found)


def test_a_camera_that_writes_every_picture_a_little_wrong_is_read() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    whole = bytes(cv2.imencode(".jpg", noise)[1].tobytes())
    data = parts("\r\n")(whole[:-802] + whole[-2:]) * 50
    with WebServer({"/video": web.content(data, MULTIPART)}) as server:
        found, _ = read_all(f"{server.url}/video")
    assert len(found) == 20
    assert np.abs(found[0].astype(int) - truth_of(whole)).mean() < 40


def truth_of(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream"])
def test_a_snapshot_address_is_reported(kind: str, named: bool) -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if named:
            handler.send_header("Content-Length", str(len(picture(1))))
        handler.end_headers()
        handler.wfile.write(picture(1))
        handler.close_connection = True

    with WebServer({"/snapshot.jpg": route}) as server:
        frames, states = watch(f"{server.url}/snapshot.jpg", lost)
    assert not frames
    assert [state.state for state in states] == ["connecting", "disconnected"]
    assert states[-1].reason == "one_picture"
    assert states[-1].message.endswith(
        "this address gives one picture, not a stream; give the camera's MJPEG or RTSP address"
    )


def test_an_mjpeg_camera_without_types_is_watched_live(cameras: WebServer) -> None:
    number = list(KINDS).index("no type")
    frames, states = watch(f"{cameras.url}/{number}", some(10))
    assert [state.state for state in states] == ["connecting", "live"]
    assert len({round(float(frame.bgr.mean())) for frame in frames}) >= 8
