"""Contents in the database: small ones in one row, large ones in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
from zope.interface import implementer

from mailplat.interfaces import IContent
from mailplat.mail.content import Content, chunks
from mailplat.mail.people import AccountId
from mailplat.sql import Database
from mailplat.store.indexed import queries

SMALL = 65536  # octets that are kept in one row, with the message's own commit
LARGE_AT_ONCE = 4  # contents that are copied piece by piece at the same time, some MiB each
PIECE = 262144  # octets in each row of what is larger
AT_ONCE = 4  # pieces in one commit


async def split(content: Content) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield a content's pieces, some at a time, each time with the first one's number.

    Raises `StoreFailed` if the content ends before its size.
    """
    number = 0
    async for octets in chunks(content, PIECE * AT_ONCE):
        yield number, [octets[at : at + PIECE] for at in range(0, len(octets), PIECE)]
        number += AT_ONCE


@implementer(IContent)
@attrs.frozen
class DatabaseContent:
    """One message's octets, read piece by piece as they are asked for."""

    _database: Database
    _account: AccountId
    _email: int
    size: int

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = max(start, 0), min(stop, self.size)
        if start >= stop:
            return b""
        length = self.size if self.size <= SMALL else PIECE
        first, last = start // length, (stop - 1) // length
        pieces = await self._database.read(
            queries.contents.pieces, self._account, self._email, first, last
        )
        return b"".join(pieces)[start - first * length : stop - first * length]

    def close(self) -> None:
        """Nothing to let go of: the database lets go after each read."""
