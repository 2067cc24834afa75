"""Fixtures of the page's tests: a model, a camera's clip, a server, a browser."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import browser
import install
import pytest
from browser import Browser, camera_of
from colour_model import model_bytes, picture
from serving import Serving, edge_serve

from seqvision_edge.opencv import cv2

# A .mjpeg file claims 30 frames per second.
SCENES = (("none", 30), ("red", 45), ("none", 30), ("blue", 45))


@pytest.fixture(scope="session")
def has_browser() -> None:
    lacks = browser.missing()
    if lacks:
        pytest.skip(lacks)


@pytest.fixture(scope="session")
def camera_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's camera sees, again and again: nothing, red, nothing, blue."""
    path = tmp_path_factory.mktemp("camera") / "colours.mjpeg"
    with path.open("wb") as file:
        for colour, frames in SCENES:
            good, data = cv2.imencode(".jpg", picture(colour, (320, 240)))
            assert good
            file.write(data.tobytes() * frames)
    return path


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The colour model as a file."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(model_bytes())
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with onnxruntime-web in it."""
    from seqvision_edge.server import web_runtime

    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "seqvision" / f"onnxruntime-web-{web_runtime.VERSION}"
    folder.mkdir(parents=True)
    for name in web_runtime.FILES:
        dist = install.FOLDER / "web" / "node_modules" / "onnxruntime-web" / "dist"
        shutil.copy(dist / name, folder / name)
    return cache


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Serve models until the test ends."""
    with ExitStack() as opened:

        def go(model: Path, *options: str, cache: Path = tmp_path, port: int = 0) -> Serving:
            return opened.enter_context(edge_serve(model, *options, cache=cache, port=port))

        yield go


@pytest.fixture(scope="session")
def browsers(has_browser: None) -> Iterator[Callable[[tuple[str, ...]], Browser]]:
    """One browser for each set of flags: to start one takes seconds."""
    with ExitStack() as opened:
        open_ones: dict[tuple[str, ...], Browser] = {}

        def go(flags: tuple[str, ...]) -> Browser:
            if flags not in open_ones:
                open_ones[flags] = opened.enter_context(Browser(flags))
            return open_ones[flags]

        yield go


@pytest.fixture
def look(
    browsers: Callable[[tuple[str, ...]], Browser], camera_clip: Path
) -> Iterator[Callable[..., Browser]]:
    """Look at a page, by default with a camera; at the end it may not have complained."""
    page: Browser | None = None

    def go(url: str, flags: Sequence[str] | None = None, **more: Any) -> Browser:
        nonlocal page
        page = browsers(tuple(camera_of(camera_clip) if flags is None else flags))
        page.visit(url, **more)
        return page

    yield go
    if page is not None:
        assert page.do("complaints") == []
        page.visit("about:blank")
