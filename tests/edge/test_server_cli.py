"""`edge-serve` as a user runs it: in a process of its own."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pace import quiet_seconds
from preloaded import EdgeCommand
from served import files, has_ipv6, jpeg, message
from websockets.sync.client import connect

from seqvision_edge import __version__
from seqvision_edge.server import cli
from seqvision_edge.server.auth import access_policy

EDGE_SERVE = (
    "import sys; from seqvision_edge.entry_points import edge_serve; sys.exit(edge_serve())"
)
TOKEN = "sixteen-letters-or-more"


@contextlib.contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple["subprocess.Popen[str]", str, list[str]]]:
    """Yield a server process, its address and its output so far."""
    command = [sys.executable, "-c", EDGE_SERVE, *map(str, arguments), "--port", "0"]
    process = EdgeCommand(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        output = []
        for line in process.stderr:
            output.append(line.strip())
            found = re.search(r"http://\S+?:(\d+)/", line)
            if found:
                yield process, f"127.0.0.1:{found[1]}", output
                return
        raise AssertionError(f"it ended: {output}")
    finally:
        process.kill()
        process.communicate()


def answer(address: str, path: str, **more: str) -> httpx.Response:
    """Send a request as soon as the server responds: its address is printed a moment before."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return httpx.get(f"http://{address}{path}", timeout=30, **more)
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


# Sends a signal at a point of the server's start or end at which an exception would leave half an
# event loop behind; at a point that is passed often, as if Ctrl-C were pressed again and again.
_SIGNAL_AT = """
import asyncio, os, signal, sys
name, number = sys.argv.pop(1), int(sys.argv.pop(1))
loop = asyncio.SelectorEventLoop
whole = getattr(loop, name)

def part(*arguments, **options):
    os.kill(os.getpid(), number)
    return whole(*arguments, **options)

setattr(loop, name, part)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("point", ["_make_self_pipe", "create_task", "create_server", "close"])
def test_signal_while_event_loop_starts_or_ends_is_clean(
    model: Path, point: str, number: int, code: int
) -> None:
    start = [sys.executable, "-c", _SIGNAL_AT + EDGE_SERVE, point, str(int(number))]
    process = EdgeCommand([*start, model, "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        if point == "close":
            assert process.stderr is not None
            while "API: " not in process.stderr.readline():
                pass
            process.send_signal(number)
        printed = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    assert process.returncode == code, printed
    assert "Traceback" not in printed
    assert "Warning" not in printed
    assert "Exception" not in printed


# A clip that never ends, and that reports when it has begun.
_ENDLESS = """
import asyncio, sys
from seqvision_edge.server.service import Service
async def work(self, request, task):
    print("working", file=sys.stderr, flush=True)
    await asyncio.sleep(600)
Service.work = work
"""


def test_request_that_does_not_end_with_the_server_is_cut_off_in_silence(
    model: Path, video: Path
) -> None:
    process = EdgeCommand(
        [sys.executable, "-c", _ENDLESS + EDGE_SERVE, model, "--port", "0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    answers: list[int] = []

    def send_query(address: str) -> None:
        content = {"file": video.read_bytes()}
        answers.append(httpx.post(f"{address}v1/predict", files=content, timeout=60).status_code)

    try:
        assert process.stderr is not None
        while not (found := re.search(r"(http://\S+/) · API: ", line := process.stderr.readline())):
            assert line, "it ended"
        client = threading.Thread(target=send_query, args=(found[1],))
        client.start()
        assert process.stderr.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)[1]
        client.join()
    finally:
        process.kill()
    assert (process.returncode, printed, answers) == (130, "", [503])


@pytest.mark.timed
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_shutdown_takes_two_seconds_with_open_event_streams(
    model: Path, video: Path, number: int, code: int
) -> None:
    """Three clients are connected to it."""
    with serving(model) as (process, address, output):
        assert answer(address, "/healthz").status_code == 200
        assert output[0].startswith(f"edge-serve: {model} · 4 labels")
        with (
            httpx.Client(base_url=f"http://{address}") as client,
            connect(f"ws://{address}/v1/live"),
        ):
            stream = client.post("/v1/streams").json()["id"]
            with client.stream("GET", f"/v1/streams/{stream}/events") as events:
                next(events.iter_lines())
                began = time.monotonic()
                process.send_signal(number)
                _, err = process.communicate(timeout=120)
                seconds = quiet_seconds(began)
    assert (process.returncode, err) == (code, "")
    assert seconds < 2


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one line of a user's mistake."""
    assert cli.main([str(argument) for argument in arguments]) == 2, "or it served for ever"
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    return line


def test_a_port_that_is_taken_is_one_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = refusal(capsys, model, "--port", port)
    assert f"--port {port}" in line
    assert "another program uses it" in line


def test_a_users_mistake_is_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    monkeypatch.setenv("SHORT_TOKEN", "short")
    for arguments, words in (
        ([tmp_path / "none.onnx", "--port", "0"], "none.onnx: no such file"),
        ([model, "--host", "no.such.host.invalid"], "no such host"),
        ([model, "--host", "192.0.2.1", "--port", "0"], "--host 192.0.2.1"),
        ([model, "--token", "short"], "at least 16"),
        ([model, "--token", "spaces are not plain"], "at least 16"),
        ([model, "--token", "env:SHORT_TOKEN"], "--token env:SHORT_TOKEN: a token has"),
        ([model, "--token", "env:NO_TOKEN"], "not set"),
        ([model, "--port", "70000"], "--port 70000"),
        (
            [model, "--off-threshold", "0.9", "--port", "0"],
            "--off-threshold 0.9 is above --on-threshold 0.6",
        ),
        ([model, "--smoothing", "some"], "--smoothing"),
        ([model, "--prot", "1"], "did you mean --port?"),
        ([model, "--device", "tensorrt", "--port", "0"], "--device tensorrt"),
    ):
        assert words in refusal(capsys, *arguments)


def test_the_extra_that_is_missing_is_named(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqvision_edge.server.auth._NEEDED", ("fastapi", "not_installed"))
    line = refusal(capsys, model)
    assert "not_installed is missing" in line
    assert "pip install -c constraints.txt './edge[serve]'" in line


def test_help_and_version_need_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys\n"
        "for name in ('fastapi', 'uvicorn', 'cv2', 'onnxruntime'): sys.modules[name] = None\n"
        f"{EDGE_SERVE}"
    )
    for flag, words in (("--help", "--allow-host"), ("--version", f"edge-serve {__version__}")):
        command = [sys.executable, "-c", code, flag]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout


def test_a_server_beyond_loopback_generates_a_token(model: Path) -> None:
    with serving(model, "--host", "0.0.0.0") as (_, address, output):
        (token,) = [line.split("token: ")[1] for line in output if "token: " in line]
        assert len(token) > 40
        assert answer(address, "/v1/model").status_code == 401
        bearer = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"http://{address}/v1/model", headers=bearer).status_code == 200
        foreign = bearer | {"host": "evil.com"}
        assert httpx.get(f"http://{address}/v1/model", headers=foreign).status_code == 421


def test_the_token_of_an_environment_variable_is_required(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVE_TOKEN", TOKEN)
    with serving(model, "--token", "env:SERVE_TOKEN", "--allow-host", "cam.example") as running:
        _, address, output = running
        assert not any(TOKEN in line for line in output)
        assert answer(address, "/v1/model").status_code == 401
        headers = {"authorization": f"Bearer {TOKEN}", "host": "cam.example"}
        url = f"http://{address}/v1/predict"
        done = httpx.post(url, files=files([jpeg("red")]), headers=headers, timeout=30)
        assert done.json()["predictions"][0]["label"] == "red"


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_ipv6_too(model: Path, host: str) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with serving(model, "--host", host, "--token", TOKEN) as (_, address, output):
        here = f"[::1]:{address.rpartition(':')[2]}"
        assert f"http://{here}/" in output[-1]
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert answer(here, "/v1/model").status_code == 401
        for name, code in ((here, 200), ("[::1]", 200), ("[::2]", 421), ("[::1", 421)):
            headers = {**bearer, "host": name, "origin": f"http://{name}"}
            requested = httpx.post(f"http://{here}/v1/streams", headers=headers)
            assert requested.status_code == (201 if code == 200 else code), name
        foreign = {**bearer, "origin": "http://[::1]:1"}
        assert httpx.post(f"http://{here}/v1/streams", headers=foreign).status_code == 403
        with connect(f"ws://{here}/v1/live", additional_headers=bearer) as opened:
            opened.send(message(0.0, jpeg("red")))
            assert "waiting" in str(opened.recv(timeout=120))


def test_every_ipv6_address_requires_a_token() -> None:
    assert access_policy("::1", None).key is None
    for host in ("::", "fe80::1", "2001:db8::1", "::ffff:10.0.0.1"):
        entry = access_policy(host, None)
        assert entry.key is not None
        assert entry.made is not None
        assert entry.names.allow(f"[{host}]:8000")


def test_decision_options_are_those_of_edge_run(model: Path) -> None:
    options = ("--on-threshold", "0.9", "--smoothing", "exponential", "--early", "off")
    with serving(model, *options) as (_, address, _):
        decision = answer(address, "/v1/model").json()["decision"]
    assert (decision["on_threshold"], decision["smoothing"], decision["early"]) == (
        0.9,
        "exponential",
        None,
    )
    assert decision["off_threshold"] == 0.4, "what is not given is the card's"


def test_only_a_public_server_accepts_ip_addresses_as_host() -> None:
    assert not access_policy("127.0.0.1", None).names.allow("192.168.1.2")
    assert access_policy("0.0.0.0", None).names.allow("192.168.1.2:8000")
    assert access_policy("192.168.1.2", None).names.allow("192.168.1.2:8000")
    assert not access_policy("0.0.0.0", None).names.allow("evil.com")
    assert access_policy("127.0.0.1", None, ["Cam.example"]).names.allow("cam.EXAMPLE:443")
