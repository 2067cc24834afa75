"""A recording session: in every case complete takes are kept and interrupted ones discarded."""

import io
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from steps import wait_for

from seqvision_edge.errors import RecordingError
from seqvision_edge.frame import Frame
from seqvision_edge.opencv import cv2
from seqvision_edge.recording.session import (
    Command,
    RecordingSession,
    RecordingStatus,
    TakeSettings,
    run_session,
)
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import recording_order, still_to_record
from seqvision_edge.recording.terminal_view import END, Keyboard, TerminalView
from seqvision_edge.recording.window_view import Mirror, draw_status
from seqvision_edge.recording.writer import RecordingFeed
from seqvision_edge.sources.factory import Source, open_path
from seqvision_edge.types import SourceState

FPS = 10.0


def frame(number: int, fps: float = FPS) -> Frame:
    """Return a frame whose grey level is its number."""
    return Frame(np.full((16, 16, 3), number % 256, np.uint8), number / fps, number)


def store(folder: Path) -> Takes:
    takes = Takes(folder / "takes")
    takes.open()
    return takes


def sitting(
    takes: Takes, expected: str, seconds: float | None = 1.0, countdown: float = 0.5, *,
    waits: bool = False, fps: float = FPS,
) -> RecordingSession:  # fmt: skip
    return RecordingSession(
        takes, expected.split(), TakeSettings("anna", seconds, countdown, waits), fps
    )


def see(session: RecordingSession, first: int, last: int) -> None:
    for number in range(first, last):
        session.see(frame(number))


def greys(takes: Takes) -> list[list[int]]:
    """Return the numbers that the frames of each take show."""
    found = []
    for take in takes.all():
        with open_path(takes.path_of(take)) as source:
            found.append([int(each.bgr[8, 8, 0]) for each in source])
    return found


def test_every_take_has_its_countdown_and_exactly_its_length(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "wave clap")
    see(session, 0, 5)
    assert session.phase == "countdown"
    see(session, 5, 40)
    assert session.is_over
    assert [(take.label, take.person) for take in takes.all()] == [
        ("wave", "anna"), ("clap", "anna")
    ]  # fmt: skip
    assert greys(takes) == [[*range(5, 15)], [*range(20, 30)]]


def test_without_a_countdown_takes_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b c", countdown=0.0)
    see(session, 0, 30)
    # Whether the third take is whole is known at the end of the file.
    assert not session.is_over
    session.end()
    assert greys(takes) == [[*range(10)], [*range(10, 20)], [*range(20, 30)]]


def test_a_file_that_ends_in_the_middle_of_a_take_keeps_the_whole_ones(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b", countdown=0.0)
    see(session, 0, 18)
    session.end()
    assert greys(takes) == [[*range(10)]]
    assert session.missing == 1
    assert "ended in the middle" in session.messages[-1]


def test_times_that_tremble_make_no_take_longer_or_shorter(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b c d", countdown=0.0, fps=30.0)
    generator = np.random.default_rng(0)
    for number in range(125):
        at = number / 30 + float(generator.uniform(-0.004, 0.004))
        session.see(Frame(frame(number).bgr, at, number))
    assert [len(each) for each in greys(takes)] == [30, 30, 30, 30]


def test_the_first_take_waits_for_a_key_and_the_others_follow(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b", waits=True)
    see(session, 0, 20)
    assert (session.phase, takes.all()) == ("ready", [])
    session.press("go")
    see(session, 20, 60)
    assert session.is_over
    assert greys(takes) == [[*range(25, 35)], [*range(40, 50)]]


def test_without_a_keyboard_recording_starts_by_itself(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a", countdown=0.0, waits=True)
    session.press("alone")
    see(session, 0, 5)
    session.press("alone")
    see(session, 5, 11)
    assert greys(takes) == [[*range(10)]]


def test_a_key_ends_takes_of_no_fixed_length_and_begins_the_next(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b", seconds=None, countdown=0.0, waits=True)
    for begin, end in ((0, 7), (10, 23)):
        see(session, begin, begin + 1)
        assert session.phase == "ready"
        session.press("go")
        see(session, begin + 1, end)
        session.press("go")
    assert greys(takes) == [[*range(1, 7)], [*range(11, 23)]]
    assert session.is_over


def test_a_pause_throws_the_take_away_and_waits(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a", countdown=0.0)
    see(session, 0, 5)
    session.press("go")
    see(session, 5, 30)
    assert (session.phase, takes.all()) == ("ready", [])
    session.press("go")
    see(session, 30, 41)
    assert greys(takes) == [[*range(30, 40)]]


def test_a_take_can_be_repeated_while_it_goes_on_and_after_it(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b")
    see(session, 0, 10)
    session.press("redo")
    see(session, 10, 27)
    assert greys(takes) == [[*range(15, 25)]]
    session.press("redo")
    assert takes.all() == []
    assert session.missing == 2
    see(session, 27, 60)
    assert [take.label for take in takes.all()] == ["a", "b"]
    assert greys(takes)[0] == [*range(32, 42)]


def test_a_take_that_is_put_off_comes_last(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b c", countdown=0.0)
    see(session, 0, 5)
    session.press("skip")
    see(session, 5, 40)
    assert [take.label for take in takes.all()] == ["b", "c", "a"]


def test_to_stop_keeps_whole_takes_only(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a b", countdown=0.0)
    see(session, 0, 15)
    session.press("stop")
    see(session, 15, 40)
    assert session.was_stopped
    assert greys(takes) == [[*range(10)]]
    assert not [*takes.folder.glob(".*unfinished*")]


@pytest.mark.parametrize("state", ["disconnected", "stalled"])
def test_a_camera_that_is_lost_in_the_middle_of_a_take_repeats_it(
    tmp_path: Path, state: str
) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a")
    see(session, 0, 10)
    session.handle_state(SourceState(state, "gone", "camera 0: pulled out"))  # type: ignore[arg-type]
    assert session.phase == "away"
    (line,) = session.messages
    assert line == "a: take interrupted and repeated (camera 0: pulled out)"
    assert session.status().trouble == "camera 0: pulled out"
    session.handle_state(SourceState("connecting", attempt=2))
    session.handle_state(SourceState("live"))
    see(session, 50, 70)
    assert greys(takes) == [[*range(55, 65)]]


def test_an_unreported_gap_repeats_the_take(tmp_path: Path) -> None:
    takes = store(tmp_path)
    session = sitting(takes, "a", countdown=0.0)
    see(session, 0, 5)
    see(session, 20, 31)
    assert "no frame for 1.6 s" in session.messages[0]
    assert greys(takes) == [[*range(20, 30)]]


def test_the_status_has_the_label_and_the_progress(tmp_path: Path) -> None:
    session = RecordingSession(
        store(tmp_path), ["wave", "none"], TakeSettings(waits=False), FPS, already=3
    )
    see(session, 0, 11)
    assert session.status() == RecordingStatus("countdown", "wave", "none", 2.0, 0.0, 3, 5, "")
    see(session, 11, 36)
    assert session.status() == RecordingStatus("recording", "wave", "none", 0.5, 0.25, 3, 5, "")


def test_nothing_to_record_is_done_at_once(tmp_path: Path) -> None:
    assert sitting(store(tmp_path), "").is_over


def test_what_is_there_is_not_recorded_again() -> None:
    missing = still_to_record(["wave", "clap", "none"], 5, {"wave": 2, "clap": 7})
    assert missing == {"wave": 3, "none": 5}


def test_shuffled_labels_are_spread_over_the_whole_sitting() -> None:
    missing = Counter(wave=12, clap=12, none=6)
    order = recording_order(missing, "shuffled", seed=1)
    assert Counter(order) == missing
    assert order != recording_order(missing, "shuffled", seed=2)
    assert order == recording_order(missing, "shuffled", seed=1)
    for half in (order[:15], order[15:]):
        assert Counter(half)["wave"] in (5, 6, 7)
        assert Counter(half)["none"] in (2, 3, 4)


def test_in_turn_nothing_happens_comes_between_the_gestures() -> None:
    order = recording_order({"none": 2, "wave": 3, "clap": 3}, "turn")
    assert order == ["wave", "wave", "none", "wave", "clap", "clap", "none", "clap"]
    assert recording_order({"none": 2}, "turn") == ["none", "none"]


class Scripted:
    """A live source that delivers given frames and states, and then waits or ends."""

    name, live, fps = "camera 0", True, FPS
    claimed: int | None = None
    decoded = damaged = 0
    incomplete: str | None = None

    def __init__(
        self, items: Sequence[Frame | SourceState], error: Exception | None = None
    ) -> None:
        self.items = items
        self.error = error
        self.stopped = threading.Event()
        self.closed = False

    def stop(self) -> None:
        self.stopped.set()

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Frame | SourceState]:
        yield from self.items
        if self.error:
            raise self.error
        self.stopped.wait(60)


class Pressing:
    """A view that remembers what it is shown, and does something at a moment."""

    def __init__(self, act: Callable[[RecordingStatus], Command | None] = lambda _: None) -> None:
        self.act = act
        self.moments: list[RecordingStatus] = []
        self.output: list[str] = []
        self.closed = False

    def __enter__(self) -> "Pressing":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def commands(self) -> list[Command]:
        command = self.act(self.moments[-1]) if self.moments else None
        return [command] if command else []

    def show(self, moment: RecordingStatus, frame: Frame | None) -> None:
        self.moments.append(moment)

    def print_line(self, line: str) -> None:
        self.output.append(line)


def test_a_live_source_is_recorded_and_closed(tmp_path: Path) -> None:
    takes = store(tmp_path)
    source: Source = Scripted([SourceState("connecting"), *map(frame, range(30))])
    view = Pressing(lambda moment: "go" if moment.phase == "ready" else None)
    session = sitting(takes, "a", countdown=0.0)
    run_session(source, session, [view])
    assert greys(takes) == [[*range(10)]]
    assert view.output == ["a/anna-001.mkv  10 frames at 10 fps"]
    assert view.closed
    assert source.closed  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RecordingError])
def test_ctrl_c_and_errors_keep_whole_takes_and_throw_the_torn_one_away(
    tmp_path: Path, error: type[BaseException]
) -> None:
    takes = store(tmp_path)

    def interrupt(moment: RecordingStatus) -> Command | None:
        if moment.done == 1 and moment.phase == "recording":
            raise error
        return None

    source: Source = Scripted([*map(frame, range(15))])
    with pytest.raises(error):
        run_session(source, sitting(takes, "a b", countdown=0.0), [Pressing(interrupt)])
    assert greys(takes) == [[*range(10)]]
    inside = {path.name for path in takes.folder.rglob("*")}
    assert inside == {"a", "anna-001.mkv", "clips.csv", ".takes.lock"}
    assert source.closed  # type: ignore[attr-defined]


def test_a_lost_source_is_reported_after_its_frames(tmp_path: Path) -> None:
    takes = store(tmp_path)
    source: Source = Scripted([*map(frame, range(12))], RecordingError("given up"))
    with pytest.raises(RecordingError, match="given up"):
        run_session(source, sitting(takes, "a b", countdown=0.0), [])
    assert len(takes.all()) == 1


def test_a_late_reader_loses_the_oldest_frames_of_a_camera_and_no_state() -> None:
    items = [SourceState("live"), *map(frame, range(200))]
    with RecordingFeed(Scripted(items)) as feed:  # type: ignore[arg-type]
        taken: list[Frame | SourceState] = []
        wait_for(lambda: len(feed._items) == 60)
        wait_for(lambda: feed._items[-1] is items[-1])
        taken += feed.take(1) or []
    assert taken[0] == SourceState("live")
    assert [each.index for each in taken[1:] if isinstance(each, Frame)] == [*range(141, 200)]


def test_a_recorded_source_loses_nothing_to_a_slow_reader(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    for number in range(50):
        writer.write(np.full((32, 32, 3), 5 * number, np.uint8))
    writer.release()
    seen = 0
    with RecordingFeed(open_path(path)) as feed:
        while (items := feed.take(1)) is not None:
            assert len(items) <= 8
            seen += len(items)
    assert seen == 50


def shown(out: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


def test_a_terminal_shows_one_line_that_changes_and_takes_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\nr\nx\nq\n"))
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=70, color_system=None)
    with TerminalView(["wave", "no[b]ne"], console) as view:
        view.show(RecordingStatus("countdown", "wave", "no[b]ne", 2.2, 0, 7, 30, ""), None)
        wait_for(lambda: "7/30  wave     in 2 …   then no[b]ne" in shown(out))
        view.show(RecordingStatus("recording", "wave", "", 1.3, 0.5, 7, 30, ""), None)
        wait_for(lambda: "● ━━━━━━━━━━━━━━━━━━━━   1.3 s" in shown(out))
        view.show(
            RecordingStatus("away", "wave", "", 0, 0, 7, 30, "camera 0: " + 90 * "gone "), None
        )
        wait_for(lambda: "no picture   camera 0: gone" in shown(out))
        view.print_line("wave/anna-008.mp4\x1b[2J  60 frames")
        commands: list[Command] = []
        wait_for(lambda: (commands.extend(view.commands()), "alone" in commands)[1])
        assert commands == ["go", "redo", "stop", "alone"]
    assert r"wave/anna-008.mp4\x1b[2J  60 frames" in shown(out)
    assert max(map(len, re.split(r"[\r\n]", shown(out)))) <= 70


def test_with_a_window_a_terminal_without_keys_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("r\n"))
    with TerminalView(["wave"], Console(file=io.StringIO()), alone=False) as view:
        commands: list[Command] = []
        wait_for(lambda: (commands.extend(view.commands()), "redo" in commands)[1])
        wait_for(lambda: not any(thread.name == "keys" for thread in threading.enumerate()))
        assert [*commands, *view.commands()] == ["redo"]


def test_a_pipe_gets_lasting_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    out = io.StringIO()
    with TerminalView(["wave"], Console(file=out, width=40)) as view:
        view.show(RecordingStatus("countdown", "wave", "", 2.2, 0, 7, 30, ""), None)
        view.print_line("wave/anna-008.mp4 " + "long " * 20)
    assert out.getvalue() == "wave/anna-008.mp4 " + "long " * 20 + "\n"


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal is a thing of POSIX")
def test_keys_are_read_without_enter_and_the_terminal_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        before = termios.tcgetattr(theirs)
        with Keyboard() as keyboard:
            os.write(ours, b"r \n")
            keys: list[str] = []
            wait_for(lambda: (keys.extend(keyboard.pressed()), len(keys) >= 3)[1])
            # An arrow is no Escape.
            os.write(ours, b"\x1b[A")
            os.write(ours, b"\x1b")
            wait_for(lambda: (keys.extend(keyboard.pressed()), "\x1b" in keys)[1])
        assert keys[:3] == ["r", " ", "\n"]
        assert termios.tcgetattr(theirs) == before
    os.close(ours)


def test_the_picture_is_a_mirror_and_the_take_is_not(tmp_path: Path) -> None:
    bgr = np.zeros((480, 640, 3), np.uint8)
    bgr[:, :320] = 255
    moment = RecordingStatus("recording", "wave", "", 1.0, 0.5, 0, 1, "")
    # In the middle, where nothing is written; columns beside the red edge.
    assert draw_status(moment, bgr, (255, 0, 0))[240, [50, 590]].mean(1).tolist() == [0, 255]
    assert draw_status(moment, bgr, (255, 0, 0), mirror=False)[240, [50, 590]].mean(1).tolist() == [
        255,
        0,
    ]
    takes = store(tmp_path)
    with takes.begin("wave") as new:
        new.write(bgr, 0.0)
        new.write(bgr, 0.1)
        take = new.keep()
    with open_path(takes.path_of(take)) as source:
        assert all(each.bgr[240, 50].mean() > each.bgr[240, 590].mean() for each in source)


@pytest.mark.parametrize("size", [(16, 16), (1080, 1920), (40, 400), (400, 40)])
@pytest.mark.parametrize("phase", ["ready", "countdown", "recording", "away", "done"])
def test_any_moment_can_be_drawn_on_any_picture(phase: str, size: tuple[int, int]) -> None:
    bgr = np.zeros((*size, 3), np.uint8)
    moment = RecordingStatus(phase, "x" * 128, "y" * 128, 0.0, 0.0, 999, 1000, "trouble " * 30)  # type: ignore[arg-type]
    picture = draw_status(moment, bgr, (255, 0, 0))
    assert min(picture.shape[:2]) >= 480
    assert picture.any()
    assert not bgr.any()


def fake_window(
    monkeypatch: pytest.MonkeyPatch, keys: Sequence[int], visible: float = 1.0
) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Replace OpenCV's window; return the pictures that it is given."""
    seen: list[np.ndarray] = []  # type: ignore[type-arg]
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    for name in ("namedWindow", "resizeWindow", "destroyWindow"):
        monkeypatch.setattr(cv2, name, quiet)
    coming = iter(keys)
    monkeypatch.setattr(cv2, "imshow", lambda _, bgr: seen.append(bgr))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(coming, -1))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: visible)
    monkeypatch.setattr("seqvision_edge.recording.window_view._PICTURES_PER_SECOND", 1e9)
    return seen


def test_the_window_records_by_its_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = fake_window(monkeypatch, [-1, 13, -1, ord("Q")])
    mirror = Mirror(["wave", "none"])
    commands: list[Command] = []
    with mirror:
        for number in range(4):
            mirror.show(RecordingStatus("ready", "wave", "", 0, 0, 0, 1, ""), frame(number))
            commands += mirror.commands()
    assert commands == ["go", "stop"]
    assert [each.shape for each in seen] == [(480, 480, 3)] * 4


def test_a_closed_window_stops_and_a_broken_one_leaves_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = RecordingStatus("ready", "wave", "", 0, 0, 0, 1, "")
    fake_window(monkeypatch, [], visible=0.0)
    with Mirror(["wave"]) as mirror:
        mirror.show(moment, None)
        assert mirror.commands() == ["stop"]

    def fail(*_: object) -> None:
        raise cv2.error("no GUI")

    monkeypatch.setattr(cv2, "imshow", fail)
    with Mirror(["wave"]) as mirror:
        mirror.show(moment, None)
        mirror.show(moment, None)
        assert mirror.commands() == []


@pytest.mark.skipif(os.name != "posix", reason="only there a pipe can be polled")
def test_lines_of_a_pipe_are_keys_and_its_end_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = os.pipe()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with Keyboard() as keyboard:
            assert keyboard.pressed() == []
            os.write(ours, b"\nrepe")
            assert keyboard.pressed() == ["\n"]
            os.write(ours, b"at\nq\n")
            os.close(ours)
            assert keyboard.pressed() == ["r", "q", END]
            assert keyboard.pressed() == []
