"""Several streams in one call of the model give the results of each one alone."""

import numpy as np
import pytest
from colour_model import WINDOW, make_card, model_bytes, picture
from numpy.typing import NDArray

from seqvision_edge.preprocess import prepare
from seqvision_edge.session import Session, run_batch


def frames(generator: np.random.Generator, time: int, session: Session) -> NDArray[np.uint8]:
    image = session.card.image
    shape = (time, image.height, image.width, image.channels)
    return generator.integers(0, 256, shape, np.uint8)


def test_streams_of_any_age_in_one_call_answer_as_alone(session: Session) -> None:
    generator = np.random.default_rng(0)
    together = [session.stream() for _ in range(5)]
    alone = [session.stream() for _ in range(5)]
    for turn in range(3 * WINDOW):
        # The streams begin one after the other, and some bring two frames at once.
        requested = [
            (number, frames(generator, 1 + (turn + number) % 2, session))
            for number in range(5)
            if turn >= 2 * number and generator.random() < 0.8
        ]
        found = run_batch(session, [(together[number], each) for number, each in requested])
        for (number, each), answer in zip(requested, found, strict=True):
            expected = alone[number].push(each)
            assert answer is not None
            assert expected is not None
            np.testing.assert_allclose(answer, expected, atol=1e-6)
            assert together[number].seen == alone[number].seen
            for mine, other in zip(together[number].state, alone[number].state, strict=True):
                np.testing.assert_allclose(mine, other, atol=1e-6)


def test_a_value_that_is_not_finite_costs_only_its_own_stream() -> None:
    session = Session(model_bytes(nan_on_black=True), "cpu")
    good, bad = session.stream(), session.stream()
    red = prepare(picture("red"), session.card.image)[None]
    for stream in (good, bad):
        stream.push(red)
    found = run_batch(session, [(good, red), (bad, np.zeros_like(red))])
    assert found[0] is not None
    assert found[1] is None
    assert (good.seen, good.nonfinite) == (2, 0)
    assert (bad.seen, bad.nonfinite) == (0, 1)


def test_a_stream_of_a_batch_keeps_no_other_ones_memory(session: Session) -> None:
    generator = np.random.default_rng(0)
    streams = [session.stream() for _ in range(4)]
    run_batch(session, [(stream, frames(generator, 1, session)) for stream in streams])
    for stream in streams:
        assert all(values.base is None or values.base.nbytes == values.nbytes
                   for values in stream.state)  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, WINDOW - 1, 10 * WINDOW])
def test_a_step_that_is_held_is_the_picture_that_stood_still(session: Session, steps: int) -> None:
    """As if the picture had been pushed again and again, without its cost."""
    generator = np.random.default_rng(1)
    clip = frames(generator, WINDOW, session)
    held, pushed = session.stream(), session.stream()
    for stream in (held, pushed):
        stream.push(clip)
    held.repeat_last(steps)
    pushed.push(np.repeat(clip[-1:], min(steps, WINDOW), axis=0))
    following = frames(generator, 1, session)
    np.testing.assert_allclose(held.push(following), pushed.push(following), atol=1e-6)


@pytest.mark.parametrize("name", ["steps", "time", "past frames", ""])
def test_the_axis_of_the_steps_has_any_name(session: Session, name: str) -> None:
    state = {"kind": "window", "tensors": [{"name": "past", "axes": ["batch", name, 3]}]}
    other = Session(model_bytes(make_card(state=state)), "cpu")
    clip = frames(np.random.default_rng(2), WINDOW - 2, session)
    answers = []
    for each in (session, other):
        streams = [each.stream(), each.stream()]
        for stream in streams:
            stream.push(clip)
            stream.repeat_last(1)
        assert [stream.seen for stream in streams] == [WINDOW - 1] * 2
        answers += run_batch(each, [(stream, clip[:1]) for stream in streams])
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-6)


def test_nothing_is_held_before_the_first_frame(session: Session) -> None:
    stream = session.stream()
    stream.repeat_last(3)
    assert stream.seen == 0
    assert not stream.window_full
