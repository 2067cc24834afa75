"""Local cameras on Linux (Video4Linux2), with errors as errno.

OpenCV gives the same error for a camera that is missing, forbidden, in use or not a camera.
"""

import errno
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seqvision_edge.sources.address import Address
from seqvision_edge.sources.faults import error_code

# From linux/videodev2.h.
_QUERY_CAPABILITIES = 0x80685600
_REQUEST_BUFFERS = 0xC0145608
_CAPABILITIES = struct.Struct("=16s32s32sIII12x")
_BUFFERS = struct.Struct("=IIIII")
_CAPTURES = 0x1
_HAS_DEVICE_CAPABILITIES = 0x80000000
_VIDEO_CAPTURE, _MEMORY_MAPPED = 1, 1

_ADVICE = {
    errno.EACCES: "join the group that owns it: sudo usermod -aG video $USER, and log in again",
    errno.EBUSY: "close the other program that uses it",
}


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A local camera.

    Attributes:
        device: its path.
        name: its own name; "" if it cannot be read.
        driver: the name of its driver; "" if it cannot be read.
        state: `free`, `busy` (another program reads from it), `forbidden` or `unreadable`.
    """

    device: str
    name: str
    driver: str
    state: str


def describe_cameras(devices: Path = Path("/dev")) -> list[CameraDevice]:
    """Return the local cameras, without nodes that capture no pictures."""
    found = (describe_camera(device) for device in list_cameras(devices))
    return [camera for camera in found if camera is not None]


def list_cameras(devices: Path = Path("/dev")) -> list[str]:
    """Return the device paths of local cameras by rising number; Linux only, else none."""
    return sorted(map(str, devices.glob("video[0-9]*")), key=lambda path: (len(path), path))


def device_path(address: Address) -> str | None:
    """Return the device path of a camera; None for others, and if the system has none."""
    if address.kind != "camera":
        return None
    if isinstance(address.where, str):
        return address.where
    return f"/dev/video{address.where}" if sys.platform == "linux" else None


def explain(address: Address, reason: str, advice: str) -> str:
    """Return one line: which camera failed, why, which cameras exist, and what to do."""
    device = device_path(address)
    which = f"{address.name} ({device})" if device and device != address.name else address.name
    return f"{which}: {reason}; cameras here: {' '.join(list_cameras()) or 'none'}; {advice}"


def advice(error: OSError) -> str:
    """Return what to do about a camera that cannot be opened."""
    return _ADVICE.get(error.errno or 0, "connect it, or choose another")


def check_there(device: str) -> None:
    """Open the device and close it again.

    Raises:
        OSError: it is missing, forbidden, or opened exclusively by another program.
    """
    os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))


def check_streams(device: str) -> None:
    """Check that a device is a camera, and free.

    Raises:
        OSError: it is not, with the reason.
    """
    if sys.platform != "linux":
        return
    with _opened(device) as handle:
        if not _query(handle).sends_pictures:
            # Most webcams have two nodes: one for pictures, the other for metadata.
            raise OSError(errno.ENODEV, "This node sends no pictures, only metadata")
        _check_free(handle)


def describe_camera(device: str) -> CameraDevice | None:
    """Return the properties of a device; None for a node that captures no pictures."""
    name = driver = ""
    try:
        with _opened(device) as handle:
            answer = _query(handle)
            name, driver = answer.name, answer.driver
            if not answer.sends_pictures:
                return None
            _check_free(handle)
    except OSError as error:
        return CameraDevice(device, name, driver, error_code(error))
    return CameraDevice(device, name, driver, "free")


@contextmanager
def _opened(device: str) -> Iterator[int]:
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield handle
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The reply of a device to the capability query."""

    driver: str
    name: str
    sends_pictures: bool


def _query(handle: int) -> _Answer:
    import fcntl

    answer = fcntl.ioctl(handle, _QUERY_CAPABILITIES, bytes(_CAPABILITIES.size))
    driver, card, _, _, whole, node = _CAPABILITIES.unpack(answer)
    capabilities = node if whole & _HAS_DEVICE_CAPABILITIES else whole
    return _Answer(_text(driver), _text(card), bool(capabilities & _CAPTURES))


def _check_free(handle: int) -> None:
    import fcntl

    # Releasing buffers that we do not have changes nothing; another owner makes it EBUSY.
    nothing = _BUFFERS.pack(0, _VIDEO_CAPTURE, _MEMORY_MAPPED, 0, 0)
    fcntl.ioctl(handle, _REQUEST_BUFFERS, nothing)


def _text(field: bytes) -> str:
    """Decode a C string; made printable, since a device may report any bytes."""
    text = field.split(b"\0")[0].decode(errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
