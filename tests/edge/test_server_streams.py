"""Stateful streams: posted pictures, a WebSocket, and event streams."""

import json
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from socket import SHUT_RDWR
from typing import Any

import httpx
import numpy as np
import pytest
from colour_model import FPS, WINDOW, Segments, make_card, model_bytes, picture
from served import Running, encoded, jpeg, message, serving, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from seqvision_edge.frame import Frame
from seqvision_edge.pipeline import make_pipeline
from seqvision_edge.renamed_options import QUERY
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.sse import step_records
from seqvision_edge.server.upload_decoding import UploadSource
from seqvision_edge.session import Session
from seqvision_edge.sources.image_files import decode_image

SCENES: Segments = [("none", 0.8), ("red", 1.2), ("none", 1.0)]


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


def scenes(segments: Segments, start: float = 0.0) -> list[tuple[float, bytes]]:
    """Return pictures with their times, at the model's own rate."""
    names = [colour for colour, seconds in segments for _ in range(round(seconds * FPS))]
    return [(start + index / FPS, jpeg(colour)) for index, colour in enumerate(names)]


def open_stream(client: httpx.Client) -> str:
    answer = client.post("/v1/streams")
    assert answer.status_code == 201
    return f"/v1/streams/{answer.json()['id']}"


def push(client: httpx.Client, stream: str, time: float, data: bytes) -> list[dict[str, Any]]:
    headers = {"content-type": "image/jpeg", "x-timestamp": str(time)}
    answer = client.post(f"{stream}/frames", content=data, headers=headers)
    assert answer.status_code == 200, answer.text
    output: list[dict[str, Any]] = answer.json()["records"]
    return output


def timeless(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records without fields that depend on the clock."""
    clocks = ("captured_at", "age_ms", "latency_ms", "since", "dropped")
    return [{key: each[key] for key in each if key not in clocks} for each in output]


def of_a_run(session: Session, given: list[tuple[float, bytes]]) -> list[dict[str, Any]]:
    """Return the records of edge-run's pipeline for the same pictures of a live source."""
    pipeline = make_pipeline(session, UploadSource("x", FPS, live=True), None, 9.0, time.monotonic)
    output = []
    for index, (stamp, data) in enumerate(given):
        decoded = decode_image(np.frombuffer(data, np.uint8))
        assert decoded is not None
        frame = Frame(decoded, stamp - given[0][0], index, arrived=time.monotonic())
        frames = pipeline.model_input(frame)
        answer = None if frames is None else pipeline.stream.push(frames)
        output += step_records(pipeline.handle_output(frame, answer, inferred=frames is not None))
    return output


def test_a_stream_gives_the_records_of_a_run(client: httpx.Client, session: Session) -> None:
    given = scenes(SCENES, start=1.7e9)
    stream = open_stream(client)
    output = [record for stamp, data in given for record in push(client, stream, stamp, data)]
    truth = of_a_run(session, given)
    assert timeless(output) == timeless(truth)
    (event,) = [record for record in output if record["type"] == "event"]
    assert event["label"] == "red"
    assert [record["type"] for record in output].count("waiting") == WINDOW - 1
    assert client.delete(stream).json() == {"records": []}
    assert client.delete(stream).status_code == 404


def test_closing_a_stream_returns_the_running_event(client: httpx.Client) -> None:
    stream = open_stream(client)
    for stamp, data in scenes([("red", 1.5)]):
        push(client, stream, stamp, data)
    (event,) = client.delete(stream).json()["records"]
    assert (event["type"], event["label"]) == ("event", "red")


def test_a_picture_that_waits_for_the_one_before_is_not_lost(server: Running) -> None:
    received = []
    with connect(server.live) as opened:
        for index in range(2):
            opened.send(message(index / FPS, jpeg("red")))
        for index in range(2, 60):
            while "frame" not in (record := json.loads(opened.recv(timeout=120))):
                pass
            received.append(record["frame"])
            opened.send(message(index / FPS, jpeg("red")))
    assert received == list(range(58)), "two are under way at any time, and none is left out"


def test_a_server_s_decision_settings_replace_the_card_s(session: Session) -> None:
    strict = session.card.decision.model_copy(update={"minimum_seconds": 9.0})
    with serving(session, decision=strict) as running, running.client() as client:
        assert client.get("/v1/model").json()["decision"]["minimum_seconds"] == 9.0
        stream = open_stream(client)
        output = [
            record for stamp, data in scenes(SCENES) for record in push(client, stream, stamp, data)
        ]
        kinds = {record["type"] for record in output}
        parts = [("file", (f"{stamp}.jpg", data)) for stamp, data in scenes(SCENES)]
        whole = client.post(f"/v1/predict?timeline=true&fps={FPS}", files=parts).json()
    assert "prediction" in kinds
    assert "event" not in kinds, "the gesture is too short for these settings"
    assert whole["predictions"][0]["events"] == []


def test_a_gap_begins_a_new_window(client: httpx.Client) -> None:
    stream = open_stream(client)
    for stamp, data in scenes([("red", 1.0)]):
        push(client, stream, stamp, data)
    later = push(client, stream, 9.0, jpeg("red"))
    assert later[0] == {
        "type": "waiting", "time": 9.0, "frame": 10, "window_fill": round(1 / WINDOW, 3),
    }  # fmt: skip
    assert [record["type"] for record in later] == ["waiting", "event", "source"]
    assert later[2]["state"] == "warming_up"
    back = push(client, stream, 3.0, jpeg("red"))
    assert back[0]["window_fill"] == round(1 / WINDOW, 3), "time that runs backwards is a gap too"


def test_two_streams_do_not_mix(client: httpx.Client) -> None:
    streams = {colour: open_stream(client) for colour in ("red", "blue")}
    answers = {}
    for index in range(10):
        for colour, stream in streams.items():
            answers[colour] = push(client, stream, index / FPS, jpeg(colour))[0]
    for colour, answer in answers.items():
        assert (answer["type"], answer["label"]) == ("prediction", colour)
        assert answer["probability"] > 0.99


def test_pictures_come_as_parts_too(client: httpx.Client) -> None:
    stream = open_stream(client)
    parts = [
        ("frame", (f"{index}.jpg", data, "image/jpeg", {"X-Timestamp": str(stamp)}))
        for index, (stamp, data) in enumerate(scenes([("red", 1.0)]))
    ]
    output = client.post(f"{stream}/frames", files=parts).json()["records"]
    assert [record["type"] for record in output].count("prediction") == 10 - WINDOW + 1
    without = [("frame", ("1.jpg", jpeg("red")))] * 2
    assert client.post(f"{stream}/frames", files=without).status_code == 422
    one = client.post(f"{stream}/frames?timestamp=1.0", files=without[:1])
    assert one.json()["records"][0]["time"] == 1.0


@pytest.mark.parametrize(
    ("stamp", "data", "code"),
    [
        ("nan", b"", 422),
        ("inf", b"", 422),
        ("1e300", b"", 422),
        ("soon", b"", 422),
        ("1.0", b"", 422),
        ("1.0", b"<html>", 422),
        ("1.0", jpeg("red")[:300], 422),
    ],
)
def test_a_bad_frame_is_refused_and_the_stream_goes_on(
    client: httpx.Client, stamp: str, data: bytes, code: int
) -> None:
    stream = open_stream(client)
    push(client, stream, 0.0, jpeg("red"))
    bad = client.post(f"{stream}/frames", content=data or b"x", headers={"x-timestamp": stamp})
    assert bad.status_code == code
    (good, *_) = push(client, stream, 0.1, jpeg("red"))
    assert good["window_fill"] == pytest.approx(2 / WINDOW, abs=1e-3)


def test_a_still_image_model_answers_every_picture(session: Session) -> None:
    rows = make_card(sequence={"kind": "rows", "steps": 6, "longer": "crop"})
    with serving(Session(model_bytes(rows), "cpu")) as running, running.client() as client:
        stream = open_stream(client)
        for colour in ("red", "blue"):
            output = push(client, stream, 0.0, encoded(".png", picture(colour, (16, 60))))
            assert (output[0]["type"], output[0]["label"]) == ("prediction", colour)


def listening(client: httpx.Client, path: str, received: list[dict[str, Any]]) -> "Future[None]":
    """Listen to server-sent events in a thread, until the server ends them.

    The result is there after an orderly end, and raises what went wrong otherwise.
    """
    alive = threading.Event()
    done: Future[None] = Future()

    def listen() -> None:
        try:
            read()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)
        alive.set()

    def read() -> None:
        with client.stream("GET", path) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: {") and line != "data: {}":
                    received.append(json.loads(line[6:]))
                if line.startswith(("event: alive", "retry")):
                    alive.set()

    threading.Thread(target=listen, daemon=True).start()
    assert alive.wait(20)
    return done


@pytest.mark.parametrize(("old", "new"), QUERY.items())
def test_an_old_name_in_a_query_is_refused_with_the_new_one(
    client: httpx.Client, old: str, new: str
) -> None:
    for path in ("/v1/sources", "/v1/streams/0/events"):
        refused = client.get(f"{path}?{old}=true")
        assert (refused.status_code, refused.json()) == (400, {"detail": f"?{old} is now ?{new}"})


@pytest.mark.parametrize("answers", [False, True])
def test_event_streams_get_events_states_and_the_end(client: httpx.Client, answers: bool) -> None:
    stream = open_stream(client)
    received: list[dict[str, Any]] = []
    query = "?predictions=true" if answers else ""
    listener = listening(client, f"{stream}/events{query}", received)
    output = []
    for stamp, data in scenes([("none", 0.8), ("red", 1.0)]):
        output += push(client, stream, stamp, data)
    output += client.delete(stream).json()["records"]
    listener.result(20)
    kinds = ("event", "source", *(("prediction", "waiting") if answers else ()))
    assert received[:-1] == [record for record in output if record["type"] in kinds]
    assert [record["state"] for record in received if record["type"] == "source"] == [
        "warming_up",
        "live",
        "ended",
    ]
    assert [record["label"] for record in received if record["type"] == "event"] == ["red"]


def test_max_rate_limits_predictions_but_not_events(
    client: httpx.Client,
) -> None:
    stream = open_stream(client)
    received: list[dict[str, Any]] = []
    listener = listening(client, f"{stream}/events?predictions=true&max_rate=0.1", received)
    output = []
    for stamp, data in scenes([("none", 0.8), ("red", 1.0), ("none", 0.8), ("blue", 1.0)]):
        output += push(client, stream, stamp, data)
    output += client.delete(stream).json()["records"]
    listener.result(20)
    assert [record["label"] for record in received if record["type"] == "event"] == ["red", "blue"]
    predictions = [record for record in output if record["type"] == "prediction"]
    got = [record for record in received if record["type"] == "prediction"]
    assert [record for record in predictions if record in got] == got, "each once, in order"
    assert len(got) < len(predictions) / 2
    assert got[-1] == predictions[-1], "the newest is never lost"
    for wrong in ("0", "-1", "nan", "inf", "1e9", "x"):
        assert client.get(f"/v1/streams/x/events?max_rate={wrong}").status_code == 422, wrong


def test_an_idle_event_stream_sends_alive(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqvision_edge.server.sse.ALIVE_SECONDS", 0.05)
    stream = open_stream(client)
    with client.stream("GET", f"{stream}/events") as answer:
        beats = 0
        for line in answer.iter_lines():
            beats += line == "event: alive"
            if beats == 3:
                break
    client.delete(stream)


def test_an_idle_stream_expires(session: Session) -> None:
    with serving(session, limits=Limits(idle_seconds=0.4)) as running, running.client() as client:
        stream = open_stream(client)
        received: list[dict[str, Any]] = []
        listening(client, f"{stream}/events", received).result(20)
        assert received[-1]["state"] == "ended"
        assert client.post(f"{stream}/frames", content=jpeg("red")).status_code == 404


def test_no_more_streams_are_opened_than_may_be(session: Session) -> None:
    with serving(session, limits=Limits(streams=2)) as running, running.client() as client:
        first = open_stream(client)
        with connect(running.live) as socket:
            socket.send(message(0.0, jpeg("red")))
            socket.recv()
            assert client.post("/v1/streams").status_code == 429
            with connect(running.live) as third:
                assert close_code(third, []) == 1013
        until(lambda: client.post("/v1/streams").status_code == 201)
        client.delete(first)
        open_stream(client)


def send_picture(socket: ClientConnection, stamp: float, data: bytes) -> dict[str, Any]:
    """Send a picture and return the record about it."""
    socket.send(message(stamp, data))
    while True:
        output: dict[str, Any] = json.loads(socket.recv(timeout=120))
        if output["type"] in ("prediction", "waiting", "error"):
            return output


def close_code(socket: ClientConnection, sent: Sequence[str | bytes]) -> int | None:
    """Send until the server ends the connection, and return the code with which it does."""
    try:
        for each in sent:
            socket.send(each)
            time.sleep(0.02)
        socket.recv(timeout=120)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
    raise AssertionError("the connection goes on")


def test_live_pictures_are_answered_as_a_stream_is(server: Running, session: Session) -> None:
    given = scenes(SCENES, start=5.0)
    truth = of_a_run(session, given)
    output: list[dict[str, Any]] = []
    with connect(server.live) as socket:
        for stamp, data in given:
            socket.send(message(stamp, data))
            output.append(json.loads(socket.recv(timeout=120)))
            while len(output) < len(truth) and truth[len(output)]["type"] not in (
                "prediction",
                "waiting",
            ):
                output.append(json.loads(socket.recv(timeout=120)))
    assert timeless(output) == timeless(truth)
    assert {record["type"] for record in output} == {"waiting", "prediction", "event", "source"}


def test_of_pictures_that_come_too_fast_the_newest_is_answered(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    plain = Session.run

    def blocked(self: Session, *given: Any, **more: Any) -> Any:
        assert go.wait(30)
        return plain(self, *given, **more)

    with serving(session) as running, connect(running.live) as socket:
        monkeypatch.setattr(Session, "run", blocked)
        for index in range(40):
            socket.send(message(index / FPS, jpeg("red")))
        # Once the answer to a ping is there, the messages before it have been taken.
        assert socket.ping().wait(20)
        time.sleep(0.2)
        go.set()
        frames = []
        while not frames or frames[-1] != 39:
            output = json.loads(socket.recv(timeout=120))
            if output["type"] in ("prediction", "waiting"):
                frames.append(output["frame"])
        assert frames[0] == 0
        assert len(frames) < 8, "skipped frames are not processed later"


def test_a_bad_live_picture_is_an_error_record_not_the_end(server: Running) -> None:
    with connect(server.live) as socket:
        for data, words in ((b"<html>", "not a JPEG"), (jpeg("red")[:300], "damaged")):
            output = send_picture(socket, 0.0, data)
            assert output["type"] == "error"
            assert words in output["message"]
        assert send_picture(socket, 0.1, jpeg("red"))["type"] == "waiting"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("text", 1003),
        (b"short", 1007),
        (struct.pack("<d", float("nan")) + b"x", 1007),
        (struct.pack("<d", 1e300) + b"x", 1007),
    ],
)
def test_what_is_no_message_ends_the_connection(
    server: Running, sent: str | bytes, code: int
) -> None:
    with connect(server.live, max_size=None) as socket:
        assert close_code(socket, [sent]) == code


def test_a_message_that_is_too_large_is_refused_before_it_comes(server: Running) -> None:
    with connect(server.live) as socket:
        size = struct.pack(">Q", Limits.picture_bytes + 100)
        socket.socket.sendall(b"\x82\xff" + size + b"mask")
        assert close_code(socket, []) == 1009


def test_a_silent_connection_is_ended(session: Session) -> None:
    limits = Limits(idle_seconds=0.3)
    with serving(session, limits=limits) as running, connect(running.live) as socket:
        assert close_code(socket, []) == 1000


def test_a_full_model_ends_live_connections_after_a_while(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqvision_edge.server.routes.live._MAX_BUSY_SECONDS", 0.3)
    with serving(session, limits=Limits(room=1)) as running, connect(running.live) as socket:
        assert send_picture(socket, 0.0, jpeg("red"))["type"] == "waiting"
        running.served.service.batcher.reserve()
        pictures = [message(1 + index / FPS, jpeg("red")) for index in range(1000)]
        assert close_code(socket, pictures) == 1013
        running.served.service.batcher.release()


def test_clients_that_leave_cost_nothing(session: Session) -> None:
    with serving(session) as running, running.client() as client:
        stream = open_stream(client)
        for _ in range(10):
            with connect(running.live) as socket:
                socket.send(message(0.0, jpeg("red")))
                socket.socket.shutdown(SHUT_RDWR)
            with client.stream("GET", f"{stream}/events"):
                pass
        client.delete(stream)
        until(lambda: "seqvision_streams 0.0" in client.get("/metrics").text)
        until(lambda: "seqvision_clients 1.0" in client.get("/metrics").text)
        until(lambda: not running.served.service.batcher.reserved)
        until(lambda: not running.served.service.queues)
