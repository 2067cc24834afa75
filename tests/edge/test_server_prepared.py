"""Running the model in the page: prepared frames, the model file, onnxruntime-web."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import WINDOW, make_card, model_bytes, picture
from served import Running, message, serving
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from seqvision_edge.preprocess import prepare
from seqvision_edge.server import cli, web_runtime
from seqvision_edge.session import Session
from seqvision_edge.still_images import image_steps

PREPARED = json.dumps({"frames": "prepared"})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes())
    with serving(Session(path), file=path) as running:
        yield running


def answers(running: Running, hello: str, messages: list[bytes]) -> list[dict[str, Any]]:
    """Return the first record for each message."""
    output = []
    with connect(running.live) as socket:
        socket.send(hello)
        for each in messages:
            socket.send(each)
            record = json.loads(socket.recv(20))
            while record["type"] in ("event", "source"):
                record = json.loads(socket.recv(20))
            output.append(record)
    return output


def test_prepared_frames_are_answered_as_the_session_answers_them(server: Running) -> None:
    session = server.served.service.session
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (WINDOW + 3, 12, 16, 3), np.uint8)
    sent = [message(number / 10, frame.tobytes()) for number, frame in enumerate(frames)]
    output = answers(server, PREPARED, sent)
    assert [each["type"] for each in output] == ["waiting"] * (WINDOW - 1) + ["prediction"] * 4
    stream = session.stream()
    for frame, record in zip(frames, output, strict=True):
        expected = stream.push(frame[None])
        assert expected is not None
        if record["type"] == "prediction":
            found = list(record["probabilities"].values())
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_steps_of_a_still_image_are_answered_too() -> None:
    sequence = {"kind": "rows", "steps": 3, "longer": "crop"}
    card = make_card(sequence=sequence)
    session = Session(model_bytes(card))
    assert card.sequence.kind == "rows"
    steps = image_steps(picture("blue"), card.image, card.sequence)
    with serving(session) as running:
        long = message(1, bytes(4 * 12 * 16 * 3))
        output = answers(running, PREPARED, [message(0, steps.tobytes()), long])
    assert output[0]["label"] == "blue"
    assert output[1]["message"].endswith("prepared pixels are 12 x 16 x 3, 1 to 3 times")


def test_prepared_frames_have_exactly_the_card_s_size(server: Running) -> None:
    step = prepare(picture("red"), server.served.service.session.card.image).tobytes()
    output = answers(server, PREPARED, [message(0, step + b"x"), message(1, step)])
    assert output[0]["type"] == "error"
    assert output[0]["message"] == "577 bytes; prepared pixels are 12 x 16 x 3"
    assert output[1]["type"] == "waiting"


@pytest.mark.parametrize("hello", ["{}", '{"frames": "png"}', "prepared", "[" * 9999])
def test_another_first_message_ends_the_connection(server: Running, hello: str) -> None:
    with connect(server.live) as socket:
        socket.send(hello)
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(20)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1003


def test_the_model_s_file_is_given_as_it_was(server: Running, tmp_path: Path) -> None:
    with server.client() as client:
        assert client.get("/v1/model/file").content == model_bytes()
        (tmp_path / "model.onnx").write_bytes(b"another")
        refused = client.get("/v1/model/file")
    assert refused.status_code == 409
    assert "restart the server" in refused.json()["detail"]


def test_a_model_without_a_file_is_not_served() -> None:
    with serving(Session(model_bytes())) as running, running.client() as client:
        assert client.get("/v1/model/file").status_code == 404


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive as npm's, with its hash known to the program, and an empty cache."""
    path = tmp_path / "web.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name in (*web_runtime.FILES, "../../outside.mjs"):
            content = f"// {name}".encode()
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    digest = hashlib.sha512(path.read_bytes()).digest()
    monkeypatch.setattr(web_runtime, "SHA512", base64.b64encode(digest).decode())
    monkeypatch.setenv(web_runtime.TARBALL, str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def test_onnxruntime_web_is_fetched_once_and_served(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Session(model_bytes())) as running, running.client() as client:
        missing = client.get("/page/vendor/ort.wasm.min.mjs")
        assert missing.status_code == 404
        assert "edge-serve --fetch-web-runtime" in missing.json()["detail"]
        assert cli.main(["--fetch-web-runtime"]) == 0
        archive.unlink()
        assert cli.main(["--fetch-web-runtime"]) == 0, "what is here is not fetched again"
        found = client.get("/page/vendor/ort.wasm.min.mjs")
        assert found.text == "// ort.wasm.min.mjs"
        assert found.headers["content-type"].startswith("text/javascript")
        wasm = client.get("/page/vendor/ort-wasm-simd-threaded.wasm")
        assert wasm.headers["content-type"] == "application/wasm"
        for name in ("package.json", "..%2f..%2fsecret", "%2e%2e/index.html"):
            assert client.get(f"/page/vendor/{name}").status_code == 404
    assert sorted(path.name for path in web_runtime.folder().iterdir()) == sorted(web_runtime.FILES)
    assert str(web_runtime.folder()) in capsys.readouterr().err


def test_another_archive_is_refused_and_nothing_of_it_stays(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(archive.read_bytes())
    content[-1] ^= 1
    archive.write_bytes(content)
    assert cli.main(["--fetch-web-runtime"]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert "its hash differs" in output
    assert list(web_runtime.folder().iterdir()) == []


def test_a_failed_download_is_one_error_line(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.unlink()
    assert cli.main(["--fetch-web-runtime"]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert web_runtime.TARBALL in output


def test_the_archive_of_the_tests_is_the_one_that_is_fetched() -> None:
    install = pytest.importorskip("install")
    assert f"onnxruntime-web@{web_runtime.VERSION}" in install.WEB
