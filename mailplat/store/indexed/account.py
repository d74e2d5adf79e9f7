"""One account's mail in the index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs
from zope.interface import implementer

from mailplat.interfaces import IAccount, ICursor, IRestorable
from mailplat.mail.content import Content, Octets
from mailplat.mail.mailbox import (
    BATCH_OCTETS,
    Appended,
    Batch,
    Changes,
    FlagChange,
    Flagged,
    Mailbox,
    MailboxEdit,
    MailboxId,
    MailboxIndex,
    ModSeq,
    Moved,
    NewMessage,
    Record,
    Replaced,
    Role,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.restoring import Restored
from mailplat.sql import Row
from mailplat.store.indexed import queries
from mailplat.store.indexed.contents import SMALL
from mailplat.store.indexed.facets import AccountFacets
from mailplat.store.indexed.queries.appending import Addition
from mailplat.store.indexed.queries.arrivals import Stored
from mailplat.store.indexed.queries.changes import email_id, number_of, thread_id
from mailplat.store.indexed.queries.restoring import Item

if TYPE_CHECKING:
    from mailplat.store.indexed.store import IndexedStore

BATCH = 500  # messages in one batch of a cursor, fewer where they have many octets


@implementer(ICursor)
class IndexedCursor:
    """Walks a mailbox by UID; between two batches it holds nothing of the database."""

    def __init__(
        self, account: IndexedAccount, mailbox: MailboxId, uids: UidSet, wanted: Wanted
    ) -> None:
        self._account = account
        self._mailbox = mailbox
        self._uids = uids
        self._wanted = wanted

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._uids = UidSet()

    async def next_batch(self) -> Batch | None:
        if not self._uids:
            return None
        contents = Wanted.CONTENT in self._wanted
        rows = await self._account.database.read(
            queries.reading.batch,
            self._account.id,
            self._mailbox,
            self._uids,
            BATCH,
            BATCH_OCTETS,
            Wanted.SUMMARY in self._wanted,
            SMALL if contents else 0,
        )
        if not rows:
            return None
        self._uids -= UidSet(((0, rows[-1][0]),))
        return await self._batch(rows)

    async def _batch(self, rows: Sequence[Row]) -> Batch:
        (
            uids,
            modseqs,
            emails,
            threads,
            sizes,
            received,
            saved,
            flags,
            summaries,
            contents,
            keys,
        ) = zip(*rows, strict=True)
        if any(keys):
            elsewhere = await self._account.read_each(list(zip(keys, sizes, strict=True)))
            contents = tuple(
                here if key is None else there
                for key, here, there in zip(keys, contents, elsewhere, strict=True)
            )
        wanted = self._wanted
        return Batch(
            uids=uids,
            modseqs=modseqs,
            email_ids=[email_id(email) for email in emails],
            thread_ids=[thread_id(thread) for thread in threads],
            sizes=sizes,
            received=received,
            saved=saved,
            flags=await self._account.named(flags) if Wanted.FLAGS in wanted else (),
            summaries=summaries if Wanted.SUMMARY in wanted else (),
            contents=contents if Wanted.CONTENT in wanted else (),
        )


@implementer(IAccount, IRestorable)
class IndexedAccount(AccountFacets):
    """One account's mail, for one session."""

    def __init__(self, store: IndexedStore, account: AccountId, opened_at: ModSeq) -> None:
        self.id = account
        self.opened_at = opened_at
        self.database = store.database
        self._store = store
        self._flag_sets: dict[int, frozenset[str]] = {}

    async def mailboxes(self) -> Sequence[Mailbox]:
        return await self.database.read(queries.mailboxes.mailboxes, self.id)

    async def subscriptions(self) -> Collection[str]:
        return await self.database.read(queries.mailboxes.subscriptions, self.id)

    async def create(self, name: str, role: Role = Role.NONE) -> Mailbox:
        made: Mailbox = await self._store.commit(
            queries.mailboxes.create, self.id, name, role, self._store.now()
        )
        return made

    async def edit(self, mailbox: MailboxId, edit: MailboxEdit) -> Mailbox:
        edited: Mailbox = await self._store.commit(
            queries.mailboxes.edit, self.id, mailbox, edit, self._store.now()
        )
        return edited

    async def remove(self, mailbox: MailboxId, unless_after: ModSeq | None = None) -> None:
        await self._store.commit(
            queries.messages.remove,
            self.id,
            mailbox,
            self._store.now(),
            self._store.keeps_expunged,
            unless_after,
        )
        self._store.sweeper.sweep(self.id)

    async def subscribe(self, names: Collection[str], on: bool) -> None:
        await self._store.commit(
            queries.mailboxes.subscribe, self.id, names, on, self._store.now()
        )

    async def index(self, mailbox: MailboxId) -> MailboxIndex:
        return await self.database.read(queries.reading.index, self.id, mailbox)

    def records(
        self, mailbox: MailboxId, uids: UidSet, wanted: Wanted = Wanted.NOTHING
    ) -> IndexedCursor:
        return IndexedCursor(self, mailbox, uids, wanted)

    async def content(self, record: Record) -> Content:
        if record.content is not None:
            return Octets(record.content)
        return self._store.content(self.id, number_of(record.email_id), record.size)

    async def append(
        self,
        mailbox: MailboxId,
        messages: Sequence[NewMessage],
        replacing: Replaced | None = None,
    ) -> Sequence[Appended]:
        stored = await self._store.keep_all(self.id, messages)
        try:
            appended: Sequence[Appended] = await self._store.append(
                Addition(
                    self.id,
                    mailbox,
                    stored,
                    self._store.now(),
                    replacing,
                    await self._store.rooms.allowance(self.id),
                )
            )
        except Exception:
            await self._store.drop(self.id, stored)
            raise
        if replacing:
            self._store.sweeper.sweep(self.id)
        return appended

    async def flag(
        self,
        mailbox: MailboxId,
        uids: UidSet,
        change: FlagChange,
        unless_after: ModSeq | None = None,
    ) -> Flagged:
        is_first = queries.flags.is_to_expunge(change)
        unit = queries.flags.flag_to_expunge if is_first else queries.flags.flag
        flagged: Flagged = await self._store.commit(
            unit, self.id, mailbox, uids, change, unless_after, self._store.now()
        )
        return flagged

    async def move(
        self, mailbox: MailboxId, uids: UidSet, target: MailboxId, keep: bool = False
    ) -> Moved:
        allowance = await self._store.rooms.allowance(self.id)
        moved: Moved = await self._store.commit(
            queries.messages.move,
            self.id,
            mailbox,
            uids,
            target,
            keep,
            self._store.now(),
            allowance,
        )
        return moved

    async def expunge(self, mailbox: MailboxId, uids: UidSet) -> UidSet:
        gone: UidSet = await self._store.commit(
            queries.messages.expunge,
            self.id,
            mailbox,
            uids,
            self._store.now(),
            self._store.keeps_expunged,
        )
        self._store.sweeper.sweep(self.id)
        return gone

    async def changes(self, since: ModSeq, mailbox: MailboxId | None = None) -> Changes:
        return await self.database.read(queries.changes.changes, self.id, since, mailbox)

    async def read_each(
        self, wanted: Sequence[tuple[str | None, int]]
    ) -> Sequence[bytes | None]:
        """Return contents that lie elsewhere, by their keys and sizes."""
        elsewhere = self._store.elsewhere
        return await elsewhere.read_each(wanted) if elsewhere else [None] * len(wanted)

    async def restore_mailboxes(
        self, mailboxes: Sequence[Mailbox], subscribed: Collection[str], modseq: ModSeq
    ) -> Sequence[MailboxId]:
        restored: Sequence[MailboxId] = await self._store.restore(
            queries.restoring.restore_mailboxes,
            self.id,
            mailboxes,
            subscribed,
            modseq,
            self._store.now(),
        )
        self._store.sweeper.sweep(self.id)
        return restored

    async def restore(self, mailbox: MailboxId, messages: Sequence[Restored]) -> None:
        stored = await self._store.keep_all(self.id, [one.message for one in messages])
        items = [_item(one, kept) for one, kept in zip(messages, stored, strict=True)]
        try:
            await self._store.restore(
                queries.restoring.restore,
                self.id,
                mailbox,
                items,
                self._store.now(),
                stored=stored,
            )
        except Exception:
            await self._store.drop(self.id, stored)
            raise
        for one in stored:
            if one.email:  # if it came once more
                self._store.sweeper.forget(self.id, one.email)

    async def named(self, flags: Sequence[int]) -> Sequence[frozenset[str]]:
        """Return what flag sets are, by their numbers."""
        if not self._flag_sets.keys() >= set(flags):
            self._flag_sets = await self.database.read(queries.flags.flag_sets, self.id)
        return [self._flag_sets[number] for number in flags]


def _item(one: Restored, stored: Stored) -> Item:
    record = one.record
    return Item(
        record.uid,
        record.modseq,
        record.email_id,
        record.flags or frozenset(),
        record.saved.timestamp(),
        attrs.evolve(stored, received=record.received.timestamp()),
    )
