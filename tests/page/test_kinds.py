"""Files that a browser cannot play: the page names them and the server decodes.  Long labels."""

import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from browser import Browser
from colour_model import make_card, model_bytes, picture
from serving import Serving

pytestmark = pytest.mark.slow
Look = Callable[..., Browser]
Serve = Callable[..., Serving]

IS_READ = "document.getElementById('pill-text').textContent === 'Read'"
SCENES = (("none", 1.0), ("red", 1.2), ("none", 1.0))
FPS = 20


def write(path: Path, codec: str, pixels: str = "yuv420p", sound: bool = False) -> Path:
    """Write nothing, red, nothing with a codec; with `sound` half of it is an audio stream."""
    colours = itertools.chain(*([colour] * round(seconds * FPS) for colour, seconds in SCENES))
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, FPS)
        video.width, video.height, video.pix_fmt = 176, 144, pixels
        audio = file.add_stream("aac", 8000, layout="mono") if sound else None
        for number, colour in enumerate(colours):
            frame = av.VideoFrame.from_ndarray(picture(colour, (176, 144)), "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        if audio is not None:
            silence = np.zeros((1, 8000), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, "fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            file.mux(audio.encode(frame))
            file.mux(audio.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "sound", "what"),
    [
        # Chromium takes the sound of these two for a video that is black.
        ("sound.mp4", "mpeg4", "yuv420p", True, "MPEG-4 Part 2 in MP4"),
        ("phone.mp4", "libx265", "yuv420p", True, "HEVC (H.265) in MP4"),
        ("edit.mov", "prores_ks", "yuv422p10le", False, "ProRes in QuickTime"),
        ("camera.avi", "mjpeg", "yuvj420p", False, "Motion JPEG in AVI"),
        ("film.mkv", "mpeg2video", "yuv420p", False, "MPEG-2 in Matroska"),
        ("old.wmv", "wmv2", "yuv420p", False, "Windows Media Video in ASF"),
        ("disc.mpg", "mpeg2video", "yuv420p", False, "MPEG-2 in an MPEG program stream"),
    ],
)
def test_an_unplayable_video_is_named_and_sent_to_the_server(
    look: Look,
    serve: Serve,
    colours: Path,
    tmp_path: Path,
    name: str,
    codec: str,
    pixels: str,
    sound: bool,
    what: str,
) -> None:
    path = write(tmp_path / name, codec, pixels, sound)
    page = look(serve(colours).url)
    page.do("files", selector="#file-input", paths=[str(path)])
    page.wait(IS_READ)
    if page.evaluate("document.getElementById('video').checkVisibility()"):
        assert page.evaluate("document.getElementById('video').videoWidth") > 0
        pytest.skip(f"this browser plays {what}")
    assert page.text("#unplayable-title") == f"This browser cannot show {what}."
    assert "The server answered instead" in page.text("#unplayable-text")
    # The timeline leads through the answers, from the first event on.
    assert page.text("#label") == "red"
    page.evaluate("document.getElementById('scrub').focus()")
    page.do("press", key="Home")
    page.wait("document.getElementById('label').textContent === 'none'")
    page.evaluate("document.querySelector('#log button').click()")
    page.wait("document.getElementById('label').textContent === 'red'")
    assert page.faults() == []
    page.click("#stop")
    assert not page.is_shown("#unplayable")


def test_a_playable_video_shows_no_message(
    look: Look, serve: Serve, colours: Path, tmp_path: Path
) -> None:
    page = look(serve(colours).url)
    for name, codec in (("clip.webm", "libvpx-vp9"), ("clip.mkv", "libx264")):
        path = write(tmp_path / name, codec)
        page.do("files", selector="#file-input", paths=[str(path)])
        page.wait(f"{IS_READ} && document.getElementById('video').videoWidth === 176")
        assert not page.is_shown("#unplayable")


LONG = (
    "Pretending or failing to wipe [something] off of [something] that is far away from the camera"
)
LABELS = (
    "SwipeRightWithTwoFingers",
    "Pushing something from left to right",
    LONG,
    "手を振る手を振る手を振る手を振る手を振る手を振る",
    "turning_the_camera_upwards_while_filming_something",
    "👋🏽 wave 🙂",
)
# Each line of the label as it is drawn: where two letters of the text lie on different heights.
LINES = """(() => {
  const label = document.getElementById("label");
  const walk = document.createTreeWalker(label, NodeFilter.SHOW_TEXT);
  const lines = [];
  let top = null;
  for (let node; (node = walk.nextNode()); )
    for (let at = 0; at < node.data.length; at++) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      const box = range.getBoundingClientRect();
      if (!box.width) { if (lines.length) lines[lines.length - 1] += node.data[at]; continue; }
      if (top === null || box.top > top + 4) lines.push("");
      top = box.top;
      lines[lines.length - 1] += node.data[at];
    }
  return lines;
})()"""


def is_between_words(before: str, after: str) -> bool:
    """Whether a line may end between two letters."""
    cjk = any("\u3041" <= letter <= "\u9fff" for letter in (before, after))
    camel = before.islower() and after.isupper()
    return before in " _-/.,:;|)]" or camel or cjk


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS[3:]], ids=["words", "scripts"])
def test_the_label_is_never_broken_inside_a_word(
    look: Look, serve: Serve, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(model_bytes(make_card(labels=[*labels, "none"])))
    page = look(serve(model).url)
    for label, colour in zip(labels, ("red", "green", "blue"), strict=True):
        path = _write_one(tmp_path / f"{colour}.webm", colour)
        page.do("files", selector="#file-input", paths=[str(path)])
        page.wait(IS_READ)
        for width in (320, 375, 1280):
            page.do("viewport", width=width, height=740)
            page.wait(f"document.getElementById('label').textContent === {json.dumps(label)}")
            page.evaluate("new Promise((resolve) => setTimeout(resolve, 100))")
            lines = page.evaluate(LINES)
            assert "".join(lines).replace(" ", "") == label.replace(" ", "")
            for one, other in itertools.pairwise(lines):
                assert is_between_words(one[-1], other[0]), lines
            over = "document.getElementById('label').scrollWidth"
            assert page.evaluate(over) <= page.evaluate(over.replace("scroll", "client"))
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.getElementById('label').title") == label
        page.click("#stop")


def _write_one(path: Path, colour: str) -> Path:
    with av.open(str(path), "w") as file:
        video = file.add_stream("libvpx", FPS)
        video.width, video.height, video.pix_fmt = 176, 144, "yuv420p"
        for number in range(2 * FPS):
            frame = av.VideoFrame.from_ndarray(picture(colour, (176, 144)), "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(video.encode(frame))
        file.mux(video.encode())
    return path


def test_a_model_of_vectors_offers_no_camera_and_no_file(look: Look, serve: Serve) -> None:
    model = Path(__file__).parents[1] / "old_models" / "spec5-vectors.onnx"
    page = look(serve(model).url)
    page.wait("document.getElementById('start-title').textContent.includes('vectors')")
    page.wait("document.getElementById('model-line').textContent.includes('4 vectors of 3')")
    for button in ("#start-camera", "#start-file", "#camera", "#file"):
        assert not page.is_shown(button)
