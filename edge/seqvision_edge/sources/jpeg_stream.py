"""JPEG pictures one behind the other (MJPEG), cut apart by their own markers (ITU-T T.81)."""

import re
from collections.abc import Iterable, Iterator

START = b"\xff\xd8\xff"
# What has no end by then is no picture of a camera.
LARGEST = 1 << 25
_START_OF_IMAGE, _END_OF_IMAGE = 0xD8, 0xD9
# FF 00 is a byte of the picture itself, FF D0 to FF D7 only restart its decoder.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
# These stand alone; every other marker has a length behind it.
_BARE = (0x01, _START_OF_IMAGE, _END_OF_IMAGE)


def pictures(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each picture, and whether it has its end: one may be torn off.

    What lies between two pictures is skipped.
    """
    data = bytearray()
    at = 0  # where the next marker is looked for; 0 before a picture begins
    for chunk in chunks:
        data += chunk
        while True:
            if not at:
                begin = data.find(START)
                # Its first bytes may have come already.
                del data[: begin if begin >= 0 else -len(START)]
                if begin < 0:
                    break
                at = 2
            found = _MARKER.search(data, at)
            if found is None:
                at = max(at, len(data) - 1)
                break
            marker, end = found[1][0], found.end()
            if marker == _END_OF_IMAGE:
                yield bytes(data[:end]), True
                del data[:end]
                at = 0
            elif marker == _START_OF_IMAGE:
                yield bytes(data[: found.start()]), False
                del data[: found.start()]
                at = 0
            elif marker in _BARE:
                at = end
            elif len(data) < end + 2:
                break
            elif data[end : end + 2] == START[:2]:
                # Torn before its length: read as one, the next picture would hide many others.
                yield bytes(data[:end]), False
                del data[:end]
                at = 0
            else:
                at = end + int.from_bytes(data[end : end + 2], "big")
        if at and len(data) > LARGEST:
            yield b"", False
            data.clear()
            at = 0
    if at:
        yield bytes(data), False
