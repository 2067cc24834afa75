"""A failing call of the model: a clean error, and the next request is right."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from colour_model import FPS, model_bytes
from served import Running, files, jpeg, message, serving
from websockets.sync.client import connect

from seqvision_edge.session import Session

REASON = "Failed to allocate memory\nfor requested buffer"


class Fault:
    """Whether the next call of the model fails."""

    is_on = False


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    switch = Fault()
    plain = Session.run

    def run(self: Session, *given: Any, **more: Any) -> Any:
        if switch.is_on:
            raise RuntimeError(REASON)
        return plain(self, *given, **more)

    monkeypatch.setattr(Session, "run", run)
    return switch


@pytest.fixture
def running() -> Iterator[Running]:
    with serving(Session(model_bytes(), "cpu")) as opened:
        yield opened


@pytest.mark.parametrize("query", ["", "?timeline=true"])
def test_a_request_is_answered_with_a_plain_500_and_the_next_one_works(
    running: Running, fault: Fault, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    clip = files([jpeg("red")] * 8)
    with running.client() as client:
        fault.is_on = True
        for _ in range(2):
            failed = client.post(f"/v1/predict{query}", files=clip)
            assert failed.status_code == 500
            assert failed.json() == {"detail": "the model failed"}
        pixels = client.post("/v1/predict", json={"instances": [[[[1, 2, 3]]]]})
        assert (pixels.status_code, pixels.json()) == (500, {"detail": "the model failed"})
        fault.is_on = False
        good = client.post(f"/v1/predict{query}", files=clip)
        assert good.json()["predictions"][0]["label"] == "red"
        assert client.get("/healthz").status_code == 200
    assert running.served.service.batcher.reserved == 0
    (line,) = caplog.records
    assert line.getMessage() == f"the model failed: {' '.join(REASON.split())}"
    assert line.exc_info is None


def test_a_failed_call_ends_the_event_and_resets_the_stream(running: Running, fault: Fault) -> None:
    with running.client() as client:
        stream = f"/v1/streams/{client.post('/v1/streams').json()['id']}"

        def push(index: int) -> Any:
            headers = {"x-timestamp": str(index / FPS)}
            return client.post(f"{stream}/frames", content=jpeg("red"), headers=headers)

        for index in range(12):
            last = push(index).json()["records"][0]
        assert last["type"] == "prediction"
        fault.is_on = True
        assert push(12).status_code == 500
        fault.is_on = False
        waiting, *rest = push(13).json()["records"]
        assert (waiting["type"], waiting["window_fill"]) == ("waiting", 0.167)
        assert [each["label"] for each in rest if each["type"] == "event"] == ["red"]
        assert push(14).json()["records"][0]["window_fill"] == 0.333
        assert client.delete(stream).json() == {"records": []}


def test_a_live_connection_outlives_a_call_that_failed(running: Running, fault: Fault) -> None:
    with connect(running.live) as opened:

        def send_query(index: int) -> Any:
            opened.send(message(index / FPS, jpeg("red")))
            return json.loads(opened.recv(timeout=120))

        assert send_query(0)["window_fill"] == 0.167
        opened.recv(timeout=120)  # that it is warming up
        fault.is_on = True
        assert send_query(1) == {"type": "error", "frame": 1, "message": "the model failed"}
        fault.is_on = False
        assert send_query(2)["window_fill"] == 0.167
