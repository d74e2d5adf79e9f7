"""All messages are read, though not all contents can be."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.app.reading import batches
from mailplat.mail.errors import StoreFailed
from mailplat.mail.mailbox import MailboxId, UidSet, Wanted


class FakeBatch:
    def __init__(self, uids: list[int]) -> None:
        self.uids = uids


class FakeAccount:
    """Has a message whose content fails whoever reads it together with others."""

    def __init__(self, damaged: int, *, index_is_damaged: bool = False) -> None:
        self.damaged = damaged
        self.index_is_damaged = index_is_damaged
        self.wanted: list[Wanted] = []

    def records(self, _mailbox: MailboxId, uids: UidSet, wanted: Wanted) -> Any:
        self.wanted.append(wanted)
        return FakeCursor(self, [uid for uid in range(1, 10) if uid in uids], wanted)


class FakeCursor:
    def __init__(self, account: FakeAccount, uids: list[int], wanted: Wanted) -> None:
        self.account = account
        self.uids = uids
        self.wanted = wanted

    async def __aenter__(self) -> FakeCursor:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.uids = []

    async def next_batch(self) -> FakeBatch | None:
        some, self.uids = self.uids[:2], self.uids[2:]
        reads_it = Wanted.CONTENT in self.wanted or self.account.index_is_damaged
        if self.account.damaged in some and reads_it:
            raise StoreFailed("a page is damaged")
        return FakeBatch(some) if some else None


async def uids_of(account: Any, wanted: Wanted) -> list[int]:
    found: list[int] = []
    async for batch in batches(account, MailboxId("1"), UidSet.all(), wanted):
        found += batch.uids
    return found


@pytest.mark.parametrize("damaged", [0, 1, 4, 9])
async def test_what_cannot_be_read_together_comes_without_contents(damaged: int) -> None:
    account = FakeAccount(damaged)
    assert await uids_of(account, Wanted.FLAGS | Wanted.CONTENT) == list(range(1, 10))
    assert account.wanted[1:] == ([Wanted.FLAGS] if damaged else [])


@pytest.mark.parametrize("wanted", [Wanted.FLAGS, Wanted.CONTENT])
async def test_more_than_contents_is_not_come_past(wanted: Wanted) -> None:
    with pytest.raises(StoreFailed):
        await uids_of(FakeAccount(5, index_is_damaged=True), wanted)
