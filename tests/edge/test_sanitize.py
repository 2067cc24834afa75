"""Labels and source names in file names and topics."""

import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seqvision_edge.card import Decision
from seqvision_edge.errors import RecordingError
from seqvision_edge.recording.take_list import clean_label
from seqvision_edge.sanitize import deduplicate, file_part, printable, topic_part, why_unseen

DECISION = {
    "temperature": 1.0, "smoothing": "none", "smoothing_frames": 1, "reject": 0.0, "enter": 1.0,
    "leave": 0.0, "early": None, "minimum_seconds": 0.0, "cooldown_seconds": 0.0,
}  # fmt: skip


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
        pytest.param(
            "größe",
            "größe",
            marks=pytest.mark.skipif(
                sys.getfilesystemencoding() != "utf-8", reason="file names here have no ö"
            ),
        ),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_a_file_name_part_keeps_its_specific_end(text: str, part: str) -> None:
    assert file_part(text) == part


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
def test_a_part_of_a_file_name_has_only_letters_that_a_name_can_have_here() -> None:
    code = (
        "from seqvision_edge.sanitize import file_part; print(file_part('gr\\xf6\\xdfe \\u4f60'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "gr__e\n"


@given(st.text())
def test_no_text_leaves_its_folder_or_its_topic(text: str) -> None:
    part = file_part(text)
    assert part
    assert not part.startswith(".")
    assert not {"/", "\\", "\0"} & set(part)
    assert len(part) <= 48
    assert len(part.encode()) <= 96
    assert not {"/", "+", "#", "\0"} & set(topic_part(text))
    assert topic_part(text)
    assert not any(unicodedata.category(letter) == "Cc" for letter in printable(text))


@given(st.lists(st.sampled_from(["a", "a-2", "b"])))
def test_equal_names_get_a_number(names: list[str]) -> None:
    given_names = deduplicate(names)
    assert len(set(given_names)) == len(names)


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[2J\n") == r"a\x1b[2J\n"


VISIBLE = {
    "word": "swipe left",
    "umlaut": "größe",
    "decomposed": "u\u0308ben",
    "Chinese": "挥手" * 30,
    "Korean": "손 흔들기",
    "decomposed Korean": "\u1109\u1169\u11ab",
    "Hindi with a joiner": "क\u094d\u200dष",
    "Persian with a non-joiner": "می\u200cروم",
    "emoji": "👍",
    "skin": "👍🏽",
    "profession": "👩🏽\u200d🚀",
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "heart on fire": "❤\ufe0f\u200d🔥",
    "rainbow flag": "🏳\ufe0f\u200d🌈",
    "shaking head": "🙂\u200d↔\ufe0f",
    "keycap": "1\ufe0f\u20e3",
    "flag": "🇩🇪",
    "flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "star": "*",
    "minus": "-",
    "number": "0",
}
UNSEEN = {
    **{f"U+{ord(each):04X}": each for each in "\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4\u200b"},
    **{f"wave U+{ord(each):04X}": f"wave{each}" for each in "\u3164\u2800\uffa0\u200b\u200d\ufeff"},
    "joiners only": "\u200d\u200c\u200d",
    "a joiner inside of a word": "wa\u200dve",
    "a non-joiner inside of a word": "wa\u200cve",
    "a joiner at the end of an emoji": "👩\u200d",
    "a joiner at the begin of an emoji": "\u200d👩",
    "two joiners": "👩\u200d\u200d🚀",
    "a soft hyphen": "wa\u00adve",
    "another direction": "turn\u202earound",
    "a variant of nothing": "\ufe0f",
    "a variant of a variant": "❤\ufe0f\ufe0f",
    "a mark of nothing": "\u0301",
    "letters of flags without one": "\U000e0067\U000e0062\U000e007f",
    "a hidden text behind a flag": "🏴" + "\U000e0067" * 20 + "\U000e007f",
    "control": "a\x1b[2J",
    "line": "a\nb",
    "surrogate": "a\ud800",
    "no break space": "\u00a0",
    "word joiner": "a\u2060b",
    "byte order": "\ufeffa",
}


@pytest.mark.parametrize("kind", VISIBLE)
def test_a_visible_label_is_accepted_unchanged(kind: str) -> None:
    text = VISIBLE[kind]
    assert why_unseen(text) is None
    assert printable(text) == text
    assert Decision.model_validate(DECISION | {"background": text}).background == text
    assert clean_label(text) == unicodedata.normalize("NFC", text)
    for part in (file_part(text), file_part(text * 30)):
        assert 1 <= len(part.encode()) <= 96
        assert not unicodedata.combining(part[0])


@pytest.mark.parametrize("kind", UNSEEN)
def test_an_invisible_label_is_refused_everywhere(kind: str) -> None:
    text = UNSEEN[kind]
    assert why_unseen(text) is not None
    with pytest.raises(ValidationError, match=r"the label (has|.* outer)|a label has 1 to"):
        Decision.model_validate(DECISION | {"background": text})
    if text.strip():
        with pytest.raises(RecordingError, match=r"^label "):
            clean_label(text)


@pytest.mark.parametrize("letter", ["漢", "👍🏽", "👩\u200d🚀", "e\u0301", "क\u094d\u200dष", "a"])
def test_two_parts_of_a_file_name_and_all_around_them_fit(letter: str) -> None:
    name = f"20261121T130405.123Z_{file_part(letter * 60)}_{file_part(letter * 128)}-12.mp4"
    assert len(name.encode()) < 255
    # No piece of a letter: all of it is made of the letter.
    assert set(file_part(letter * 60)) <= set(letter) | {"_"}
