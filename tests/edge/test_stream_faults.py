"""Why a stream cannot be opened, and what no URL and no server can make FFmpeg open."""

import errno
import json
import pickle
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
from servers import web
from servers.web import WebServer, content, mjpeg, status
from test_sources import write_video
from test_streams import QUOTED, encode

from seqvision_edge.errors import SourceError
from seqvision_edge.sources.factory import open_path
from seqvision_edge.sources.faults import StreamFault, error_code, of_error, of_status
from seqvision_edge.sources.ffmpeg import ffmpeg_options

# One process opens them all, as the one of a source opens one: what C code writes there is gone, so
# what became of each is written to a file.
PROGRAM = """
import json, sys
from pathlib import Path
from seqvision_edge.sources.ffmpeg import open_stream

found = []
for url in json.loads(sys.argv[2]):
    try:
        video = open_stream(url, 2.0, 2.0)
        found.append("open" if video.grab() else "no frame")
    except OSError as error:
        found.append(error.reason)
Path(sys.argv[1]).write_text(json.dumps(found))
"""


@dataclass(frozen=True)
class Asked:
    """The result of each URL, by its path, and the requests received by the decoy."""

    reasons: dict[str, str]
    decoy: list[str]
    output: str


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("faults")
    clip = encode(folder / "clip.ts", "160x120", 1)
    with WebServer(web.files(folder)) as decoy:
        elsewhere = f"{decoy.url}/clip.ts"
        text = b"<html>a page, not a stream</html>" * 50
        realm = {"WWW_Authenticate": 'Basic realm="camera"'}
        routes = {
            "/clip.ts": content(clip.read_bytes()),
            "/video": mjpeg(),
            "/401": status(401, **realm),
            "/401-without-a-word": status(401),
            "/403": status(403),
            "/404": status(404),
            "/500": status(500),
            "/302": status(302, Location=elsewhere),
            "/301-here": status(301, Location="/clip.ts"),
            "/silent": web.silent,
            "/text": content(text, "text/html"),
            "/text.ts": content(text, "video/mp2t"),
            "/empty": content(b""),
            "/clip.mp4": content(write_video(folder / "clip.mp4").read_bytes()),
            "/playlist": content(PLAYLIST.format(elsewhere).encode()),
            "/playlist.ts": content(PLAYLIST.format(elsewhere).encode(), "video/mp2t"),
            "/concat": content(f"ffconcat version 1.0\nfile '{elsewhere}'\n".encode()),
            "/file.m3u8": content(PLAYLIST.format(f"file://{clip}").encode()),
            "/path.m3u8": content(PLAYLIST.format(clip).encode()),
            "/data.m3u8": content(PLAYLIST.format("data:video/mp2t;base64,AAAA.ts").encode()),
            "/sub.m3u8": content(PLAYLIST.format(f"subfile,,start,0,end,9,,:{clip}").encode()),
            "/text.m3u8": content(text),
            "/401.m3u8": status(401, **realm),
            "/404.m3u8": status(404),
            "/500.m3u8": status(500),
            "/silent.m3u8": web.silent,
        }
        with WebServer(routes) as server:
            host = server.url.removeprefix("http://")
            urls = [f"http://{QUOTED}@{host}{path}" for path in routes]
            urls.append(f"https://{QUOTED}@{host}/clip.ts")
            command = [sys.executable, "-c", PROGRAM, folder / "found", json.dumps(urls)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
        found = json.loads((folder / "found").read_text())
        names = [*routes, "/https"]
        yield Asked(dict(zip(names, found, strict=True)), decoy.hits, done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/clip.ts", "open"),
        ("/video", "open"),
        ("/401", "unauthorized"),
        ("/403", "forbidden"),
        ("/404", "not_found"),
        ("/500", "server_error"),
        ("/302", "redirected"),
        ("/301-here", "redirected"),
        ("/silent", "timeout"),
        ("/text", "unreadable"),
        ("/text.ts", "unreadable"),
        ("/text.m3u8", "unreadable"),
        ("/empty", "unreadable"),
        ("/clip.mp4", "unreadable"),
        ("/401.m3u8", "unauthorized"),
        ("/404.m3u8", "not_found"),
        ("/500.m3u8", "server_error"),
        ("/silent.m3u8", "timeout"),
        ("/https", "tls"),
    ],
)
def test_a_refused_stream_has_one_error_code(requests: Asked, path: str, reason: str) -> None:
    assert requests.reasons[path] == reason


def test_no_server_leads_to_another_one_or_to_a_file(requests: Asked) -> None:
    paths = ["/playlist", "/playlist.ts", "/concat", "/file.m3u8", "/data.m3u8", "/sub.m3u8"]
    # A path in a playlist is one of its server's.
    for path in [*paths, "/path.m3u8"]:
        assert requests.reasons[path] == "unreadable", path
    assert requests.decoy == []


def test_ffmpeg_log_reaches_neither_terminal_nor_output(requests: Asked) -> None:
    assert requests.output == ""


@pytest.mark.parametrize(
    ("url", "protocols"),
    [
        ("rtsp://cam/1", {"tcp"}),
        ("rtsps://cam/1", {"tls", "tcp"}),
        ("http://cam/a.m3u8", {"http", "https", "httpproxy", "crypto", "tls", "tcp"}),
    ],
)
def test_ffmpeg_fetches_each_kind_of_address_by_its_own_protocols(
    url: str, protocols: set[str]
) -> None:
    options = ffmpeg_options(url)
    assert set(options["protocol_whitelist"].split(",")) == protocols
    assert ("hls" in options["format_whitelist"]) == ("crypto" in protocols)


def test_no_local_file_leads_to_another_one_or_to_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_video(tmp_path / "clip.ts")
    monkeypatch.chdir(tmp_path)
    with WebServer(web.files(tmp_path)) as decoy:
        elsewhere = f"{decoy.url}/clip.ts"
        # A byte that is no text, so that only FFmpeg can refuse them.
        lists = {
            "list.m3u8": PLAYLIST.format(elsewhere),
            "files.m3u8": PLAYLIST.format("clip.ts"),
            "list.mp4": PLAYLIST.format(elsewhere),
            "list.avi": PLAYLIST.format(clip),
            "list.ffconcat": f"ffconcat version 1.0\nfile '{elsewhere}'\n",
            "list.mkv": f"ffconcat version 1.0\nfile '{clip}'\n",
            "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        }
        names = [
            "concat:clip.ts|clip.ts",
            f"subfile,,start,0,end,9999,,:{clip}",
            "data:video/mp2t;base64,AAAA",
            "pipe:0",
            "lavfi:testsrc",
            elsewhere,
        ]
        for name, text in lists.items():
            Path(name).write_bytes(text.encode() + b"#\x01\x02\xff\n" * 9)
        for name in [*lists, *names]:
            with pytest.raises(SourceError), open_path(name) as source:
                list(source)
        assert decoy.hits == []


def test_a_fault_comes_whole_from_its_process() -> None:
    fault = pickle.loads(pickle.dumps(StreamFault("not_found")))
    assert (type(fault), fault.reason, error_code(fault)) == (StreamFault, "not_found", "not_found")
    assert fault.strerror == "the server has nothing under this path"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (av.error.HTTPUnauthorizedError(1, ""), "unauthorized"),
        (av.error.HTTPOtherClientError(1, ""), "forbidden"),
        (av.error.HTTPServerError(1, ""), "server_error"),
        (av.error.HTTPNotFoundError(1, ""), "not_found"),
        (av.error.ExitError(1, ""), "timeout"),
        (av.error.ConnectionRefusedError(errno.ECONNREFUSED, ""), "refused"),
        (OSError(errno.EHOSTUNREACH, ""), "unreachable"),
        (socket.gaierror(-2, ""), "unknown_host"),
        (ssl.SSLCertVerificationError(1, ""), "tls"),
        (av.error.InvalidDataError(1, ""), "unreadable"),
        (OSError(errno.EIO, ""), "unreadable"),
    ],
)
def test_each_error_has_its_code(error: Exception, reason: str) -> None:
    assert of_error(error) == reason


def test_a_successful_status_has_no_code() -> None:
    assert of_status(200) is None
