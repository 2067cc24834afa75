"""Small files that would take gigabytes or minutes: limits follow the frames, not the header."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from hostile_files import avi, box, jpeg_size, mp4, part, png

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


@cache
def one_frame() -> bytes:
    """Return a black H.264 frame of 75 million pixels, in an FLV."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.flv"
        with av.open(str(path), "w") as container:
            try:
                stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            except ValueError:
                pytest.skip("this PyAV has no x264")
            stream.width = stream.height = 8640
            frame = av.VideoFrame(8640, 8640, "yuv420p")
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path.read_bytes()


def in_transport_stream(streams: int) -> bytes:
    """Return that frame in each of so many streams."""
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder) / "a.flv", Path(folder) / "a.ts"
        source.write_bytes(one_frame())
        with av.open(str(source)) as given, av.open(str(path), "w") as container:
            copies = [
                container.add_stream_from_template(given.streams.video[0]) for _ in range(streams)
            ]
            for packet in given.demux(video=0):
                for copy in copies:
                    if packet.dts is not None:
                        packet.stream = copy
                        container.mux(packet)
        return path.read_bytes()


def flash(width: int, height: int) -> bytes:
    """Return a Sorenson H.263 video whose frame claims a size that its container does not name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.flv"
        with av.open(str(path), "w", options={"flvflags": "no_metadata"}) as container:
            stream = container.add_stream("flv1", rate=25)
            stream.width, stream.height = 64, 48
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
            container.mux(stream.encode())
        content = path.read_bytes()
    # A start code of 17 bits, 5 of a version, 8 of a time; a custom size of 8 bits each has kind 0.
    at = content.index(b"\0\0\x84")
    bits = int.from_bytes(content[at : at + 7], "big")
    assert bits >> 56 - 49 & 0x7FFFF == 64 << 8 | 48
    head = bits >> 56 - 30 << 42 | 1 << 39 | width << 23 | height << 7 | bits & 0x7F
    return content[:at] + head.to_bytes(9, "big") + content[at + 9 :]


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
    "a stream found on the way": ("k.flv", one_frame),
    "streams found on the way": ("k.ts", lambda: in_transport_stream(4)),
    "edits that repeat one frame": ("l2.mp4", lambda: mp4(small(), edits=100_000)),
    "a table that repeats one frame": ("l3.mp4", lambda: mp4(small(), chunks=100_000)),
    "a size that only a frame names": ("l4.flv", lambda: flash(16_000, 16_000)),
    "a compressed header": ("k.mp4", lambda: small_moov_in(b"moov")),
    "a hidden compressed header": ("l.mp4", lambda: small_moov_in(b"free")),
}  # fmt: skip


def png_chunk(claimed: int) -> bytes:
    """Return a PNG whose pixels claim to be of so many bytes."""
    whole = small()
    at = whole.index(b"IDAT") - 4
    return whole[:at] + claimed.to_bytes(4, "big") + whole[at + 4 :]


@cache
def packed() -> bytes:
    """Return 200 MB in some hundred kilobytes."""
    return zlib.compress(bytes(200 << 20), 1)


def png_size(width: int, height: int) -> bytes:
    """Return a PNG whose head claims this size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return small()[:8] + part(b"IHDR", head) + small()[33:]


def scans(count: int) -> bytes:
    """Return a JPEG of 16 million pixels with so many scans of a few bytes."""
    good, data = cv2.imencode(
        ".jpg", np.zeros((48, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    )
    assert good
    whole = data.tobytes()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return jpeg_size(whole[:-2] + last * count + whole[-2:], 4000, 4000)


def tiff(
    width: int, height: int, strips: int, more: Sequence[tuple[int, int, int, int]] = ()
) -> bytes:
    """Return a TIFF that claims a size and a number of strips."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, strips, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, strips, 8), *more,
    ]  # fmt: skip
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


def patched(suffix: str, at: int, form: str, *numbers: int) -> bytes:
    """Return a picture with other numbers at an offset of its header."""
    good, data = cv2.imencode(suffix, np.zeros((48, 64, 3), np.uint8))
    assert good
    content = bytearray(data.tobytes())
    content[at : at + struct.calcsize(form)] = struct.pack(form, *numbers)
    return bytes(content)


PICTURES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a chunk of 2 GB": ("a.png", lambda: png_chunk((1 << 31) - 1)),
    "a chunk of 4 GB": ("b.png", lambda: png_chunk((1 << 32) - 1)),
    "a chunk of 256 MB": ("c.png", lambda: png_chunk(1 << 28)),
    "one line": ("d.png", lambda: png_size((1 << 31) - 1, 1)),
    "one column": ("e.png", lambda: png_size(1, (1 << 31) - 1)),
    "a large PNG": ("f.png", lambda: png_size(100_000, 100_000)),
    "a profile of 200 MB": ("g.png", lambda: png(64, 48, before=part(
        b"iCCP", b"x\0\0" + packed()))),
    "texts of 200 MB": ("h.png", lambda: png(64, 48, before=9 * part(
        b"zTXt", b"x\0\0" + packed()))),
    "frames without end": ("i.png", lambda: png(64, 48, before=part(
        b"acTL", struct.pack(">II", (1 << 31) - 1, 0)))),
    "a large JPEG": ("j.jpg", lambda: jpeg(65_500, 65_500)),
    "scans": ("k.jpg", lambda: scans(3000)),
    "a large BMP": ("l.bmp", lambda: patched(".bmp", 18, "<ii", 60_000, 60_000)),
    "a line of BMP": ("m.bmp", lambda: patched(".bmp", 18, "<ii", (1 << 31) - 1, 1)),
    "a large GIF": ("n.gif", lambda: patched(".gif", 6, "<HH", 65_535, 65_535)),
    "strips of TIFF": ("o.tiff", lambda: tiff(64, 48, (1 << 31) - 1)),
    "a line of TIFF": ("p.tiff", lambda: tiff((1 << 31) - 1, 1, 1)),
    "tiles of TIFF": ("q.tiff", lambda: tiff(
        5000, 5000, 1, [(322, 4, 1, 1 << 30), (323, 4, 1, 1 << 30)])),
    "a large PGM": ("r.pgm", lambda: b"P5\n100000 100000\n255\n"),
    "an HDR": ("s.jpg", lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 99999\n"),
    "an SVG": ("t.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='99999'/>"),
}  # fmt: skip


@pytest.mark.parametrize("bombs", [BOMBS, PICTURES], ids=["videos", "pictures"])
def test_nothing_takes_more_than_its_frames_may(
    bombs: dict[str, tuple[str, Callable[[], bytes]]],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    paths = []
    for name, make in bombs.values():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make())
    done = decoded(*paths)
    assert [Path(path) for path, _, _ in done] == paths
    too_much = {
        case: (outcome, megabytes)
        for case, (_, outcome, megabytes) in zip(bombs, done, strict=True)
        if megabytes > MOST_MEGABYTES
    }
    assert not too_much
    record_property("tried", ("video and picture bombs", len(bombs)))
    outcomes = {case: outcome for case, (_, outcome, _) in zip(bombs, done, strict=True)}
    for case, outcome in outcomes.items():
        # What is small and whole is still read.
        assert outcome == READ.get(case, outcome if "refused" in outcome else "refused"), case


READ = {
    "later frames are huge": "2 frames",
    "the first frame is huge": "2 frames",
    "a profile of 200 MB": "1 frames",
    "texts of 200 MB": "1 frames",
    "frames without end": "1 frames",
}


def small_moov_in(kind: bytes) -> bytes:
    """Return a QuickTime file whose header is packed 1000 times over."""
    packed = zlib.compress(bytes(64 << 20))
    inner = box(b"dcom", b"zlib") + box(b"cmvd", (400 << 20).to_bytes(4, "big"), packed)
    return box(b"ftyp", b"qt  ", bytes(4)) + box(kind, box(b"cmov", inner)) + box(b"mdat", b"x")


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
    # libpng and libjpeg warn of damage by themselves.
    assert "Traceback" not in ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return [(path, outcome, peak) for path, outcome, peak in lines if outcome != "…"]
