"""What Linux knows about its cameras (Video4Linux2), in the words of errno.

OpenCV answers "no" to a camera that is missing, forbidden, in use or not a camera alike.
"""

import errno
import os
import struct
import sys
from pathlib import Path

from seqvision_edge.capture.address import Address

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


def list_cameras(devices: Path = Path("/dev")) -> list[str]:
    """Return the device paths of this machine's cameras by rising number; Linux only, else none."""
    return sorted(map(str, devices.glob("video[0-9]*")), key=lambda path: (len(path), path))


def device_of(address: Address) -> str | None:
    """Return the device path of a camera; None for others, and where the system has none."""
    if address.kind != "camera":
        return None
    if isinstance(address.where, str):
        return address.where
    return f"/dev/video{address.where}" if sys.platform == "linux" else None


def explain(address: Address, reason: str, advice: str) -> str:
    """Say in one line which camera failed, why, which ones there are, and what to do next."""
    device = device_of(address)
    which = f"{address.name} ({device})" if device and device != address.name else address.name
    return f"{which}: {reason}; cameras here: {' '.join(list_cameras()) or 'none'}; {advice}"


def advice(error: OSError) -> str:
    """Return what to do about a camera that cannot be opened."""
    return _ADVICE.get(error.errno or 0, "connect it, or choose another")


def check_there(device: str) -> None:
    """Open the device and close it again.

    Raises:
        OSError: it is missing, forbidden, or held by a program alone.
    """
    os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))


def check_streams(device: str) -> None:
    """Ask a device that is there whether it is a camera, and whether it is free.

    Raises:
        OSError: it is not, with the reason.
    """
    if sys.platform != "linux":
        return
    import fcntl

    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = fcntl.ioctl(handle, _QUERY_CAPABILITIES, bytes(_CAPABILITIES.size))
        *_, whole, node = _CAPABILITIES.unpack(answer)
        if not (node if whole & _HAS_DEVICE_CAPABILITIES else whole) & _CAPTURES:
            # Most webcams have two nodes: one sends pictures, the other describes them.
            raise OSError(errno.ENODEV, "This node sends no pictures, only data about them")
        # To give back buffers that we do not have changes nothing; another owner makes it EBUSY.
        nothing = _BUFFERS.pack(0, _VIDEO_CAPTURE, _MEMORY_MAPPED, 0, 0)
        fcntl.ioctl(handle, _REQUEST_BUFFERS, nothing)
    finally:
        os.close(handle)
