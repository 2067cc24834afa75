"""The page with the browser's camera."""

import base64
import json
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import FAKE_ANSWER, FAKE_DEVICE, Browser
from serving import Serving

from seqvision_edge import Sampler, Session, prepare
from seqvision_edge.opencv import cv2

pytestmark = pytest.mark.slow
Look = Callable[..., Browser]
Serve = Callable[..., Serving]

BUSY = """navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException("Could not start video source", "NotReadableError");
};"""
# What goes through the WebSocket, as the page sees it, and when the banner appears.
SPY = """
window.spy = { sent: [], received: [], last: 0, labels: [], bannerAfter: null };
const { send } = WebSocket.prototype;
WebSocket.prototype.send = function (data) {
  if (typeof data !== "string") spy.sent.push(btoa(Array.from(data, (b) => String.fromCharCode(b)).join("")));
  else if (!spy.first) {
    spy.first = data;
    this.addEventListener("message", ({ data }) => {
      spy.last = performance.now();
      spy.received.push(JSON.parse(data));
    });
  }
  return send.call(this, data);
};
addEventListener("DOMContentLoaded", () => {
  const label = document.getElementById("label");
  new MutationObserver(() => spy.labels.push(label.textContent)).observe(label, { childList: true });
  const banner = document.getElementById("banner");
  new MutationObserver(() => {
    if (!banner.hidden) spy.bannerAfter ??= performance.now() - spy.last;
  }).observe(banner, { attributes: true });
});
"""  # noqa: E501
SEEN = ("red", "blue", "none")
LABEL = "document.getElementById('label').textContent"
IS_LABELLED = f"{json.dumps(SEEN)}.includes({LABEL})"


@pytest.mark.parametrize(
    ("flags", "script", "title"),
    [
        ([FAKE_DEVICE], "", "The camera was not allowed"),
        ([FAKE_ANSWER], "", "There is no camera here"),
        (None, BUSY, "The camera is busy"),
    ],
    ids=["denied", "none", "busy"],
)
def test_each_camera_error_has_its_message(
    look: Look, serve: Serve, colours: Path, flags: list[str] | None, script: str, title: str
) -> None:
    page = look(serve(colours).url, flags, script=script)
    page.click("#start-camera")
    page.wait(f"document.getElementById('start-title').textContent === {json.dumps(title)}")
    assert page.is_shown("#start-text")
    assert page.text("#start-camera") == "Try again"
    assert page.evaluate("document.activeElement.id") == "start-camera"
    assert page.text("#pill-text") == "Not running"


def test_an_insecure_origin_is_reported(look: Look, serve: Serve, colours: Path) -> None:
    server = serve(colours, "--allow-host", "device.test")
    page = look(f"http://device.test:{server.port}/")
    page.click("#start-camera")
    page.wait("document.getElementById('start-title').textContent.includes('not secure')")
    assert "https" in page.text("#start-text")


def test_live_answers_are_the_offline_ones_for_the_same_frames(
    look: Look, serve: Serve, colours: Path
) -> None:
    page = look(serve(colours).url, script=SPY)
    page.click("#start-camera")
    page.wait("spy.labels.includes('red') && spy.labels.includes('blue')", 60)
    page.wait("document.querySelectorAll('#log tr').length > 0")
    page.wait(f"{LABEL} === spy.received.findLast(({{ type }}) => type === 'prediction').label")
    page.click("#stop")
    sent, received = page.evaluate("[spy.sent, spy.received]")
    answers = {each["frame"]: each for each in received if each["type"] == "prediction"}
    offline = _answered_offline(colours, sent, received)
    assert len(offline) > 15
    for frame, expected in offline.items():
        found = list(answers[frame]["probabilities"].values())
        np.testing.assert_allclose(found, expected, atol=1e-6)


def _answered_offline(
    model: Path, sent: list[str], received: list[dict[str, Any]]
) -> dict[int, list[float]]:
    """Return the warm answers for the frames that were taken, up to the first that was dropped."""
    session = Session(model)
    stream = session.stream()
    sampler = Sampler(session.card.sequence.fps, session.card.sequence.fps)
    taken = [each["frame"] for each in received if each["type"] in ("prediction", "waiting")]
    answers = {}
    for location, frame in enumerate(taken):
        if frame != location:
            break
        message = base64.b64decode(sent[frame])
        (time,) = struct.unpack_from("<d", message)
        if sampler.is_gap(time):
            sampler.restart()
            stream.reset()
        bgr = cv2.imdecode(np.frombuffer(message[8:], np.uint8), cv2.IMREAD_COLOR)
        assert bgr.shape == (240, 320, 3)
        for _ in range(sampler.take(time)):
            probabilities = stream.push(prepare(bgr, session.card.image)[None])
            if stream.window_full and probabilities is not None:
                answers[frame] = probabilities.tolist()
    return answers


@pytest.mark.timed
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_stale_predictions_are_hidden_within_two_seconds(
    look: Look, serve: Serve, colours: Path, by: signal.Signals
) -> None:
    server = serve(colours)
    page = look(server.url, script=SPY)
    page.click("#start-camera")
    page.wait(IS_LABELLED)
    page.evaluate("spy.bannerAfter = null")
    os.kill(server.process.pid, by)
    page.wait("!document.getElementById('banner').hidden")
    assert page.evaluate("spy.bannerAfter") <= 2000
    assert page.text("#label") not in SEEN
    assert page.is_shown("#cover")
    assert page.text("#bars").strip() == ""
    if by == signal.SIGKILL:
        server.process.wait()
        serve(colours, port=server.port)
    else:
        os.kill(server.process.pid, signal.SIGCONT)
    page.wait(f"document.getElementById('banner').hidden && {IS_LABELLED}", 60)
    assert not page.is_shown("#cover")


def test_the_browser_model_agrees_and_runs_without_the_server(
    look: Look, serve: Serve, colours: Path, cache: Path
) -> None:
    server = serve(colours, cache=cache)
    page = look(server.url, script=SPY)
    page.wait("!document.getElementById('in-browser').disabled")
    page.click("#in-browser")
    page.wait("document.getElementById('browser-text').textContent.includes('runs here')")
    page.click("#start-camera")
    compared = "parseInt(document.getElementById('agreement-text').textContent.match(/\\d+/))"
    page.wait(f"{compared} > 15", 60)
    assert page.evaluate("spy.first") == '{"frames":"prepared"}'
    assert float(page.text("#agreement-number")) <= 1e-4
    received = page.evaluate("spy.received.filter(({ type }) => type === 'prediction')")
    shares = np.array([list(each["probabilities"].values()) for each in received])
    assert np.ptp(shares, axis=0).max() > 0.5, "the answers depend on the frames"
    server.kill()
    page.wait("document.getElementById('agreement-text').textContent.includes('goes on')")
    page.evaluate("spy.labels.length = 0")
    page.wait("spy.labels.includes('red') && spy.labels.includes('blue')", 60)
    assert not page.is_shown("#banner")


def test_without_onnxruntime_web_the_switch_names_the_command(
    look: Look, serve: Serve, colours: Path
) -> None:
    page = look(serve(colours).url)
    page.wait("document.getElementById('browser-text').textContent !== ''")
    assert page.evaluate("document.getElementById('in-browser').disabled")
    assert "edge-serve --fetch-web-runtime" in page.text("#browser-text")


def test_an_earlier_time_can_be_selected(look: Look, serve: Serve, colours: Path) -> None:
    page = look(serve(colours).url)
    page.click("#start-camera")
    page.wait("document.querySelectorAll('#log tr').length > 0", 60)
    label = page.evaluate("document.querySelector('#log .what').textContent")
    page.click("#log button")
    page.wait(f"{LABEL} === {json.dumps(label)}")
    assert page.text("#age").startswith("at ")
    assert page.is_shown("#picture")
    page.click("#back")
    page.wait("document.getElementById('picture').hidden")
    assert not page.is_shown("#back")
