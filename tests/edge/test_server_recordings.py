"""Takes recorded by a page: complete or absent, within limits, with any names."""

import contextlib
import csv
import itertools
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from colour_model import model_bytes
from pace import quiet_seconds
from served import Running, jpeg, message, serving, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from seqvision_edge.card import MAX_LABEL_LENGTH
from seqvision_edge.server import cli
from seqvision_edge.server.recorder import Bounds, Recorder
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import open_path

FRAMES, RATE = 20, 10.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "takes"


@contextlib.contextmanager
def recording(folder: Path, **bounds: Any) -> Iterator[tuple[Running, httpx.Client]]:
    """Serve a recorder; give the server and a client of it."""
    recorder = Recorder(folder, Bounds(**{"free_bytes": 0, **bounds}))
    with (
        serving(Session(model_bytes(), "cpu"), recorder=recorder) as running,
        running.client() as client,
    ):
        yield running, client


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[Running, httpx.Client]]:
    with recording(folder) as opened:
        yield opened


def line(running: Running) -> contextlib.AbstractContextManager[ClientConnection]:
    return connect(f"ws://{running.address}/v1/record")


def receive_record(opened: ClientConnection) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(opened.recv(timeout=120))
    return record


def record(
    running: Running, label: str, person: str = "", frames: int = FRAMES, colour: str = "red"
) -> dict[str, Any]:
    """Record a take as the page does and return the last record about it."""
    with line(running) as opened:
        opened.send(json.dumps({"label": label, "person": person}))
        first = receive_record(opened)
        if first["type"] != "ready":
            return first
        with contextlib.suppress(ConnectionClosed):
            for number in range(frames):
                opened.send(message(number / RATE, jpeg(colour)))
            opened.send('{"keep": true}')
        return receive_record(opened)


def files(folder: Path) -> list[str]:
    """Return all files of a folder, without the lock."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".takes.lock")
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_without_a_recorder_there_are_no_such_routes() -> None:
    with serving(Session(model_bytes(), "cpu")) as running, running.client() as client:
        for method, path in (
            ("GET", "/record"), ("GET", "/v1/takes"), ("GET", "/v1/takes/film?path=x"),
            ("DELETE", "/v1/takes?path=x"), ("PATCH", "/v1/takes?path=x"),
        ):  # fmt: skip
            assert client.request(method, path).status_code == 404, path
        assert client.get("/v1/model").json()["recording_enabled"] is False
        with pytest.raises(Exception, match="HTTP 40"), line(running):
            pass


def test_a_take_is_a_clip_as_long_as_its_timestamps(
    server: tuple[Running, httpx.Client], folder: Path
) -> None:
    running, client = server
    take = record(running, " wave ", "anna")
    assert (take["type"], take["label"], take["person"]) == ("take", "wave", "anna")
    assert (take["frames"], take["seconds"]) == (FRAMES, 1.9)
    with open_path(folder / take["path"]) as film:
        frames = list(film)
        assert film.fps == pytest.approx(RATE, rel=0.01)
    assert len(frames) == FRAMES
    assert frames[-1].bgr[0, 0].tolist() == pytest.approx([30, 30, 220], abs=8)
    with (folder / "clips.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"path": take["path"], "label": "wave", "group": "anna"}
        ]
    output = client.get("/v1/takes").json()
    assert output["takes"] == [{"path": take["path"], "label": "wave", "person": "anna"}]
    assert output["labels"] == ["red", "green", "blue", "none", "wave"]
    assert client.get("/v1/model").json()["recording_enabled"] is True
    assert "<title>Record takes" in client.get("/record").text


def test_a_disconnect_during_a_take_records_nothing(
    server: tuple[Running, httpx.Client], folder: Path
) -> None:
    running, client = server
    with line(running) as opened:
        opened.send('{"label": "wave"}')
        assert receive_record(opened) == {"type": "ready"}
        for number in range(15):
            opened.send(message(number / RATE, jpeg("red")))
        until(lambda: any(".unfinished" in name for name in files(folder)))
    until(lambda: files(folder) == [])
    assert client.get("/v1/takes").json()["takes"] == []


@pytest.mark.parametrize(
    "label",
    ["../../outside", "/etc/passwd", "<script>alert(1)</script>", "CON", ".hidden", "clips.csv",
     "a\\b:c*?", "日本語", "=HYPERLINK()", "x" * MAX_LABEL_LENGTH],
)  # fmt: skip
def test_any_name_that_is_text_is_a_label_and_stays_inside_the_folder(
    server: tuple[Running, httpx.Client], folder: Path, label: str
) -> None:
    running, client = server
    take = record(running, label, label)
    assert (take["type"], take["label"], take["person"]) == ("take", label, label)
    assert (folder / take["path"]).resolve().is_relative_to(folder.resolve())
    assert files(folder) == sorted(["clips.csv", take["path"]])
    assert files(folder.parent) == sorted(f"takes/{name}" for name in files(folder))
    assert client.delete("/v1/takes", params={"path": take["path"]}).status_code == 204
    assert files(folder) == ["clips.csv"]


def test_the_longest_label_is_taken_however_it_is_escaped(
    server: tuple[Running, httpx.Client],
) -> None:
    running, client = server
    headers = {"content-type": "application/json"}
    for letter, is_ascii in itertools.product('é日😀"\\', (True, False)):
        label = letter * MAX_LABEL_LENGTH
        begin = json.dumps({"label": label, "person": label}, ensure_ascii=is_ascii, indent=2)
        with line(running) as opened:
            opened.send(begin)
            assert receive_record(opened) == {"type": "ready"}, (letter, is_ascii)
            opened.send(message(0.0, jpeg("red")))
            opened.send('{"keep": true}')
            take = receive_record(opened)
        assert (take["type"], take["label"], take["person"]) == ("take", label, label)
        body = json.dumps({"label": label[1:]}, ensure_ascii=is_ascii).encode()
        query = {"path": take["path"]}
        changed = client.patch("/v1/takes", params=query, content=body, headers=headers)
        assert changed.json()["label"] == label[1:]


@pytest.mark.parametrize(
    "label", ["", "  ", "x" * (MAX_LABEL_LENGTH + 1), "turn\u202earound", "a\nb", "\x00"]
)
def test_what_is_no_label_is_refused_before_a_picture(
    server: tuple[Running, httpx.Client], folder: Path, label: str
) -> None:
    output = record(server[0], label)
    assert output["type"] == "error"
    assert "label" in output["message"]
    assert files(folder) == []


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (['{"label": 1}'], 1007),
        (['{"name": "wave"}'], 1007),
        ([b"wave"], 1007),
        (["x" * 20_000], 1007),
        (["{" + '"label": "wave", ' * 1_000], 1007),
        (['{"label": "' + "x" * 600 + '"}'], 1007),
        (['{"label": "\\ud83d"}'], 1007),
        (["[" * 10_000], 1007),
        (['{"label": "wave"}', "keep it"], 1007),
        (['{"label": "wave"}', struct.pack("<d", float("nan")) + jpeg("red")], 1007),
    ],
)
def test_what_is_no_message_ends_the_line(
    server: tuple[Running, httpx.Client], folder: Path, messages: list[str | bytes], code: int
) -> None:
    with line(server[0]) as opened:
        for each in messages:
            opened.send(each)
        with contextlib.suppress(ConnectionClosed):
            for _ in opened:
                pass  # that it was ready
    assert opened.close_code == code
    until(lambda: files(folder) == [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (message(0.1, b"<html>"), "not a JPEG"),
        (b"short", "8 bytes of time"),
        (message(9.0, jpeg("red")), "no frame for"),
    ],
)
def test_a_picture_that_cannot_be_kept_ends_the_take(
    server: tuple[Running, httpx.Client], folder: Path, data: bytes, words: str
) -> None:
    with line(server[0]) as opened:
        opened.send('{"label": "wave"}')
        receive_record(opened)
        opened.send(message(0.0, jpeg("red")))
        opened.send(data)
        output = receive_record(opened)
    assert output["type"] == "error"
    assert words in output["message"]
    until(lambda: files(folder) == [])


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"takes": 0}, "the folder has"),
        ({"free_bytes": 1 << 60}, "free on the disk"),
        ({"bytes": 3000}, "at most 3000 bytes"),
        ({"seconds": 1.0}, "at most 1 s"),
    ],
)
def test_exceeded_limits_are_reported_and_leave_no_file(
    folder: Path, bounds: dict[str, Any], words: str
) -> None:
    with recording(folder, **bounds) as (running, _):
        output = record(running, "wave")
        assert output["type"] == "error"
        assert words in output["message"]
        until(lambda: files(folder) == [])


def test_only_some_record_at_once(folder: Path) -> None:
    with recording(folder, at_once=1) as (running, _):
        with line(running) as first:
            first.send('{"label": "wave"}')
            receive_record(first)
            with line(running) as second, pytest.raises(ConnectionClosed) as refused:
                second.recv(timeout=120)
            assert refused.value.rcvd is not None
            assert refused.value.rcvd.code == 1013
        until(lambda: record(running, "wave")["type"] == "take")


def test_a_take_gets_another_label_and_its_file_goes_with_it(
    server: tuple[Running, httpx.Client], folder: Path
) -> None:
    running, client = server
    old = record(running, "wave", "anna")["path"]
    renamed = client.patch("/v1/takes", params={"path": old}, json={"label": "clap"})
    path = renamed.json()["path"]
    assert (renamed.status_code, path) == (200, "clap/anna-001.mkv")
    assert files(folder) == ["clap/anna-001.mkv", "clips.csv"]
    refused = client.patch("/v1/takes", params={"path": path}, json={"label": " "})
    assert refused.status_code == 422
    assert "label" in refused.json()["detail"]
    assert client.patch("/v1/takes", params={"path": old}, json={"label": "x"}).status_code == 404


def test_only_what_the_list_names_inside_the_folder_is_shown(
    server: tuple[Running, httpx.Client], folder: Path
) -> None:
    running, client = server
    record(running, "wave")
    secret = folder.parent / "secret.mkv"
    secret.write_bytes((folder / "wave/take-001.mkv").read_bytes())
    for path in ("../secret.mkv", str(secret), "clips.csv", "wave/../wave/take-001.mkv", ""):
        assert client.get("/v1/takes/film", params={"path": path}).status_code == 404, path
        assert client.delete("/v1/takes", params={"path": path}).status_code == 404, path
    # A person's own list may name what lies elsewhere; a training reads it, a page does not.
    with (folder / "clips.csv").open("a") as file:
        file.write("../secret.mkv,wave,\n")
    assert client.get("/v1/takes/film", params={"path": "../secret.mkv"}).status_code == 404
    assert client.delete("/v1/takes", params={"path": "../secret.mkv"}).status_code == 204
    assert secret.exists()


def test_a_take_is_shown_at_its_own_pace(server: tuple[Running, httpx.Client]) -> None:
    running, client = server
    path = record(running, "wave", frames=8)["path"]
    began = time.monotonic()
    film = client.get("/v1/takes/film", params={"path": path})
    assert film.headers["content-type"].startswith("multipart/x-mixed-replace")
    assert film.content.count(b"Content-Type: image/jpeg") == 8
    assert time.monotonic() - began >= 7 / RATE


@pytest.mark.timed
def test_slots_of_viewers_are_released(folder: Path) -> None:
    with recording(folder, at_once=1) as (running, client):
        path = record(running, "wave", frames=40)["path"]
        for _ in range(3):
            with client.stream("GET", "/v1/takes/film", params={"path": path}) as film:
                assert film.status_code == 200
                parts = film.iter_bytes()
                next(parts)
                busy = client.get("/v1/takes/film", params={"path": path})
                assert busy.status_code == 429
            until(lambda: record(running, "clap", frames=3)["type"] == "take")
        with client.stream("GET", "/v1/takes/film", params={"path": path}) as film:
            parts = film.iter_bytes()
            next(parts)
            running.served.service.ended.set()
            began = time.monotonic()
            for _ in parts:
                pass
        assert quiet_seconds(began) < 3, "the end of the server ends what is shown"


def test_a_folder_that_cannot_be_is_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    (clips / "wave").mkdir(parents=True)
    (clips / "wave" / "1.mp4").write_bytes(b"")
    for folder, words in ((tmp_path / "no" / "takes", "there is no folder"), (clips, "of its own")):
        assert cli.main([str(model), "--port", "0", "--record", str(folder)]) == 2
        (output,) = capsys.readouterr().err.splitlines()
        assert words in output


def test_a_damaged_list_is_reported(server: tuple[Running, httpx.Client], folder: Path) -> None:
    running, client = server
    (folder / "clips.csv").write_text("nonsense\n")
    refused = client.get("/v1/takes")
    assert refused.status_code == 422
    assert "clips.csv" in refused.json()["detail"]
    assert str(folder.parent) not in refused.text, "the folder's location is private"
    output = record(running, "wave")
    assert output["type"] == "error"
    assert (folder / "clips.csv").read_text() == "nonsense\n"
