"""Mail goes from one store of a house to another, with all its numbers.

The accounts go on living in the first store meanwhile: each run takes over what has
changed since the last.  The last run is made while no server answers the door; then the
configuration may name the other store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import attrs

from mailplat.app.asking import Said
from mailplat.app.conversation import Conversation
from mailplat.app.operations.desk import Desk
from mailplat.app.reading import DAMAGED, batches
from mailplat.interfaces import IAccount, IMailStore, IRestorable
from mailplat.mail.content import Content, chunks
from mailplat.mail.errors import BadParameter, NotPermitted, StoreFailed, Unsupported
from mailplat.mail.mailbox import (
    Mailbox,
    MailboxId,
    MailboxIndex,
    NewMessage,
    Record,
    UidSet,
    Wanted,
)
from mailplat.mail.people import Account
from mailplat.mail.restoring import Restored
from mailplat.mail.summary import Summary, read_summary, summary_of

MOST_NAMED = 1000  # messages that are named in the end, of those that were left out
TOGETHER = 50  # messages that are restored, and looked at again, in one step

Print = tuple[Any, ...]  # what has to be the same of a message in both stores


async def migrate(desk: Desk, source: str, target: str) -> Conversation:
    """Bring a store up to date with another one.

    Raises `BadParameter` for a store that there is not, and `NotPermitted` where the two
    are one.
    """
    stores = desk.stores
    for name in (source, target):
        if name not in stores:
            there = ", ".join(sorted(stores))
            raise BadParameter(f"there is no store {name}; there are {there}")
    if source == target:
        raise NotPermitted(f"{source} can't be migrated into itself")
    return Migration(stores[source], stores[target], await desk.people.accounts())


@attrs.define
class Migration:
    """Answers ``go on`` with how far it has come, until it is done."""

    _source: IMailStore
    _target: IMailStore
    _people: Sequence[Account]
    _steps: AsyncIterator[None] | None = None
    accounts: int = 0
    messages: int = 0  # that are the same in both
    written: int = 0
    removed: int = 0
    octets: int = 0  # of what was written
    left_out: int = 0  # messages that can't be read
    named: list[dict[str, str]] = attrs.field(factory=list)  # the first of them, and why
    _account: str = ""

    async def answer(self, said: dict[str, Any], octets: bytes) -> Said:
        if said.get("do") != "go on":
            raise BadParameter(f"a migration knows nothing of {said.get('do')}")
        self._steps = self._steps or self._all()
        done = False
        try:
            await anext(self._steps)  # `anext` with a default can't be sent a tuple
        except StopAsyncIteration:
            done = True
        return {
            "done": done,
            "account": self._account,
            "accounts": self.accounts,
            "messages": self.messages,
            "written": self.written,
            "removed": self.removed,
            "octets": self.octets,
            "left_out": self.left_out,
            "named": self.named if done else [],
        }, b""

    def end(self) -> None:
        """Each step is whole in itself."""
        self._steps = None

    async def _all(self) -> AsyncIterator[None]:
        for account in self._people:
            self._account = account.name
            old: IAccount = await self._source.open(account.id)
            new: IAccount = await self._target.open(account.id)
            async for step in self._one(old, new):
                yield step
            self.accounts += 1

    async def _one(self, old: IAccount, new: Any) -> AsyncIterator[None]:
        """Bring one account up to date."""
        if not _can_restore(new):
            raise Unsupported("the target can't take mail with its numbers")
        boxes: Sequence[Mailbox] = await old.mailboxes()
        _refuse_strangers(boxes, await new.mailboxes(), self._account)
        inbox: MailboxIndex = await old.index(boxes[0].id)
        subscribed = await old.subscriptions()
        here = await new.restore_mailboxes(boxes, subscribed, inbox.modseq)
        yield
        for box, there in zip(boxes, here, strict=True):
            before, after = _facts(await old.index(box.id)), _facts(await new.index(there))
            gone = UidSet.from_sorted(sorted(after.keys() - before.keys()))
            if gone:
                self.removed += len(await new.expunge(there, gone))
            differing = [uid for uid in before if after.get(uid) != before[uid]]
            self.messages += len(before) - len(differing)
            for start in range(0, len(differing), TOGETHER):
                some = UidSet.from_sorted(differing[start : start + TOGETHER])
                await self._copy(old, box, new, there, some)
                yield
        await new.restore_mailboxes(boxes, subscribed, inbox.modseq)

    async def _copy(
        self, old: IAccount, box: Mailbox, new: Any, there: MailboxId, uids: UidSet
    ) -> None:
        """Restore messages, and compare what came of it; leave out what can't be read."""
        wanted = Wanted.FLAGS | Wanted.SUMMARY | Wanted.CONTENT
        async for batch in batches(old, box.id, uids, wanted):
            messages: list[Restored] = []
            expected: dict[int, Print] = {}
            for record in batch.records():
                try:
                    content = await old.content(record)
                    message = NewMessage(content, await _summary(record, content))
                    expected[record.uid] = await _print(record, content)
                except DAMAGED as problem:
                    self._leave_out(box, record.uid, problem)
                else:
                    messages.append(Restored(record, message))
            await new.restore(there, messages)
            wrong = await self._take_back(new, there, expected)
            for uid in wrong:
                self._leave_out(box, uid, StoreFailed("what was written reads differently"))
            sizes = [one.record.size for one in messages if one.record.uid not in wrong]
            self.written += len(sizes)
            self.messages += len(sizes)
            self.octets += sum(sizes)

    async def _take_back(
        self, new: Any, there: MailboxId, expected: Mapping[int, Print]
    ) -> list[int]:
        """Remove again what reads differently; else the next run would call it the same."""
        uids = UidSet.from_sorted(sorted(expected))
        found = await _prints(new, there, uids)
        wrong = [uid for uid in expected if found.get(uid) != expected[uid]]
        if wrong:
            await new.expunge(there, UidSet.from_sorted(sorted(wrong)))
        return wrong

    def _leave_out(self, box: Mailbox, uid: int, problem: Exception) -> None:
        self.left_out += 1
        if len(self.named) < MOST_NAMED:
            place = f"{self._account}: {box.name}, UID {uid}"
            self.named.append({"place": place, "why": str(problem)})


def _can_restore(account: object) -> bool:
    return bool(IRestorable.providedBy(account))


def _refuse_strangers(boxes: Sequence[Mailbox], there: Sequence[Mailbox], account: str) -> None:
    """Raise `NotPermitted` where the target holds mail that never was in the source.

    The UIDVALIDITY of its INBOX becomes that of the source before any message comes.
    """
    messages = sum(box.messages for box in there)
    if messages and boxes[0].uid_validity != there[0].uid_validity:
        raise NotPermitted(f"{account} has {messages} other messages in the target already")


def _facts(index: MailboxIndex) -> dict[int, tuple[int, frozenset[str]]]:
    """Return mod-sequence and flags of each message, which tell whether it is the same."""
    sets = [frozenset(name.lower() for name in names) for names in index.flag_sets]
    columns = zip(index.uids, index.modseqs, index.flags, strict=True)
    return {uid: (modseq, sets[flags]) for uid, modseq, flags in columns}


async def _summary(record: Record, content: Content) -> Summary:
    """Return the summary that was kept, or a new one where it is of an older version."""
    octets = record.summary or b""
    try:
        facts = read_summary(octets)
    except ValueError:
        return await summary_of(content)
    return Summary(octets, facts.body, facts.references)


async def _prints(account: IAccount, mailbox: MailboxId, uids: UidSet) -> dict[int, Print]:
    """Return what there is of messages; nothing of those that can't be read."""
    found: dict[int, Print] = {}
    async for batch in batches(account, mailbox, uids, Wanted.FLAGS | Wanted.CONTENT):
        for record in batch.records():
            with suppress(*DAMAGED):
                found[record.uid] = await _print(record, await account.content(record))
    return found


async def _print(record: Record, content: Content) -> Print:
    """Return what has to be the same of a message in both stores."""
    digest = blake2b(digest_size=20)
    async for octets in chunks(content):
        digest.update(octets)
    return (
        record.uid,
        record.modseq,
        frozenset(name.lower() for name in record.flags or ()),
        record.received,
        record.saved,
        digest.digest(),
    )
