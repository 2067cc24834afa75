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


class Watched:
    """A source with two regions, of which each has answers and events of its own."""

    def __init__(self) -> None:
        self.newest = DeviceView()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        index = 0
        while not self._ended.wait(0.1):
            self._write(index)
            index += 1

    def _write(self, index: int) -> None:
        time = index / 10
        outlines = {"door": ((0.1, 0.2), (0.4, 0.2), (0.4, 0.9), (0.1, 0.9)),
                    "desk": ((0.6, 0.2), (0.9, 0.2), (0.75, 0.7))}  # fmt: skip
        steps, events = [], []
        for label, (name, outline) in zip(("red", "blue"), outlines.items(), strict=True):
            shares = dict.fromkeys(("red", "green", "blue", "none"), 0.02) | {label: 0.94}
            steps.append(
                Step(
                    source="hall",
                    frame=Frame(picture("none", (320, 240)), time, index),
                    prediction=Prediction(time, index, label, 0.94, shares, True, 1.5, view=name),
                    answered=True,
                    state=SourceState("live"),
                    view=name,
                    outline=outline,
                )
            )
            if index % 20 == (10 if name == "door" else 15):
                events.append(Event(label, time - 0.8, time, time, 0.9, time, view=name))
        frame = Frame(picture("none", (320, 240)), time, index)
        whole = Step(source="hall", frame=frame, answered=True, events=tuple(events),
                     state=SourceState("live"), views=tuple(steps))  # fmt: skip
        self.newest.write(whole)


def test_regions_are_drawn_followed_and_marked_with_the_mouse(look: Look) -> None:
    watched = Watched()
    try:
        with serving(Session(model_bytes()), watching=watched.newest) as running:
            page = look(f"{running.url}/")
            page.wait("document.querySelectorAll('#regions g').length === 2")
            page.wait("document.querySelector('#regions text').textContent === 'door: red 94 %'")
            page.wait("document.getElementById('label').textContent === 'red'")
            assert page.evaluate(
                "document.querySelector('#regions polygon').getAttribute('points')"
            ) == ("32,48 128,48 128,216 32,216")
            # A click on a region follows it.
            page.evaluate(
                "document.querySelectorAll('#regions g')[1].dispatchEvent(new MouseEvent('click'))"
            )
            page.wait("document.getElementById('label').textContent === 'blue'")
            page.wait("document.querySelectorAll('#log tr').length >= 2")
            rows = page.text("#log")
            assert "door · red" in rows
            assert "desk · blue" in rows
            # One more is drawn with the mouse: what to write for it is shown.
            page.click("#draw-region")
            page.evaluate("""(() => {
                const svg = document.getElementById('regions'), at = (type, x, y) => {
                    const point = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
                    svg.dispatchEvent(new PointerEvent(type, { pointerId: 1, bubbles: true,
                        clientX: point.x, clientY: point.y }));
                };
                svg.setPointerCapture = () => {};
                at('pointerdown', 160, 24); at('pointermove', 200, 100); at('pointerup', 288, 120);
            })()""")
            text = page.text("#region-text")
            assert '--region "region 3=0.500,0.100,0.900,0.500"' in text
            # With --when-moving nothing old is shown while nothing moves.
            watched.close()
            quiet = SourceState("live", "quiet", "nothing moves")
            frame = Frame(picture("none", (320, 240)), 1e3, 10_000)
            watched.newest.write(Step(source="hall", frame=frame, state=quiet, changed=(quiet,)))
            page.wait("document.getElementById('label').textContent === 'Nothing moves'")
            assert page.text("#pill-text") == "Quiet"
            assert page.faults() == []
    finally:
        watched.close()
