"""A lost live source reconnects by itself, and reports its states."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from seqvision_edge.sources.live import wait_before

Run = Callable[[str], list[Any]]

# The first frames until `count` of them have come after the states `until`, with the states.
FOLLOW = """
from seqvision_edge.sources.address import camera
from seqvision_edge.sources.capture_process import FrameFormat
from seqvision_edge.frame import Frame
from seqvision_edge.preprocess import Sizing
from seqvision_edge.sources.live import GaveUp, Timeouts, LiveSource

def watch(**patience):
    return LiveSource(camera(0), FrameFormat(), Timeouts(**patience))

def follow(source, words, frames=5):
    # Tell the camera each word after some frames; return the states, with the frames in between.
    seen, count, words = [], 0, list(words)
    began = time.monotonic()
    for item in source:
        if isinstance(item, Frame):
            count += 1
            if count == frames and words:
                word = words.pop(0)
                tell(word)
                told = time.monotonic()
            elif count == frames:
                break
            seen.append(["frame", item.time, item.index, read_counter(item.bgr)])
        else:
            seen.append([item.state, item.reason, item.attempt, time.monotonic() - began])
            count = 0
            if item.state in ("stalled", "disconnected") and words:
                tell(words.pop(0))
    return seen
"""


def states(seen: list[list[Any]]) -> list[str]:
    return [each[0] for each in seen if each[0] != "frame"]


@pytest.mark.parametrize(
    ("word", "silent", "reason"),
    [("unplug", "disconnected", "missing"), ("stall", "stalled", "timeout")],
)
def test_a_lost_source_reconnects_and_time_continues(
    run_with_camera: Run, word: str, silent: str, reason: str
) -> None:
    [seen] = run_with_camera(f"""{FOLLOW}
with watch(stall=1.0) as source:
    say(follow(source, ["{word}", "ok"]))
""")
    first, *others = states(seen)
    assert first == "connecting"
    assert others[0] == "live"
    assert others[1] == silent
    assert others[-2:] == ["connecting", "live"]
    lost = next(each for each in seen if each[0] == silent)
    assert lost[1] == reason
    frames = [each for each in seen if each[0] == "frame"]
    times, indexes = [each[1] for each in frames], [each[2] for each in frames]
    assert times == sorted(set(times))
    assert indexes == sorted(set(indexes))


def test_a_lost_source_is_given_up_after_max_retries(run_with_camera: Run) -> None:
    *attempts, message = run_with_camera(f"""{FOLLOW}
with watch(retries=2, stall=0.5) as source:
    tell("unplug")
    try:
        for item in source:
            if not isinstance(item, Frame) and item.state == "connecting":
                say(item.attempt)
    except GaveUp as error:
        say(str(error))
""")
    assert attempts == [1, 2, 3]
    assert message.endswith("given up after 2 more attempts")
    assert "camera 0" in message


def test_a_frozen_picture_is_a_warning_and_frames_continue(
    run_with_camera: Run,
) -> None:
    """The counter repeats after 256 pictures; the emulated camera sends one picture for ever."""
    seen = run_with_camera(f"""{FOLLOW}
from seqvision_edge.sources.live import _Picture
import numpy as np
picture = _Picture(1.0)
black, white = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 9, np.uint8)
almost = black.copy(); almost[3, 7] = 1
shown = [black] * 13 + [almost] * 3 + [white] * 12
for number, bgr in enumerate(shown):
    state = picture.look(bgr.copy(), number / 10)
    if state:
        say([number, state.state])
""")
    assert seen == [[10, "frozen"], [13, "live"], [26, "frozen"]]


def test_frames_come_as_the_model_reads_them_and_small_enough_to_look_at(
    run_with_camera: Run,
) -> None:
    [shapes, same] = run_with_camera(f"""{FOLLOW}
from seqvision_edge.preprocess import prepare
import numpy as np
size = Sizing(20, 30, 3, "stretch")
with LiveSource(camera(0), FrameFormat(size, longest=80)) as source:
    frame = next(item for item in source if isinstance(item, Frame))
say([frame.bgr.shape, frame.image.shape])
with LiveSource(camera(0), FrameFormat(size)) as source:
    frame = next(item for item in source if isinstance(item, Frame))
say(bool((frame.image == prepare(frame.bgr, size)).all()))
""")
    assert shapes == [[60, 80, 3], [20, 30, 3]]
    assert same, "the child and the parent make the same of a frame"


@pytest.mark.timed
def test_a_waiting_source_can_be_stopped_at_once_from_outside(run_with_camera: Run) -> None:
    waits = run_with_camera(f"""{FOLLOW}
import threading
for word in ("ok", "stall", "unplug"):
    tell("ok")
    with watch(stall=60.0) as source:
        read = threading.Event()
        def consume():
            for item in source:
                read.set()
        thread = threading.Thread(target=consume)
        thread.start()
        read.wait(10)
        tell(word)
        time.sleep(0.7)
        began = time.monotonic()
        source.stop()
        thread.join(10)
        say(time.monotonic() - began)
""")
    assert max(waits) < 1.0


def test_retries_become_rare_after_minutes() -> None:
    waits = [wait_before(attempt, lost=10.0, reason="refused") for attempt in range(1, 8)]
    assert all(0.3 <= wait <= 1.0 for wait in waits), "live again within 5 s of coming back"
    assert 15 <= wait_before(50, lost=1000.0, reason="refused") <= 30
    assert 30 <= wait_before(1, lost=0.0, reason="unauthorized") <= 60, "or it locks us out"
    assert len({wait_before(3, 10.0, "timeout") for _ in range(20)}) > 1, "not all at once"
    assert math.isfinite(wait_before(10**6, 1e9, "timeout"))
