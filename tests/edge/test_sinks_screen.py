"""Output on the screen: the terminal, a pipe, the window."""

import io
import os
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from colour_model import LABELS, make_card
from rich.console import Console
from steps import END, EVENT, SOURCE, changed, make_step, wait_for

from seqvision_edge.opencv import cv2
from seqvision_edge.overlay import Overlay
from seqvision_edge.sinks import Quit, window
from seqvision_edge.sinks.console import EventList, PlainLines, SummarySink
from seqvision_edge.sinks.terminal import TerminalSink
from seqvision_edge.types import Event, SourceState, clock


def test_a_pipe_gets_events_only_and_the_summary_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with SummarySink(PlainLines()) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1, answered=False, events=(EVENT,)))
        sink.write(END)
    output = capsys.readouterr()
    assert output.out == "1.00\t2.25\tred\t0.930\n"
    assert output.err.startswith("2 frames · 1 answer · ")
    assert output.err.endswith(" · 1 event\n")


def test_a_run_without_events_ends_with_its_last_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with SummarySink(PlainLines()) as sink:
        sink.write(make_step())
    assert "last answer: red 75%" in capsys.readouterr().err


def live_line(width: int = 100, *sources: str) -> tuple[TerminalSink, io.StringIO]:
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=width, color_system=None)
    return TerminalSink(
        (*LABELS, "[bold]"), "none", [(name, "") for name in sources or (SOURCE,)], terminal
    ), out


def visible(out: io.StringIO) -> str:
    """Return what a terminal was given, without its escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


def test_a_terminal_has_one_live_line_and_lasting_lines_for_events() -> None:
    line, out = live_line()
    with line as sink:
        sink.write(make_step(0))
        sink.write(make_step(1, events=(EVENT,)))
    assert "red" in visible(out)
    assert "75%" in visible(out)
    assert "25 fps" in visible(out)
    assert out.getvalue().count("●") == 1


def test_the_terminal_shows_a_partly_filled_window() -> None:
    line, out = live_line()
    step = make_step()
    with line as sink:
        sink.write(replace(step, window_fill=0.5, smoothed={}))
    assert "warming up" in visible(out)
    assert "red" not in visible(out)


def test_a_terminal_counts_the_seconds_of_a_silent_source_by_itself() -> None:
    line, out = live_line(100)
    with line as sink:
        sink.write(make_step(0))
        sink.write(changed(SourceState("disconnected", "closed", "the server closed it")))
        wait_for(lambda: "no data for 1 s   the server closed it" in visible(out))
        # From here on nothing but the notice: the label was for what is gone.
        at = len(out.getvalue())
        wait_for(lambda: "no data for 2 s" in visible(out))
        assert "red" not in out.getvalue()[at:]


def test_several_sources_have_a_line_each() -> None:
    names = "camera 0", "camera 1", "/a/long/path/of/a/video/that/goes/on.mp4", "x\x1b[2J"
    line, out = live_line(120, *names)
    with line as sink:
        sink.write(make_step(0, live=True))
        sink.write(changed(SourceState("stalled"), source="camera 1"))
        sink.write(make_step(0, source=names[2], events=(EVENT,)))
        wait_for(lambda: "no data yet" in visible(out))
        wait_for(lambda: "…h/of/a/video/that/goes/on.mp4"[-23:] in visible(out))
        wait_for(lambda: "s old" in visible(out))
    assert "\x1b[2J" not in out.getvalue()
    assert r"x\x1b[2J" in visible(out)
    # The event names its source.
    (event,) = [row for row in re.split(r"[\r\n]+", visible(out)) if "●" in row]
    assert event.endswith("on.mp4")


def test_the_terminal_shows_an_overloaded_device() -> None:
    line, out = live_line(120)
    with line as sink:
        busy = SourceState("live", "overloaded", "holds 7.4 of 15 fps")
        sink.write(replace(make_step(0), state=busy))
    assert "holds 7.4 of 15 fps" in visible(out)


def test_a_label_is_never_read_as_markup() -> None:
    line, out = live_line()
    with line as sink:
        sink.write(make_step(0, events=(Event("[bold]", 0, 1, 0, 1.0, 1),)))
    assert "[bold]" in out.getvalue()


def test_a_narrow_terminal_keeps_the_live_line_in_one_line() -> None:
    line, out = live_line(width=30)
    with line as sink:
        sink.write(make_step(0))
    assert "red" in visible(out)
    assert max(map(len, re.split(r"[\r\n]", visible(out)))) <= 28


@pytest.mark.parametrize(
    ("seconds", "output"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (75.25, "1:15.2"), (3661, "1:01:01.0")],
)
def test_times_are_formatted_as_a_clock(seconds: float, output: str) -> None:
    assert clock(seconds) == output


def test_an_event_list_keeps_the_events() -> None:
    with EventList() as sink:
        sink.write(make_step(events=(EVENT,)))
        sink.write(END)
    assert sink.events == [EVENT]


@pytest.mark.skipif(os.name != "posix", reason="displays are checked on Linux only")
@pytest.mark.parametrize("display", [None, "", ":4242", "nonsense"])
def test_without_a_display_that_answers_no_window_is_opened(
    no_display: None, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    assert not window.can_show()


def test_an_opencv_without_windows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert not window.can_show()


def fake_window(
    monkeypatch: pytest.MonkeyPatch, key: int = -1, visible: float = 1.0
) -> list[tuple[int, int]]:
    """Replace OpenCV's window and return the sizes of the pictures it is given."""
    shown: list[tuple[int, int]] = []
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    for name in ("namedWindow", "resizeWindow", "setMouseCallback", "destroyWindow"):
        monkeypatch.setattr(cv2, name, quiet)
    monkeypatch.setattr(cv2, "imshow", lambda _, bgr: shown.append(bgr.shape[:2]))
    monkeypatch.setattr(cv2, "waitKey", lambda _: key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: visible)
    return shown


def test_a_window_shows_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = fake_window(monkeypatch)
    with window.WindowSink({SOURCE: Overlay(make_card())}) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1))
        sink.write(END)
    assert shown == [(480, 640)] * 2


@pytest.mark.parametrize(("key", "visible"), [(ord("q"), 1.0), (27, 1.0), (-1, 0.0)])
def test_q_escape_and_the_close_button_end_the_run(
    monkeypatch: pytest.MonkeyPatch, key: int, visible: float
) -> None:
    fake_window(monkeypatch, key, visible)
    with window.WindowSink({SOURCE: Overlay(make_card())}) as sink:
        with pytest.raises(Quit):
            sink.write(make_step())
        # Steps at the end of the run do not raise it again.
        sink.write(END)
        sink.write(make_step())


def test_a_window_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_window(monkeypatch)

    def fail(*_: object) -> None:
        raise cv2.error("no GUI")

    monkeypatch.setattr(cv2, "imshow", fail)
    with window.WindowSink({SOURCE: Overlay(make_card())}) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1))


def test_several_sources_share_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = fake_window(monkeypatch)
    names = [f"camera {number}" for number in range(5)]
    with window.WindowSink({name: Overlay(make_card(), 3, name) for name in names}) as sink:
        for name in names:
            sink.write(make_step(source=name))
    # Three columns, two rows.
    assert shown == [(960, 1920)] * 5


def test_a_silent_source_is_covered_before_it_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "_OLD_SECONDS", 0.2)
    both = window.Wall({name: Overlay(make_card(), 3, name) for name in ("one", "two")})
    both.put(make_step(source="one", colour="green", live=True))
    both.put(make_step(source="two", colour="green"))
    # Between the panels of each tile; a recorded source is never late.
    assert both.draw()[200, [320, 960], 1].min() > 200
    wait_for(lambda: both.draw()[200, 320].max() < 60)
    assert both.draw()[200, 960, 1] > 200


def test_a_window_goes_on_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = fake_window(monkeypatch)
    with window.WindowSink({SOURCE: Overlay(make_card())}) as sink:
        sink.write(make_step())
        wait_for(lambda: (sink.idle(), len(shown) > 3)[1])
        fake_window(monkeypatch, ord("q"))
        with pytest.raises(Quit):
            wait_for(lambda: sink.idle())


@pytest.mark.parametrize("count", range(1, 17))
def test_a_wall_of_any_number_of_sources_fits_on_a_screen(count: int) -> None:
    names = [str(number) for number in range(count)]
    height, width = window.Wall({name: Overlay(make_card()) for name in names}).draw().shape[:2]
    assert height <= 1080
    assert width <= 1920
