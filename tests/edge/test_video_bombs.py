"""Small files that would take gigabytes or minutes: bounds follow the frames, not a file's head."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from hostile_files import avi, box, jpeg_size, mp4, png

from seqvision_edge.opencv import cv2

PROGRAM = Path(__file__).with_name("hostile_files.py")
# What the program has for itself is some 80 MB; each of these files took over 280 MB.
MOST_MEGABYTES = 200


def small() -> bytes:
    return png(64, 48)


def huge() -> bytes:
    """Return a picture of 36 million pixels, 8 bytes each."""
    return png(6000, 6000, 16)


def jpeg(width: int, height: int) -> bytes:
    """Return a JPEG that claims this size."""
    good, data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))
    assert good
    return jpeg_size(data.tobytes(), width, height)


def many_streams() -> bytes:
    """Return an MPEG transport stream whose table names 200 videos."""
    return b"".join(transport_packets(200))


def transport_packets(streams: int) -> Iterator[bytes]:
    def crc(data: bytes) -> bytes:
        value = 0xFFFFFFFF
        for byte in data:
            value ^= byte << 24
            for _ in range(8):
                value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
        return value.to_bytes(4, "big")

    def section(pid: int, table: int, body: bytes) -> Iterator[bytes]:
        data = bytes([table]) + (0xB000 | len(body) + 9).to_bytes(2, "big")
        data += b"\0\1\xc1\0\0" + body
        rest = b"\0" + data + crc(data)
        counter, first = 0, True
        while rest:
            piece, rest = rest[:184], rest[184:]
            start = 0x4000 if first else 0
            yield (
                b"\x47"
                + (start | pid).to_bytes(2, "big")
                + bytes([0x10 | counter])
                + (piece.ljust(184, b"\xff"))
            )
            counter, first = (counter + 1) % 16, False

    yield from section(0, 0, b"\0\1" + (0xE000 | 100).to_bytes(2, "big"))
    entries = b"".join(
        b"\x1b" + (0xE000 | 200 + number).to_bytes(2, "big") + b"\xf0\0"
        for number in range(streams)
    )
    yield from section(100, 2, (0xE000 | 200).to_bytes(2, "big") + b"\xf0\0" + entries)


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "later frames are huge": ("a.avi", lambda: avi([small()] * 2 + [huge()] * 2, 64, 48)),
    "the first frame is huge": ("b.avi", lambda: avi([huge(), small(), small()], 64, 48)),
    "the head says so": ("c.avi", lambda: avi([huge()] * 2, 6000, 6000)),
    "JPEG frames that claim it": ("d.avi", lambda: avi([jpeg(65500, 65500)] * 3, 64, 48, b"MJPG")),
    "many streams": ("e.mp4", lambda: mp4(huge(), tracks=8)),
    "thousands of streams": ("f.mp4", lambda: mp4(small(), tracks=2000)),
    "streams of a transport stream": ("g.ts", many_streams),
    "one size for a billion samples": ("h.mp4", lambda: mp4(small(), (1, 60_000_000))),
    "a fragment of a billion samples": ("i.mp4", lambda: mp4(small(), runs=60_000_000)),
    "samples times edits": ("j.mp4", lambda: mp4(small(), (1, 60_000), edits=1000)),
    "a compressed header": ("k.mp4", lambda: small_moov_in(b"moov")),
    "a hidden compressed header": ("l.mp4", lambda: small_moov_in(b"free")),
}  # fmt: skip


def small_moov_in(kind: bytes) -> bytes:
    """Return a QuickTime file whose header is packed 1000 times over."""
    packed = zlib.compress(bytes(64 << 20))
    inner = box(b"dcom", b"zlib") + box(b"cmvd", (400 << 20).to_bytes(4, "big"), packed)
    return box(b"ftyp", b"qt  ", bytes(4)) + box(kind, box(b"cmov", inner)) + box(b"mdat", b"x")


def test_no_video_takes_more_than_its_frames_may(tmp_path: Path) -> None:
    paths = []
    for name, make in BOMBS.values():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make())
    done = decoded(*paths)
    assert [Path(path) for path, _, _ in done] == paths
    too_much = {
        case: (outcome, megabytes)
        for case, (_, outcome, megabytes) in zip(BOMBS, done, strict=True)
        if megabytes > MOST_MEGABYTES
    }
    assert not too_much
    outcomes = {case: outcome for case, (_, outcome, _) in zip(BOMBS, done, strict=True)}
    # What is small and whole is still read.
    assert outcomes["later frames are huge"] == "2 frames"
    assert outcomes["the first frame is huge"] == "2 frames"
    for case in ("the head says so", "one size for a billion samples", "samples times edits"):
        assert outcomes[case].startswith("refused: "), outcomes[case]


def decoded(*paths: Path) -> list[tuple[str, str, int]]:
    """Return what comes of files in one process, each with the most memory so far in MB."""
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ran.returncode == 0, (ran.stdout[-300:], ran.stderr[-300:])
    assert not ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return [(path, outcome, peak) for path, outcome, peak in lines if outcome != "…"]
