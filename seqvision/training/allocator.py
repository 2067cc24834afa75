"""glibc's allocator, told to keep what it got: each training step asks for the same sizes again.

By default blocks above 32 MB at most are mapped anew for every tensor and given back after it, and
the kernel clears each page again: up to half of the time of a step on a processor.
"""

import ctypes
import os
import platform

# It sets smaller thresholds, once, when it is imported: before ours.
import seqvision_edge.sources.video_decoding  # noqa: F401

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def tune_malloc() -> bool:
    """Set the thresholds of `malloc`; return whether this system's C library has them.

    What the user set by `MALLOC_…_` or `GLIBC_TUNABLES` stays.  Processes forked later inherit it.
    """
    own = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"}
    if platform.libc_ver()[0] != "glibc" or own & os.environ.keys():
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_TOP_PAD, 64 << 20)
    # Older ones refuse more than 32 MB.
    return any(mallopt(_MMAP_THRESHOLD, 1 << shift) == 1 for shift in (30, 25))
