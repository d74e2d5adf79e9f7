"""An SQLite file as it is at one moment, read page by page while work goes on."""

from __future__ import annotations

import apsw
import attrs
from twisted.internet.defer import Deferred

from mailplat.mail.errors import StoreFailed
from mailplat.sql.checksums import is_changed_page, words_of
from mailplat.sql.connection import SqliteConnection
from mailplat.workers import Crew


@attrs.frozen
class Pages:
    """Some octets of a file, and the numbers of those pages that have changed unseen.

    Numbers count from 1, as SQLite does.
    """

    octets: bytes
    changed: tuple[int, ...] = ()


class Frozen:
    """A database file that stays what it is until this is closed.

    It holds a snapshot that is wholly in the file itself, so nothing is moved from the
    log into the file meanwhile; the log grows.  So hold it no longer than needed.
    """

    def __init__(self, connection: SqliteConnection, crew: Crew) -> None:
        self._connection = connection
        self._crew = crew
        [[self.page_size]] = connection.all("PRAGMA page_size")
        [[self.pages]] = connection.all("PRAGMA page_count")

    @property
    def size(self) -> int:
        """How many octets the file has."""
        return int(self.page_size * self.pages)

    def read(self, first: int, count: int) -> Deferred[Pages]:
        """Return so many pages from one on, or as many as there are.

        Raises `StoreFailed`, as `Database.read` does.
        """
        return self._crew.ask(self._read, first, min(count, self.pages - first + 1))

    async def close(self) -> None:
        """Let the file change again."""
        await self._crew.ask(self._connection.close)
        await self._crew.stop()

    def _read(self, first: int, count: int) -> Pages:
        try:
            return self._pages(first, count)
        except apsw.Error as error:
            raise StoreFailed(f"the database could not be read: {words_of(error)}") from error

    def _pages(self, first: int, count: int) -> Pages:
        size, changed, found = self.page_size, [], []
        for number in range(first, first + count):
            start = (number - 1) * size
            try:
                found.append(self._octets(start, size))
            except apsw.IOError as error:
                if not is_changed_page(error):
                    raise
                changed.append(number)
                odd = size // 3  # what is no whole page is not compared with a checksum
                found += [self._octets(start, odd), self._octets(start + odd, size - odd)]
        return Pages(b"".join(found), tuple(changed))

    def _octets(self, start: int, size: int) -> bytes:
        _, octets = self._connection.native.read("main", 0, start, size)
        return octets


def freeze(connection: SqliteConnection, reader: SqliteConnection) -> bool:
    """Begin a snapshot that is wholly in the file, in the thread of the writer.

    False if others still read what is older; then it is to be tried again.
    """
    in_log, moved = connection.native.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if in_log != moved:
        return False
    reader.run("BEGIN")
    reader.all("SELECT 1 FROM sqlite_schema LIMIT 1")
    return True
