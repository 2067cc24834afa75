"""Uploads of every usual format are decoded or named in an error; none is a 500."""

from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from colour_model import model_bytes, picture
from served import encoded, files, serving

from seqvision_edge.server.upload_decoding import other_picture
from seqvision_edge.session import Session

STILL = ("webp", "tiff", "hdr", "bmp", "jp2", "avif", "gif", "ppm")
NAMES = {"webp": "WebP", "tiff": "TIFF", "hdr": "Radiance HDR", "bmp": "BMP", "jp2": "JPEG 2000"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(Session(model_bytes(), "cpu")) as running, running.client() as opened:
        yield opened


def still(kind: str) -> bytes:
    bgr = picture("red")
    return encoded(f".{kind}", bgr.astype(np.float32) / 255 if kind == "hdr" else bgr)


def moving(kind: str, codec: str, pixels: str, path: Path) -> bytes:
    """Return an animation of twelve red pictures."""
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture("red"), "bgr24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("kind", STILL)
def test_a_still_picture_of_another_kind_is_read_or_named(client: httpx.Client, kind: str) -> None:
    data = still(kind)
    answer = client.post("/v1/predict", files={"file": data})
    if kind in ("gif", "avif"):
        assert answer.json()["predictions"][0]["label"] == "red"
    else:
        assert answer.status_code == 422
        words = f"a {NAMES[kind]} picture: send" if kind in NAMES else "not a video"
        assert words in answer.json()["detail"]
    several = client.post("/v1/predict", files=files([data, data]))
    assert (several.status_code, "JPEG or PNG" in several.text) == (422, True)
    stream = client.post("/v1/streams").json()["id"]
    frame = client.post(f"/v1/streams/{stream}/frames", content=data)
    assert (frame.status_code, "JPEG or PNG" in frame.text) == (422, True)
    client.delete(f"/v1/streams/{stream}")


@pytest.mark.parametrize(
    ("kind", "codec", "pixels"),
    [("gif", "gif", "rgb8"), ("apng", "apng", "rgb24"), ("mjpeg", "mjpeg", "yuvj420p")],
)
def test_an_animation_is_read_or_named(
    client: httpx.Client, tmp_path: Path, kind: str, codec: str, pixels: str
) -> None:
    data = moving(kind, codec, pixels, tmp_path / f"a.{kind}")
    answer = client.post("/v1/predict", files={"file": data})
    assert answer.json()["predictions"][0]["label"] == "red"
    # A JPEG or PNG with more behind it is its first picture; the others are videos.
    is_whole = "window_fill" not in answer.json()["predictions"][0]
    assert is_whole is (kind == "gif")


@pytest.mark.parametrize("kind", [*STILL, "jpg", "png"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_half_a_picture_is_no_500(client: httpx.Client, kind: str, share: float) -> None:
    data = still(kind)
    answer = client.post("/v1/predict", files={"file": data[: int(share * len(data))]})
    assert answer.status_code in (200, 422), answer.text
    assert "/tmp" not in answer.text


def test_other_kinds_are_known_by_their_first_bytes() -> None:
    for kind, name in NAMES.items():
        assert other_picture(still(kind)[:16]) == name
    for kind in ("jpg", "png", "ppm"):
        assert other_picture(still(kind)[:16]) is None
