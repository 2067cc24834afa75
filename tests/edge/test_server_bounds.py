"""A request is limited by the duration that a clip claims, and by its processing time."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from colour_model import FPS, WINDOW, make_card, model_bytes, picture
from served import encoded, files, jpeg, serving, until

from seqvision_edge.errors import SourceError
from seqvision_edge.runner import run
from seqvision_edge.sampling import MOST_TICKS, centre, select_frames, windows
from seqvision_edge.server.limits import MIB, Limits
from seqvision_edge.server.upload_decoding import DecodedUpload
from seqvision_edge.session import Session
from seqvision_edge.sinks.console import EventList
from seqvision_edge.sources.factory import open_path

WEEK = 7 * 24 * 3600.0
PAIR = files([jpeg("red"), jpeg("blue")])


def write_times(path: Path, times: list[float], colours: str = "red") -> Path:
    """Write a video with a frame at each of these times, in seconds."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for moment in times:
            frame = av.VideoFrame.from_ndarray(picture(colours), format="bgr24")
            frame.pts, frame.time_base = round(1000 * moment), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def allocated() -> Iterator[None]:
    """Fail where more than 48 MB were allocated at one time, arrays of NumPy included."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 48 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("allocated")
@pytest.mark.parametrize("kind", ["", "&every_window=true", "&timeline=true"])
@pytest.mark.parametrize("fps", ["1e-4", "1e-6", "1e-7", "1e-8", "1e-12", "1e-320", "0", "nan"])
def test_pictures_days_apart_are_refused_before_any_work(
    client: httpx.Client, fps: str, kind: str
) -> None:
    pixels = [[[[0, 0, 0]]], [[[9, 9, 9]]], [[[1, 1, 1]]]]
    count = 2 if fps != "1e-4" else 16
    for body in (
        {"files": files([jpeg("red")] * count)},
        {"json": {"instances": [pixels * count] * 2}},
    ):
        answer = client.post(f"/v1/predict?fps={fps}{kind}", **body)
        assert answer.status_code in (413, 422), answer.text
    assert client.post("/v1/predict?fps=1", files=PAIR).status_code == 200


@pytest.mark.usefixtures("allocated")
@pytest.mark.parametrize("query", ["", "?every_window=true", "?timeline=true"])
def test_a_video_of_long_silences_is_refused_and_one_of_a_week_is_read(
    session: Session, client: httpx.Client, tmp_path: Path, query: str
) -> None:
    far = write_times(tmp_path / "far.mkv", [35.0 * number for number in range(5)])
    with serving(session, limits=Limits(ticks=1000)) as running, running.client() as small:
        answer = small.post(f"/v1/predict{query}", files={"file": far.read_bytes()})
        assert (answer.status_code, "maximum is 1,000" in answer.text) == (413, True), answer.text
    # A gap of more than an hour is a wrong timestamp, and is ignored.
    week = write_times(tmp_path / "week.mkv", [0.0, WEEK])
    answer = client.post(f"/v1/predict{query}", files={"file": week.read_bytes()})
    assert answer.status_code == 200, answer.text


def test_the_clips_of_a_request_share_one_limit(client: httpx.Client) -> None:
    clip = [[[[0, 0, 0]]]] * 2
    each = Limits.ticks // 8
    fps = FPS / each  # of two pictures: so many ticks
    for count, code in ((2, 200), (16, 413)):
        answer = client.post(f"/v1/predict?fps={fps}", json={"instances": [clip] * count})
        assert answer.status_code == code, answer.text


def test_a_timeline_has_a_limited_number_of_probabilities(session: Session) -> None:
    with serving(session, limits=Limits(timeline_values=40)) as running, running.client() as client:
        clip = files([jpeg("red")] * 20)
        for query, code in (("", 200), ("&probabilities=true", 413)):
            answer = client.post(f"/v1/predict?fps=10&timeline=true{query}", files=clip)
            assert answer.status_code == code, answer.text


@pytest.mark.parametrize(
    "times",
    [[0.0, 1e9], [0.0, 1e300], [0.0, float("inf")], [0.0, float("nan")], [-1e308, 1e308]],
)
@pytest.mark.parametrize("source_fps", [None, 25.0])
@pytest.mark.usefixtures("allocated")
def test_timestamps_that_span_too_many_ticks_are_refused(
    session: Session, times: list[float], source_fps: float | None
) -> None:
    card = session.card
    with pytest.raises(SourceError, match=r"cut it|no recording can have"):
        select_frames(times, FPS, source_fps)
    clip = DecodedUpload(np.zeros((2, 12, 16, 3), np.uint8), np.array(times), source_fps)
    for read in (centre, windows):
        with pytest.raises(SourceError):
            list(read(clip, card.image, card.sequence))
    if source_fps is not None:
        with pytest.raises(SourceError):
            select_frames([0.0], FPS, source_fps, times[-1] - times[0])


def test_a_long_recording_is_accepted() -> None:
    hours = np.arange(0, 24 * 3600, 10.0)
    assert len(select_frames(hours, 15.0, 0.1)) == (len(hours) - 1) * 150 + 1 < MOST_TICKS


def test_a_run_on_a_file_of_long_silences_ends_with_one_line(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqvision_edge.pipeline.video.MOST_TICKS", 500)
    path = write_times(tmp_path / "far.mkv", [0.0, 30.0, 60.0, 90.0])
    with open_path(path) as source, pytest.raises(SourceError, match=r"far\.mkv: .*cut it"):
        run([source], session, [EventList()])


class Slow:
    """A model that takes its time, and counts its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.02) -> None:
        self.calls = 0
        plain = Session.run

        def run_slowly(session: Session, *given: Any, **more: Any) -> Any:
            self.calls += 1
            time.sleep(seconds)
            return plain(session, *given, **more)

        monkeypatch.setattr(Session, "run", run_slowly)


LONG = "/v1/predict?fps=0.001&every_window=true"  # 10,000 ticks, 3,333 windows, 417 calls
TIMELINE = "/v1/predict?timeline=true"  # 10,000 calls


@pytest.fixture(params=["every window", "timeline", "JSON"])
def long_work(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """The path and body of a request that the model works long for."""
    if request.param == "timeline":
        path = write_times(tmp_path / "still.mkv", [0.0, 0.04, 1000.0])
        return TIMELINE, {"files": {"file": path.read_bytes()}}
    if request.param == "JSON":
        return LONG, {"json": {"instances": [[[[[0, 0, 0]]]] * 2] * 2}}
    return LONG, {"files": PAIR}


def test_work_that_takes_too_long_ends_decoding_and_the_model_together(
    session: Session, monkeypatch: pytest.MonkeyPatch, long_work: tuple[str, dict[str, Any]]
) -> None:
    path, body = long_work
    slow = Slow(monkeypatch)
    with serving(session, limits=Limits(clip_seconds=0.5)) as running, running.client() as client:
        answer = client.post(path, **body)
        assert (answer.status_code, "longer than 0.5 s" in answer.text) == (413, True)
        assert 0 < slow.calls < 400
        until(lambda: running.served.service.batcher.reserved == 0)
        # All of the model is there for the next one.
        assert client.post("/v1/predict", files=PAIR).status_code == 200


def test_an_undecodable_video_has_the_same_deadline(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "junk.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        first = av.VideoFrame.from_ndarray(picture("red"), format="bgr24")
        container.mux(stream.encode(first))
        for number in range(1, 200_000):
            packet = av.Packet(b"\xff\xd8junk")
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
    with serving(session, limits=Limits(clip_seconds=0.5)) as running, running.client() as client:
        answer = client.post("/v1/predict", files={"file": path.read_bytes()})
        assert (answer.status_code, "longer than 0.5 s" in answer.text) == (413, True), answer.text
        assert client.post("/v1/predict", files=PAIR).status_code == 200


def test_a_disconnect_frees_the_slots_of_its_request(
    session: Session, monkeypatch: pytest.MonkeyPatch, long_work: tuple[str, dict[str, Any]]
) -> None:
    path, body = long_work
    slow = Slow(monkeypatch)
    with serving(session) as running:
        service = running.served.service
        with running.client() as client:
            request = client.build_request("POST", path, **body)
            head = f"POST {path} HTTP/1.1\r\n" + "".join(
                f"{name}: {value}\r\n" for name, value in request.headers.items()
            )
            raws = [running.raw() for _ in range(service.limits.clips)]
            for raw in raws:
                raw.sendall(head.encode() + b"\r\n" + request.read())
            until(lambda: slow.calls > 3)
            until(lambda: service._clips_now == service.limits.clips)
            for raw in raws:
                raw.close()
            until(lambda: service._clips_now == 0)
            assert slow.calls < 400
            assert client.post("/v1/predict", files=PAIR).status_code == 200


def test_the_end_of_the_server_ends_the_work(
    session: Session, monkeypatch: pytest.MonkeyPatch, long_work: tuple[str, dict[str, Any]]
) -> None:
    path, body = long_work
    slow = Slow(monkeypatch)
    with serving(session) as running, running.client() as client:

        def send_query() -> None:
            assert client.post(path, **body).status_code == 503

        thread = threading.Thread(target=send_query)
        thread.start()
        until(lambda: slow.calls > 3)
        running.served.service.end()
        thread.join(20)
        assert not thread.is_alive()
        assert slow.calls < 400


def test_a_still_image_model_accepts_any_duration() -> None:
    card = make_card(sequence={"kind": "rows", "steps": 6, "longer": "crop"})
    with serving(Session(model_bytes(card), "cpu")) as running, running.client() as client:
        picture_file = encoded(".png", picture("red"))
        answer = client.post("/v1/predict?fps=1e-6", files=files([picture_file]))
        assert answer.status_code == 200
    assert WINDOW == 6
