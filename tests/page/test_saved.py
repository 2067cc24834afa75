"""Written videos play in a real browser."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from browser import Browser
from colour_model import model_bytes, picture, write_video

from seqvision_edge import video_writer
from seqvision_edge.cli import main
from seqvision_edge.video_writer import VideoEncoder, VideoWriter

Look = Callable[..., Browser]
PLAYED = """(async () => {
  const video = document.createElement("video");
  video.muted = true;
  video.src = URL;
  await new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error(video.error.message));
  });
  video.currentTime = 0.75 * video.duration;
  await new Promise((resolve) => (video.onseeked = resolve));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d");
  let middle = [0, 0, 0, 0];
  // On a busy machine the picture comes a moment after `seeked`; until then a canvas gets black.
  for (let attempt = 0; attempt < 400 && middle[0] + middle[1] + middle[2] === 0; attempt++) {
    if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, 25));
    context.drawImage(video, 0, 0);
    middle = context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;
  }
  return [video.duration, canvas.width, canvas.height, ...middle];
})()"""


def played(look: Look, path: Path) -> list[float]:
    """Return seconds, width, height and the colour (RGBA) at three quarters of a video."""
    page = look(path.parent.as_uri() + "/", flags=("--allow-file-access-from-files",))
    url = f"'{path.as_uri()}'"
    values: list[float] = page.evaluate(PLAYED.replace("URL", url))
    return values


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.name


def write(path: Path) -> Path:
    """Write two seconds: grey, then red."""
    written = VideoWriter(path, "a test", 10.0)
    written.open()
    for number in range(20):
        written.write(picture("none" if number < 10 else "red", (321, 241)))
    assert written.close()
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lacks", "codec"),
    [
        ("clip.mp4", (), "h264"),
        ("clip.webm", (), "vp9"),
        ("clip.mp4", ("libx264",), "vp9"),
    ],
)
def test_a_written_video_plays_in_a_browser(
    look: Look,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    lacks: tuple[str, ...],
    codec: str,
) -> None:
    real = video_writer.is_there

    def is_there(encoder: VideoEncoder) -> bool:
        return encoder.name not in lacks and real(encoder)

    monkeypatch.setattr(video_writer, "is_there", is_there)
    path = write(tmp_path / name)
    assert codec_of(path).removeprefix("lib").startswith(codec)
    seconds, width, height, *colour = played(look, path)
    assert seconds == pytest.approx(2.0, abs=0.05)
    assert (width, height) == (320, 240)
    np.testing.assert_allclose(colour[:3], picture("red")[0, 0, ::-1], atol=12)


@pytest.mark.slow
def test_what_a_run_saves_and_records_plays_in_a_browser(look: Look, tmp_path: Path) -> None:
    model, clip = tmp_path / "model.onnx", tmp_path / "in.mp4"
    model.write_bytes(model_bytes())
    write_video(clip, [("none", 1.0), ("red", 1.5), ("none", 1.0)])
    saved, clips = tmp_path / "out.mp4", tmp_path / "clips"
    arguments = ["--model", model, "--source", clip, "--save", saved, "--clips", clips]
    assert main([*map(str, arguments), "--no-window"]) == 0
    (event,) = clips.glob("*.mp4")
    for path in (saved, event):
        assert codec_of(path) == "h264"
        seconds, *_ = played(look, path)
        assert seconds > 1
