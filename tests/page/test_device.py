"""The page with the device's own sources, and with a token."""

import threading
from collections.abc import Callable, Iterator

import pytest
from browser import Browser
from colour_model import model_bytes, picture
from served import Running, serving

from seqvision_edge.frame import Frame, Step
from seqvision_edge.server.auth import Key
from seqvision_edge.server.device_view import DeviceView
from seqvision_edge.session import Session
from seqvision_edge.types import Event, Prediction, SourceState

pytestmark = pytest.mark.slow
TOKEN = "a-token-of-this-test"
Look = Callable[..., Browser]


class Device:
    """A source that is seen ten times a second, until it is `lost`."""

    def __init__(self, name: str = "door", newest: DeviceView | None = None) -> None:
        self.name = name
        self.newest = newest or DeviceView()
        self.lost = threading.Event()
        self.unsure = threading.Event()
        self._ended = threading.Event()
        self._write(0)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        index = 0
        while not self._ended.wait(0.1):
            index += 1
            if not self.lost.is_set():
                self._write(index)
            elif index:
                state = SourceState("disconnected", "lost", "no frames come", 1.0, 1)
                self.newest.write(Step(source=self.name, state=state, changed=(state,)))

    def _write(self, index: int) -> None:
        time = index / 10
        shares = {"red": 0.9, "green": 0.05, "blue": 0.03, "none": 0.02}
        unsure = self.unsure.is_set()
        prediction = Prediction(time, index, "red", 0.9, shares, True, 1.5, unsure=unsure)
        ended = (Event("red", time - 0.4, time, time, 0.9, time),) if index % 20 == 10 else ()
        self.newest.write(
            Step(
                source=self.name,
                frame=Frame(picture("red"), time, index),
                prediction=prediction,
                answered=True,
                events=ended,
                state=SourceState("live"),
            )
        )


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.close()


@pytest.fixture
def running(device: Device) -> Iterator[Running]:
    with serving(Session(model_bytes()), watching=device.newest, key=Key(TOKEN)) as running:
        yield running


def test_the_device_s_own_source_is_shown_after_the_token_was_given(
    look: Look, running: Running, device: Device
) -> None:
    page = look(f"{running.url}/")
    assert page.evaluate("document.getElementById('main') === null"), "only the login form is shown"
    assert page.faults() == []
    page.do("fill", selector="#token", text="another-token-than-this")
    page.click("button")
    page.wait("document.body.innerText.includes('That is not the token')")
    assert page.faults() == []
    page.do("fill", selector="#token", text=TOKEN)
    page.click("button")
    page.wait("document.getElementById('device-label')?.hidden === false")
    page.do("select", selector="#device", value="door")
    page.wait("document.getElementById('label').textContent === 'red'")
    page.wait("document.querySelectorAll('#log tr').length > 0")
    page.wait("document.getElementById('picture').naturalWidth === 64")
    device.lost.set()
    page.wait("document.getElementById('banner-text').textContent === 'no frames come'")
    assert page.text("#label") != "red"
    assert page.is_shown("#cover")
    device.lost.clear()
    page.wait("document.getElementById('label').textContent === 'red'")
    assert not page.is_shown("#banner")


@pytest.fixture
def at_home(device: Device) -> Iterator[Running]:
    """A device with one source, and no token."""
    with serving(Session(model_bytes()), watching=device.newest) as running:
        yield running


def test_a_single_source_is_shown_with_its_loss_and_return(
    look: Look, at_home: Running, device: Device
) -> None:
    page = look(f"{at_home.url}/")
    page.wait("document.getElementById('label').textContent === 'red'")
    page.wait("document.getElementById('picture').naturalWidth === 64")
    assert page.text("#pill-text") == "Live"
    device.lost.set()
    page.wait(
        "document.getElementById('banner-title').textContent.startsWith('The source is lost')"
    )
    page.wait("/no data for [2-9] s/.test(document.getElementById('banner-title').textContent)")
    assert page.text("#label") == "No answer"
    assert page.text("#pill-text") == "Source lost"
    assert page.is_shown("#cover")
    assert page.text("#bars").strip() == ""
    device.lost.clear()
    page.wait("document.getElementById('note').textContent.startsWith('It is back, after')")
    assert page.text("#label") == "red"
    assert not page.is_shown("#banner")
    page.click("#stop")
    assert page.text("#start-device") == "Watch door"
    page.click("#start-device")
    page.wait("document.getElementById('label').textContent === 'red'")


def test_an_unsure_answer_is_grey_with_its_label_and_probability(
    look: Look, at_home: Running, device: Device
) -> None:
    page = look(f"{at_home.url}/")
    page.wait("document.getElementById('label').textContent === 'red'")
    sure = page.evaluate("getComputedStyle(document.querySelector('#sure')).backgroundColor")
    device.unsure.set()
    page.wait("document.getElementById('label').textContent === 'unsure'")
    assert page.text(".meta").split("\n")[:2] == ["red", "90 %"]
    assert "90 %" in page.text("#bars")
    grey = page.evaluate("getComputedStyle(document.querySelector('#sure')).backgroundColor")
    assert grey != sure
    assert page.faults() == []


def test_several_sources_are_side_by_side_and_one_click_away(look: Look) -> None:
    newest = DeviceView(["door", "yard"])
    door, yard = Device("door", newest), Device("yard", newest)
    try:
        with serving(Session(model_bytes()), watching=newest) as running:
            page = look(f"{running.url}/")
            labels = "[...document.querySelectorAll('.tile-label')].map((each) => each.textContent)"
            page.wait(f"{labels}.join() === 'red,red'")
            pictures = (
                "[...document.querySelectorAll('.tile img')].map((each) => each.naturalWidth)"
            )
            page.wait(f"{pictures}.join() === '64,64'")
            assert page.faults() == []
            yard.lost.set()
            page.wait(f"{labels}.join() === 'red,'")
            page.wait("/no data for \\d+ s · no frames come/.test("
                      "document.querySelectorAll('.tile-state')[1].textContent)")  # fmt: skip
            page.click(".tile")
            page.wait("document.getElementById('label').textContent === 'red'")
            assert page.evaluate("document.getElementById('device').value") == "door"
            assert not page.is_shown("#overview")
            page.click("#all")
            page.wait("document.querySelectorAll('.tile').length === 2")
            assert not page.is_shown("#live")
    finally:
        door.close()
        yard.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_of_routes_is_in_the_page_s_design(
    look: Look, at_home: Running, scheme: str
) -> None:
    page = look(f"{at_home.url}/", scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert page.evaluate("document.querySelector('footer a').getAttribute('href')") == "/docs"
    page = look(f"{at_home.url}/docs", scheme=scheme)
    page.wait("document.querySelectorAll('.route').length > 10")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == ground
    assert page.faults() == []
    links = "[...document.querySelectorAll('main a')].map((each) => each.getAttribute('href'))"
    missing = f"{links}.filter((each) => each[0] === '#' && !document.querySelector(each))"
    assert page.evaluate(missing) == []
    resources = "performance.getEntriesByType('resource').map(({ name }) => new URL(name).host)"
    assert set(page.evaluate(resources)) <= {at_home.address}
    page.do("viewport", width=360, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
