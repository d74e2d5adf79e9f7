"""Contents of queued messages: kept with the message's own commit, or in pieces before it."""

from __future__ import annotations

import attrs
from zope.interface import implementer

from mailplat.interfaces import IContent
from mailplat.mail.content import Content, chunks, whole
from mailplat.queue import queries
from mailplat.queue.queries.contents import PIECE, SMALL
from mailplat.sql import Database

AT_ONCE = 4  # pieces in one commit


@implementer(IContent)
@attrs.frozen
class QueuedContent:
    """One message's octets, read piece by piece as they are asked for."""

    _database: Database
    _message: int
    size: int
    _octets: bytes | None = None  # where they are few, and at hand

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = max(start, 0), min(stop, self.size)
        if start >= stop:
            return b""
        if self._octets is not None:
            return self._octets[start:stop]
        length = self.size if self.size <= SMALL else PIECE
        first, last = start // length, (stop - 1) // length
        pieces = await self._database.read(queries.contents.pieces, self._message, first, last)
        return b"".join(pieces)[start - first * length : stop - first * length]

    def close(self) -> None:
        """Nothing to let go of: the database lets go after each read."""


async def keep(database: Database, content: Content, node: str) -> tuple[bytes | None, int]:
    """Return the octets of a small content, or the number under which a large one lies.

    What it raises leaves nothing that isn't swept away.
    """
    if content.size <= SMALL:
        return await whole(content), 0
    message = await database.write(queries.contents.begin_content, node)
    number = 0
    try:
        async for octets in chunks(content, PIECE * AT_ONCE):
            some = [octets[at : at + PIECE] for at in range(0, len(octets), PIECE)]
            await database.write(queries.contents.add_pieces, message, number, some)
            number += len(some)
    except BaseException:
        database.write(queries.contents.give_up, message).addErrback(lambda _failure: None)
        raise
    return None, message
