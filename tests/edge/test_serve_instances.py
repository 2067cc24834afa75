"""JSON numbers → pixels: the fast way takes nothing that the parser would take otherwise."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqvision_edge.serve.instances import read_instances
from seqvision_edge.serve.limits import Limits
from seqvision_edge.serve.regular import read_regular

SHAPES = ((1, 2, 3), (2, 1, 1), (1, 4, 5, 3), (2, 3, 2, 2, 1), (1, 1, 1, 1, 1))


def body_of(pixels: NDArray[np.uint8], **separators: tuple[str, str]) -> bytes:
    return json.dumps({"instances": pixels.tolist()}, **separators).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (", ", ":")])
def test_a_regular_array_is_read_as_it_is(
    shape: tuple[int, ...], separators: tuple[str, str]
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    body = body_of(pixels, separators=separators)
    found = read_regular(body)
    assert found is not None
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(read_regular(b" \n" + body + b"\n"), pixels)


@settings(max_examples=1500, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 9),
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 2), st.sampled_from(list('[],019 {}"-.e'))),
        max_size=4,
    ),
)
@example(shape=(1, 2, 3), seed=0, changes=[(15, 0, " ")])
def test_whatever_is_changed_in_the_text_it_is_as_the_parser_reads_it_or_left_to_it(
    shape: tuple[int, ...], seed: int, changes: list[tuple[int, int, str]]
) -> None:
    text = body_of(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).decode()
    start = text.index("[")
    for place, remove, insert in changes:
        place = start + place % (len(text) - start)
        text = text[:place] + insert + text[place + remove :]
    check(text.encode())


@settings(max_examples=1500, deadline=None)
@given(st.text(alphabet="[],0129 ", max_size=16))
@example("[[,2]1,[3,4]]")
@example("[[[,2]1,[3,4]]]")
@example("[[[1],2[]]]")
@example("[[[01],[2]]]")
@example("[[[1 2],[2]]]")
@example("[[[1,2],[256,4]]]")
@example("[[[1,2],[1000,4]]]")
@example("[[[1,2]],[[3,4]]]")
def test_any_text_is_as_the_parser_reads_it_or_left_to_it(text: str) -> None:
    check(b'{"instances":' + text.encode() + b"}")


def check(body: bytes) -> None:
    found = read_regular(body)
    if found is None:
        return
    said = json.loads(body)
    assert list(said) == ["instances"]
    expected = np.array(said["instances"])  # ragged lists are an error here
    assert expected.dtype.kind == "i"
    assert expected.min() >= 0
    assert expected.max() <= 255
    np.testing.assert_array_equal(found, expected)


def test_instances_of_several_sizes_are_left_to_the_parser() -> None:
    small, large = np.zeros((2, 3), np.uint8), np.ones((4, 5, 3), np.uint8)
    body = json.dumps({"instances": [small.tolist(), large.tolist()]}).encode()
    assert read_regular(body) is None
    first, second = read_instances(body, Limits())
    assert first.shape == (1, 2, 3, 1)
    assert second.shape == (1, 4, 5, 3)
