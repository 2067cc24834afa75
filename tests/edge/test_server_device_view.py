"""The sources of a running device over HTTP, fed by a real run."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from colour_model import COLOURS, write_video
from served import serving, until

from seqvision_edge.frame import Frame, Step
from seqvision_edge.opencv import cv2
from seqvision_edge.runner import run
from seqvision_edge.server.device_view import DeviceView
from seqvision_edge.server.limits import Limits
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.video_file import VideoFile
from seqvision_edge.types import SourceState


class Paced(VideoFile):
    """A video whose frames wait at two positions, so that the test can look."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path)
        self.name = name
        self.started, self.go = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for number, frame in enumerate(super().__iter__()):
            if number == 30:
                self.started.set()
                assert self.go.wait(30)
            yield frame


def test_the_sources_of_a_running_device_are_served(session: Session, tmp_path: Path) -> None:
    name = "rtsp://door/cam 1"
    path = write_video(tmp_path / "a.mp4", [("red", 1.5), ("none", 1.0), ("blue", 1.5)])
    source, newest = Paced(path, name), DeviceView()
    device = threading.Thread(target=run, args=([source], session, [newest]))
    with serving(session, watching=newest) as running, running.client() as client:
        device.start()
        assert source.started.wait(30)
        until(lambda: bool(newest.sources()) and newest.sources()[0]["prediction"] is not None)
        (seen,) = client.get("/v1/sources").json()["sources"]
        assert (seen["name"], seen["state"]["state"], seen["picture"]) == (name, "live", True)
        assert seen["prediction"]["label"] == "red"

        location = "/v1/sources/rtsp%3A%2F%2Fdoor%2Fcam%201"
        picture = client.get(f"{location}/picture")
        assert picture.headers["content-type"] == "image/jpeg"
        bgr = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
        assert bgr.shape == (48, 64, 3)
        assert np.abs(bgr.mean(axis=(0, 1)) - COLOURS["red"]).max() < 25

        received: list[dict[str, Any]] = []
        with client.stream("GET", f"{location}/events?predictions=true") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {") and line != "data: {}":
                    received.append(json.loads(line[6:]))
                    source.go.set()
                if received and received[-1].get("state") == "ended":
                    break
        assert received[0]["state"] == "live", "a late subscriber gets the current state"
        events = [record["label"] for record in received if record["type"] == "event"]
        assert events == ["red", "blue"]
        assert [record["type"] for record in received].count("prediction") > 20
        device.join(30)
        until(lambda: newest._seen[name].listeners == [])
        assert client.get("/v1/sources").json()["sources"][0]["state"]["state"] == "ended"


def test_a_server_without_a_device_has_no_sources(session: Session) -> None:
    with serving(session) as running, running.client() as client:
        for path in ("/v1/sources", "/v1/sources/x/events", "/v1/sources/x/picture"):
            assert client.get(path).status_code == 404


def test_unknown_source_names_are_404(session: Session) -> None:
    newest = DeviceView()
    newest.write(Step(source="cam"))
    with serving(session, watching=newest) as running, running.client() as client:
        assert client.get("/v1/sources/cam/picture").status_code == 404, "none has come"
        for name in ("other", "http%3A%2F%2Fevil.com", "..%2f..%2fetc%2fpasswd"):
            assert client.get(f"/v1/sources/{name}/picture").status_code == 404
            assert client.get(f"/v1/sources/{name}/events").status_code == 404


def test_a_gap_clears_the_prediction(session: Session, video: Path) -> None:
    newest = DeviceView()
    run([open_path(video)], session, [newest])
    name = str(video)
    assert newest.sources()[0]["prediction"] is not None
    newest.write(Step(source=name, state=SourceState("stalled")))
    assert newest.sources()[0]["prediction"] is None
    assert newest.sources()[0]["state"]["state"] == "stalled"


def test_a_picture_is_encoded_once_for_all_clients(video: Path) -> None:
    newest = DeviceView()
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 0.0, 0)
    newest.write(Step(source="cam", frame=frame))
    assert newest.picture("cam") is newest.picture("cam")
    newest.write(Step(source="cam", frame=Frame(frame.bgr + 200, 0.1, 1)))
    later = newest.picture("cam")
    assert later is not None
    assert cv2.imdecode(np.frombuffer(later, np.uint8), cv2.IMREAD_COLOR).mean() > 190


def test_a_client_that_reads_no_events_is_disconnected(session: Session) -> None:
    newest = DeviceView()
    newest.write(Step(source="cam"))
    with serving(session, watching=newest, limits=Limits(stall_seconds=0.3)) as running:
        queues = running.served.service.queues
        with running.raw() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.sendall(b"GET /v1/sources/cam/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: len(queues) == 1)
            changed = (SourceState("stalled", "x" * 50_000),)

            def has_left() -> bool:
                newest.write(Step(source="cam", changed=changed, state=changed[0]))
                return not queues

            until(has_left)
        assert newest._seen["cam"].listeners == []


def test_clients_never_block_the_device(session: Session) -> None:
    newest = DeviceView()
    newest.write(Step(source="cam"))
    with serving(session, watching=newest) as running, running.client() as client:
        with client.stream("GET", "/v1/sources/cam/events") as answer:
            lines = answer.iter_lines()
            next(lines)
            began = time.monotonic()
            for index in range(5000):
                changed = (SourceState("stalled", str(index)),)
                newest.write(Step(source="cam", changed=changed, state=changed[0]))
            assert time.monotonic() - began < 10
            reasons = []
            while "4999" not in reasons:
                line = next(lines)
                if line.startswith("data: {") and line != "data: {}":
                    reasons.append(json.loads(line[6:])["reason"])
        assert reasons[-1] == "4999", "the newest is received"
