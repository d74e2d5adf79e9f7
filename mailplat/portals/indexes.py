"""The indexes of mailboxes that sessions have open, each of them in memory once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import attrs
from twisted.internet.defer import DeferredLock

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.mailbox import (
    LAST_UID,
    Batch,
    MailboxId,
    MailboxIndex,
    UidSet,
    Wanted,
    narrow,
)
from mailplat.mail.people import AccountId

MANY = 1000  # messages that came or were flagged, beyond which an index is read anew


class Indexes:
    """Keeps an index as long as a session has its mailbox open, for all of them.

    The first session reads it whole; each that comes later, and each that asks what is
    new, costs what has happened since anybody asked last.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[IMailStore, AccountId, MailboxId], _Shared] = {}

    async def open(self, store: IMailStore, account: IAccount, mailbox: MailboxId) -> OpenIndex:
        """Return a mailbox's index as it is now, kept until it is closed.

        ``account`` is the session's own, of that store.  Raises what it raises.
        """
        key = store, account.id, mailbox
        shared = self._open.setdefault(key, _Shared(mailbox))
        opened = OpenIndex(self, key, shared, account)
        shared.holders += 1
        try:
            await opened.advance()
        except BaseException:
            opened.close()
            raise
        return opened

    async def current(
        self, store: IMailStore, account: IAccount, mailbox: MailboxId
    ) -> MailboxIndex:
        """Return a mailbox's index as it is now, for whoever needs it only once."""
        shared = self._open.get((store, account.id, mailbox))
        return await (shared.advance(account) if shared else account.index(mailbox))

    def leave(self, key: tuple[IMailStore, AccountId, MailboxId]) -> None:
        """Count a session no longer, and forget what nobody has open."""
        shared = self._open[key]
        shared.holders -= 1
        if not shared.holders:
            del self._open[key]

    def __len__(self) -> int:
        return len(self._open)


@attrs.define(eq=False)
class OpenIndex:
    """One session's hold on an index.

    An index that was returned never changes: whoever is not ready to tell his client what
    is new goes on with that.  Columns that stayed as they were are the same in the next.
    """

    _indexes: Indexes
    _key: tuple[IMailStore, AccountId, MailboxId]
    _shared: _Shared
    _account: IAccount
    _is_open: bool = True

    @property
    def known(self) -> MailboxIndex:
        """The index as somebody has read it last."""
        return self._shared.known

    async def advance(self) -> MailboxIndex:
        """Return the index with all that was committed before this was asked.

        Flags that were changed while it was being read may be newer than its mod-sequence,
        as the message's own says; they are told once more then.  Raises what the account
        raises, `NoSuchMailbox` where the mailbox has been removed.
        """
        return await self._shared.advance(self._account)

    def close(self) -> None:
        """Let go of it; may be called again."""
        if self._is_open:
            self._is_open = False
            self._indexes.leave(self._key)


@attrs.define(eq=False)
class _Shared:
    """An index, and how many have it open."""

    mailbox: MailboxId
    holders: int = 0
    _index: MailboxIndex | None = None
    _lock: DeferredLock = attrs.field(factory=DeferredLock)
    _begun: int = 0  # readings that have begun
    _read: int = 0  # the last of them that has succeeded

    @property
    def known(self) -> MailboxIndex:
        """The index as it was read last."""
        assert self._index, "nobody has read it"
        return self._index

    async def advance(self, account: IAccount) -> MailboxIndex:
        """Return the index as it is now.

        Those who wait for a reading that began before they asked share the next one.
        """
        asked = self._begun
        await self._lock.acquire()
        try:
            if self._index is None or self._read <= asked:
                self._begun += 1
                self._index = await _now(account, self.mailbox, self._index)
                self._read = self._begun
            return self._index
        finally:
            self._lock.release()


async def _now(
    account: IAccount, mailbox: MailboxId, known: MailboxIndex | None
) -> MailboxIndex:
    """Return an index as it is now, by what has happened since, or read anew."""
    if known is None:
        return await account.index(mailbox)
    changes = await account.changes(known.modseq, mailbox)
    if not changes.complete or mailbox in changes.removed or changes.modseq < known.modseq:
        return await account.index(mailbox)
    if changes.modseq == known.modseq:
        return known
    for change in changes.mailboxes:
        touched = change.added | change.changed
        if len(touched) > MANY:
            return await account.index(mailbox)
        batches = await _read(account, mailbox, touched)
        known = followed(known, change.removed, batches)
    return attrs.evolve(known, modseq=changes.modseq)


async def _read(account: IAccount, mailbox: MailboxId, uids: UidSet) -> list[Batch]:
    batches: list[Batch] = []
    if uids:
        async with account.records(mailbox, uids, Wanted.FLAGS) as cursor:
            while (batch := await cursor.next_batch()) is not None:
                batches.append(batch)
    return batches


def followed(index: MailboxIndex, removed: UidSet, batches: Iterable[Batch]) -> MailboxIndex:
    """Return an index without some messages, and with others as the batches have them.

    Its mod-sequence stays.
    """
    if removed:
        index = _without(index, removed)
    numbers = {names: number for number, names in enumerate(index.flag_sets)}
    rows = [
        (uid, numbers.setdefault(names, len(numbers)), modseq)
        for batch in batches
        for uid, names, modseq in zip(batch.uids, batch.flags, batch.modseqs, strict=True)
    ]
    if not rows:
        return index
    flags, modseqs = narrow(index.flags, len(numbers)), index.modseqs[:]
    new: list[tuple[int, int, int]] = []
    for row in rows:
        at = bisect_left(index.uids, row[0])
        if index.uids[at : at + 1] == array("I", row[:1]):
            _, flags[at], modseqs[at] = row
        else:
            new.append(row)
    changed = attrs.evolve(index, flags=flags, modseqs=modseqs, flag_sets=tuple(numbers))
    return _joined(changed, new) if new else changed


def _without(index: MailboxIndex, removed: UidSet) -> MailboxIndex:
    uids, flags, modseqs = index.uids[:0], index.flags[:0], index.modseqs[:0]
    start = 0
    for first, last in (*removed.intervals, (LAST_UID + 1, LAST_UID + 1)):
        stop = bisect_left(index.uids, first, start)
        uids += index.uids[start:stop]
        flags += index.flags[start:stop]
        modseqs += index.modseqs[start:stop]
        start = bisect_right(index.uids, last, stop)
    return attrs.evolve(index, uids=uids, flags=flags, modseqs=modseqs)


def _joined(index: MailboxIndex, rows: Sequence[tuple[int, int, int]]) -> MailboxIndex:
    """Add rows of messages that are not there, almost always behind all others."""
    uids, flags, modseqs = zip(*rows, strict=True)
    whole = attrs.evolve(
        index,
        uids=index.uids + array("I", uids),
        flags=index.flags + array(index.flags.typecode, flags),
        modseqs=index.modseqs + array("Q", modseqs),
    )
    if not index.uids or index.uids[-1] < uids[0]:
        return whole
    order = sorted(range(len(whole.uids)), key=whole.uids.__getitem__)
    return attrs.evolve(
        whole,
        uids=array("I", [whole.uids[at] for at in order]),
        flags=array(whole.flags.typecode, [whole.flags[at] for at in order]),
        modseqs=array("Q", [whole.modseqs[at] for at in order]),
    )
