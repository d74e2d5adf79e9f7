"""The contents of one command on their way in: spooled, and closed whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailplat.mail.content import Content
from mailplat.mail.errors import MailError, bare

if TYPE_CHECKING:
    from mailplat.files import Incoming, Spool


class Upload:
    """Contents that a client sends behind one another, each announced before it comes.

    What goes wrong in the middle of one is kept until the command ends: the client
    hears of it then, and its octets are read to their end.
    """

    __slots__ = ("_failure", "_finished", "_incoming", "_spool", "announced", "count")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._finished: list[Content] = []
        self._incoming: Incoming | None = None
        self._failure: MailError | None = None
        self.announced = 0  # octets
        self.count = 0  # of contents

    async def begin(self, size: int) -> None:
        """Make ready for the next content; raises `DiskFull` where there is no room for it."""
        await self._finish_last()
        self._spool.insist_on_room(size)
        self._incoming = self._spool.begin()
        self.announced += size
        self.count += 1

    async def add(self, octets: bytes) -> None:
        """Take octets of the content that has begun; never raises."""
        if self._incoming is None:
            return
        try:
            await self._incoming.add(octets)
        except MailError as error:
            self._fail(error)

    async def finish(self) -> list[Content]:
        """Return all contents, in their order; raises what went wrong with one of them."""
        await self._finish_last()
        if self._failure:
            raise self._failure
        return self._finished

    def close(self) -> None:
        """Leave nothing of what has come."""
        if self._incoming:
            self._incoming.close()
            self._incoming = None
        for content in self._finished:
            content.close()
        self._finished = []

    async def _finish_last(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
        try:
            self._finished.append(await incoming.finish())
        except MailError as error:
            incoming.close()
            self._fail(error)

    def _fail(self, error: MailError) -> None:
        self._failure = self._failure or bare(error)
        self.close()
