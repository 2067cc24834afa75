"""Pictures with more than 8 bits: depth in millimetres, 12-bit sensors, floats."""

from pathlib import Path

import av
import numpy as np
import pytest
from colour_model import card_data, make_card, model_bytes
from numpy.typing import NDArray
from served import files, serving

from seqvision_edge import open_path
from seqvision_edge.cli import main
from seqvision_edge.opencv import cv2
from seqvision_edge.preprocess import ValueRange, to_8_bit
from seqvision_edge.session import Session
from seqvision_edge.sources.factory import deep_pictures

DEPTH = (500.0, 4500.0)
GREYS = np.array([[0, 500, 1500, 2500], [3500, 4500, 6000, 65535]], np.uint16)
EXPECTED = [[0, 0, 64, 128], [191, 255, 255, 255]]


def values(size: int = 2) -> NDArray[np.uint16]:
    """Return a picture of depths, each `size` pixels wide and high."""
    return GREYS.repeat(size, 0).repeat(size, 1)


def write_depth_video(
    path: Path, frames: list[NDArray[np.uint16]], codec: str = "ffv1", pixels: str = "gray16le"
) -> Path:
    """Write a grey video without losses, as depth cameras do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=pixels)))
        container.mux(stream.encode(None))
    return path


def only_frame(path: Path, value_range: ValueRange | None) -> NDArray[np.uint8]:
    source = open_path(path, value_range=value_range)
    with source:
        first = next(iter(source))
    assert source.deep
    assert first.bgr.dtype == np.uint8
    return first.bgr[::2, ::2]


@pytest.mark.parametrize("ending", [".png", ".tiff", ".tif", ".PGM"])
def test_grey_images_are_scaled_by_the_range(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"depth{ending}"
    path.write_bytes(cv2.imencode(ending.lower(), values())[1].tobytes())
    shown = only_frame(path, DEPTH)
    for channel in range(3):
        assert shown[..., channel].tolist() == EXPECTED
    assert only_frame(path, None)[..., 0].tolist() == (GREYS >> 8).tolist()


def test_colours_floats_and_signed_values_are_scaled_too(tmp_path: Path) -> None:
    colours = np.zeros((4, 8, 3), np.uint16)
    colours[..., 0], colours[..., 2] = 4500, values()
    assert cv2.imwrite(str(tmp_path / "rgb.png"), colours)
    shown = only_frame(tmp_path / "rgb.png", DEPTH)
    assert shown[..., 0].min() == 255
    assert shown[..., 1].max() == 0
    assert shown[..., 2].tolist() == EXPECTED
    metres = values().astype(np.float32) / 1000
    metres[0, 0] = np.nan
    assert cv2.imwrite(str(tmp_path / "metres.tiff"), metres)
    assert only_frame(tmp_path / "metres.tiff", (0.5, 4.5))[..., 0].tolist() == EXPECTED
    signed = np.array([-300, 0, 300], np.int16)
    assert to_8_bit(signed, (-300, 300)).tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("codec", "pixels", "ending"), [("ffv1", "gray16le", "mkv"), ("png", "gray16be", "mov")]
)
def test_a_grey_video_of_16_bits_is_scaled_as_an_image_is(
    tmp_path: Path, codec: str, pixels: str, ending: str
) -> None:
    path = write_depth_video(tmp_path / f"depth.{ending}", [values(16)] * 3, codec, pixels)
    source = open_path(path, value_range=DEPTH)
    with source:
        frames = [frame.bgr for frame in source]
    assert source.deep
    assert len(frames) == 3
    for frame in frames:
        assert frame[8::16, 8::16, 1].tolist() == EXPECTED
    (first, *_) = deep_pictures(path, 3)
    assert np.array_equal(first, values(16))


def test_8_bit_pictures_stay_as_they_are(tmp_path: Path) -> None:
    picture = np.arange(96, dtype=np.uint8).reshape(4, 8, 3)
    assert cv2.imwrite(str(tmp_path / "a.png"), picture)
    source = open_path(tmp_path / "a.png", value_range=DEPTH)
    with source:
        (frame,) = source
    assert np.array_equal(frame.bgr, picture)
    assert not source.deep
    assert list(deep_pictures(tmp_path / "a.png", 3)) == []


@pytest.fixture
def depth_model(tmp_path: Path) -> Path:
    """A model of depth: red is what is 4500 mm away in the red channel, and so on."""
    image = {**card_data()["image"], "value_range": list(DEPTH)}
    path = tmp_path / "model.onnx"
    path.write_bytes(model_bytes(make_card(image=image)))
    return path


def write_red(folder: Path, count: int = 12) -> Path:
    folder.mkdir()
    picture = np.full((12, 16, 3), 900, np.uint16)
    picture[..., 2] = 4400
    for number in range(count):
        assert cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def test_a_run_scales_by_the_card_and_prints_a_note(
    depth_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = write_red(tmp_path / "frames")
    command = ["--source", str(frames), "--image-fps", "10", "--no-window", "--model"]
    assert main([*command, str(depth_model)]) == 0
    shown = capsys.readouterr()
    assert [line.split("\t")[2] for line in shown.out.splitlines()] == ["red"]
    output = "frames: more than 8 bits: values from 500 (black) to 4500 (white) are read"
    assert output in shown.err
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(model_bytes())
    assert main([*command, str(plain)]) == 0
    assert "only the upper 8 are read" in capsys.readouterr().err


def test_the_server_scales_uploads_by_the_card(depth_model: Path, tmp_path: Path) -> None:
    pictures = [path.read_bytes() for path in sorted(write_red(tmp_path / "frames", 6).iterdir())]
    grey = [np.zeros((12, 16), np.uint16)] * 6
    video = write_depth_video(tmp_path / "black.mkv", grey)
    with serving(Session(depth_model, "cpu")) as running, running.client() as client:
        sent = client.post("/v1/predict", files=files(pictures), params={"fps": 10})
        assert sent.json()["predictions"][0]["label"] == "red"
        assert sent.json()["predictions"][0]["probability"] > 0.9
        sent = client.post("/v1/predict", files={"file": video.read_bytes()})
        assert sent.json()["predictions"][0]["label"] == "none"
        stream = f"/v1/streams/{client.post('/v1/streams').json()['id']}/frames"
        for number, picture in enumerate(pictures):
            headers = {"Content-Type": "image/png", "X-Timestamp": str(number / 10)}
            records = client.post(stream, content=picture, headers=headers).json()["records"]
        assert records[0]["label"] == "red"
