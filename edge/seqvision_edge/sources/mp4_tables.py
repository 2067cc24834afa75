"""How many frames the tables of an MP4 or QuickTime file claim, before FFmpeg believes them.

FFmpeg makes an entry of some 32 bytes for each sample that a table counts, also where one number
stands for all of them: a file of 700 bytes can claim 4 GB.  An edit list may repeat them all.  Here
the boxes are walked as FFmpeg walks them, and only counted.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

from seqvision_edge.errors import SourceError

# 77 hours of video at 30 frames per second with sound; FFmpeg's entries of them take 0.5 GB.
MAX_SAMPLES: Final = 1 << 24
_MAX_BOXES: Final = 1 << 20
_MAX_DEPTH: Final = 16
# What FFmpeg opens to look for other boxes in it; `free` may hide a header.
_CONTAINERS: Final = frozenset(
    b"moov trak mdia minf stbl edts moof traf mvex udta meta wave sinf schi dinf free hoov".split()
)
_TRUN_FIELDS: Final = 0xF00  # flags of a run that has values for each sample


class _TooMany(Exception):  # noqa: N818
    pass


class _Counts:
    """What was counted so far, of the whole file and of the track at hand."""

    def __init__(self) -> None:
        self.boxes = self.total = self.samples = self.edits = 0
        self.is_sound = self.is_even = False

    def end_track(self) -> None:
        """Add a track, whose samples each edit may repeat; plain sound FFmpeg takes by chunks."""
        if not (self.is_sound and self.is_even):
            self.total += self.samples * max(1, self.edits)
        self.samples = self.edits = 0
        self.is_sound = self.is_even = False
        if self.total > MAX_SAMPLES:
            raise _TooMany(f"it claims {self.total} frames and sounds, at most are {MAX_SAMPLES}")


def check_tables(path: Path) -> None:
    """Refuse a file whose tables claim more than a video has; other containers have no such boxes.

    Raises:
        SourceError: it does, or its header is compressed, or of too many parts.
        OSError: it cannot be read.
    """
    counts = _Counts()
    with path.open("rb") as file:
        try:
            _walk(file, 0, os.fstat(file.fileno()).st_size, counts, 0)
            counts.end_track()
        except _TooMany as reason:
            raise SourceError(f"not a video that can be read, {reason}") from None
        except struct.error:  # it ends in the middle of a box
            pass


def _walk(file: BinaryIO, at: int, end: int, counts: _Counts, depth: int) -> None:
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            begin += 8
        if size == 0:
            size = end - at
        if size < begin - at:
            return
        counts.boxes += 1
        if counts.boxes > _MAX_BOXES:
            raise _TooMany(f"it has more than {_MAX_BOXES} parts")
        _see(file, kind, begin, min(end, at + size), counts, depth)
        at += size


def _see(file: BinaryIO, kind: bytes, begin: int, end: int, counts: _Counts, depth: int) -> None:
    if kind == b"cmov":
        raise _TooMany("its header is compressed")
    if kind in (b"trak", b"traf"):
        counts.end_track()
    if kind in _CONTAINERS:
        if depth < _MAX_DEPTH:
            _walk(file, begin, end, counts, depth + 1)
    elif kind in (b"stsz", b"stz2"):
        _, same, count = struct.unpack(">III", file.read(12))
        # Sizes that stand in the file cannot be more than it has bytes for.
        room = count if kind == b"stsz" and same else 2 * (end - begin)
        counts.samples += min(count, room)
    elif kind == b"hdlr":
        of = file.read(12)[8:]
        # Another kind is that of the data, not of the track.
        counts.is_sound = of == b"soun" or (counts.is_sound and of != b"vide")
    elif kind == b"stts":
        _, entries, _, duration = struct.unpack(">IIII", file.read(16))
        counts.is_even = (entries, duration) == (1, 1)
    elif kind == b"trun":
        flags, count = struct.unpack(">II", file.read(8))
        counts.samples += min(count, end - begin) if flags & _TRUN_FIELDS else count
    elif kind == b"elst":
        _, count = struct.unpack(">II", file.read(8))
        counts.edits += min(count, (end - begin) // 12)
