"""What POP3 has to know of an INBOX, as columns that all its sessions share."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, compress, repeat
from math import inf

import attrs

from mailplat.interfaces import IAccount
from mailplat.mail.mailbox import INBOX, Batch, Mailbox, MailboxId, ModSeq, UidSet, Wanted
from mailplat.mail.people import AccountId

HIDDEN = "$Pop3Hidden"
"""The keyword of a message that POP3 shows no more, though it is kept for IMAP."""

REMEMBERED = 500_000  # messages of all INBOXes whose columns are kept for the next login


@attrs.frozen(eq=False)
class Texts:
    """Short texts in one buffer: an octet a letter, and eight more a text."""

    buffer: str = ""
    ends: array[int] = attrs.field(factory=lambda: array("Q"))

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Put texts behind one another."""
        return cls("".join(texts), array("Q", accumulate(map(len, texts))))

    def __getitem__(self, at: int) -> str:
        return self.buffer[self.ends[at - 1] if at else 0 : self.ends[at]]

    def __add__(self, other: Texts) -> Texts:
        shift = len(self.buffer)
        ends = self.ends + array("Q", [end + shift for end in other.ends])
        return Texts(self.buffer + other.buffer, ends)


@attrs.frozen(eq=False)
class Columns:
    """An INBOX's messages by ascending UID, at one mod-sequence; some 60 octets each."""

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
        uids, sizes, saved = array("L"), array("Q"), array("d")
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

    def without(self, uids: UidSet) -> Columns:
        """Return the columns of all messages but these."""
        kept = bytearray(b"\1") * len(self)
        for first, last in uids.intervals:
            start, stop = bisect_left(self.uids, first), bisect_right(self.uids, last)
            kept[start:stop] = bytes(stop - start)
        return self if all(kept) else self._picked(list(compress(range(len(self)), kept)))

    def before(self, moment: float) -> UidSet:
        """Return the messages that came before ``moment``."""
        if self.oldest >= moment:
            return UidSet()
        old = [saved < moment for saved in self.saved]
        return UidSet.from_sorted(compress(self.uids, old))

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
        return whole._picked(sorted(range(len(whole)), key=whole.uids.__getitem__))  # noqa: SLF001

    def _picked(self, places: Sequence[int]) -> Columns:
        return attrs.evolve(
            self,
            uids=array("L", map(self.uids.__getitem__, places)),
            sizes=array("Q", map(self.sizes.__getitem__, places)),
            saved=array("d", map(self.saved.__getitem__, places)),
            email_ids=Texts.of(list(map(self.email_ids.__getitem__, places))),
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

    def __init__(self, wanted: Wanted) -> None:
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
        index = await account.index(inbox.id)
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
