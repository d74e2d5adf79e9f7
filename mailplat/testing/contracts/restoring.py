"""What every `IRestorable` promises, as tests that a backend inherits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from zope.interface.verify import verifyObject

from mailplat.interfaces import IAccount, IRestorable
from mailplat.mail.content import whole
from mailplat.mail.mailbox import (
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Mailbox,
    MailboxId,
    ModSeq,
    Record,
    Role,
    Uid,
    UidSet,
)
from mailplat.mail.restoring import Restored
from mailplat.testing.contracts.accounts import (
    BIG,
    EVERYTHING,
    Accounts,
    add,
    named,
    names,
    numbered,
    records,
)
from mailplat.testing.fakes import new_message

CAME, SAVED = datetime(2020, 2, 3, 4, 5, 6, 789_000, UTC), datetime(2021, 1, 1, tzinfo=UTC)


def box(
    number: int, name: str, uid_next: int = 50, role: Role = Role.NONE, validity: int = 0
) -> Mailbox:
    """Return a mailbox as another store had it; its counts don't count."""
    return Mailbox(
        MailboxId(f"F{number}"),
        name,
        Role.INBOX if name == INBOX else role,
        False,
        validity or 7000 + number,
        Uid(uid_next),
        ModSeq(20 + number),
        0,
        0,
        0,
        0,
    )


def restored(
    uid: int, email: int, modseq: int, *flags: str, octets: bytes = b"", thread: int = 0
) -> Restored:
    """Return a message as another store had it."""
    message = new_message(octets) if octets else numbered(email)
    size, of_thread = message.content.size, f"T{thread or email}"
    facts = Uid(uid), ModSeq(modseq), f"M{email}", of_thread, size, CAME, SAVED
    return Restored(Record(*facts, frozenset(flags)), message)


BOXES = [box(1, INBOX), box(2, "a"), box(5, "a/b", 9, Role.SENT)]
FIRST = [
    restored(3, 11, 5, SEEN, "$Work"),
    restored(7, 10, 17, DELETED),
    restored(40, 13, 9, octets=BIG),
]


async def kept(account: IAccount, mailbox: MailboxId) -> list[tuple[Any, ...]]:
    """Return what is there of each message."""
    return [
        (
            record.uid,
            record.modseq,
            record.flags,
            record.received,
            record.saved,
            await whole(await account.content(record)),
        )
        for record in await records(account, mailbox, wanted=EVERYTHING)
    ]


async def as_restored(messages: Sequence[Restored]) -> list[tuple[Any, ...]]:
    """Return what shall be there of each message."""
    return [
        (
            one.record.uid,
            one.record.modseq,
            one.record.flags,
            one.record.received,
            one.record.saved,
            await whole(one.message.content),
        )
        for one in messages
    ]


class RestorableContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store."""

    async def test_numbers_flags_and_dates_are_those_given(self, account: Any) -> None:
        assert verifyObject(IRestorable, account)
        here = await account.restore_mailboxes(BOXES, {"a", "nowhere"}, ModSeq(30))
        await account.restore(here[0], FIRST)
        assert await kept(account, here[0]) == await as_restored(FIRST)
        found = await account.mailboxes()
        assert [(one.id, one.name, one.role) for one in found] == [
            (here[0], INBOX, Role.INBOX),
            (here[1], "a", Role.NONE),
            (here[2], "a/b", Role.SENT),
        ]
        assert [(one.uid_validity, one.uid_next, one.highest_modseq) for one in found] == [
            (one.uid_validity, one.uid_next, one.highest_modseq) for one in BOXES
        ]
        inbox = found[0]
        size = sum(one.message.content.size for one in FIRST)
        assert (inbox.messages, inbox.unseen, inbox.deleted, inbox.size) == (3, 2, 1, size)
        assert set(await account.subscriptions()) == {"a", "nowhere"}
        index = await account.index(here[0])
        assert (list(index.uids), list(index.modseqs), index.modseq) == (
            [3, 7, 40],
            [5, 17, 9],
            30,
        )

    async def test_what_has_changed_since_is_taken_too(self, account: Any) -> None:
        here = await account.restore_mailboxes(BOXES, {"a"}, ModSeq(30))
        await account.restore(here[0], FIRST)
        await account.restore(here[1], [restored(1, 20, 4)])
        exchanged = [box(1, INBOX), box(2, "a/b"), box(5, "a", 9, Role.SENT), box(6, "new")]
        later = await account.restore_mailboxes(exchanged, {"new"}, ModSeq(60))
        assert later[:1] == here[:1]
        assert await names(account) == [INBOX, "a", "a/b", "new"]
        changed = [restored(3, 11, 41, FLAGGED), *FIRST[1:], restored(41, 14, 42)]
        await account.restore(later[0], changed)
        await account.restore(later[0], changed)
        assert await kept(account, later[0]) == await as_restored(changed)
        inbox = await named(account, INBOX)
        assert (inbox.messages, inbox.unseen, inbox.deleted) == (4, 4, 1)
        assert set(await account.subscriptions()) == {"new"}
        await account.restore_mailboxes([box(1, INBOX)], (), ModSeq(61))
        assert await names(account) == [INBOX]

    async def test_another_uidvalidity_empties_a_mailbox(self, account: Any) -> None:
        here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
        await account.restore(here[0], FIRST)
        anew = [box(1, INBOX, 2, validity=9000), *BOXES[1:]]
        assert await account.restore_mailboxes(anew, (), ModSeq(31)) == here
        assert await kept(account, here[0]) == []
        await account.restore(here[0], [restored(1, 11, 31)])
        assert [one[0] for one in await kept(account, here[0])] == [1]

    async def test_copies_of_a_message_stay_copies(self, account: Any) -> None:
        here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
        await account.restore(here[0], [restored(3, 11, 5), restored(4, 11, 6)])
        await account.restore(here[1], [restored(1, 11, 7, SEEN), restored(2, 12, 8)])
        await account.restore(here[2], [restored(1, 13, 9, octets=BIG)])
        await account.restore(here[1], [restored(3, 13, 9, octets=BIG)])
        found = [
            record
            for mailbox in here
            for record in await records(account, mailbox, wanted=EVERYTHING)
        ]
        assert len(found) == 6
        assert len({record.email_id for record in found}) == 3
        await account.expunge(here[0], UidSet.all())
        again = await records(account, here[1])
        assert await whole(await account.content(again[0])) == await whole(numbered(11).content)

    async def test_a_copy_is_no_copy_of_what_lies_there_now(self, account: Any) -> None:
        """Where a message came first there may be another one by now."""
        here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
        await account.restore(here[1], [restored(1, 20, 5)])
        anew = [BOXES[0], box(2, "a", 2, validity=9000), BOXES[2]]
        here = await account.restore_mailboxes(anew, (), ModSeq(40))
        there = [restored(1, 21, 31)], [restored(1, 20, 5)]
        await account.restore(here[1], there[0])
        await account.restore(here[2], there[1])
        assert await kept(account, here[1]) == await as_restored(there[0])
        assert await kept(account, here[2]) == await as_restored(there[1])

    async def test_life_goes_on_behind_it(self, account: Any, store: Any) -> None:
        here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
        await account.restore(here[0], FIRST)
        account = await store.open(account.id)
        assert not (await account.changes(ModSeq(29))).complete
        same = await account.changes(ModSeq(30))
        assert same.complete
        assert not same.mailboxes
        [appended] = await account.append(here[0], [numbered(99)])
        assert (appended.uid, appended.modseq) == (50, 31)
        flagged = await account.flag(here[0], UidSet.of(3), add(FLAGGED))
        assert flagged.modseq == 32
        changes = await account.changes(ModSeq(30), here[0])
        [change] = changes.mailboxes
        assert (change.added, change.changed) == (UidSet.of(50), UidSet.of(3))
        made = await account.create("another")
        assert made.id not in here
        assert made.uid_validity > max(one.uid_validity for one in BOXES)

    async def test_threads_that_were_one_stay_one(self, account: Any) -> None:
        here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
        first = b"Message-ID: <1@x>\r\n\r\n"
        second = b"Message-ID: <2@x>\r\nReferences: <1@x>\r\n\r\n"
        third = b"Message-ID: <3@x>\r\nReferences: <2@x>\r\n\r\n"
        messages = [
            restored(1, 20, 5, octets=first, thread=20),
            restored(2, 21, 6, octets=second, thread=20),
        ]
        await account.restore(here[0], messages)
        await account.append(here[1], [new_message(third)])
        found = await records(account, here[0]) + await records(account, here[1])
        assert len({record.thread_id for record in found}) == 1

    async def test_an_empty_restoration_changes_nothing(self, account: Any) -> None:
        here = await account.restore_mailboxes(BOXES, (), ModSeq(30))
        await account.restore(here[0], [])
        assert attrs.evolve((await account.mailboxes())[0], id=here[0]).messages == 0
