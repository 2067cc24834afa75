"""The page with a file, with hostile names, keyboard use and contrast."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, Browser
from colour_model import card_data, model_bytes, write_video
from serving import Serving

from seqvision_edge import open_path
from seqvision_edge.card import ModelCard
from seqvision_edge.runner import run
from seqvision_edge.session import Session
from seqvision_edge.sinks.console import EventList

pytestmark = pytest.mark.slow
Look = Callable[..., Browser]
Serve = Callable[..., Serving]

PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
IS_READ = "document.getElementById('pill-text').textContent === 'Read'"
IS_LIVE = "document.getElementById('pill-text').textContent === 'Live'"
HOSTILE = '<img src=x onerror="window.caught=1">'


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video that browsers can show: nothing, red, nothing, blue, nothing."""
    scenes = [("none", 1.0), ("red", 1.2), ("none", 1.0), ("blue", 1.0), ("none", 0.8)]
    return write_video(tmp_path / "colours.webm", scenes, codec="VP80")


def test_events_of_a_dropped_video_match_edge_run_and_seek(
    look: Look, serve: Serve, colours: Path, clip: Path
) -> None:
    page = look(serve(colours).url)
    page.do("drop", path=str(clip), name="colours.webm", type="video/webm")
    page.wait(IS_READ)
    received = EventList()
    with open_path(str(clip)) as source:
        run([source], Session(colours), [received])
    assert [event.label for event in received.events] == ["red", "blue"]

    saved = page.do("download", selector="#json")
    assert saved["name"] == "events.json"
    reported = [event.to_json() for event in received.events]
    assert [{**event, "clock": None} for event in reported] == json.loads(saved["text"])["events"]
    rows = list(csv.DictReader(io.StringIO(page.do("download", selector="#csv")["text"])))
    assert [(row["label"], float(row["start"])) for row in rows] == [
        (event["label"], event["start"]) for event in reported
    ]

    page.evaluate("document.getElementById('video').pause()")
    for location, event in enumerate(reported):
        page.evaluate(f"document.querySelectorAll('#log button')[{location}].click()")
        page.wait(f"document.getElementById('label').textContent === '{event['label']}'")
        shown = page.evaluate("document.getElementById('video').currentTime")
        assert abs(shown - event["peak"]) < 0.1
    page.evaluate("document.getElementById('scrub').focus()")
    page.do("press", key="Home")
    page.wait("document.getElementById('video').currentTime === 0")
    page.do("press", key="ArrowRight")
    page.wait("document.getElementById('video').currentTime > 0")


def test_a_short_file_is_an_event_with_an_explanation(
    look: Look, serve: Serve, colours: Path, tmp_path: Path
) -> None:
    short = write_video(tmp_path / "short.webm", [("red", 0.4)], codec="VP80")
    page = look(serve(colours).url)
    page.do("drop", path=str(short), name="short.webm", type="video/webm")
    page.wait(IS_READ)
    page.wait("document.getElementById('banner').hidden === false")
    assert page.text("#banner-title") == "A short clip."
    assert "67 % of the model's window" in page.text("#banner-text")
    page.wait("document.getElementById('label').textContent === 'red'")
    assert page.evaluate("document.querySelectorAll('#log button').length") == 1


def test_a_file_that_is_not_a_video_is_refused_with_a_reason(
    look: Look, serve: Serve, colours: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.webm").write_text("these are words")
    page = look(serve(colours).url)
    page.do("files", selector="#file-input", paths=[str(tmp_path / "notes.webm")])
    page.wait("document.getElementById('pill-text').textContent === 'Not running'")
    assert page.text("#start-title") == "That did not work"
    assert "the video" in page.text("#start-text")


def test_a_picture_is_answered_where_the_model_reads_still_images(
    look: Look, serve: Serve, tmp_path: Path
) -> None:
    from colour_model import picture

    from seqvision_edge.opencv import cv2

    sequence = {"kind": "rows", "steps": 6, "longer": "crop"}
    card = ModelCard.from_json(json.dumps(card_data(sequence=sequence)), "test")
    (tmp_path / "model.onnx").write_bytes(model_bytes(card))
    assert cv2.imwrite(str(tmp_path / "sky.png"), picture("blue"))
    page = look(serve(tmp_path / "model.onnx").url)
    page.do("files", selector="#file-input", paths=[str(tmp_path / "sky.png")])
    page.wait("document.getElementById('label').textContent === 'blue'")
    assert page.is_shown("#picture")


def test_a_hostile_name_of_a_class_is_only_text(
    look: Look, serve: Serve, clip: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="torch exports the model of this test")
    import onnx
    from export_models import exported

    from seqvision.config import ModelOptions
    from seqvision_export.onnx_graph import finish_graph

    *_, card, content = exported(ModelOptions())
    decision = card.decision.model_copy(
        update={"on_threshold": 0.0, "off_threshold": 0.0, "background": None}
    )
    labels = (HOSTILE, "=1+2", "b", "none")
    card = card.model_copy(update={"labels": labels, "decision": decision})
    (tmp_path / "model.onnx").write_bytes(
        finish_graph(onnx.load_from_string(content), card, "fp32")
    )
    page = look(serve(tmp_path / "model.onnx").url)
    page.wait(f"document.getElementById('legend').textContent.includes({json.dumps(HOSTILE)})")
    page.do("files", selector="#file-input", paths=[str(clip)])
    page.wait(IS_READ)
    page.wait(f"document.getElementById('bars').textContent.includes({json.dumps(HOSTILE)})")
    images = page.evaluate("Array.from(document.images, (image) => image.getAttribute('src'))")
    assert "x" not in images
    assert page.evaluate("window.caught") is None
    page.evaluate(
        "import('/page/history.mjs').then(({ History }) => {"
        "  window.saved = new History('');"
        f" for (const label of {json.dumps(labels)})"
        "    saved.addEvent({ label, start: 0, end: 1, peak: 0, confidence: 1 }); })"
    )
    page.wait("window.saved?.events.length === 4")
    rows = list(csv.reader(io.StringIO(page.evaluate("saved.toCsv()"))))
    assert [row[1] for row in rows[1:]] == [HOSTILE, "'=1+2", "b", "none"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_contrast_is_sufficient_in_both_themes(
    look: Look, serve: Serve, colours: Path, clip: Path, size: tuple[int, int]
) -> None:
    page = look(serve(colours).url, size=size)
    assert page.faults() == []
    page.click("#start-camera")
    page.wait(f"{IS_LIVE} && document.querySelectorAll('#log tr').length > 0", 60)
    for scheme in ("light", "dark"):
        page.do("scheme", scheme=scheme)
        assert page.faults() == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.picture(PICTURES / f"camera-{scheme}-{size[0]}.png", whole=True)
    page.do("files", selector="#file-input", paths=[str(clip)])
    page.wait(IS_READ)
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.faults() == []
    page.picture(PICTURES / f"file-light-{size[0]}.png", whole=True)


def test_everything_is_reached_and_used_by_the_keyboard(
    look: Look, serve: Serve, colours: Path
) -> None:
    page = look(serve(colours).url)
    page.wait("document.getElementById('browser-text').textContent !== ''")
    found, rings = [], []
    for _ in range(9):
        page.do("press", key="Tab")
        found.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        rings.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    expected = ["skip", "theme", "start-camera", "start-file", "camera", "file", "large"]
    assert found == [*expected, "log-scroll", ""]
    assert set(rings[:-1]) == {"solid"}

    page.evaluate("document.getElementById('start-camera').focus()")
    page.do("press", key="Enter")
    page.wait(IS_LIVE, 60)
    page.evaluate("document.getElementById('mirror').focus()")
    page.do("press", key="Space")
    assert not page.evaluate("document.getElementById('video').classList.contains('mirrored')")
    scrub = "document.getElementById('scrub')"
    page.wait(f"!{scrub}.disabled && {scrub}.value - {scrub}.min > 0.5")
    page.evaluate("document.getElementById('scrub').focus()")
    page.do("press", key="Home")
    page.wait("!document.getElementById('back').hidden")
    spoken = page.evaluate("document.getElementById('scrub').getAttribute('aria-valuetext')")
    assert "percent" in spoken
    assert page.evaluate("document.getElementById('event').getAttribute('aria-live')") == "polite"
    quiet = "document.getElementById('label').closest('[aria-live]')"
    assert page.evaluate(quiet) is None, "a label that changes ten times a second is not announced"
    page.evaluate("document.getElementById('large').focus()")
    page.do("press", key="Enter")
    assert page.evaluate("document.getElementById('live').classList.contains('large')")
    page.do("press", key="Escape")
    assert not page.evaluate("document.getElementById('live').classList.contains('large')")
