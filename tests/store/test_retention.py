"""Mail goes when it has been kept for its time, and what was expunged a while later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from twisted.internet.defer import fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from mailplat.mail.errors import DiskFull
from mailplat.mail.events import AccountChanged, RoomWanted
from mailplat.mail.mailbox import Role, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.retention import A_DAY, Retention
from mailplat.plugin import Instance
from mailplat.sql import Row
from mailplat.store.indexed import queries, retainer
from mailplat.store.indexed.queries import audit
from mailplat.store.indexed.retainer import AN_HOUR
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.accounts import ALICE, HELLO, named
from mailplat.testing.fakes import FakeBus, FakeContents, new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

BOB = AccountId("bob")
SECRET = b"the secret is 5b2f9c1e7a"


class House:
    """A store in which everything happens at once."""

    def __init__(
        self,
        path: Path,
        retention: Retention,
        *,
        private: bool = False,
        contents: FakeContents | None = None,
    ) -> None:
        self.path = path
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.bus = FakeBus()
        self.database = database_at_once(path / "mail.db")
        settings = IndexedStoreSettings(
            private=private, contents=Instance("fake") if contents else "database"
        )
        self.store = IndexedStore(
            settings,
            self.database,
            self.bus,
            self.clock,
            self.clock,
            contents,
            retention=retention,
        )

    async def open(self) -> None:
        await self.database.open()
        await self.store.prepare()

    async def close(self) -> None:
        assert not await self.database.read(wrong_in, audit.RULES, at_rest=False)
        self.store.finish()
        await self.database.close()

    async def count(self, table: str) -> int:
        [[count]] = await self.database.read(
            lambda db: db.all(f"SELECT count(*) FROM store_{table}")
        )
        return int(count)


@async_yield_fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    ages = {Role.TRASH: 30 * A_DAY, Role.JUNK: 14 * A_DAY}
    house = House(tmp_path, Retention(ages, keep_expunged=7 * A_DAY))
    await house.open()
    yield house
    await house.close()


async def test_mail_leaves_the_trash_when_it_has_lain_there_long_enough(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retainer, "AT_ONCE", 3)
    monkeypatch.setattr(queries.expunged, "AT_ONCE", 1)
    trash, inbox = {}, {}
    for who in (ALICE, BOB):
        account = await house.store.open(who)
        trash[who] = await account.create("Deleted", Role.TRASH)
        [inbox[who], _] = await account.mailboxes()
        await account.append(trash[who].id, [HELLO] * 7)
        await account.append(inbox[who].id, [HELLO])
    house.clock.advance(15 * A_DAY)
    account = await house.store.open(ALICE)
    await account.move(inbox[ALICE].id, UidSet.all(), trash[ALICE].id)
    house.bus.events.clear()
    house.clock.advance(15 * A_DAY)
    assert house.bus.events == []
    house.clock.advance(AN_HOUR)
    changed = {one.account for one in house.bus.events if isinstance(one, AccountChanged)}
    assert changed == {ALICE, BOB}
    assert (await named(account, "Deleted")).messages == 1
    assert (await named(await house.store.open(BOB), "Deleted")).messages == 0
    assert (await named(await house.store.open(BOB), "INBOX")).messages == 1
    assert len(await account.expunged()) == 7


async def test_what_was_expunged_is_forgotten_a_week_later(house: House) -> None:
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [HELLO, new_message(b"x" * 1_000_000)])
    await account.expunge(inbox.id, UidSet.all())
    del account
    await house.store.open(BOB)
    assert await house.count("emails") == 2
    assert (await house.store.usage())[ALICE].kept.messages == 2
    house.clock.advance(7 * A_DAY - AN_HOUR)
    assert await house.count("emails") == 2
    house.clock.advance(2 * AN_HOUR)
    for table in ("expunged", "emails", "contents", "unnamed"):
        assert await house.count(table) == 0
    assert (await house.store.usage())[ALICE].kept.messages == 0


async def test_on_a_full_disk_the_oldest_go_before_their_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retainer, "MORE", 0)
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    for uid in range(1, 5):
        await account.append(inbox.id, [new_message(b"x" * (10_000 + uid))])
        await account.expunge(inbox.id, UidSet.of(uid))
        house.clock.advance(60)
    del account
    house.bus.publish([RoomWanted(10_001)])
    await house.store.open(BOB)
    assert [await house.count(table) for table in ("expunged", "emails", "contents")] == [3] * 3
    house.bus.publish([RoomWanted(10_003)])
    await house.store.open(BOB)
    assert [await house.count(table) for table in ("expunged", "emails", "contents")] == [1] * 3
    account = await house.store.open(ALICE)
    [left] = await account.expunged()
    assert left.size == 10_004
    house.store.finish()
    house.bus.publish([RoomWanted(10_001)])
    assert await house.count("expunged") == 1
    await house.store.prepare()


@pytest.mark.parametrize("is_elsewhere", [True, False])
async def test_mail_that_finds_no_room_makes_room_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    place = FakeContents()
    house = House(tmp_path, Retention(), contents=place if is_elsewhere else None)
    await house.open()
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [HELLO])
    await account.expunge(inbox.id, UidSet.all())
    assert await house.count("expunged") == 1
    refusing, name = (place, "add") if is_elsewhere else (house.database, "write_each")
    with monkeypatch.context() as full:
        full.setattr(type(refusing), name, lambda *_: fail(DiskFull("no room")))
        with pytest.raises(DiskFull):
            await account.append(inbox.id, [HELLO])
    assert await house.count("expunged") == 0
    await account.append(inbox.id, [HELLO])
    await house.close()


async def test_a_reader_goes_on_reading_what_is_forgotten(house: House) -> None:
    writer, reader = await house.store.open(ALICE), await house.store.open(ALICE)
    [inbox] = await writer.mailboxes()
    await writer.append(inbox.id, [HELLO])
    reader = await house.store.open(ALICE)
    await writer.expunge(inbox.id, UidSet.all())
    house.clock.advance(8 * A_DAY)
    assert await house.count("expunged") == 0
    assert await house.count("contents") == 1
    del reader, writer
    await house.store.open(BOB)
    assert await house.count("contents") == 0


async def test_letting_go_is_done_in_small_steps(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries.expunged, "AT_ONCE", 3)
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [HELLO] * 8)
    await account.expunge(inbox.id, UidSet.all())
    at: Row | None = ("", 0, 0, 0)
    left = []
    while at:
        at, accounts = await house.database.write(
            queries.expunged.forget_expunged, at, float("inf")
        )
        assert accounts == {ALICE}
        left.append(await house.count("expunged"))
        assert not await house.database.read(wrong_in, audit.RULES, at_rest=False)
    assert left == [5, 2, 0]


async def test_a_private_store_keeps_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(), private=True)
    await house.open()
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [new_message(b"Subject: x\r\n\r\n" + SECRET)] * 50)
    await account.expunge(inbox.id, UidSet.all())
    assert await account.expunged() == []
    del account
    await house.store.open(BOB)
    assert await house.count("contents") == 0
    await house.close()
    for file in tmp_path.iterdir():
        assert SECRET not in file.read_bytes()


async def test_what_was_kept_goes_when_nothing_is_kept_any_more(
    tmp_path: Path, reactor: IReactorFromThreads
) -> None:
    for retention, left in ((Retention(), 1), (Retention(keep_expunged=0), 0)):
        house = House(tmp_path, retention)
        await house.open()
        account = await house.store.open(ALICE)
        [inbox] = await account.mailboxes()
        if left:
            await account.append(inbox.id, [HELLO])
            await account.expunge(inbox.id, UidSet.all())
        del account
        await house.store.open(BOB)
        assert await house.count("expunged") == left
        assert await house.count("contents") == left
        await house.close()


async def test_extent(house: House) -> None:
    extent = await house.store.extent()
    assert 0 <= extent["free"] < extent["size"]
