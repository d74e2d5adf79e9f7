"""Pages of an SQLite file with the checksum that SQLite's shim would give them."""

from __future__ import annotations

import struct


def with_checksum(page: bytes) -> bytes:
    """Return a page whose last 8 octets are its checksum (sqlite.org/cksumvfs.html)."""
    words = struct.unpack(f"<{len(page) // 4 - 2}I", page[:-8])
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = first + one + second & 0xFFFFFFFF
        second = second + other + first & 0xFFFFFFFF
    return page[:-8] + struct.pack("<2I", first, second)
