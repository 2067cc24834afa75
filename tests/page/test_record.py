"""The page that records: takes of the browser's camera, reviewed, stored for training."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import PHONE, Browser
from serving import Serving

from seqvision_edge.sources.factory import open_path

pytestmark = pytest.mark.slow
Look = Callable[..., Browser]
Serve = Callable[..., Serving]

LABEL = "wave <img src=x onerror=alert(1)>"
ROWS = "document.querySelectorAll('#rows tr').length"
SAID = "document.getElementById('status').textContent"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "takes"


@pytest.fixture
def page(look: Look, serve: Serve, colours: Path, folder: Path) -> Browser:
    return look(f"{serve(colours, '--record', str(folder)).url}record")


def plan(page: Browser, label: str, takes: int, seconds: float = 2.0, countdown: int = 0) -> None:
    """Fill the form in and begin."""
    page.click("#start-camera")
    page.wait("!document.getElementById('go').disabled")
    for name, value in (
        ("label", label), ("person", "anna"), ("takes", takes), ("seconds", seconds),
        ("countdown", countdown),
    ):  # fmt: skip
        page.do("fill", selector=f"#{name}", text=str(value))
    page.click("#go")


def test_takes_are_clips_of_the_right_length_that_a_training_reads(
    page: Browser, folder: Path
) -> None:
    plan(page, LABEL, takes=2, countdown=1)
    page.wait("!document.getElementById('count').hidden")
    page.wait("!document.getElementById('red').hidden")
    page.wait(f"{SAID}.startsWith('2 takes of')", 60)
    with (folder / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["group"]) for row in rows] == [(LABEL, "anna")] * 2
    for row in rows:
        with open_path(folder / row["path"]) as film:
            seconds = sum(1 for _ in film) / film.fps
        # A busy machine gives fewer pictures, and the same length.
        assert seconds == pytest.approx(2.0, abs=0.25)
    readers = pytest.importorskip("seqvision.data.datasets")
    clips = readers.find_clips(folder)
    assert [(clip.label, clip.group) for clip in clips] == [(LABEL, "anna")] * 2


def test_takes_are_shown_renamed_and_deleted(page: Browser, folder: Path) -> None:
    plan(page, LABEL, takes=2, seconds=0.5)
    page.wait(f"{ROWS} === 2", 60)
    page.wait(f"{SAID}.startsWith('2 takes of')")
    assert page.evaluate("document.querySelector('#rows td').textContent") == LABEL
    assert page.faults() == []
    page.click("#rows tr button")
    page.wait("document.getElementById('film').naturalWidth === 320")
    page.click("#rows tr button:nth-child(2)")
    assert page.faults() == []
    page.do("fill", selector="#dialog-label", text="clap")
    page.click("#dialog-yes")
    page.wait(f"{SAID}.endsWith('is renamed.')")
    page.click("#rows tr:nth-child(1) button:nth-child(3)")
    page.click("#dialog button[value=no]")
    assert page.evaluate(ROWS) == 2, "cancelling keeps it"
    page.click("#rows tr:nth-child(1) button:nth-child(3)")
    page.click("#dialog-yes")
    page.wait(f"{ROWS} === 1")
    with (folder / "clips.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert page.evaluate("document.querySelector('#rows td').textContent") == row["label"]
    films = [path for path in folder.rglob("*") if path.suffix in (".mp4", ".mkv")]
    assert films == [folder / row["path"]]


def test_stopping_throws_away_the_take_that_runs_and_keeps_those_before(
    page: Browser, folder: Path
) -> None:
    plan(page, "wave", takes=3, seconds=1)
    page.wait(f"{ROWS} === 1", 60)
    page.wait("!document.getElementById('red').hidden")
    page.click("#stop")
    page.wait(f"{SAID} === '1 of 3 saved.'")
    assert not page.is_shown("#red")
    assert page.evaluate("document.activeElement.id") == "go"
    assert [path.name for path in folder.rglob("*.m*")] == ["anna-001.mp4"]


def test_page_shows_background_label_and_server_shutdown(
    look: Look, serve: Serve, colours: Path, folder: Path
) -> None:
    server = serve(colours, "--record", str(folder))
    page = look(f"{server.url}record")
    plan(page, "turn\u202earound", takes=1)
    page.wait("document.getElementById('banner').textContent.includes('cannot be shown')")
    page.do("fill", selector="#label", text="wave")
    page.do("fill", selector="#seconds", text="60")
    page.click("#go")
    page.wait("!document.getElementById('red').hidden")
    server.kill()
    page.wait("/the server/.test(document.getElementById('banner').textContent)")
    assert not page.is_shown("#red")


def test_it_fits_a_phone_in_both_themes(
    look: Look, serve: Serve, colours: Path, folder: Path
) -> None:
    url = f"{serve(colours, '--record', str(folder)).url}record"
    for scheme in ("light", "dark"):
        page = look(url, size=PHONE, scheme=scheme)
        plan(page, "w" * 60, takes=1, seconds=0.5)
        page.wait(f"{SAID}.startsWith('1 take of')", 60)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert page.faults() == []


def test_only_a_recording_server_links_to_the_recorder(
    look: Look, serve: Serve, colours: Path, folder: Path
) -> None:
    page = look(serve(colours, "--record", str(folder)).url)
    page.click("#record")
    page.wait("document.title.startsWith('Record takes')")
    page = look(serve(colours).url)
    page.wait("document.getElementById('model-line').textContent !== ''")
    assert not page.is_shown("#record")
    assert re.search("localhost|127.0.0.1", page.text("#privacy"))
