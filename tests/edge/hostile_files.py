"""Pictures and videos that claim more than they contain, made byte by byte.

Run as a program it decodes files as every command does and prints JSON lines: what came of each,
and the most memory that this process has had by then:
`python hostile_files.py FILE…`
"""

import json
import resource
import struct
import sys
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from seqvision_edge.errors import SourceError
from seqvision_edge.sources.factory import open_path

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def part(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def png(width: int, height: int, depth: int = 8, before: bytes = b"") -> bytes:
    """Return a black picture, RGB of 8 or RGBA of 16 bits, with more chunks before its pixels."""
    kind, bytes_of_pixel = (2, 3) if depth == 8 else (6, 8)
    packed = zlib.compressobj(1)
    row = bytes(1 + width * bytes_of_pixel)
    pixels = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = part(b"IHDR", head) + before + part(b"IDAT", pixels) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def avi(frames: Sequence[bytes], width: int, height: int, codec: bytes = b"MPNG") -> bytes:
    """Return an AVI of these frames, whose header declares their size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    head = struct.pack("<14I", 100_000, 0, 0, 0x10, len(frames), 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = (
        b"vids" + codec + struct.pack("<10I4h", *(0,) * 4, 1, 10, 0, len(frames), 0, 0, *(0,) * 4)
    )
    kind = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, codec, 0, 0, 0, 0, 0)
    heads = chunk(b"avih", head) + chunk(
        b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", kind)
    )
    pictures = b"".join(chunk(b"00dc", frame) for frame in frames)
    return chunk(
        b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + heads) + chunk(b"LIST", b"movi" + pictures)
    )


def box(kind: bytes, *content: bytes) -> bytes:
    """Return a box of an MP4."""
    data = b"".join(content)
    return struct.pack(">I", 8 + len(data)) + kind + data


def _full(kind: bytes, *content: bytes) -> bytes:
    return box(kind, bytes(4), *content)


def mp4(
    frame: bytes,
    sizes: tuple[int, int] | None = None,
    edits: int = 0,
    tracks: int = 1,
    runs: int = 0,
    chunks: int = 1,
) -> bytes:
    """Return an MP4 whose tracks all show one PNG.

    Args:
        frame: the PNG.
        sizes: the size of every sample, and how many there are; None: this one.
        edits: how often an edit list repeats them.
        tracks: how many there are.
        runs: samples that a fragment claims.
        chunks: number of chunks for the samples, all at the same offset of the file.
    """
    files, data = box(b"ftyp", b"isom", bytes(4), b"isommp41"), box(b"mdat", frame)
    size, count = sizes or (len(frame), 1)
    entry = box(
        b"png ", bytes(6), struct.pack(">H", 1), bytes(16),
        struct.pack(">HHIIIH", 64, 48, 0x480000, 0x480000, 0, 1), bytes(32),
        struct.pack(">Hh", 24, -1),
    )  # fmt: skip
    table = box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">III", 1, count * chunks, 100)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        _full(b"stsz", struct.pack(">II", size, count * chunks)),
        _full(b"stco", struct.pack(">I", chunks), struct.pack(">I", len(files) + 8) * chunks),
    )
    here = box(b"dinf", _full(b"dref", struct.pack(">I", 1), box(b"url ", b"\0\0\0\1")))
    media = box(
        b"mdia",
        _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, 100, 0x55C4, 0)),
        _full(b"hdlr", bytes(4), b"vide", bytes(13)),
        box(b"minf", _full(b"vmhd", bytes(8)), here, table),
    )
    times = struct.pack(">IiI", 1, 0, 0x10000)
    edit = box(b"edts", _full(b"elst", struct.pack(">I", edits), times * edits)) if edits else b""

    def track(number: int) -> bytes:
        head = struct.pack(">IIIII", 0, 0, number, 0, 100) + bytes(16) + _MATRIX
        head += struct.pack(">II", 64 << 16, 48 << 16)
        return box(b"trak", _full(b"tkhd", head), edit, media)

    movie = struct.pack(">IIIIIH", 0, 0, 1000, 100, 0x10000, 0x100) + bytes(10) + _MATRIX
    defaults = box(b"mvex", _full(b"trex", struct.pack(">IIIII", 1, 1, 100, 1, 0))) if runs else b""
    moov = box(
        b"moov",
        _full(b"mvhd", movie, bytes(24), struct.pack(">I", 9)),
        *(track(1 + number) for number in range(tracks)),
        defaults,
    )
    more = b""
    if runs:
        here = _full(b"tfhd", struct.pack(">I", 1))
        run = _full(b"trun", struct.pack(">I", runs))
        more = box(b"moof", _full(b"mfhd", bytes(4)), box(b"traf", here, run)) + box(b"mdat", frame)
    return files + data + moov + more


def jpeg_size(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose head claims another size."""
    at = next(content.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in content)
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def decode(path: str) -> str:
    """Read a file to its end and return what came of it."""
    frames = 0
    try:
        with open_path(path) as source:
            for _ in source:
                frames += 1
    except SourceError as error:
        return f"refused: {error}"
    return f"{frames} frames"


def peak_megabytes() -> int:
    """Return the most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere what its parent had is counted too
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20


def main() -> None:
    for path in sys.argv[1:]:
        print(json.dumps([path, "…", 0]), flush=True)
        print(json.dumps([path, decode(path), peak_megabytes()]), flush=True)


if __name__ == "__main__":
    main()
