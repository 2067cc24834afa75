"""Uploads are decoded by child processes, which may crash."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from colour_model import picture, write_video
from hostile_child import NONSENSE, task
from hostile_files import avi, mp4, png
from served import serving
from video_matrix import CASES, needs_ffmpeg, video

from seqvision_edge.child_process import Child, start_child
from seqvision_edge.errors import SourceError
from seqvision_edge.files import temporary_folder
from seqvision_edge.frame import FrameTooLarge
from seqvision_edge.opencv import cv2
from seqvision_edge.server.limits import Limits
from seqvision_edge.session import Session
from seqvision_edge.sources import decoder_process
from seqvision_edge.sources.decoder_process import Decoders
from seqvision_edge.sources.video_file import VideoFile

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no resource limits here")
SECONDS = 60.0


def nothing() -> None:
    """Let the work go on."""


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(Limits.pixels)
    yield made
    made.close()


def pids(decoders: Decoders) -> list[int]:
    """Return the processes of the children that wait for a clip."""
    return [decoder._child.pid for decoder in decoders._free]


def read(decoders: Decoders, path: Path, check: Callable[[], None] = nothing) -> list[Any]:
    """Return a copy of every frame of a video, with its time and duration."""
    with decoders.video(path, None, check, SECONDS) as source:
        assert source is not None
        return [(frame.bgr.copy(), frame.time, frame.index, frame.duration) for frame in source]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.file in {"h264.mp4", "vp9.webm", "mjpeg.avi"}],
    ids=lambda case: case.file,
)  # fmt: skip
def test_a_child_gives_the_frames_that_the_file_gives(case: Any, decoders: Decoders) -> None:
    needs_ffmpeg()
    path = video(case)
    with VideoFile(path) as source:
        expected = [(frame.bgr, frame.time, frame.index, frame.duration) for frame in source]
    found = read(decoders, path)
    assert len(found) == len(expected) > 1
    for (bgr, *about), (other, *labels) in zip(found, expected, strict=True):
        assert about == labels
        assert np.array_equal(bgr, other)


def test_a_child_serves_many_clips_and_is_replaced_when_it_dies(
    decoders: Decoders, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 2.0)])
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(bytes(range(256)) * 9)
    assert len(read(decoders, path)) == 40
    (first,) = pids(decoders)
    with pytest.raises(SourceError, match="not a video that can be read"):
        read(decoders, bad)
    with decoders.video(path, None, nothing, SECONDS) as source:
        next(iter(source or ()))  # its reader leaves in the middle
    assert len(read(decoders, path)) == 40
    assert pids(decoders) == [first]

    def crash_in_the_middle() -> None:
        with decoders.video(path, None, nothing, SECONDS) as source:
            for _ in source or ():
                os.kill(first, signal.SIGSEGV)

    with pytest.raises(SourceError, match=r"the decoder crashes on it \(SIGSEGV\)"):
        crash_in_the_middle()
    assert len(read(decoders, path)) == 40
    assert pids(decoders) != [first]


def test_a_hanging_child_is_ended_with_its_request(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 1.0)])
    read(decoders, path)
    (child,) = pids(decoders)
    monkeypatch.setattr(decoder_process, "_CLOSE", 0.1)
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise TimeoutError("the work's time is up")

    def hang_in_the_middle() -> None:
        with decoders.video(path, None, check, SECONDS) as source:
            for _ in source or ():
                os.kill(child, signal.SIGSTOP)

    with pytest.raises(TimeoutError, match="time is up"):
        hang_in_the_middle()
    assert not alive(child)


def test_a_child_over_its_memory_limit_refuses_the_clip(tmp_path: Path) -> None:
    decoders = Decoders(Limits.pixels, memory=56 << 20)
    path = tmp_path / "large.avi"
    path.write_bytes(avi([png(3500, 2300, 16)] * 4, 3500, 2300))
    try:
        with pytest.raises(SourceError):
            read(decoders, path)
        with (
            pytest.raises(SourceError),
            decoders.pictures([png(3500, 2300, 16)], None, nothing, SECONDS) as source,
        ):
            list(source or ())
    finally:
        decoders.close()


def test_a_child_that_has_grown_is_replaced(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 0.5)])
    monkeypatch.setattr(decoder_process, "_GROWN", 1 << 20)
    read(decoders, path)
    assert pids(decoders) == []


def test_frames_above_the_limit_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    decoders = Decoders(64 * 48)
    path = tmp_path / "a.avi"
    try:
        path.write_bytes(avi([png(65, 48)], 64, 48))
        with pytest.raises(SourceError, match=r"not one of its frames|the most that is read"):
            read(decoders, path)
        path.write_bytes(avi([png(64, 48), png(65, 48)], 64, 48))
        assert len(read(decoders, path)) == 1
        with (
            pytest.raises(FrameTooLarge),
            decoders.pictures([png(65, 48)], None, nothing, SECONDS) as source,
        ):
            list(source or ())
    finally:
        decoders.close()


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, object]) -> list[Child]:
    """Let children that answer so decode; return those that were started."""
    started: list[Child] = []

    def start(*_: object) -> Child:
        started.append(start_child("hostile_child", answers))
        return started[-1]

    monkeypatch.setattr(decoder_process, "start_child", start)
    return started


OPENED = '["opened", 30.0, 8, 8]\n'
OPENINGS = NONSENSE | {
    "none": '["opened"]', "text": '["opened", "a", 8, 8]', "nan": '["opened", NaN, 8, 8]',
    "infinite": '["opened", 1e999, 8, 8]', "huge": f'["opened", 1{"0" * 400}, 8, 8]',
    "null": '["opened", 30.0, null, 8]', "refused": '["refused"]', "why": '["refused", []]',
    "large": '["large", 1]', "memory": '["memory", 1]', "other": '["end", null]',
}  # fmt: skip
FRAMES = {
    "none": '["frame"]', "text": '["frame", 8, 8, "a", 0, 0]', "nan": '["frame", 8, 8, NaN, 0, 0]',
    "half": '["frame", 1.5, 8, 0.0, 0, 0]', "negative": '["frame", -8, -8, 0.0, 0, 0]',
    "true": '["frame", true, true, 0.0, 0, 0]', "large": '["frame", 99999, 99999, 0.0, 0, 0]',
    "end": '["end"]', "ends": '["end", {}]', "opened": '["opened", 30.0, 8, 8]',
    "closed": '["closed", 1]', "deep": "[" * 30_000,
}  # fmt: skip
CLOSINGS = NONSENSE | {
    "none": '["closed"]', "text": '["closed", "a"]', "nulls": '["closed", null]',
    "two": '["closed", 1, 2]', "grown": '["closed", 1e300]',
}  # fmt: skip
HOSTILE = {
    **{f"opening-{name}": f"{line}\n" for name, line in OPENINGS.items()},
    **{f"frame-{name}": f"{OPENED}{line}\n" for name, line in FRAMES.items()},
    **{f"closing-{name}": f'{OPENED}["end", null]\n{line}\n' for name, line in CLOSINGS.items()},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_invalid_reply_counts_as_a_crash_of_the_child(
    case: str, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "_CLOSE", 0.1)
    started = answering(monkeypatch, task(HOSTILE[case]))
    if case.startswith("closing"):
        assert read(decoders, Path("a")) == []
    else:
        with pytest.raises(SourceError, match=r"the decoder crashes on it \(nonsense\)"):
            read(decoders, Path("a"))
    (child,) = started
    assert not alive(child.pid)
    assert pids(decoders) == []


@pytest.mark.parametrize("then", ["floods", "reads nothing"])
def test_a_flooding_or_blocked_child_does_not_block_the_parent(
    then: str, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "_CLOSE", 0.3)
    started = answering(monkeypatch, task("", then))
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise TimeoutError("the work's time is up")

    def decode() -> None:
        with decoders.pictures([bytes(1 << 20)] * 2, None, check, SECONDS) as source:
            for _ in source or ():
                pass

    with pytest.raises(TimeoutError, match="time is up"):
        decode()
    (child,) = started
    assert not alive(child.pid)
    assert pids(decoders) == []


def test_a_child_that_died_while_it_waited_is_replaced(decoders: Decoders, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 0.5)])
    read(decoders, path)
    (decoder,) = decoders._free
    os.kill(decoder._child.pid, signal.SIGKILL)
    decoder._child._process.wait()
    assert len(read(decoders, path)) == 10


def test_a_failed_memory_mapping_leaves_no_child(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = answering(monkeypatch, task(""))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(decoder_process.mmap, "mmap", refuse)
    with pytest.raises(
        decoder_process.NoDecoder, match=r"could not be started \(Cannot allocate memory\)"
    ):
        decoders.start()
    assert not any(alive(child.pid) for child in started)


def test_descriptors_above_1024_are_waited_for(decoders: Decoders, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 1200:
        pytest.skip("so many files may not be open here")
    path = write_video(tmp_path / "a.mp4", [("red", 0.5)])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    with contextlib.ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        number = 0
        while number < 1024:
            number = os.open(os.devnull, os.O_RDONLY)
            opened.callback(os.close, number)
        assert len(read(decoders, path)) == 10
        decoders.close()


def test_the_server_s_children_end_with_it(session: Session, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 1.0)])
    with serving(session) as running, running.client() as client:
        assert post(client, path.read_bytes()).status_code == 200
        (child,) = pids(running.served.service.decoders)
        assert alive(child)
    until = time.monotonic() + 120
    while alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(child)


def test_a_child_dying_during_a_request_gives_a_response(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 2.0)], 30.0)
    with serving(session) as running, running.client() as client:
        decoders = running.served.service.decoders
        assert post(client, path.read_bytes()).status_code == 200
        (child,) = pids(decoders)
        pixels = decoder_process._Decoder.pixels

        def kill(decoder: Any, number: int, *size: int) -> Any:
            if decoder._child.pid == child and number == 5:
                os.kill(child, signal.SIGKILL)
            return pixels(decoder, number, *size)

        monkeypatch.setattr(decoder_process._Decoder, "pixels", kill)
        answer = post(client, path.read_bytes())
        assert (answer.status_code, "decoder crashes" in answer.text) == (422, True), answer.text
        assert post(client, path.read_bytes()).status_code == 200


def test_an_upload_is_refused_where_no_child_can_be_started(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    content = png(64, 48)
    with serving(session) as running, running.client() as client:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(python))
            answer = post(client, content)
        assert answer.status_code == 503
        assert "could not be started (exit code 3)" in answer.text
        assert post(client, content).status_code == 200


KILLED_IN_AN_UPLOAD = """
import os, signal, sys
from pathlib import Path
from seqvision_edge.server.job import Job
from seqvision_edge.server.limits import Limits
from seqvision_edge.server.upload_decoding import from_video
from seqvision_edge.sources.decoder_process import Decoders
limits = Limits()
upload, decoders = Path(sys.argv[1]).open("rb"), Decoders(limits.pixels)
with from_video(upload, limits, None, decoders, Job(60)) as sent:
    next(iter(sent.frames))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_server_left_of_an_upload_is_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [("red", 1.0)])
    folder = tmp_path / "temporary"
    folder.mkdir()
    command = [sys.executable, "-c", KILLED_IN_AN_UPLOAD, str(path)]
    process = subprocess.run(command, env={**os.environ, "TMPDIR": str(folder)}, timeout=120)
    assert process.returncode == -signal.SIGKILL
    content = path.read_bytes()

    def left() -> list[Path]:
        return [file for file in folder.rglob("*.video") if file.read_bytes() == content]

    assert len(left()) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with temporary_folder():
        assert left() == []


def test_decompression_bombs_are_refused_and_the_server_survives(session: Session) -> None:
    huge = png(6000, 6000, 16)
    with serving(session) as running, running.client() as client:
        for body, codes in (
            (avi([png(64, 48), huge, huge], 64, 48), {200}),
            (avi([huge] * 2, 64, 48), {413, 422}),
            (mp4(huge, tracks=8), {413, 422}),
            (mp4(png(64, 48), (1, 60_000_000)), {422}),
        ):
            assert post(client, body).status_code in codes
        good, data = cv2.imencode(".jpg", picture("red"))
        assert good
        assert post(client, data.tobytes()).status_code == 200


def post(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post("/v1/predict", files={"file": ("a", content)})


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
