"""Parsing a user's sources, and the names of sources."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.errors import SourceError
from seqvision_edge.sanitize import LONGEST_SOURCE, deduplicate, source_name
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.parse import parse_camera, parse_source, read_listing

ENVIRONMENT = {
    "CAM_URL": "rtsp://viewer:s3cret@10.0.0.9/stream1",
    "CAM_PASSWORD": "p@ss/w:rd#1",
    "CAM_HOST": "10.0.0.7:8554",
    "EMPTY": "",
}


def refusal(text: str) -> str:
    """Return why something is no source, in one line."""
    with pytest.raises(SourceError) as caught:
        parse_source(text, ENVIRONMENT)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- one source ----


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("-", "pipe", "standard input"),
        ("clip.mp4", "path", "clip.mp4"),
        ("frames/*.jpg", "path", "frames/*.jpg"),
        ("/dev/video2", "camera", "/dev/video2"),
        ("/dev/v4l/by-id/usb-cam-index0", "camera", "/dev/v4l/by-id/usb-cam-index0"),
        ("rtsp://10.0.0.7/stream1", "stream", "rtsp://10.0.0.7/stream1"),
        ("RTSPS://cam:322/1", "stream", "RTSPS://cam:322/1"),
        ("http://[::1]:8080/video?token=abc", "stream", "http://[::1]:8080/video?token=***"),
        ("https://a:b@cam/live.m3u8", "stream", "https://***@cam/live.m3u8"),
        # Names of files, not FFmpeg's protocols.
        ("concat:a.ts|b.ts", "path", "concat:a.ts|b.ts"),
        ("subfile,,start,0,end,9,,:a.ts", "path", "subfile,,start,0,end,9,,:a.ts"),
    ],
)
def test_the_kind_of_a_source_follows_from_its_text(text: str, kind: str, name: str) -> None:
    address = parse_source(text, ENVIRONMENT)
    assert (address.kind, address.name) == (kind, name)


def test_the_scheme_of_a_url_is_made_small_and_the_rest_is_kept() -> None:
    address = parse_source("RTSP://User:Pass@Cam/Path?A=B", ENVIRONMENT)
    assert address.where == "rtsp://User:Pass@Cam/Path?A=B"


@pytest.mark.parametrize("text", ["0", "12"])
def test_a_camera_has_a_number(text: str) -> None:
    assert parse_camera(text) == Address("camera", f"camera {text}", int(text))


def test_a_camera_has_a_device() -> None:
    assert parse_camera("/dev/video2") == Address("camera", "/dev/video2", "/dev/video2")


@pytest.mark.parametrize("text", ["-1", "x", "", "0.5", "video2", "¹", "rtsp://a:b@c/d"])
def test_an_invalid_camera_error_shows_valid_ones(text: str) -> None:
    with pytest.raises(
        SourceError, match="give a number from 0, or a device: /dev/video2"
    ) as output:
        parse_camera(text)
    assert "a:b" not in str(output.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://a:b@cam/x", "ftp://***@cam/x: unsupported URL"),
        ("file:///etc/passwd", "unsupported URL"),
        ("rtsp://", "not a complete URL, such as rtsp://192.168.1.20/path"),
        ("http://cam:http/x", "not a complete URL"),
        ("http://cam:99999/x", "not a complete URL"),
        ("http://[::1/x", "not a complete URL"),
        ("rtsp://cam/a b", "a space or control character in a URL; write it as %20"),
        ("rtsp://cam/x\r\nTEARDOWN *", "a space or control character"),
        ("env:NOWHERE", "NOWHERE: environment variable not set; set it: export NOWHERE=…"),
        ("env:EMPTY", "EMPTY: environment variable not set"),
        ("rtsp://a:${NOWHERE}@cam/x", "NOWHERE: environment variable not set"),
    ],
)
def test_a_url_that_cannot_be_watched_is_one_clear_line(text: str, reason: str) -> None:
    assert reason in refusal(text)


# ---- secrets ----


def test_a_source_may_be_in_the_environment_and_is_called_by_its_variable() -> None:
    address = parse_source("env:CAM_URL", ENVIRONMENT)
    assert (address.kind, address.name) == ("stream", "CAM_URL")
    assert address.where == ENVIRONMENT["CAM_URL"]


def test_a_password_from_the_environment_may_have_any_characters() -> None:
    text = "rtsp://viewer:${CAM_PASSWORD}@${CAM_HOST}/1?token=${CAM_PASSWORD}"
    address = parse_source(text, ENVIRONMENT)
    encoded = "p%40ss%2Fw%3Ard%231"
    assert address.where == f"rtsp://viewer:{encoded}@10.0.0.7:8554/1?token={encoded}"
    assert address.name == "rtsp://***@${CAM_HOST}/1?token=***"


def test_an_address_does_not_show_what_is_opened() -> None:
    assert "s3cret" not in repr(parse_source("env:CAM_URL", ENVIRONMENT))


# ---- names ----


@given(st.lists(st.text("ab (2)…é日\x1b\n\u202e\u00a0\ud800", max_size=90), max_size=8))
def test_names_are_printable_short_and_differ(texts: list[str]) -> None:
    names = deduplicate([source_name(text) for text in texts])
    assert len(set(names)) == len(texts)
    assert all(name.isprintable() and 0 < len(name) <= 64 for name in names)


def test_two_of_the_same_get_numbers() -> None:
    assert deduplicate(["a", "a", "b", "a", "a-2"]) == ["a", "a-2", "b", "a-3", "a-2-2"]


def test_a_long_name_keeps_both_ends() -> None:
    name = source_name("/home/user/" + "x" * 100 + "/clip.mp4")
    assert name.startswith("/home/user/x")
    assert name.endswith("x/clip.mp4")
    assert len(name) == LONGEST_SOURCE


def test_control_characters_in_a_name_are_escaped() -> None:
    assert source_name("door\x1b[2J\n cam\u202e") == "door [2J cam"


# ---- lists of sources ----


def write_list(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refused_list(path: Path, text: str) -> str:
    with pytest.raises(SourceError) as caught:
        read_listing(write_list(path, text), ENVIRONMENT)
    output = str(caught.value)
    assert output.startswith(f"--sources {path}: ")
    assert "\n" not in output
    assert "s3cret" not in output
    return output.removeprefix(f"--sources {path}: ")


def test_a_list_names_its_sources(tmp_path: Path) -> None:
    text = """
front door: rtsp://viewer:${CAM_PASSWORD}@10.0.0.7/1
yard: {url: 'env:CAM_URL'}
desk: {camera: 0}
bench:
  camera: /dev/video2
clip: videos/clip.mp4
odd: {path: 'env:x'}
7: '-'
"""
    found = read_listing(write_list(tmp_path / "cameras.yaml", text), ENVIRONMENT)
    assert [(address.name, address.kind, address.where) for address in found] == [
        ("front door", "stream", "rtsp://viewer:p%40ss%2Fw%3Ard%231@10.0.0.7/1"),
        ("yard", "stream", ENVIRONMENT["CAM_URL"]),
        ("desk", "camera", 0),
        ("bench", "camera", "/dev/video2"),
        ("clip", "path", str(tmp_path / "videos/clip.mp4")),
        ("odd", "path", str(tmp_path / "env:x")),
        ("7", "pipe", "-"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a list of names and sources; give lines such as: front door: rtsp://"),
        ("- rtsp://cam/1", "not a list of names and sources"),
        ("a: [1\nb: rtsp://u:s3cret@cam", "line 2: "),
        ("a: !!python/object/apply:os.system ['true']", "line 1: types (!) are not read"),
        ("a: x.mp4\na: y.mp4", "line 2: this name is there twice"),
        ("door: rtsp://u:${NOWHERE}@cam/1", "door: NOWHERE: environment variable not set"),
        ("door: {url: rtsp://cam/1, fps: 5}", "door: give one address, or one of url, path, cam"),
        ("door: [rtsp://u:s3cret@cam]", "door: give one address"),
        ("door:", "door: give one address"),
        ("door: {camera: -1}", "door: --camera -1: give a number from 0"),
        ("door: ftp://u:s3cret@cam/1", "door: ftp://***@cam/1: unsupported URL"),
    ],
)
def test_a_list_that_is_wrong_is_one_clear_line(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refused_list(tmp_path / "cameras.yaml", text)


def test_the_list_of_the_document_is_one(tmp_path: Path) -> None:
    document = Path(__file__).parents[2] / "docs" / "sources.md"
    text = document.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    environment = {"CAM_PASSWORD": "x", "YARD_URL": "http://cam/video"}
    found = read_listing(write_list(tmp_path / "cameras.yaml", text), environment)
    assert [address.kind for address in found] == ["stream", "stream", "camera", "path"]


def test_a_list_that_is_missing_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.yaml: cannot be read \(No such file"):
        read_listing(tmp_path / "none.yaml", ENVIRONMENT)
