"""The store whose index is in SQL, on SQLite and on PostgreSQL, held to the contract."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, DeferredList, DeferredQueue
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock, deferLater

from mailplat.files import Disk, Reserve
from mailplat.interfaces import IBus, IMailStore
from mailplat.mail.errors import DiskFull, NoSuchMailbox, NoSuchMessage, OverQuota
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import (
    Change,
    Delivery,
    FlagChange,
    MailboxId,
    ModSeq,
    Replaced,
    UidSet,
)
from mailplat.mail.people import AccountId
from mailplat.mail.retention import NOTHING_KEPT, Retention
from mailplat.sql import Connection, Database, Row, SqliteDatabase
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.indexed import queries
from mailplat.store.indexed.queries import audit
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.accounts import ALICE, BIG, HELLO
from mailplat.testing.contracts.annotations import AnnotationsContract
from mailplat.testing.contracts.keys import DeliveryKeysContract
from mailplat.testing.contracts.quota import QuotaContract
from mailplat.testing.contracts.scripts import ScriptsContract
from mailplat.testing.contracts.sharing import SharingContract
from mailplat.testing.contracts.undelete import UndeleteContract
from mailplat.testing.disk import FakeVfs, Tape, Trouble
from mailplat.testing.fakes import FakeBus, FakeContent, new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

BOB = AccountId("bob")


@asynccontextmanager
async def opened(
    database: Database, bus: IBus, retention: Retention = NOTHING_KEPT
) -> AsyncIterator[IndexedStore]:
    clock = Clock()
    clock.advance(1_700_000_000)
    await database.open()
    store = IndexedStore(
        IndexedStoreSettings(), database, bus, clock, clock, retention=retention
    )
    await store.prepare()
    yield store
    store.finish()
    await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, reactor: IReactorFromThreads
) -> Database:
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "mail.db", reactor)
    return PostgresDatabase(request.getfixturevalue("postgres"), reactor)


class TestIndexedAccount(AccountContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


class TestIndexedStore(DeliveryKeysContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


class TestIndexedQuota(QuotaContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


class TestIndexedScripts(ScriptsContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


class TestIndexedAnnotations(AnnotationsContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


class TestIndexedSharing(SharingContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


class TestIndexedUndelete(UndeleteContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        async with opened(database, bus, Retention()) as store:
            yield store
            assert not await store.database.read(wrong_in, audit.RULES, at_rest=False)


async def test_appends_that_wait_together_stand_alone(database: Database) -> None:
    """Those that are refused undo no others, and what replaces takes its turn."""
    async with opened(database, FakeBus()) as store:
        alice, bob = await store.open(ALICE), await store.open(BOB)
        [inbox] = await alice.mailboxes()
        await bob.set_quota({"MESSAGE": 2})
        [first] = await alice.append(inbox.id, [HELLO])
        seen = attrs.evolve(HELLO, flags=frozenset({"\\Seen", "$Forwarded"}))
        old = Replaced(inbox.id, first.uid)
        work = [
            alice.append(inbox.id, [HELLO, seen]),
            bob.append(inbox.id, [HELLO]),
            alice.append(MailboxId("F99"), [HELLO]),
            bob.append(inbox.id, [HELLO, HELLO]),
            alice.append(inbox.id, [seen], old),
            alice.append(inbox.id, [HELLO], old),
            bob.append(inbox.id, [seen]),
            alice.append(inbox.id, []),
        ]
        waiting = [Deferred.fromCoroutine(one) for one in work]
        outcomes: list[tuple[bool, Any]] = await DeferredList(waiting, consumeErrors=True)
        refused = {at: one.value for at, (is_done, one) in enumerate(outcomes) if not is_done}
        assert {at: type(error) for at, error in refused.items()} == {
            2: NoSuchMailbox,
            3: OverQuota,
            5: NoSuchMessage,
        }
        uids = {at: [one.uid for one in outcomes[at][1]] for at in (0, 1, 4, 6, 7)}
        assert uids == {0: [2, 3], 1: [1], 4: [4], 6: [2], 7: []}
        index = await alice.index(inbox.id)
        assert list(index.uids) == [2, 3, 4]
        assert [len(index.flag_sets[number]) for number in index.flags] == [0, 2, 2]
        assert list((await bob.index(inbox.id)).uids) == [1, 2]
        modseqs = [one.modseq for at in (0, 4) for one in outcomes[at][1]]
        assert modseqs[0] == modseqs[1] < modseqs[2]
        assert not await database.read(wrong_in, audit.RULES, at_rest=False)


async def test_what_another_node_does_is_told_here(
    postgres: Target, reactor: IReactorFromThreads
) -> None:
    """Whatever was done while nobody listened is told too; other accounts are not."""
    here, there = FakeBus(), FakeBus()
    nodes = [PostgresDatabase(postgres, reactor, shared=True) for _ in range(2)]
    async with opened(nodes[0], here) as store, opened(nodes[1], there) as other:
        account = await other.open(ALICE)
        await other.open(BOB)
        [inbox] = await account.mailboxes()
        ours = await store.open(ALICE)
        events: DeferredQueue[AccountChanged] = DeferredQueue()
        here.subscribe(AccountChanged, events.put)
        await account.append(inbox.id, [HELLO])
        told = await events.get()
        assert told == AccountChanged(ALICE, there.events[-1].modseq, frozenset([inbox.id]))
        assert [one.added for one in (await ours.changes(ModSeq(1))).mailboxes] == [
            UidSet.of(1)
        ]
        await other.deliver([Delivery("1", BOB, HELLO)])
        made = await account.create("Made")
        assert (await events.get()).mailboxes == {made.id}
        store._neighbours._told[ALICE] = told.modseq
        store._neighbours.hear(None)
        assert (await events.get()).mailboxes == {made.id}


class Watched(FakeContent):
    """A large content that is read slowly, and counts the reads that wait."""

    def __init__(self, waiting: list[Deferred[None]]) -> None:
        super().__init__(BIG)
        self.waiting = waiting

    async def read(self, start: int, stop: int) -> bytes:
        turn: Deferred[None] = Deferred()
        self.waiting.append(turn)
        await turn
        return await super().read(start, stop)


async def test_few_large_contents_are_in_memory_at_once(
    database: Database, reactor: IReactorFromThreads
) -> None:
    waiting: list[Deferred[None]] = []
    async with opened(database, FakeBus()) as store:
        messages = [attrs.evolve(HELLO, content=Watched(waiting)) for _ in range(20)]
        work = [Deferred.fromCoroutine(store.keep(ALICE, message)) for message in messages]
        most = 0
        while not all(one.called for one in work):
            turns, waiting[:] = list(waiting), []
            most = max(most, len(turns))
            for turn in turns:
                turn.callback(None)
            await deferLater(reactor, 0)
        assert most == 4


class TestForgetting:
    """What nobody can ask for any more leaves the database."""

    @async_yield_fixture
    async def store(self, database: Database) -> AsyncIterator[IndexedStore]:
        async with opened(database, FakeBus()) as store:
            yield store

    async def test_expunged_contents_go_when_nobody_holds_the_account(
        self, store: IndexedStore
    ) -> None:
        account, reader = await store.open(ALICE), await store.open(ALICE)
        [inbox] = await account.mailboxes()
        await account.append(inbox.id, [HELLO, new_message(BIG), HELLO])
        await account.move(inbox.id, UidSet.of(3), inbox.id, keep=True)
        await account.expunge(inbox.id, UidSet.of(1, 2, 3))
        assert await store.database.write(rows, "contents") > 3
        del account
        assert await store.database.write(rows, "contents") > 3
        del reader
        await store.open(BOB)
        assert await store.database.write(rows, "contents") == 1
        assert await store.database.write(rows, "emails") == 1
        assert await store.database.write(rows, "unnamed") == 0

    async def test_who_came_later_keeps_nothing_from_going(self, store: IndexedStore) -> None:
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        await account.append(inbox.id, [HELLO])
        await account.expunge(inbox.id, UidSet.of(1))
        later = await store.open(ALICE)
        del account
        await store.open(BOB)
        assert await store.database.write(rows, "contents") == 0
        assert (await later.mailboxes())[0].messages == 0

    async def test_what_a_crash_left_unfinished_goes_at_the_next_start(
        self, store: IndexedStore
    ) -> None:
        store.finish()  # or its first tidying up might come between the two lines about Bob
        email = await store.database.write(queries.contents.begin_content, ALICE, 0.0)
        await store.database.write(queries.contents.add_pieces, ALICE, email, 0, [b"half"])
        await store.database.write(queries.contents.begin_removal, BOB)
        await store.open(BOB)
        await store.prepare()
        assert await store.database.write(rows, "contents") == 0
        await until_left(store, "removals", 0)
        assert await store.database.write(rows, "accounts") == 1

    async def test_of_very_many_changes_the_oldest_are_forgotten(
        self, store: IndexedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries.changes, "KEPT_CHANGES", 5)
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        for _ in range(20):
            await account.append(inbox.id, [HELLO])
        newest = (await account.index(inbox.id)).modseq
        await store.open(BOB)
        monkeypatch.setattr(queries.changes, "ACCOUNTS_AT_ONCE", 1)
        monkeypatch.setattr(queries.changes, "ROWS_AT_ONCE", 4)
        behind: str | None = ""
        left: list[int] = []
        while behind is not None:
            behind = await store.database.write(queries.changes.forget_changes, behind)
            left.append(await store.database.write(rows, "changes"))
        assert all(before - after <= 4 for before, after in pairwise(left))
        bobs = 1
        assert left[-1] == 5 + bobs
        assert not (await account.changes(ModSeq(newest - 6))).complete
        known = await account.changes(ModSeq(newest - 5))
        assert [one.added for one in known.mailboxes] == [UidSet(((16, 20),))]

    async def test_an_account_goes_by_small_units(
        self, store: IndexedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries.contents, "SWEPT_AT_ONCE", 3)
        monkeypatch.setattr(queries.contents, "ROWS_AT_ONCE", 3)
        account = await store.open(ALICE)
        for name in "abcdefg":
            await account.create(name)
        [box, *_] = await account.mailboxes()
        await account.append(box.id, [new_message(BIG), *[HELLO] * 5])
        await store.deliver([Delivery("1", ALICE, HELLO)])
        await store.database.write(queries.contents.begin_removal, ALICE)
        tables = ("contents", "changes", "mailboxes", "messages", "keywords", "references")
        counts = [[await store.database.write(rows, table) for table in tables]]
        while (await store.database.write(queries.contents.go_on_removing, ALICE)).more:
            counts.append([await store.database.write(rows, table) for table in tables])
        for before, after in pairwise(counts):
            assert all(one - other <= 4 for one, other in zip(before, after, strict=True))
        assert counts[-1] == [0, 0, 1, 0, 0, 0]
        for table in audit.OF_ACCOUNTS:
            assert await store.database.write(rows, table) == 0
        assert not await store.database.read(wrong_in, audit.RULES)
        assert await store.database.write(rows, "deliveries") == 1

    async def test_a_large_content_goes_by_some_pieces(
        self, store: IndexedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A repeat of a large delivery leaves a content that no message names."""
        monkeypatch.setattr(queries.contents, "SWEPT_AT_ONCE", 1)
        delivery = Delivery("1", ALICE, new_message(BIG))
        await store.deliver([delivery, delivery])
        await until_left(store, "emails", 1)
        assert not await store.database.read(wrong_in, audit.RULES)
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        await account.expunge(inbox.id, UidSet.all())
        del account
        await swept(store, emails=0)
        assert await store.database.write(rows, "contents") == 0

    async def test_a_key_is_remembered_for_a_month(
        self, store: IndexedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries.tidying, "AT_ONCE", 2)
        for key in "abcde":
            await store.deliver([Delivery(key, ALICE, HELLO)])
        [[made]] = await store.database.read(
            lambda db: db.all("SELECT DISTINCT made FROM store_deliveries")
        )
        for before, left in ((made, 5), (made + 1, 0)):
            at: Row | None = ("", "")
            while at:
                at = await store.database.write(queries.tidying.forget_keys, at, before)
            assert await store.database.write(rows, "deliveries") == left

    async def test_a_lasting_key_is_remembered_as_long_as_its_account(
        self, store: IndexedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries.tidying, "AT_ONCE", 2)
        for key in "abcde":
            await store.deliver([Delivery(key, ALICE, HELLO, lasting=True)])
        for left in (5, 0):
            at: Row | None = ("", "")
            while at:
                at = await store.database.write(queries.tidying.forget_keys, at, 1e12)
            assert await store.database.write(rows, "deliveries") == left
            await store.remove(ALICE)

    async def test_references_are_forgotten_with_their_thread(
        self, store: IndexedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An email that is left keeps its thread together; nothing keeps one without any."""
        monkeypatch.setattr(queries.tidying, "AT_ONCE", 2)
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        messages = [
            new_message(octets)
            for octets in (
                b"Message-ID: <one@a>\r\n\r\n",
                b"Message-ID: <two@a>\r\n\r\n",
                b"Message-ID: <three@a>\r\nReferences: <one@a> <two@a>\r\n\r\n",
                b"Message-ID: <alone@a>\r\n\r\n",
            )
        ]
        await account.append(inbox.id, messages)

        async def forget() -> tuple[int, int]:
            at: Row | None = ("", b"")
            while at:
                at = await store.database.write(queries.tidying.forget_references, at)
            return (
                await store.database.write(rows, "references"),
                await store.database.write(rows, "joined_threads"),
            )

        assert await forget() == (4, 1)
        await account.expunge(inbox.id, UidSet.of(1, 2, 4))
        del account
        account = await store.open(ALICE)
        await swept(store, emails=1)
        assert await forget() == (3, 1)
        [appended] = await account.append(inbox.id, [messages[0]])
        async with account.records(inbox.id, UidSet.all()) as cursor:
            batch = await cursor.next_batch()
        assert batch
        assert set(batch.thread_ids) == {appended.thread_id}
        await account.expunge(inbox.id, UidSet.all())
        del account, cursor
        await swept(store, emails=0)
        assert await forget() == (0, 0)


@attrs.define
class Full(Trouble):
    """There is no room as long as a reserve takes it."""

    reserve: Path = Path()

    def meet(self, kind: str) -> bool:
        return kind == "write" and self.reserve.exists()


class Filling(FakeContent):
    """A large content; when it is read the disk is full."""

    def __init__(self, vfs: FakeVfs, reserve: Path) -> None:
        super().__init__(BIG)
        self.vfs = vfs
        self.reserve = reserve

    async def read(self, start: int, stop: int) -> bytes:
        self.vfs.trouble = Full(error=errno.ENOSPC, reserve=self.reserve)
        return await super().read(start, stop)


async def test_the_reserve_is_for_who_deletes_and_not_for_what_could_not_be_kept(
    tmp_path: Path,
) -> None:
    with FakeVfs(Tape(tmp_path)) as vfs:
        reserve = Reserve(Disk(), tmp_path / "reserve", 1_000_000)
        database = database_at_once(tmp_path / "mail.db", vfs=vfs.name, reserve=reserve)
        await database.open()
        store = IndexedStore(IndexedStoreSettings(), database, FakeBus(), Clock(), Clock())
        await store.prepare()
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        await account.append(inbox.id, [HELLO])
        with pytest.raises(DiskFull):
            await store.keep(
                ALICE, attrs.evolve(HELLO, content=Filling(vfs, tmp_path / "reserve"))
            )
        assert not reserve.is_missing
        assert await database.read(rows, "unnamed") == 1
        await account.expunge(inbox.id, UidSet.of(1))
        vfs.trouble = Trouble()
        del account
        await swept(store, emails=0)
        assert await database.read(rows, "unnamed") == 0
        store.finish()
        await database.close()


async def test_the_reserve_is_also_for_the_flag_before_an_expunge(tmp_path: Path) -> None:
    with FakeVfs(Tape(tmp_path)) as vfs:
        reserve = Reserve(Disk(), tmp_path / "reserve", 1_000_000)
        database = database_at_once(tmp_path / "mail.db", vfs=vfs.name, reserve=reserve)
        await database.open()
        store = IndexedStore(IndexedStoreSettings(), database, FakeBus(), Clock(), Clock())
        await store.prepare()
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        await account.append(inbox.id, [HELLO])
        vfs.trouble = Full(error=errno.ENOSPC, reserve=tmp_path / "reserve")
        for wanted in (
            FlagChange(Change.ADD, frozenset({"\\Flagged"})),
            FlagChange(Change.ADD, frozenset({"\\Deleted", "$Work"})),
        ):
            with pytest.raises(DiskFull):
                await account.flag(inbox.id, UidSet.of(1), wanted)
        assert not reserve.is_missing
        deleted = FlagChange(Change.ADD, frozenset({"\\deleted", "\\Seen"}))
        await account.flag(inbox.id, UidSet.of(1), deleted)
        await account.expunge(inbox.id, UidSet.of(1))
        store.finish()
        await database.close()


async def swept(store: IndexedStore, emails: int) -> None:
    """Let the sweeper go behind those who have left, and wait for it."""
    await store.open(BOB)
    await until_left(store, "emails", emails)


async def until_left(store: IndexedStore, table: str, count: int) -> None:
    turns = 1000  # of the writer, which the sweeper shares with us
    while await store.database.write(rows, table) != count and turns:
        turns -= 1
    assert turns


def rows(db: Connection, table: str) -> int:
    found = db.one(f"SELECT count(*) FROM store_{table}")
    assert found
    return int(found[0])
