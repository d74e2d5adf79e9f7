"""Reads a maildrop's messages, and fetches ahead for whoever reads one after the other."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

from twisted.internet.defer import Deferred

from mailplat.interfaces import IAccount
from mailplat.mail.content import Content, Octets
from mailplat.mail.errors import MailError
from mailplat.mail.mailbox import ModSeq, Record, Uid, UidSet, Wanted
from mailplat.mail.summary import Facts, read_summary
from mailplat.portals.pop3.columns import Columns

FIRST = 16384  # octets to fetch beyond the message that is asked for
AHEAD = 262144  # and where that ends, four times as many after each time
MOST = 50  # messages in one batch


class Reader:
    """Gives out messages by their places.

    Small messages that lie behind one another come in batches, so that one
    call to the store serves many; and while one batch is read the next is on
    its way.  ``skip`` are places that nobody will ask for.
    """

    def __init__(self, account: IAccount, columns: Columns, skip: Container[int]) -> None:
        self._account = account
        self._columns = columns
        self._skip = skip
        self._here: dict[int, bytes] = {}  # fetched, and not yet asked for
        self._coming: Deferred[dict[int, bytes]] | None = None
        self._fetched_to = 0  # the place after the last one that is here or coming
        self._next = 0  # the place after the last one that was read
        self._budget = 0  # octets

    def at_hand(self, place: int) -> bytes | None:
        """Return a message that has been fetched ahead, if this one has."""
        octets = self._here.pop(place, None)
        if octets is not None:
            self._next = place + 1
            if self._coming is None:
                self._fetch_more()
        return octets

    async def content(self, place: int) -> Content:
        """Return a message; raises what the store raises."""
        if self._coming and self._next <= place < self._fetched_to:
            coming, self._coming = self._coming, None
            self._here.update(await coming)
        octets = self.at_hand(place)
        if octets is None:
            in_turn = place == self._next
            self._budget = min(max(self._budget * 4, FIRST), AHEAD) if in_turn else 0
            self._coming = None
            self._here = await self._fetched(place)
            octets = self.at_hand(place)
        self._next = place + 1
        return Octets(octets) if octets is not None else await self._read(place)

    async def facts(self, place: int) -> Facts | None:
        """Return what was found out of a message when it came.

        None if nobody has kept that, or in a form that is no longer read.
        """
        uids = UidSet.from_sorted([self._columns.uids[place]])
        async with self._account.records(self._columns.mailbox, uids, Wanted.SUMMARY) as cursor:
            batch = await cursor.next_batch()
        try:
            return read_summary(batch.summaries[0]) if batch else None
        except ValueError:
            return None

    def _fetch_more(self) -> None:
        if self._budget and self._fetched_to < len(self._columns):
            self._budget = min(self._budget * 4, AHEAD)
            self._coming = Deferred.fromCoroutine(self._fetched_quietly(self._fetched_to))

    async def _fetched_quietly(self, place: int) -> dict[int, bytes]:
        """Return what can be fetched; what can't will be asked for again, and be told."""
        try:
            return await self._fetched(place)
        except MailError:
            return {}

    async def _fetched(self, first: int) -> dict[int, bytes]:
        columns, octets = self._columns, 0
        place_of = {columns.uids[first]: first}
        for place in range(first + 1, len(columns)):
            if place in self._skip:
                continue
            octets += columns.sizes[place]
            if octets > self._budget or len(place_of) == MOST:
                break
            place_of[columns.uids[place]] = place
        self._fetched_to = max(place_of.values()) + 1
        found: dict[int, bytes] = {}
        uids = UidSet.from_sorted(place_of)
        async with self._account.records(columns.mailbox, uids, Wanted.CONTENT) as cursor:
            while (batch := await cursor.next_batch()) is not None:
                for uid, content in zip(batch.uids, batch.contents, strict=True):
                    if content is not None:
                        found[place_of[uid]] = content
        return found

    async def _read(self, place: int) -> Content:
        """Return what is too large for a batch, or has been expunged by others."""
        columns = self._columns
        saved = datetime.fromtimestamp(columns.saved[place], UTC)
        record = Record(
            uid=Uid(columns.uids[place]),
            modseq=ModSeq(0),
            email_id=columns.email_ids[place],
            thread_id="",
            size=columns.sizes[place],
            received=saved,
            saved=saved,
        )
        return await self._account.content(record)
