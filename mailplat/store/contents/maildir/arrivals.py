"""Files that other programs brought, as contents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
from zope.interface import implementer

from mailplat.files import Disk, File
from mailplat.interfaces import IContent
from mailplat.mail.content import Content
from mailplat.mail.errors import NoSuchMessage
from mailplat.mail.limits import KIB, MIB
from mailplat.moving.letters import with_crlf

IN_MEMORY = MIB  # octets of a message that are held before a file is made
PIECE = 256 * KIB


@implementer(IContent)
@attrs.frozen
class Arrival:
    """What a file holds, with CRLF, and where it lies."""

    content: Content
    tag: str
    base: str

    @property
    def size(self) -> int:
        return self.content.size

    async def read(self, start: int, stop: int) -> bytes:
        return await self.content.read(start, stop)

    def close(self) -> None:
        self.content.close()


@attrs.frozen
class Opened:
    """A file's octets with CRLF, in memory or in a file without a name."""

    octets: bytes
    file: File | None
    size: int
    inode: int
    changed: float  # seconds since 1970


def opened(disk: Disk, path: Path, folder: Path) -> Opened:
    """Read a file; what is large is written to ``folder``.  Raises `NoSuchMessage`."""
    source = disk.open(path)
    if source is None:
        raise NoSuchMessage(f"{path} has gone")
    with source:
        found = path.stat() if path.exists() else None
        if found is None:
            raise NoSuchMessage(f"{path} has gone")
        held, size, file = bytearray(), 0, None
        for piece in with_crlf(_pieces(disk, source)):
            size += len(piece)
            if file is None and size > IN_MEMORY:
                file = disk.create_unnamed(folder)
                disk.write(file, held)
                held.clear()
            if file:
                disk.write(file, piece)
            else:
                held += piece
        return Opened(bytes(held), file, size, found.st_ino, found.st_mtime)


def _pieces(disk: Disk, source: File) -> Iterator[bytes]:
    at = 0
    while piece := disk.read(source, at, at + PIECE):
        yield piece
        at += len(piece)
