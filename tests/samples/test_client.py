"""The sample client against a real server."""

import sys
import urllib.error
from pathlib import Path

import pytest
from colour_model import FPS, LABELS, model_bytes, write_video
from served import jpeg, serving
from servers.hostile import HostileServer, answers

from seqvision_edge.server.auth import Key
from seqvision_edge.session import Session

sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))

from client import Client

TOKEN = "the token of this test"


def test_the_client_uses_every_route_in_eighty_lines(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [("none", 1.0), ("red", 1.5), ("none", 1.0)])
    with serving(Session(model_bytes(), "cpu"), key=Key(TOKEN)) as running:
        client = Client(running.url, TOKEN)
        assert client.model()["labels"] == list(LABELS)
        answer = client.predict(path, timeline="true")
        assert answer["label"] == "red"
        assert [event["label"] for event in answer["events"]] == ["red"]
        pictures = [tmp_path / f"{index}.jpg" for index in range(6)]
        for picture in pictures:
            picture.write_bytes(jpeg("blue"))
        assert client.predict(*pictures, fps=FPS)["label"] == "blue"
        assert client.predict_pixels([[[[0, 255, 0]]]])[0]["label"] == "green"
        stream = client.open_stream()
        records = [
            each for index in range(8) for each in client.push(stream, index / FPS, jpeg("red"))
        ]
        assert [each["label"] for each in records if each["type"] == "prediction"] == ["red"] * 3
        with pytest.raises(urllib.error.HTTPError, match="401"):
            Client(running.url, "another token").model()
    lines = (Path(__file__).parents[2] / "samples" / "client.py").read_text().splitlines()
    assert len(lines) <= 80


def test_a_slow_response_has_a_deadline() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    with HostileServer(answers(head, b" ")) as server:
        client = Client(f"http://127.0.0.1:{server.port}", seconds=0.5)
        with pytest.raises(TimeoutError, match=r"/v1/model: no answer in 0.5 s"):
            client.model()
