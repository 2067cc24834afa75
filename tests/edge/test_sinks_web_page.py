"""`edge-run --web`: the page of a running device."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from colour_model import picture
from numpy.typing import NDArray
from preloaded import EdgeCommand
from served import has_ipv6, until
from servers import web
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from seqvision_edge.cli import main
from seqvision_edge.opencv import cv2

_PERIOD = 20
TOKEN = "sixteen-letters-or-more"


@contextmanager
def running(model: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Run on a camera whose gesture comes and goes; give the page's URL, and the token if any."""

    def gesture(number: int) -> NDArray[np.uint8]:
        return picture("red" if number % _PERIOD < _PERIOD // 2 else "none")

    routes = {"/camera": web.mjpeg(gesture)}
    with web.WebServer(routes) as server:
        command = [sys.executable, "-m", "seqvision_edge", "--model", str(model), "--no-window",
                   "--source", f"{server.url}/camera", *options]  # fmt: skip
        with EdgeCommand(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            token = ""
            for line in process.stderr:
                token = line.split("token: ")[1].strip() if "token: " in line else token
                found = re.search(r"http://\S+/$", line.strip())
                if found:
                    break
            try:
                yield found[0] if found else "", token
            finally:
                process.terminate()
                process.communicate(timeout=120)
    assert process.returncode == 143


def test_the_page_of_a_run_shows_sources_pictures_and_events(model: Path) -> None:
    with (
        running(model, "--web", "127.0.0.1:0") as (url, token),
        httpx.Client(base_url=url) as client,
    ):
        assert token == ""
        assert "<html" in client.get("/").text
        (source,) = _sources(client)
        name = source["name"]
        with client.stream(
            "GET", f"/v1/sources/{name}/events?predictions=true", timeout=60
        ) as lines:
            kinds = set()
            for line in lines.iter_lines():
                if line.startswith("data:"):
                    kinds.add(json.loads(line.removeprefix("data:"))["type"])
                if {"prediction", "event"} <= kinds:
                    break
        shown = client.get(f"/v1/sources/{name}/picture")
        assert shown.headers["content-type"] == "image/jpeg"
        bgr = cv2.imdecode(np.frombuffer(shown.content, np.uint8), cv2.IMREAD_COLOR)
        assert bgr.shape[2] == 3
        # Programs use the same model during the run.
        assert client.get("/v1/model").json()["labels"]


def _sources(client: httpx.Client) -> list[dict[str, str]]:
    """Return the sources once there is a picture of each."""
    for _ in range(600):
        found: list[dict[str, str]] = client.get("/v1/sources").json()["sources"]
        if found and all(source["picture"] for source in found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_any_other_address_demands_a_token(model: Path) -> None:
    with running(model, "--web", "0.0.0.0:0") as (url, token):
        port = url.rsplit(":", 1)[1].strip("/")
        here = f"http://127.0.0.1:{port}"
        assert len(token) >= 16
        assert httpx.get(f"{here}/v1/sources").status_code == 401
        allowed = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{here}/v1/sources", headers=allowed).status_code == 200


def test_the_page_of_a_run_may_require_a_token(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = "[::1]" if has_ipv6() else "127.0.0.1"
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    options = ("--web", f"{host}:0", "--web-token", "env:PAGE_TOKEN")
    with running(model, *options) as (url, made), httpx.Client(base_url=url) as client:
        assert (made, url.startswith(f"http://{host}:")) == ("", True)
        bearer = {"authorization": f"Bearer {TOKEN}"}

        def source() -> dict[str, Any]:
            (found,) = client.get("/v1/sources", headers=bearer).json()["sources"]
            return dict(found)

        until(lambda: source()["picture"])
        name = quote(source()["name"], safe="")
        paths = [
            "/", "/v1/sources", "/v1/model", "/metrics", "/docs", "/healthz", "/openapi.json",
            f"/v1/sources/{name}/picture",
            f"/v1/sources/{name}/events",
        ]  # fmt: skip
        for path in paths:
            for wrong in (
                {},
                {"authorization": f"Bearer {TOKEN}x"},
                {"cookie": f"seqvision={TOKEN}"},
            ):
                assert client.get(path, headers=wrong).status_code == 401, path
        for path in paths[:-1]:
            assert client.get(path, headers=bearer).status_code == 200, path
        live = f"{url.replace('http', 'ws', 1)}v1/live"
        with pytest.raises(InvalidStatus, match="401"), connect(live):
            pass
        with connect(live, additional_headers=bearer):
            pass
        # A browser gives it once, and keeps a cookie.
        assert 'action="/v1/login"' in client.get("/", headers={"accept": "text/html"}).text
        assert client.post("/v1/login", data={"token": TOKEN}).status_code == 303
        assert client.get("/v1/sources").status_code == 200


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (("--web", "nowhere"), "--web nowhere: give ADDRESS:PORT, such as 127.0.0.1:8000"),
        (("--web", "127.0.0.1:8_0"), "--web 127.0.0.1:8_0: give ADDRESS:PORT"),
        (("--web", "[::1]"), "--web [::1]: give ADDRESS:PORT"),
        (("--web", "127.0.0.1:0", "--web-token", "short"), "--web-token: a token has at least"),
    ],
)
def test_a_wrong_page_is_one_line_before_the_work(
    model: Path,
    video: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    output: str,
) -> None:
    given = ["--model", str(model), "--source", str(video), "--no-window", *options]
    assert main(given) == 2
    assert output in capsys.readouterr().err
