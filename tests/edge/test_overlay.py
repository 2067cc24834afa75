"""The overlay of a picture: checked by where its pixels changed."""

from dataclasses import replace

import numpy as np
import pytest
from colour_model import LABELS, make_card, picture
from numpy.typing import NDArray

from seqvision_edge import drawing
from seqvision_edge.drawing import BACKGROUND, colours
from seqvision_edge.frame import Frame, Step
from seqvision_edge.overlay import Overlay
from seqvision_edge.types import Event, SourceState, StateName

LIVE = SourceState("live")
SURE = {"red": 0.7, "green": 0.2, "blue": 0.1, "none": 0.0}


def make_step(
    bgr: NDArray[np.uint8] | None = None,
    time: float = 20.0,
    *,
    window_fill: float = 1.0,
    events: tuple[Event, ...] = (),
    active: Event | None = None,
    state: SourceState = LIVE,
) -> Step:
    frame = Frame(picture("none", (640, 480)) if bgr is None else bgr, time, 0)
    smoothed = SURE if window_fill == 1 else {}
    return Step(
        source="camera 0",
        frame=frame,
        window_fill=window_fill,
        smoothed=smoothed,
        events=events,
        active=active,
        fps=25.0,
        state=state,
    )


def shown(drawn: NDArray[np.uint8], label: str) -> NDArray[np.bool_]:
    """Return where the picture has the label's colour."""
    colour = colours(LABELS, "none")[label]
    found: NDArray[np.bool_] = (drawn == np.array(colour[::-1], np.uint8)).all(axis=2)
    return found


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((160, 120), (640, 480)), ((640, 480), (640, 480)), ((1920, 1080), (1920, 1080))],
)
def test_small_pictures_grow_until_text_can_be_read(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    height, width = Overlay(make_card()).draw(make_step(picture("none", size))).shape[:2]
    assert (width, height) == drawn


@pytest.mark.parametrize("size", [(2, 2), (9, 400), (400, 9), (120, 160), (3840, 2160)])
def test_every_shape_of_picture_can_be_drawn_on(size: tuple[int, int]) -> None:
    event = Event("red", 1, 20, 2, 0.9, 20)
    drawn = Overlay(make_card()).draw(make_step(picture("none", size), active=event))
    assert shown(drawn, "red").any()


def test_the_frame_itself_is_left_as_it_was() -> None:
    bgr = picture("none", (640, 480))
    Overlay(make_card()).draw(make_step(bgr))
    np.testing.assert_array_equal(bgr, picture("none", (640, 480)))


def test_the_bar_of_the_best_label_is_as_long_as_it_is_probable() -> None:
    drawn = Overlay(make_card()).draw(make_step())
    lengths = {label: shown(drawn, label).any(axis=0).sum() for label in LABELS}
    assert lengths["red"] / lengths["green"] == pytest.approx(0.7 / 0.2, rel=0.1)
    assert lengths["blue"] > 0


def test_only_the_top_labels_are_drawn() -> None:
    drawn = Overlay(make_card(), top=2).draw(make_step())
    assert shown(drawn, "green").any()
    assert not shown(drawn, "blue").any()


def test_no_label_is_drawn_while_the_window_is_not_full() -> None:
    drawn = Overlay(make_card()).draw(make_step(window_fill=0.5))
    assert not any(shown(drawn, label).any() for label in ("red", "green", "blue"))


def test_an_event_leaves_the_timeline_after_thirty_seconds() -> None:
    overlay = Overlay(make_card(), top=1)
    event = Event("blue", 18, 19, 18.5, 0.9, 19)
    locations = []
    for time in (19.0, 25.0, 48.0):
        drawn = overlay.draw(make_step(time=time, events=(event,) if time == 19 else ()))
        locations.append(float(np.flatnonzero(shown(drawn, "blue").any(axis=0)).mean()))
    assert locations == sorted(locations, reverse=True)
    assert not shown(overlay.draw(make_step(time=50.0)), "blue").any()


def test_an_event_that_goes_on_frames_the_picture() -> None:
    drawn = Overlay(make_card()).draw(make_step(active=Event("green", 19, 20, 20, 0.9, 20)))
    edge = shown(drawn, "green")
    assert edge[0].all()
    assert edge[:, -1].all()


@pytest.mark.parametrize("value", [0, 255])
def test_text_is_legible_on_black_and_on_white(value: int) -> None:
    bgr = np.full((480, 640, 3), value, np.uint8)
    panel = Overlay(make_card()).draw(make_step(bgr))[20:60, 30:200].mean(axis=2)
    assert panel.max() - np.median(panel) > 120


def test_every_label_has_its_own_colour_and_keeps_it() -> None:
    labels = [f"label{number}" for number in range(40)]
    given = colours(["none", *labels], "none")
    assert len(set(given.values())) == 41
    assert given["none"] == BACKGROUND
    assert colours(labels, None)["label7"] == given["label7"]


def drawn_text(text: str) -> NDArray[np.uint8]:
    canvas = np.zeros((40, 400, 3), np.uint8)
    drawing.put_text(canvas, text, (5, 30), 20, (255, 255, 255))
    return canvas


@pytest.mark.parametrize("text", ["Größe", "привет", "左", "👍"])
def test_letters_beyond_ascii_never_become_question_marks(text: str) -> None:
    assert drawn_text(text).any()
    assert not np.array_equal(drawn_text(text), drawn_text("?" * len(text)))
    assert not np.array_equal(drawn_text(text), drawn_text("?" * len(text.encode())))


@pytest.mark.parametrize(
    ("text", "output"),
    [("Größe é", r"Gro\xdfe e"), ("左", r"\u5de6"), ("👍", "[thumbs up sign]"), ("ok", "ok")],
)
def test_without_a_unicode_font_labels_are_spelt_out(
    monkeypatch: pytest.MonkeyPatch, text: str, output: str
) -> None:
    monkeypatch.setattr(drawing, "_HAS_FONT", False)
    assert drawing.drawable(text) == output
    assert drawn_text(text).any()


def test_a_label_shrinks_to_its_room() -> None:
    assert drawing.fitted("short", 100, 20) == ("short", 20)
    wide = drawing.text_width("rotate_ccw", 20)
    text, size = drawing.fitted("rotate_ccw", wide - 8, 20)
    assert text == "rotate_ccw"
    assert size < 20
    assert drawing.text_width(text, size) <= wide - 8


def test_a_long_label_is_cut_to_its_room() -> None:
    short, size = drawing.fitted("a very long label indeed", 100, 20)
    assert short.endswith(("…", "..."))
    assert drawing.text_width(short, size) <= 100


@pytest.mark.parametrize("box", [(-5, -5, 10, 10), (35, 35, 99, 99), (50, 50, 5, 5), (3, 3, 0, 9)])
def test_panels_are_cut_at_the_edge_of_the_picture(box: tuple[float, float, float, float]) -> None:
    canvas = np.zeros((40, 40, 3), np.uint8)
    drawing.put_panel(canvas, box, (10, 20, 30), 1.0, 4)
    assert canvas.max() in (0, 30)


def test_a_half_transparent_panel_has_round_corners() -> None:
    canvas = np.full((40, 40, 3), 100, np.uint8)
    drawing.put_panel(canvas, (0, 0, 40, 40), (200, 200, 200), 0.5, 10)
    assert canvas[20, 20].tolist() == [150, 150, 150]
    assert canvas[0, 0].tolist() == [100, 100, 100]


@pytest.mark.parametrize("state", ["connecting", "stalled", "disconnected", "failed"])
def test_a_source_that_is_not_live_is_covered_by_a_plain_notice(state: StateName) -> None:
    overlay = Overlay(make_card())
    seen = overlay.draw(make_step(picture("green", (800, 600))))
    covered = overlay.draw(make_step(picture("green"), state=SourceState(state)))
    assert covered.shape == seen.shape
    dark, letters = np.array(covered[0, 0]), (covered.min(axis=2) > 200)
    assert dark.max() < 60
    assert 50 < letters.sum() < 0.1 * letters.size
    # Neither the picture, nor a label, nor its bar.
    assert not shown(covered, "red").any()
    assert (covered[50:250] == dark).all()


def test_a_step_without_a_picture_has_the_size_of_the_pictures_before() -> None:
    overlay = Overlay(make_card())
    step = Step(source="camera 0", state=SourceState("stalled"))
    assert overlay.draw(step).shape == (480, 640, 3)
    overlay.draw(make_step(picture("none", (1280, 720))))
    assert overlay.draw(step).shape == (720, 1280, 3)
    assert overlay.draw(step, (320, 240)).shape == (240, 320, 3)


def test_a_picture_in_a_box_keeps_its_shape_between_black_bars() -> None:
    step = make_step(picture("green", (1280, 720)))
    drawn = Overlay(make_card()).draw(replace(step, smoothed={}, window_fill=0.5), (640, 480))
    assert drawn.shape == (480, 640, 3)
    assert not drawn[5, 300:320].any()
    assert drawn[100, 320].tolist() == picture("green")[0, 0].tolist()


def test_events_that_end_in_a_silence_are_on_the_timeline_after_it() -> None:
    overlay = Overlay(make_card(), top=1)
    overlay.draw(make_step(time=20.0))
    lost = Step(
        source="camera 0",
        state=SourceState("stalled"),
        events=(Event("blue", 18, 19, 18.5, 0.9, 19),),
    )
    overlay.draw(lost)
    assert shown(overlay.draw(make_step(time=25.0)), "blue").any()
