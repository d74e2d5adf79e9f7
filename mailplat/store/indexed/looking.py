"""Takes over what other programs did in a place that shows mailboxes to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.interfaces import ISharedContents
from mailplat.mail.errors import (
    MailError,
    NoSuchMessage,
    NotPermitted,
    OverQuota,
    ShuttingDown,
)
from mailplat.mail.mailbox import (
    INBOX,
    Change,
    FlagChange,
    Mailbox,
    MailboxEdit,
    MailboxId,
    MailboxIndex,
    ModSeq,
    NewMessage,
    Record,
    Role,
    Uid,
    UidSet,
    names_above,
)
from mailplat.mail.people import AccountId
from mailplat.mail.placing import Inheritance, Present, Sighting
from mailplat.mail.restoring import Restored
from mailplat.mail.summary import summary_of
from mailplat.store.indexed import queries
from mailplat.store.indexed.account import IndexedAccount
from mailplat.store.indexed.showing import Showing

if TYPE_CHECKING:
    from mailplat.store.indexed.store import IndexedStore

TOGETHER = 32  # messages that are taken in at once
INHERITED_AT = ModSeq(1)  # what messages with another program's numbers begin with


@attrs.frozen
class Arrived:
    """A file that another program brought, and the message that is made of it."""

    present: Present
    key: str  # what tells it from every other file
    message: NewMessage

    def restored(self) -> Restored:
        """Return it with the UID that it had."""
        received = self.message.received
        assert received
        record = Record(
            Uid(self.present.uid),
            INHERITED_AT,
            self.key,
            self.key,
            self.message.content.size,
            received,
            received,
            self.present.flags,
        )
        return Restored(record, self.message)


class Looking:
    """Asks the place what others did, when somebody comes and when it says that there is anything.

    It is asked when all that was committed has been shown, so what differs from the index
    as it was then is theirs.  What the index has changed since stays as it is, and is shown.
    """

    log = Logger()

    def __init__(self, store: IndexedStore, place: ISharedContents, showing: Showing) -> None:
        self._store = store
        self._place = place
        self._showing = showing
        self._under_way: dict[AccountId, list[Deferred[None]]] = {}
        self._again: dict[AccountId, list[Deferred[None]]] = {}
        self._begun: set[AccountId] = set()  # those of which nothing is left to be inherited
        self._beginning: dict[AccountId, DeferredLock] = {}
        self._taking: dict[AccountId, DeferredLock] = {}

    def start(self) -> None:
        """Hear from now on of what is done."""
        self._place.watch(self.heard)

    def heard(self, account: AccountId, *waiting: Deferred[None]) -> None:
        """Begin to look what was done to an account, and tell those who wait for it."""
        if account in self._under_way:
            self._again.setdefault(account, []).extend(waiting)
            return
        self._under_way[account] = [*waiting]
        Deferred.fromCoroutine(self._look_until_done(account)).addErrback(self._leave)

    async def look(self, account: AccountId) -> None:
        """Return when the index knows all that was done before; never fails."""
        done: Deferred[None] = Deferred()
        self.heard(account, done)
        await done

    async def begin(self, account: AccountId) -> None:
        """See before anything is delivered that another program's numbers are taken over."""
        if account in self._begun:
            return
        lock = self._beginning.setdefault(account, DeferredLock())
        await lock.acquire()
        try:
            if account not in self._begun:
                await self._inherit(account)
                self._begun.add(account)
                self._beginning.pop(account, None)
        finally:
            lock.release()

    @asynccontextmanager
    async def apart(self, account: AccountId) -> AsyncIterator[None]:
        """Look at an account no more, and show nothing of it, until this ends."""
        async with self._alone(account), self._showing.paused(account):
            yield

    def forget(self, account: AccountId) -> None:
        """Let an account begin anew, should it ever come back."""
        self._begun.discard(account)

    async def _look_until_done(self, account: AccountId) -> None:
        try:
            while True:
                try:
                    await self.begin(account)
                    async with self._alone(account):
                        await self._look(account)
                except ShuttingDown:
                    pass
                except Exception:  # noqa: BLE001 - the account can be used all the same
                    self.log.failure("what other programs did is looked for again")
                for one in self._under_way.pop(account):
                    one.callback(None)
                if account not in self._again:
                    return
                self._under_way[account] = self._again.pop(account)
        finally:
            self._under_way.pop(account, None)

    @asynccontextmanager
    async def _alone(self, account: AccountId) -> AsyncIterator[None]:
        """Let nobody restore while it is taken over what others did, and the other way round."""
        lock = self._taking.setdefault(account, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()
            if not lock.locked:
                self._taking.pop(account, None)

    async def _look(self, account: AccountId) -> None:
        async with self._showing.quiet(account) as shown:
            modseq, boxes = shown.modseq, shown.mailboxes
            found = await self._place.look(account, [(box.id, box.name) for box in boxes])
        names = {box.name for box in boxes}
        opened = IndexedAccount(self._store, account, modseq)
        # Mailboxes that have gone come last, those that lie in others first.
        gone = [one for one in found if one.name is None]
        for one in [*(one for one in found if one.name is not None), *reversed(gone)]:
            try:
                if await self._take(opened, one, names, modseq):
                    self._place.agree(account, one)
            except MailError as problem:
                self.log.warn(
                    "{account}: {name} is not taken over: {why}",
                    account=account,
                    name=one.name,
                    why=str(problem),
                )

    async def _take(
        self, opened: IndexedAccount, found: Sighting, names: set[str], modseq: ModSeq
    ) -> bool:
        """Have the index say the same; return whether it does now."""
        if found.mailbox is None:
            if found.name and found.name not in names:
                await opened.create(found.name)
                self.heard(opened.id)  # for what is in it
            return False
        if found.name is None:
            await self._take_mailbox(opened, found, modseq)
            return True
        if found.name not in names:
            await opened.edit(found.mailbox, MailboxEdit(name=found.name))
        index = await opened.index(found.mailbox)
        await self._take_flags(opened, found, index, modseq)
        await self._take_removals(opened, found, index, modseq)
        return await self._take_arrivals(opened, found, index, modseq)

    async def _take_mailbox(
        self, opened: IndexedAccount, found: Sighting, modseq: ModSeq
    ) -> None:
        """Remove a mailbox; it stays where others lie in it, or what was not shown there."""
        assert found.mailbox
        index = await opened.index(found.mailbox)
        shown = await self._shown_among(opened, found.mailbox, index.uids)
        if len(shown) == len(index.uids):
            try:
                await opened.remove(found.mailbox, modseq)
            except NotPermitted:
                index = await opened.index(found.mailbox)
            else:
                return
        await self._take_removals(opened, found, index, modseq)

    # Messages.

    async def _take_flags(
        self, opened: IndexedAccount, found: Sighting, index: MailboxIndex, modseq: ModSeq
    ) -> None:
        assert found.mailbox
        there = {one.uid: one.flags for one in found.files}
        changed: dict[frozenset[str], list[int]] = {}
        for uid, flags, changed_at in _rows(index):
            now = there.get(uid)
            if now is not None and changed_at <= modseq:
                wanted = _with(flags, now, found.words)
                if wanted != flags:
                    changed.setdefault(wanted, []).append(uid)
        for flags, uids in changed.items():
            change = FlagChange(Change.REPLACE, flags)
            await opened.flag(found.mailbox, UidSet.from_sorted(uids), change, modseq)

    async def _take_removals(
        self, opened: IndexedAccount, found: Sighting, index: MailboxIndex, modseq: ModSeq
    ) -> None:
        assert found.mailbox
        there = {one.uid for one in found.files}
        gone = [
            uid for uid, _, changed in _rows(index) if changed <= modseq and uid not in there
        ]
        gone = await self._shown_among(opened, found.mailbox, gone)
        if gone:
            await opened.expunge(found.mailbox, UidSet.from_sorted(gone))

    async def _shown_among(
        self, opened: IndexedAccount, mailbox: MailboxId, uids: Iterable[int]
    ) -> list[int]:
        """Return which messages others could take away: those that were shown to them."""
        among = UidSet.from_sorted(uids)
        if not among:
            return []
        return await self._store.database.read(
            queries.showing.shown_among, opened.id, mailbox, among
        )

    async def _take_arrivals(
        self,
        opened: IndexedAccount,
        found: Sighting,
        index: MailboxIndex,
        modseq: ModSeq,
    ) -> bool:
        """Take in what is new; return whether nothing is left that is still to come."""
        assert found.mailbox
        known = set(index.uids)
        # A UID that the index doesn't know is that of a message which it has forgotten
        # since, and not of one that somebody has brought back, unless nothing is to be shown.
        is_quiet = index.modseq <= modseq
        new = [one for one in found.files if not one.uid or (is_quiet and one.uid not in known)]
        refused: list[OverQuota] = []
        for at in range(0, len(new), TOGETHER):
            arrived = await self._arrivals(opened.id, found.mailbox, new[at : at + TOGETHER])
            try:
                messages = [one.message for one in arrived]
                refused += await self._append(opened, found.mailbox, messages)
            finally:
                for one in arrived:
                    one.message.content.close()
        if refused:
            raise refused[0]
        return not new

    async def _append(
        self, opened: IndexedAccount, mailbox: MailboxId, messages: Sequence[NewMessage]
    ) -> list[OverQuota]:
        """Append all for which there is room; return why the others are refused.

        What is known to be too much is not even copied, since it is found at each look.
        """
        why = [await self._store.why_full(opened.id, one.content.size) for one in messages]
        refused = [one for one in why if one]
        fitting = [one for one, full in zip(messages, why, strict=True) if not full]
        try:
            if fitting:
                await opened.append(mailbox, fitting)
        except OverQuota as problem:
            if len(fitting) == 1:
                return [*refused, problem]
            for one in fitting:  # each fits, and not all of them
                refused += await self._append(opened, mailbox, [one])
        return refused

    async def _arrivals(
        self, account: AccountId, mailbox: MailboxId, some: Sequence[Present]
    ) -> list[Arrived]:
        """Return messages that were brought, but those that have gone.

        Each comes once: what is shown under its content's key is that file, and nobody
        looks before all is shown.
        """
        work = [Deferred.fromCoroutine(self._arrival(account, mailbox, one)) for one in some]
        outcomes: list[tuple[bool, Any]] = await DeferredList(work, consumeErrors=True)
        arrived = [outcome for is_there, outcome in outcomes if is_there]
        for is_there, outcome in outcomes:
            if not is_there and not outcome.check(NoSuchMessage):
                for one in arrived:
                    one.message.content.close()
                outcome.raiseException()
        return arrived

    async def _arrival(
        self, account: AccountId, mailbox: MailboxId, present: Present
    ) -> Arrived:
        content, key, came = await self._place.arrival(account, mailbox, present.name)
        received = datetime.fromtimestamp(came, UTC)
        message = NewMessage(content, await summary_of(content), present.flags, received)
        return Arrived(present, key, message)

    # Inheriting.

    async def _inherit(self, account: AccountId) -> None:
        found = await self._place.inheritance(account)
        if found:
            boxes: Sequence[Mailbox] = await self._store.database.read(
                queries.mailboxes.mailboxes, account
            )
            if _may_inherit(boxes, found):
                await self._take_over(account, boxes, found)
        await self._place.inherited(account)

    async def _take_over(
        self, account: AccountId, boxes: Sequence[Mailbox], found: Inheritance
    ) -> None:
        """Give an account the mailboxes and UIDs that another program had given."""
        opened = IndexedAccount(self._store, account, INHERITED_AT)
        fresh = max([int(self._store.now()), *(box.uid_validity + 1 for box in boxes)])
        wanted = list(_mailboxes(found, boxes, fresh))
        modseq = max([INHERITED_AT, *(box.highest_modseq for box in boxes)])
        here = await opened.restore_mailboxes(wanted, found.subscribed, modseq)
        async with self._showing.quiet(account):
            pass  # so that the place knows which mailbox each folder is
        by_name = dict(zip((box.name for box in wanted), here, strict=True))
        total = 0
        for one in found.mailboxes:
            for at in range(0, len(one.files), TOGETHER):
                some = one.files[at : at + TOGETHER]
                await self._restore(opened, by_name[one.name], some)
            total += len(one.files)
        await opened.restore_mailboxes(wanted, found.subscribed, modseq)
        self._showing.changed(account)
        self.log.info(
            "{account}: {count} messages keep the UIDs that they had",
            account=account,
            count=total,
        )

    async def _restore(
        self,
        opened: IndexedAccount,
        mailbox: MailboxId,
        some: Sequence[Present],
    ) -> None:
        arrived = await self._arrivals(opened.id, mailbox, some)
        try:
            await opened.restore(mailbox, [one.restored() for one in arrived])
        finally:
            for one in arrived:
                one.message.content.close()

    def _leave(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.failure("what other programs did is looked for again", failure)


def _rows(index: MailboxIndex) -> Iterator[tuple[int, frozenset[str], int]]:
    for uid, flags, modseq in zip(index.uids, index.flags, index.modseqs, strict=True):
        yield uid, index.flag_sets[flags], modseq


def _with(
    flags: frozenset[str], shown: frozenset[str], words: frozenset[str]
) -> frozenset[str]:
    """Return a message's flags with those that are shown, and those that can't be."""
    if {flag.lower() for flag in flags} & words == {flag.lower() for flag in shown}:
        return flags
    return shown | {flag for flag in flags if flag.lower() not in words}


def _may_inherit(boxes: Sequence[Mailbox], found: Inheritance) -> bool:
    """Say whether an account has no mail of its own, but for an earlier attempt's."""
    validities = {one.name: one.uid_validity for one in found.mailboxes}
    return all(
        not box.messages or box.uid_validity == validities.get(box.name) for box in boxes
    )


def _mailboxes(found: Inheritance, boxes: Sequence[Mailbox], fresh: int) -> Iterator[Mailbox]:
    """Return all mailboxes that an account is to have: found, there already, and above them."""
    theirs = {one.name: one for one in found.mailboxes}
    there = {box.name: box for box in boxes}
    above = {name for one in theirs for name in names_above(one)}
    numbers = count(fresh)
    for name in sorted({INBOX, *theirs, *there, *above}):
        one, old = theirs.get(name), there.get(name)
        validity = one.uid_validity if one else old.uid_validity if old else next(numbers)
        yield Mailbox(
            old.id if old else MailboxId(""),
            name,
            old.role if old else Role.INBOX if name == INBOX else Role.NONE,
            name in found.subscribed,
            validity,
            Uid(one.uid_next if one else 1),
            INHERITED_AT,
            messages=0,
            unseen=0,
            deleted=0,
            size=0,
        )
