"""Secrets are redacted in everything shown."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvision_edge.sanitize import redact

SECRET = "Xq9"
HOSTS = st.sampled_from(["cam", "10.0.0.7", "cam.example.org:8554", "[::1]:80"])
# Everything that people put into passwords; an end of line cannot be in a URL.
ODD = st.text(string.ascii_lowercase + string.digits + "@:/?#&=%;,|+ \t'\"!$é", max_size=8)


@given(ODD, ODD, ODD, HOSTS, st.sampled_from(["rtsp", "RTSPS", "http", "https", "ftp"]))
def test_user_and_password_are_never_shown_whatever_is_in_them(
    user: str, before: str, after: str, host: str, scheme: str
) -> None:
    url = f"{scheme}://{user}{SECRET}:{before}{SECRET}{after}@{host}/stream1"
    assert redact(url) == f"{scheme}://***@{host}/stream1"
    assert SECRET not in redact(f"{url}: not found; also {url}, twice")


@given(
    st.sampled_from(
        ["token", "access_token", "key", "api-key", "apikey", "password", "pwd", "PASS", "auth",
         "X-Amz-Signature", "X-Amz-Credential", "user", "loginpas", "sid", "session_id", "secret"]
    ),
    st.text(string.ascii_letters + string.digits + "%+/=.:~-_", max_size=8),
    st.sampled_from(["", "channel=1&", "x=&"]),
    st.sampled_from(["", "&subtype=0", "#end"]),
)  # fmt: skip
def test_secret_values_of_a_query_are_never_shown(
    name: str, value: str, before: str, after: str
) -> None:
    url = f"http://cam/video?{before}{name}={SECRET}{value}{after}"
    assert redact(url) == f"http://cam/video?{before}{name}=***{after}"


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://192.168.1.20:554/stream1?channel=1&subtype=0",
        "clip.mp4: decoded 146 of 300 frames",
        "mail user@example.org",
        "frames/*.jpg",
        "http://cam/monkey=1?keyframe=2",
        "",
    ],
)
def test_what_holds_no_secret_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_lines_are_redacted_one_by_one() -> None:
    assert redact("rtsp://a:b@c/1\nrtsp://d/2\nask me@home") == (
        "rtsp://***@c/1\nrtsp://d/2\nask me@home"
    )
