"""YAML files of users are plain data; anything else is one error line, at once."""

import math
import time
from pathlib import Path

import pytest

from seqvision_edge.yaml_file import MAX_BYTES, YamlError, dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1", {"a": 1}),
        ("a: [1, 2.5, -3e2, 0x10, 0o17]", {"a": [1, 2.5, -300.0, 16, 15]}),
        ("a: {b: true, c: null, d: ~, e: }", {"a": {"b": True, "c": None, "d": None, "e": None}}),
        ("labels: [yes, no, on, off, y, N]", {"labels": ["yes", "no", "on", "off", "y", "N"]}),
        ("1: a\ntrue: b\nnull: c", {"1": "a", "true": "b", "null": "c"}),
        ("day: 2026-11-30\ntime: 12:30:45\nnumber: 1_000",
         {"day": "2026-11-30", "time": "12:30:45", "number": "1_000"}),
        ("a: 'x: [y'\nb: |\n  two\n  lines\n", {"a": "x: [y", "b": "two\nlines\n"}),
        ("<<: a", {"<<": "a"}),
        ("ключ: значение", {"ключ": "значение"}),
        ("a: 1e3\nb: 1.\nc: .5\nd: .inf", {"a": 1000.0, "b": 1.0, "c": 0.5, "d": math.inf}),
        ("a: '1'\nb: \"true\"", {"a": "1", "b": "true"}),
    ],
)  # fmt: skip
def test_plain_data_is_read_as_yaml_1_2_has_it(text: str, value: object) -> None:
    found = parse_yaml(text)
    assert found == value
    assert repr(found) == repr(value)
    assert parse_yaml(text.encode()) == value


@pytest.mark.parametrize(
    "value",
    [
        *("yes", "no", "1e3", "0o17", "0x1f", "1_000", "12:30:45", "2026-11-30", "null", "~", ""),
        *(
            "true",
            "1",
            "1.5",
            ".inf",
            "<<",
            "=",
            "*a",
            "&a",
            "!a",
            "- a",
            "a: b",
            "#",
            "ключ",
            "手",
        ),
        *(1, -1, 10**20, 0.1, 1e-5, 1e300, True, None, [], {}, [1, [2]], {"a": {"b": None}}),
    ],
)
def test_what_is_written_is_read_back(value: object) -> None:
    shared = [value]
    content = {"a": shared, "b": shared, str(value): 1}
    assert repr(parse_yaml(dump_yaml(content))) == repr(content)


BILLION = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BILLION, "line 1: references"),
        ("a: &x 1\nb: *x", "line 1: references"),
        ("base: &b {a: 1}\nc:\n  <<: *b", "line 1: references"),
        ("a: !!bool foo", "line 1: types"),
        ("a: !!timestamp foo", "line 1: types"),
        ("a: !!python/object/apply:os.system [id]", "line 1: types"),
        ("a: !!binary x", "line 1: types"),
        ("a: !own {}", "line 1: types"),
        ("[" * 500_000, "line 1: nested deeper"),
        ("- " * 400_000, "line 1: nested deeper"),
        ("{a: " * 100_000, "line 1: nested deeper"),
        ("[" + "1," * 60_000 + "]", "line 1: more than"),
        ("a: 1\nb: 2\na: 3", "line 3: this name is there twice"),
        (f"a: 1\n{'b' * 201}: 2", "line 2: a name of more than 200"),
        ("? [a, b]\n: 1", "line 1: a name must be"),
        ("? {a: b}\n: 1", "line 1: a name must be"),
        ("a: [1, 2", "line 2: "),
        ("a: b: c", "line 1: "),
        ("a:\n\t- b", "line 2: "),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        ("%YAML 9.9\n---\na: 1", "line 1: "),
        (f"a: 1\nb: {'9' * 41}", "line 2: a number of more than 40"),
        ("a: \x00", "not text"),
        (b"\xff\xfe\x00\xd8", "not text"),
        (b"a: \xff", "not text"),
        (":" * 10_000, ""),
        ("? " * 10_000, ""),
        ("*", "line 1: "),
        ("&", "line 1: "),
        ("!", ""),
        ("@a", "line 1: "),
    ],
)  # fmt: skip
def test_what_is_not_plain_data_is_one_short_line(text: str | bytes, reason: str) -> None:
    began = time.process_time()
    with pytest.raises(YamlError) as error:
        parse_yaml(text)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200
    assert time.process_time() - began < 5


def test_a_message_never_repeats_what_stands_there() -> None:
    with pytest.raises(YamlError) as error:
        parse_yaml("door: rtsp://admin:s3cret@10.0.0.4/1: x\n  - y")
    assert "s3cret" not in str(error.value)


def test_files_are_bounded_and_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with pytest.raises(YamlError, match=r"cannot be read \(No such file"):
        read_yaml(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(YamlError, match="larger than 1 MB"):
        read_yaml(path)
    path.write_text("a: 1", encoding="utf-16")
    assert read_yaml(path) == {"a": 1}
