"""Has the C library give memory back that was needed only for a moment.

Left alone, glibc gives each thread a heap of its own, and moves all that is
ever freed up to 32 MiB into those heaps, where it stays: a few large messages
at once made the process larger for ever.
"""

from __future__ import annotations

import ctypes
import os

from mailplat.mail.limits import KIB, MIB

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # malloc.h, mallopt(3)

CHOSEN = {
    ARENA_MAX: 2,  # heaps: one for the reactor, one for the threads
    MMAP_THRESHOLD: 128 * KIB,  # octets; what is larger goes back as soon as it is freed
    TRIM_THRESHOLD: 4 * MIB,  # octets free at a heap's end, of which more go back
}


def give_back() -> None:
    """Choose how memory is kept; call it before there are threads.

    Where the environment chooses (``MALLOC_ARENA_MAX`` …), or the C library is
    another one, nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt and not any(name.startswith("MALLOC_") for name in os.environ):
        for parameter, value in CHOSEN.items():
            mallopt(parameter, value)
