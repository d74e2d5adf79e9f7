"""What the contracts of accounts have in common: messages, and short ways to look."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.content import whole
from mailplat.mail.mailbox import (
    INBOX,
    Appended,
    Change,
    FlagChange,
    Mailbox,
    MailboxId,
    NewMessage,
    Record,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.fixtures import async_fixture

ALICE = AccountId("alice")
HELLO = new_message(b"Message-ID: <hello@x>\r\nSubject: hello\r\n\r\nhello\r\n")
ALL = UidSet.all()
EVERYTHING = Wanted.FLAGS | Wanted.SUMMARY | Wanted.CONTENT
BIG = b"Subject: big\r\n\r\n" + b"".join(b"%07d\n" % n for n in range(3 * 2**17))


def numbered(number: int, *flags: str) -> NewMessage:
    """Return a message that is like no other."""
    return new_message(b"Subject: %d\r\n\r\n%d\r\n" % (number, number), *flags)


def add(*flags: str) -> FlagChange:
    """Return the change that sets flags."""
    return FlagChange(Change.ADD, frozenset(flags))


def take(*flags: str) -> FlagChange:
    """Return the change that clears flags."""
    return FlagChange(Change.REMOVE, frozenset(flags))


async def named(account: IAccount, name: str) -> Mailbox:
    """Return the account's mailbox of that name."""
    [found] = [mailbox for mailbox in await account.mailboxes() if mailbox.name == name]
    return found


async def names(account: IAccount) -> list[str]:
    """Return the names of the account's mailboxes, in their order."""
    return [mailbox.name for mailbox in await account.mailboxes()]


async def records(
    account: IAccount, mailbox: MailboxId, uids: UidSet = ALL, wanted: Wanted = EVERYTHING
) -> list[Record]:
    """Return what a cursor hands out, batches forgotten."""
    found: list[Record] = []
    async with account.records(mailbox, uids, wanted) as cursor:
        while (batch := await cursor.next_batch()) is not None:
            assert len(batch)
            found += batch.records()
    return found


async def uids(account: IAccount, mailbox: MailboxId) -> list[int]:
    """Return the UIDs that a mailbox has."""
    return [record.uid for record in await records(account, mailbox, wanted=Wanted.NOTHING)]


async def octets(account: IAccount, mailbox: MailboxId) -> list[bytes]:
    """Return each message of a mailbox."""
    return [
        await whole(await account.content(record)) for record in await records(account, mailbox)
    ]


async def flags(account: IAccount, mailbox: MailboxId) -> dict[int, set[str]]:
    """Return the flags of each message of a mailbox."""
    return {
        record.uid: set(record.flags or ())
        for record in await records(account, mailbox, wanted=Wanted.FLAGS)
    }


async def append(account: IAccount, mailbox: MailboxId, count: int) -> list[Appended]:
    """Append so many different messages."""
    return list(await account.append(mailbox, [numbered(n) for n in range(count)]))


async def append_all(
    account: IAccount, mailbox: MailboxId, messages: list[NewMessage]
) -> list[Appended]:
    """Append messages, as a coroutine that can be begun and cancelled."""
    return list(await account.append(mailbox, messages))


class Accounts:
    """Gives each test an empty account of the backend's ``store``, and a second session."""

    store: Any

    @pytest.fixture
    def bus(self) -> FakeBus:
        return FakeBus()

    @async_fixture
    async def account(self, store: IMailStore) -> IAccount:
        return await store.open(ALICE)

    @async_fixture
    async def other(self, store: IMailStore, account: IAccount) -> IAccount:
        """A second session of the same account."""
        return await store.open(ALICE)

    @async_fixture
    async def inbox(self, account: IAccount) -> Mailbox:
        return await named(account, INBOX)
