"""Memory that a training step has freed and the next one wants again."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT = 2**30  # bytes
_GROWTH = 2**26


def keep_freed_memory() -> bool:
    """Has the process keep up to 1 GiB that it has freed, where the C library is glibc.

    By default glibc gives every large block back to the system, so a step on the CPU gets most of
    its tensors as new pages, tens of thousands of them, each of which the system clears first: on
    a virtual machine a good part of the step (`python -m benchmarks.training --give-back`).

    Returns: whether it could be arranged; elsewhere nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows takes no None
        return False
    wanted = ((_M_MMAP_THRESHOLD, _KEPT), (_M_TRIM_THRESHOLD, _KEPT), (_M_TOP_PAD, _GROWTH))
    return all(mallopt(option, size) for option, size in wanted)
