"""The page of a real `edge-run`: it shows what the run reports."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from colour_model import picture, write_video
from numpy.typing import NDArray
from running import Run, edge_run
from servers import web

pytestmark = pytest.mark.slow
Look = Callable[..., Browser]

# What the page receives, and each label that it shows with the prediction received last.
SPY = """
window.spy = { received: [], shown: [], last: 0, bannerAfter: null, shownAgain: 0 };
const Plain = EventSource;
window.EventSource = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      const record = JSON.parse(data);
      if (record.type === "prediction" || record.type === "event") spy.received.push(record);
      if (record.type === "prediction") spy.last = performance.now();
    });
  }
};
addEventListener("DOMContentLoaded", () => {
  const label = document.getElementById("label");
  new MutationObserver(() => {
    const answer = spy.received.findLast(({ type }) => type === "prediction");
    if (["red", "green", "blue", "none"].includes(label.textContent))
      spy.shown.push([label.textContent, answer?.frame]);
    if (spy.bannerAfter !== null) spy.shownAgain += label.textContent === answer?.label;
  }).observe(label, { childList: true });
  const banner = document.getElementById("banner");
  new MutationObserver(() => {
    if (!banner.hidden) spy.bannerAfter ??= performance.now() - spy.last;
  }).observe(banner, { attributes: true });
});
"""
IS_LABELLED = "['red', 'none'].includes(document.getElementById('label').textContent)"


def test_labels_of_a_video_are_those_of_the_run(look: Look, colours: Path, tmp_path: Path) -> None:
    # Long enough to be looked at: a file is read as fast as it can be.
    video = write_video(tmp_path / "long.mp4", [("none", 20.0), ("red", 20.0)] * 100)
    with edge_run(colours, tmp_path / "run.jsonl", "--source", str(video)) as run:
        page = watched(look, run)
        page.wait("spy.shown.length > 4 && document.querySelectorAll('#log tr').length > 1", 60)
        agrees(page, run)


def test_labels_of_a_camera_are_those_of_the_run_and_never_old(
    look: Look, colours: Path, tmp_path: Path
) -> None:
    with web.WebServer({"/camera": web.mjpeg(gesture)}) as camera:
        source = ("--source", f"{camera.url}/camera")
        with edge_run(colours, tmp_path / "run.jsonl", *source) as run:
            page = watched(look, run)
            page.wait("spy.shown.length > 4 && document.querySelectorAll('#log tr').length > 1", 60)
            agrees(page, run)
            page.wait(IS_LABELLED)
            page.evaluate("spy.bannerAfter = null")
            camera.closing.set()  # every picture that is on its way, and the server after it
            page.wait("spy.bannerAfter !== null")
            assert page.evaluate("spy.bannerAfter") <= 2000
            assert not page.evaluate(IS_LABELLED)
            assert page.is_shown("#cover")


def test_a_stalled_camera_shows_no_label(look: Look, colours: Path, tmp_path: Path) -> None:
    silent = threading.Event()

    def until_silent(number: int) -> NDArray[Any]:
        while silent.is_set():
            time.sleep(0.02)
        return gesture(number)

    with web.WebServer({"/camera": web.mjpeg(until_silent)}) as camera:
        source = ("--source", f"{camera.url}/camera", "--stall-timeout", "6")
        with edge_run(colours, tmp_path / "run.jsonl", *source) as run:
            page = watched(look, run)
            page.wait(IS_LABELLED)
            # While the camera was connected, there was a banner too.
            page.evaluate("[spy.bannerAfter, spy.shownAgain] = [null, 0]")
            silent.set()
            page.wait("spy.bannerAfter !== null")
            assert page.evaluate("spy.bannerAfter") <= 2000
            # The server sends `alive` twice before the run itself gives up on the camera.
            page.wait("document.getElementById('banner-title').textContent === 'No picture.'", 30)
            assert page.evaluate("spy.shownAgain") == 0
            silent.clear()
            page.wait(IS_LABELLED, 30)


def gesture(number: int) -> NDArray[Any]:
    """Return a picture of a camera that sees a gesture every second and a half."""
    return picture("red" if number % 45 < 22 else "none")


def watched(look: Look, run: Run) -> Browser:
    """Open the page and choose the device's only source."""
    page = look(run.url, script=SPY)
    page.wait("document.getElementById('device').options.length > 1")
    page.do(
        "select",
        selector="#device",
        value=page.evaluate("document.getElementById('device').options[1].value"),
    )
    return page


def agrees(page: Browser, run: Run) -> None:
    """Compare what the page has received and shown with the lines of the run."""
    received, shown, rows = page.evaluate(
        "[spy.received, spy.shown, [...document.querySelectorAll('#log .what')]"
        ".map((cell) => cell.textContent)]"
    )
    last = max(each["frame"] for each in received if each["type"] == "prediction")
    deadline = time.monotonic() + 20
    while (output := run.records())[-1].get("frame", 0) < last and time.monotonic() < deadline:
        time.sleep(0.05)
    answers = {each["frame"]: each for each in output if each["type"] == "prediction"}
    events = [each for each in output if each["type"] == "event"]
    for each in received:
        if each["type"] == "prediction":
            written = answers[each["frame"]]
            assert {key: written[key] for key in each} == each
        else:
            assert any(each.items() <= event.items() for event in events), each
    assert [label for label, _ in shown] == [answers[frame]["label"] for _, frame in shown]
    assert {label for label, _ in shown} == {"red", "none"}
    assert set(rows) == {"red"}
    assert len(rows) == sum(each["type"] == "event" for each in received)
