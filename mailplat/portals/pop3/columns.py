"""What POP3 has to know of an INBOX, as columns that all its sessions share."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, compress, repeat
from math import inf
from typing import TypeAlias, TypeVar

import attrs

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.mailbox import INBOX, Batch, Mailbox, MailboxId, ModSeq, UidSet, Wanted
from mailplat.mail.people import AccountId
from mailplat.portals.indexes import Indexes

N = TypeVar("N", int, float)

HIDDEN = "$Pop3Hidden"
"""The keyword of a message that POP3 shows no more, though it is kept for IMAP."""

REMEMBERED = 500_000  # messages of all INBOXes whose columns are kept for the next login

OVERDUE = 7 * 86400.0  # seconds within which a login is expected to find what fell due


Spans: TypeAlias = Sequence[tuple[int, int]]
"""Places that belong together, each pair from the first up to, not including, the second."""


def _taken(column: array[N], spans: Spans) -> array[N]:
    """Return the parts of a column that the spans name."""
    taken = column[:0]
    for start, stop in spans:
        taken += column[start:stop]
    return taken


@attrs.frozen(eq=False)
class Texts:
    """Texts of at most 255 letters in one buffer, nine octets more for each.

    What has been left out stays in the buffer, until it is half of it.
    """

    buffer: str
    starts: array[int]
    lengths: array[int]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Put texts behind one another."""
        lengths = array("B", map(len, texts))
        starts = array("Q", accumulate(lengths[:-1], initial=0)) if texts else array("Q")
        return cls("".join(texts), starts, lengths)

    def __getitem__(self, at: int) -> str:
        return self.buffer[self.starts[at] : self.starts[at] + self.lengths[at]]

    def __add__(self, other: Texts) -> Texts:
        if len(self.buffer) > 2 * sum(self.lengths):
            return Texts.of([self[at] for at in range(len(self.starts))]) + other
        shift = len(self.buffer)
        starts = self.starts + array("Q", [start + shift for start in other.starts])
        return Texts(self.buffer + other.buffer, starts, self.lengths + other.lengths)

    def taken(self, spans: Spans) -> Texts:
        """Return the texts at the places that the spans name."""
        return Texts(self.buffer, _taken(self.starts, spans), _taken(self.lengths, spans))


@attrs.frozen(eq=False)
class Columns:
    """An INBOX's messages by ascending UID, at one mod-sequence; some 40 octets each."""

    mailbox: MailboxId
    uid_validity: int
    modseq: ModSeq
    uids: array[int]
    sizes: array[int]  # octets
    saved: array[float]  # when each came into the INBOX, in seconds since 1970
    email_ids: Texts

    @classmethod
    def of(cls, inbox: Mailbox, modseq: ModSeq, batches: Iterable[Batch]) -> Columns:
        """Make columns of what a store told, leaving out what POP3 shall not show."""
        uids, sizes, saved = array("I"), array("Q"), array("d")
        email_ids: list[str] = []
        for batch in batches:
            shown = list(_shown(batch)) or repeat(True)
            uids.extend(compress(batch.uids, shown))
            sizes.extend(compress(batch.sizes, shown))
            saved.extend(compress(batch.saved, shown))
            email_ids.extend(compress(batch.email_ids, shown))
        return cls(
            inbox.id, inbox.uid_validity, modseq, uids, sizes, saved, Texts.of(email_ids)
        )

    def __len__(self) -> int:
        return len(self.uids)

    @cached_property
    def octets(self) -> int:
        """The sum of all sizes."""
        return sum(self.sizes)

    @cached_property
    def oldest(self) -> float:
        """When the first of the messages came."""
        return min(self.saved, default=inf)

    def older(self, age: float, now: float) -> UidSet:
        """Return the messages that have lain here for more than ``age`` seconds.

        The time from one message to the next, and from the last to ``now``, is not
        counted where it is more than ``age`` and `OVERDUE`: it can't be told from
        a clock that went wrong, by which every INBOX would be emptied at once.
        """
        if self.oldest >= now - age:
            return UidSet()
        later, left = now, age
        for saved in sorted(self.saved, reverse=True):
            silence = max(later - saved, 0)
            if silence <= age + OVERDUE:
                left -= silence
            if left < 0:
                return self._saved_by(saved)
            later = min(later, saved)
        return UidSet()

    def _saved_by(self, moment: float) -> UidSet:
        old = [saved <= moment for saved in self.saved]
        return UidSet.from_sorted(compress(self.uids, old))

    def without(self, uids: UidSet) -> Columns:
        """Return the columns of all messages but these."""
        kept, start = [], 0
        for first, last in uids.intervals:
            stop = bisect_left(self.uids, first, start)
            kept.append((start, stop))
            start = bisect_right(self.uids, last, stop)
        return self._taken([*kept, (start, len(self))]) if kept else self

    def joined(self, more: Columns) -> Columns:
        """Return these and other messages of the same INBOX, as of the others' moment."""
        whole = attrs.evolve(
            more,
            uids=self.uids + more.uids,
            sizes=self.sizes + more.sizes,
            saved=self.saved + more.saved,
            email_ids=self.email_ids + more.email_ids,
        )
        if not self.uids or not more.uids or more.uids[0] > self.uids[-1]:
            return whole
        order = sorted(range(len(whole)), key=whole.uids.__getitem__)
        return whole._taken([(at, at + 1) for at in order])  # noqa: SLF001

    def _taken(self, spans: Spans) -> Columns:
        return attrs.evolve(
            self,
            uids=_taken(self.uids, spans),
            sizes=_taken(self.sizes, spans),
            saved=_taken(self.saved, spans),
            email_ids=self.email_ids.taken(spans),
        )


def _shown(batch: Batch) -> Iterator[bool]:
    hidden = {
        flags: any(flag.lower() == HIDDEN.lower() for flag in flags)
        for flags in set(batch.flags)
    }
    return (not hidden[flags] for flags in batch.flags)


class Memory:
    """The columns of the INBOXes that were asked for last, brought up to date on demand.

    A login then costs what has changed since the account's last one, and an
    INBOX that several sessions have open is in memory once.
    """

    def __init__(self, store: IMailStore, indexes: Indexes, wanted: Wanted) -> None:
        self._store = store
        self._indexes = indexes
        self._wanted = wanted  # FLAGS, where messages may be hidden by one
        self._known: OrderedDict[AccountId, tuple[Mailbox, Columns]] = OrderedDict()
        self._messages = 0

    async def columns(self, account: IAccount) -> Columns:
        """Return the INBOX as it is now; raises what the account raises."""
        inbox, columns = await self._current(account)
        self._keep(account.id, inbox, columns)
        return columns

    async def _current(self, account: IAccount) -> tuple[Mailbox, Columns]:
        if account.id in self._known:
            inbox, known = self._known[account.id]
            now = await self._advanced(account, inbox, known)
            if now is not None:
                return inbox, now
        inbox = next(box for box in await account.mailboxes() if box.name == INBOX)
        index = await self._indexes.current(self._store, account, inbox.id)
        uids = UidSet.from_sorted(index.uids)
        return inbox, await self._read(account, inbox, uids, index.modseq)

    async def _advanced(
        self, account: IAccount, inbox: Mailbox, known: Columns
    ) -> Columns | None:
        """Return the columns as they are now, or None if they must be read anew."""
        changes = await account.changes(known.modseq, inbox.id)
        if not changes.complete or inbox.id in changes.removed:
            return None
        if changes.modseq == known.modseq:
            return known
        for change in changes.mailboxes:
            touched = change.changed if self._wanted else UidSet()
            fresh = await self._read(account, inbox, change.added | touched, changes.modseq)
            known = known.without(change.removed | touched).joined(fresh)
        return attrs.evolve(known, modseq=changes.modseq)

    async def _read(
        self, account: IAccount, inbox: Mailbox, uids: UidSet, modseq: ModSeq
    ) -> Columns:
        batches: list[Batch] = []
        if uids:
            async with account.records(inbox.id, uids, self._wanted) as cursor:
                while (batch := await cursor.next_batch()) is not None:
                    batches.append(batch)
        return Columns.of(inbox, modseq, batches)

    def _keep(self, account: AccountId, inbox: Mailbox, columns: Columns) -> None:
        if account in self._known:
            self._messages -= len(self._known.pop(account)[1])
        self._known[account] = (inbox, columns)
        self._messages += len(columns)
        while self._messages > REMEMBERED and len(self._known) > 1:
            _, (_, dropped) = self._known.popitem(last=False)
            self._messages -= len(dropped)
