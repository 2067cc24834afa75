"""Decoding ahead changes when frames are read, never which."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from seqvision_edge.sources.video_file import ahead


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_every_item_comes_in_order() -> None:
    assert list(ahead(range(500), depth=3)) == list(range(500))
    assert "decode-ahead" not in threads()


def test_no_more_than_the_depth_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(ahead(items(), depth=4)) as taken:
        next(taken)
        time.sleep(0.1)
        # One taken, four waiting, one in the hand of the thread.
        assert len(made) <= 6


def test_making_and_using_overlap() -> None:
    used: list[int] = []
    made_meanwhile = threading.Event()

    def items() -> Iterator[int]:
        for number in range(4):
            if number:
                made_meanwhile.set()
            yield number

    for number in ahead(items()):
        used.append(number)
        if number == 0:
            assert made_meanwhile.wait(30), "the next one is made while this one is used"
    assert used == [0, 1, 2, 3]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("damaged")

    taken = ahead(items())
    assert [next(taken), next(taken), next(taken)] == [0, 1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(taken)
    assert "decode-ahead" not in threads()


def test_leaving_early_ends_the_thread() -> None:
    with closing(ahead(iter(int, 1))) as taken:
        next(taken)
    assert "decode-ahead" not in threads()
