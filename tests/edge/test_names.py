"""Labels and names of sources as parts of files and topics."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.names import file_part, printable, told_apart, topic_part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("swipe left", "swipe_left"),
        ("../x", "x"),
        ("a/../b", "a_.._b"),
        ("..", "_"),
        ("", "_"),
        ("/dev/video0", "dev_video0"),
        ("rtsp://cam/1", "rtsp___cam_1"),
        ("\x1b[2J", "[2J"),
        ("größe", "größe"),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_a_part_of_a_file_name_says_what_it_can(text: str, part: str) -> None:
    assert file_part(text) == part


@given(st.text())
def test_no_text_leaves_its_folder_or_its_topic(text: str) -> None:
    part = file_part(text)
    assert part
    assert not part.startswith(".")
    assert not {"/", "\\", "\0"} & set(part)
    assert len(part) <= 48
    assert not {"/", "+", "#", "\0"} & set(topic_part(text))
    assert topic_part(text)
    assert not any(unicodedata.category(letter) == "Cc" for letter in printable(text))


@given(st.lists(st.sampled_from(["a", "a-2", "b"])))
def test_names_that_are_the_same_are_told_apart(names: list[str]) -> None:
    given_names = told_apart(names)
    assert len(set(given_names)) == len(names)


def test_what_would_steer_a_terminal_is_spelt_out() -> None:
    assert printable("a\x1b[2J\n") == r"a\x1b[2J\n"
