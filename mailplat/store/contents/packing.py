"""Contents made smaller, in frames of equal size, so that any piece is found at once.

A packed content is its frames, one behind the other, each packed by itself, and
a table of them at the end.  The table is that of Zstandard's seekable format
(version 0.1.0), a frame that other programs skip: so `zstd -d`, or `zcat`, reads
the whole of it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import attrs

from mailplat.mail.errors import StoreFailed
from mailplat.mail.limits import KIB

try:
    import zstandard
except ImportError:  # it is in an extra
    zstandard = None  # type: ignore[assignment]

FRAME = 256 * KIB  # octets in each frame but the last, before it was packed
LEVEL = 3  # of Zstandard; what mail gains by higher ones is little
DEFLATE_LEVEL = 6
GZIP = 31  # zlib's word for a gzip header around what it makes

_SKIPPED = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_HEADER = struct.Struct("<II")
_ENTRY = struct.Struct("<II")  # octets of a frame packed, and unpacked
_FOOTER = struct.Struct("<IBI")

Read = Callable[[int, int], bytes]
"""Returns the octets of a packed content from one place up to another."""


class Codec(Protocol):
    """Packs and unpacks frames; used by several threads at once."""

    @property
    def suffix(self) -> str:
        """What names of files end in that hold what it has packed."""

    def pack(self, octets: bytes) -> bytes:
        """Return a frame."""

    def unpack(self, frame: bytes, size: int) -> bytes:
        """Return the ``size`` octets in a frame; raises whatever it likes if it's damaged."""


@attrs.frozen
class Zstandard:
    """Fast and small; by the library of that name."""

    suffix: str = ".zst"

    def pack(self, octets: bytes) -> bytes:
        return zstandard.ZstdCompressor(LEVEL).compress(octets)

    def unpack(self, frame: bytes, size: int) -> bytes:
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)


@attrs.frozen
class Gzip:
    """What every Python has (RFC 1952)."""

    suffix: str = ".gz"

    def pack(self, octets: bytes) -> bytes:
        packer = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, GZIP)
        return packer.compress(octets) + packer.flush()

    def unpack(self, frame: bytes, size: int) -> bytes:
        return zlib.decompressobj(GZIP).decompress(frame, size)


CODECS: dict[str, Codec] = {"gzip": Gzip()}
if zstandard:
    CODECS["zstd"] = Zstandard()

BY_SUFFIX = {codec.suffix: codec for codec in CODECS.values()}


class Packer:
    """Packs one content, a frame at a time."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._frames: list[tuple[int, int]] = []

    def add(self, octets: bytes) -> bytes:
        """Return the next frame; ``octets`` are `FRAME` many, or the last."""
        frame = self._codec.pack(octets)
        self._frames.append((len(frame), len(octets)))
        return frame

    def finish(self) -> bytes:
        """Return what comes behind the last frame."""
        entries = b"".join([_ENTRY.pack(*frame) for frame in self._frames])
        header = _HEADER.pack(_SKIPPED, len(entries) + _FOOTER.size)
        return header + entries + _FOOTER.pack(len(self._frames), 0, _SEEKABLE)


def pack(codec: Codec, octets: bytes) -> bytes:
    """Return a content packed."""
    packer = Packer(codec)
    frames = [packer.add(octets[at : at + FRAME]) for at in range(0, len(octets), FRAME)]
    return b"".join([*frames, packer.finish()])


def unpacked(codec: Codec, read: Read, size: int, start: int, stop: int) -> bytes:
    """Return octets of a content that is packed in ``size`` octets, as `IContent.read` does.

    Only frames that hold some of them are read.  Raises `StoreFailed` if it is damaged.
    """
    start = max(start, 0)
    if start >= stop:
        return b""
    first = start // FRAME
    found = list(_unpacked(codec, read, size, first, (stop - 1) // FRAME))
    return b"".join(found)[start - first * FRAME : stop - first * FRAME]


def _unpacked(codec: Codec, read: Read, size: int, first: int, last: int) -> Iterator[bytes]:
    at = 0
    for number, (packed, octets) in enumerate(_table(read, size)):
        if number > last:
            return
        if number >= first:
            yield _frame(codec, read(at, at + packed), octets)
        at += packed


def _frame(codec: Codec, frame: bytes, size: int) -> bytes:
    if size > FRAME:
        raise StoreFailed(f"a frame can't hold {size} octets")
    try:
        octets = codec.unpack(frame, size)
    except Exception as error:
        raise StoreFailed(f"a frame can't be unpacked: {error}") from error
    if len(octets) != size:
        raise StoreFailed(f"a frame of {size} octets holds {len(octets)}")
    return octets


def _table(read: Read, size: int) -> list[tuple[int, int]]:
    """Return how many octets each frame has, packed and unpacked."""
    end = read(max(0, size - FRAME // 256), size)
    if len(end) < _FOOTER.size:
        raise StoreFailed("a packed content has no table")
    count, flags, magic = _FOOTER.unpack_from(end, len(end) - _FOOTER.size)
    length = count * _ENTRY.size + _FOOTER.size
    if magic != _SEEKABLE or flags or length > size:
        raise StoreFailed("a packed content has no table")
    if length > len(end):
        end = read(size - length, size)
    begins = len(end) - length
    return list(_ENTRY.iter_unpack(end[begins : begins + count * _ENTRY.size]))
