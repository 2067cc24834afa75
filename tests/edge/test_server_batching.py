"""The model's thread: which requests form a batch, and what a failed call causes."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from colour_model import WINDOW
from numpy.typing import NDArray

from seqvision_edge.server.batching import MAX_BATCH_FRAMES, Batcher, ModelFailed, Overloaded
from seqvision_edge.session import Session

SECONDS = 20


class Gate:
    """Holds up every call of the model while it is closed, and counts the calls."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = threading.Event()
        self.sizes: list[int] = []
        self.fails = False


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    held = Gate()
    plain = Session.run

    def run(self: Session, frames: Any, *rest: Any, **more: Any) -> Any:
        held.inside.set()
        assert held.open.wait(SECONDS)
        held.sizes.append(frames.shape[0])
        if held.fails:
            raise RuntimeError("no memory")
        return plain(self, frames, *rest, **more)

    monkeypatch.setattr(Session, "run", run)
    yield held
    held.open.set()


def frames(seed: int, steps: int = WINDOW) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (steps, 12, 16, 3), np.uint8)


def test_what_comes_during_a_call_goes_as_the_next_one(session: Session, gate: Gate) -> None:
    batcher = Batcher(session, 9)
    batcher.reserve(9)
    first = batcher.submit([(session.stream(), frames(0))])
    assert gate.inside.wait(SECONDS)
    rest = [batcher.submit([(session.stream(), frames(seed))])[0] for seed in range(1, 9)]
    gate.open.set()
    answers = [each.result(SECONDS) for each in (*first, *rest)]
    assert gate.sizes == [1, 8]
    for seed, answer in enumerate(answers):
        np.testing.assert_allclose(answer, session.run(frames(seed)[None])[0][0], atol=2e-6)
    assert batcher.reserved == 0
    batcher.close()


def test_one_call_does_not_take_all_that_waits(session: Session, gate: Gate) -> None:
    batcher = Batcher(session, 30)
    batcher.reserve(30)
    first = batcher.submit([(session.stream(), frames(0))])
    assert gate.inside.wait(SECONDS)
    rest = batcher.submit([(session.stream(), frames(1)) for _ in range(29)])
    gate.open.set()
    for each in (*first, *rest):
        each.result(SECONDS)
    assert sum(gate.sizes) == 30
    assert max(gate.sizes) == MAX_BATCH_FRAMES // WINDOW
    batcher.close()


def test_a_failed_call_is_reported_and_the_next_one_runs(session: Session, gate: Gate) -> None:
    gate.open.set()
    gate.fails = True
    batcher = Batcher(session, 2)
    batcher.reserve(2)
    for each in batcher.submit([(session.stream(), frames(seed)) for seed in (1, 2)]):
        with pytest.raises(ModelFailed, match="no memory"):
            each.result(SECONDS)
    gate.fails = False
    batcher.reserve(2)
    assert batcher.is_alive
    (answer, _) = batcher.submit([(session.stream(), frames(seed)) for seed in (1, 2)])
    assert answer.result(SECONDS) is not None
    batcher.close()


def test_cancelled_requests_are_not_computed(session: Session, gate: Gate) -> None:
    batcher = Batcher(session, 3)
    batcher.reserve(3)
    batcher.submit([(session.stream(), frames(0))])
    assert gate.inside.wait(SECONDS)
    left, stays = batcher.submit([(session.stream(), frames(seed)) for seed in (1, 2)])
    assert left.cancel()
    gate.open.set()
    assert stays.result(SECONDS) is not None
    assert gate.sizes == [1, 1]
    assert batcher.reserved == 0
    batcher.close()


def test_places_are_bounded_and_the_end_is_the_end(session: Session, gate: Gate) -> None:
    batcher = Batcher(session, 2)
    batcher.reserve(2)
    with pytest.raises(Overloaded):
        batcher.reserve()
    requested = batcher.submit([(session.stream(), frames(0))])
    assert gate.inside.wait(SECONDS)
    waiting = batcher.submit([(session.stream(), frames(1))])
    closing = threading.Thread(target=batcher.close)
    closing.start()
    while not waiting[0].cancelled():
        assert closing.is_alive()
    gate.open.set()
    closing.join(SECONDS)
    assert requested[0].result(SECONDS) is not None
    assert not batcher.is_alive
    with pytest.raises(Overloaded):
        batcher.reserve()
