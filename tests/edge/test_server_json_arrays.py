"""JSON numbers → pixels: the fast path reads nothing differently from the parser."""

import json

import numpy as np
import pytest
from fastapi import HTTPException
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqvision_edge.server.json_arrays import (
    read_array,
    read_instances,
    read_regular,
    split_instances,
)
from seqvision_edge.server.limits import Limits

SHAPES = ((1, 2, 3), (2, 1, 1), (1, 4, 5, 3), (2, 3, 2, 2, 1), (1, 1, 1, 1, 1))


def body_of(pixels: NDArray[np.uint8], **separators: tuple[str, str]) -> bytes:
    return json.dumps({"instances": pixels.tolist()}, **separators).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (",\n  ", ": "), ("\t, ", ":")])
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
        st.tuples(st.integers(0, 200), st.integers(0, 2), st.sampled_from(list('[],019 {}"-.e\n'))),
        max_size=4,
    ),
)
@example(shape=(1, 2, 3), seed=0, changes=[(15, 0, " ")])
def test_a_mutated_text_is_read_as_by_the_parser_or_left_to_it(
    shape: tuple[int, ...], seed: int, changes: list[tuple[int, int, str]]
) -> None:
    text = body_of(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).decode()
    start = text.index("[")
    for location, remove, insert in changes:
        location = start + location % (len(text) - start)
        text = text[:location] + insert + text[location + remove :]
    found = check(text.encode())
    assert found is not None or changes, "it is the fast way's own"


@settings(max_examples=1500, deadline=None)
@given(st.text(alphabet="[],0129 \n", max_size=16))
@example("[[,2]1,[3,4]]")
@example("[[[,2]1,[3,4]]]")
@example("[[[1],2[]]]")
@example("[[[1],[2\n3]]]")
@example("[[[01],[2]]]")
@example("[[[1 2],[2]]]")
@example("[[[1,2],[256,4]]]")
@example("[[[1,2],[1000,4]]]")
@example("[[[1,2]],[[3,4]]]")
def test_any_text_is_as_the_parser_reads_it_or_left_to_it(text: str) -> None:
    check(b'{"instances":' + text.encode() + b"}")


@pytest.mark.parametrize(
    ("text", "pieces"), [("[[[1,2]],[[3,4]]]", 2), ("[[[1,2]],[[3,4],[5,6]]]", 2), ("[[[[0]]]]", 1)]
)
def test_what_is_regular_is_read_and_not_left_to_the_parser(text: str, pieces: int) -> None:
    body = b'{"instances":' + text.encode() + b"}"
    assert check_pieces(body) == pieces
    lengths = {len(each) for each in json.loads(text)}
    assert (check(body) is not None) == (len(lengths) == 1)


def check(body: bytes) -> NDArray[np.uint8] | None:
    """Return what the fast way reads, which must be what a parser reads; None: nothing."""
    check_pieces(body)
    found = read_regular(body)
    if found is None:
        return None
    output = json.loads(body)
    assert list(output) == ["instances"]
    expected = np.array(output["instances"])  # ragged lists are an error here
    assert expected.dtype.kind == "i"
    assert expected.min() >= 0
    assert expected.max() <= 255
    np.testing.assert_array_equal(found, expected)
    return found


def test_instances_of_several_sizes_are_left_to_the_parser() -> None:
    small, large = np.zeros((2, 3), np.uint8), np.ones((4, 5, 3), np.uint8)
    body = json.dumps({"instances": [small.tolist(), large.tolist()]}).encode()
    assert read_regular(body) is None
    first, second = read_instances(body, Limits())
    assert first.shape == (1, 2, 3, 1)
    assert second.shape == (1, 4, 5, 3)


def check_pieces(body: bytes) -> int:
    """See that each piece that is read is what a parser reads there; return how many there are."""
    pieces = split_instances(body, 33)
    if pieces is None:
        return 0
    assert isinstance(pieces, list)
    found = [read_array(piece) for piece in pieces]
    if any(each is None for each in found):
        return 0
    expected = json.loads(body)["instances"]
    assert len(expected) == len(found)
    for each, nested in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each, np.array(nested))
    return len(pieces)


MANY = 100_000
LARGE = {
    "empty lists": (b'{"instances": [' + b"[]," * MANY + b"[]]}", 413),
    "dictionaries": (b'{"instances": [' + b"{}," * MANY + b"{}]}", 413),
    "keys": (b"{" + b",".join(b'"%d":1' % number for number in range(MANY)) + b"}", 422),
    "keys inside": (b'{"instances": [{' + b'"a":1,' * MANY + b'"a":1}]}', 413),
    "strings": (b'{"instances": ["' + b"\\u0041" * MANY + b'"]}', 422),
    "a long key": (b'{"' + b"x" * 5 * MANY + b'": 1}', 422),
    "ragged": (b'{"instances": [[' + b"[1,2]," * MANY + b"[1]]]}", 422),
    "fractions": (b'{"instances": [[[' + b"1.5," * MANY + b"1]]]}", 422),
    "large numbers": (b'{"instances": [[[' + b"256," * MANY + b"1]]]}", 422),
    "one long number": (b'{"instances": [[[' + b"1" * 4 * MANY + b"]]]}", 422),
    "closed too soon": (b'{"instances": [[[1]]], [[' + b"[1,2]," * MANY + b"[1,2]]]}", 422),
    "never closed": (b'{"instances": ' + b"[" * 4 * MANY, 422),
    "two sizes, one wrong": (b'{"instances": [[[1]], [' + b"[1]," * MANY + b"[[1]]]]}", 422),
}


@pytest.mark.parametrize("kind", LARGE)
def test_many_small_things_are_refused_without_a_parser(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def parse(body: bytes, **_: object) -> object:
        raise AssertionError("a parser holds everybody up")

    monkeypatch.setattr("seqvision_edge.server.json_arrays.from_json", parse)
    body, code = LARGE[kind]
    with pytest.raises(HTTPException) as refused:
        read_instances(body, Limits())
    assert refused.value.status_code == code
    assert len(str(refused.value.detail)) < 200


def test_large_instances_of_several_sizes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqvision_edge.server.json_arrays.from_json", None)
    shapes = (300, 200), (250, 200, 3), (4, 60, 80, 3)
    arrays = [np.random.default_rng(4).integers(0, 256, shape, np.uint8) for shape in shapes]
    body = json.dumps({"instances": [each.tolist() for each in arrays]}, indent=1).encode()
    found = read_instances(body, Limits())
    np.testing.assert_array_equal(found[0], arrays[0][None, :, :, None])
    np.testing.assert_array_equal(found[1], arrays[1][None])
    np.testing.assert_array_equal(found[2], arrays[2])
    with pytest.raises(HTTPException, match="at most are 2"):
        read_instances(body, Limits(instances=2))
