"""The index with contents in a place of their own: the contract, and the order of its steps."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.files import Disk
from mailplat.interfaces import House, IBus, IExaminedContents, IMailStore
from mailplat.mail.content import Content, whole
from mailplat.mail.errors import DiskFull, NoSuchMessage, StoreFailed
from mailplat.mail.mailbox import Delivery, UidSet, Wanted
from mailplat.mail.people import AccountId
from mailplat.plugin import ConfigError, Instance
from mailplat.sql import Database, SqliteDatabase
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.contents.files import ContentFiles, ContentFilesSettings
from mailplat.store.indexed import queries
from mailplat.store.indexed.elsewhere import MARK
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.accounts import ALICE, BIG, HELLO, octets, records
from mailplat.testing.contracts.restoring import RestorableContract
from mailplat.testing.contracts.store import StoreContract
from mailplat.testing.fakes import FakeBus, FakeContent, FakeContents, new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import (
    CrewAtOnce,
    ReactorAtOnce,
    database_at_once,
    workers_at_once,
)
from mailplat.workers import Workers

BOB = AccountId("bob")
FILES = IndexedStoreSettings(contents=Instance("files"))


@asynccontextmanager
async def on_files(
    folder: Path,
    reactor: Any,
    bus: IBus,
    database: Database | None = None,
    **settings: Any,
) -> AsyncIterator[IndexedStore]:
    clock = Clock()
    clock.advance(1_700_000_000)
    workers = Workers(reactor)
    database = database or SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    contents = ContentFiles(
        ContentFilesSettings(**settings), House("mail.example.org", folder), workers, Disk()
    )
    await contents.prepare()
    store = IndexedStore(FILES, database, bus, clock, clock, contents)
    await store.prepare()
    yield store
    assert not await database.read(wrong_in, RULES, at_rest=False)
    store.finish()
    await workers.stop()
    await database.close()


class TestAccountOnFiles(AccountContract):
    examples = 8

    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        async with on_files(tmp_path, reactor, bus) as store:
            yield store


class TestRestoringOnFiles(RestorableContract):
    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        async with on_files(tmp_path, reactor, bus) as store:
            yield store
            assert not await store.database.read(wrong_in, RULES, at_rest=False)


class TestStoreOnPackedFiles(StoreContract):
    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        async with on_files(tmp_path, reactor, bus, compression="zstd") as store:
            yield store


class TestStoreOnPostgresAndFiles(StoreContract):
    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus, postgres: Target
    ) -> AsyncIterator[IMailStore]:
        async with on_files(
            tmp_path, reactor, bus, PostgresDatabase(postgres, reactor)
        ) as store:
            yield store


# In memory, a step at a time.


@attrs.define
class House_:
    """A store whose every step is taken when a test says so, and what is in it."""

    path: Path | Target
    place: Any = attrs.field(factory=FakeContents)
    name: str = "files"
    database: Any = None
    store: Any = None

    @property
    def kept(self) -> dict[str, bytes]:
        """What lies in the place but the index's mark."""
        return {key: octets for key, octets in self.place.kept.items() if octets != MARK}

    async def start(self) -> IndexedStore:
        self.database = at_once(self.path)
        await self.database.open()
        settings = IndexedStoreSettings(contents=Instance(self.name))
        self.store = IndexedStore(
            settings, self.database, FakeBus(), Clock(), Clock(), self.place
        )
        await self.store.prepare()
        return self.store

    async def stop(self) -> None:
        self.store.finish()
        await self.database.close()

    async def keys(self) -> list[str]:
        rows = await self.database.read(lambda db: db.all("SELECT key FROM store_keys"))
        return sorted(key for [key] in rows)

    async def is_sound(self) -> None:
        """See that every email has its content, and the other way round."""
        assert not await self.database.read(lambda db: wrong_in(db, RULES, at_rest=False))
        assert sorted(self.kept) == sorted(set(await self.keys()))


def at_once(path: Path | Target) -> Database:
    if isinstance(path, Path):
        return database_at_once(path)
    return PostgresDatabase(path, ReactorAtOnce(), crew=CrewAtOnce)


@pytest.fixture(params=["sqlite", "postgres"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | Target:
    """Where the database is."""
    if request.param == "sqlite":
        return tmp_path / "mail.db"
    target: Target = request.getfixturevalue("postgres")
    return target


@async_yield_fixture
async def house(path: Path | Target) -> AsyncIterator[House_]:
    house = House_(path)
    await house.start()
    yield house
    await house.stop()


@implementer(IExaminedContents)
class Examined(FakeContents):
    """A place that says whether a content is sound when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Deferred[bool] = Deferred()

    async def is_sound(self, _key: str) -> bool:
        return await self.asked

    async def used(self) -> tuple[int, int]:
        return len(self.kept), sum(map(len, self.kept.values()))


async def expunge_all(store: IndexedStore, who: AccountId = ALICE) -> None:
    """Expunge an account's INBOX, and leave."""
    account = await store.open(who)
    [inbox] = await account.mailboxes()
    await account.expunge(inbox.id, UidSet.all())
    del account
    gc.collect()
    await store.open(AccountId("somebody else"))


async def test_small_and_large_contents_lie_elsewhere_and_not_here(house: House_) -> None:
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [HELLO, new_message(BIG), HELLO])
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    rows = await house.database.read(lambda db: db.all("SELECT * FROM store_contents"))
    assert rows == []
    assert set(house.kept.values()) == {BIG, await whole(HELLO.content)}
    assert len(await octets(account, inbox.id)) == 4
    await house.is_sound()


async def test_of_equal_contents_one_is_kept_until_the_last_is_gone(house: House_) -> None:
    for who in (ALICE, BOB, ALICE):
        account = await house.store.open(who)
        [inbox] = await account.mailboxes()
        await account.append(inbox.id, [HELLO, HELLO])
    del account
    assert len(house.kept) == 1
    assert len(await house.keys()) == 6
    await expunge_all(house.store)
    assert len(house.kept) == 1
    account = await house.store.open(BOB)
    assert await octets(account, inbox.id) == [await whole(HELLO.content)] * 2
    await account.expunge(inbox.id, UidSet.of(1))
    del account
    await expunge_all(house.store, BOB)
    assert house.kept == {}
    await house.is_sound()


# Octets that have changed on the disk.


def harm(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [harm, cut_short, Path.unlink])
@pytest.mark.parametrize("compression", ["off", "gzip"])
async def test_a_damaged_content_gives_way_to_a_new_equal_one(
    tmp_path: Path, compression: Any, harm: Callable[[Path], None]
) -> None:
    message = new_message(b"Subject: once\r\n\r\n" + b"again and again\r\n" * 50)
    settings = ContentFilesSettings(compression=compression)
    place = ContentFiles(settings, House("x.example", tmp_path), workers_at_once(), Disk())
    await place.prepare()
    house = House_(tmp_path / "mail.db", place)
    store = await house.start()
    await store.deliver([Delivery("1", ALICE, message), Delivery("2", BOB, message)])
    [key] = set(await house.keys())
    harm(place.folder / key)
    await store.deliver([Delivery("3", BOB, message)])
    [new] = set(await house.keys())
    assert new != key
    assert not (place.folder / key).exists()
    for who, count in ((ALICE, 1), (BOB, 2)):
        account = await store.open(who)
        [inbox] = await account.mailboxes()
        assert await octets(account, inbox.id) == [await whole(message.content)] * count
    await house.stop()


async def test_what_has_an_email_meanwhile_is_not_swept(tmp_path: Path) -> None:
    """An addition is under way until it is known whether it replaces a damaged one."""
    place = Examined()
    house = House_(tmp_path / "mail.db", place)
    store = await house.start()
    await store.deliver([Delivery("1", ALICE, HELLO)])
    [damaged] = house.kept
    await store.deliver([Delivery("2", ALICE, HELLO)])
    swept = Deferred.fromCoroutine(store.elsewhere.sweep())
    assert not swept.called
    place.asked.callback(False)
    await swept
    assert damaged not in house.kept
    await house.is_sound()
    await house.stop()


async def test_a_removed_account_takes_its_contents_along(house: House_) -> None:
    for n in range(5):
        for who in (ALICE, BOB):
            message = new_message(b"Subject: %d\r\n\r\n%s" % (n, who.encode() * (n % 2)))
            await house.store.deliver([Delivery(str(n), who, message)])
    assert len(house.kept) == 7
    await house.store.remove(ALICE)
    assert len(house.kept) == 5
    await house.is_sound()


async def test_a_repeat_leaves_no_content(house: House_) -> None:
    for message in (HELLO, new_message(BIG)):
        await house.store.deliver([Delivery("1", ALICE, message)])
    assert list(house.kept.values()) == [await whole(HELLO.content)]
    await house.is_sound()


async def test_a_reader_keeps_what_it_could_read(house: House_) -> None:
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    reader, other = await house.store.open(ALICE), await house.store.open(ALICE)
    [inbox] = await reader.mailboxes()
    [record] = await records(reader, inbox.id, wanted=Wanted.NOTHING)
    await other.expunge(inbox.id, UidSet.all())
    del other
    assert await whole(await reader.content(record)) == await whole(HELLO.content)
    del reader
    gc.collect()
    await house.store.open(BOB)
    assert house.kept == {}


async def test_batches_read_contents_together(tmp_path: Path, reactor: Any) -> None:
    async with on_files(tmp_path, reactor, FakeBus()) as store:
        calls: list[int] = []
        place: Any = store.elsewhere._place
        read_each = place.read_each

        async def counted(keys: Sequence[str]) -> Sequence[bytes | None]:
            calls.append(len(keys))
            found: Sequence[bytes | None] = await read_each(keys)
            return found

        place.read_each = counted
        account = await store.open(ALICE)
        [inbox] = await account.mailboxes()
        letters = [new_message(b"Subject: %d\r\n\r\n" % n) for n in range(520)]
        await account.append(inbox.id, [*letters, new_message(BIG)])
        found = await records(account, inbox.id)
        assert calls == [500, 20]
        assert [one.content for one in found[:-1]] == [
            await whole(letter.content) for letter in letters
        ]
        assert found[-1].content is None
        assert await whole(await account.content(found[-1])) == BIG


async def test_a_content_that_is_lost_or_cut_is_said_to_be(house: House_) -> None:
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [HELLO, new_message(BIG), new_message(b"\r\nthree")])
    small, big, _three = sorted(house.kept)
    house.place.kept[small] = b"cut"
    house.place.kept[big] = b"cut"
    found = await records(account, inbox.id)
    assert [one.content for one in found] == [None, None, b"\r\nthree"]
    for record in found[:2]:
        with pytest.raises(StoreFailed):
            await whole(await account.content(record))
    del house.place.kept[small]
    with pytest.raises(NoSuchMessage):
        await whole(await account.content(found[0]))


async def test_a_place_that_fails_for_one_gives_the_others(
    house: House_, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.append(inbox.id, [HELLO, new_message(b"\r\ntwo")])
    damaged = next(key for key, octets in house.kept.items() if octets == b"\r\ntwo")
    read = FakeContents.read

    async def failing(place: FakeContents, key: str, start: int, stop: int) -> bytes:
        if key == damaged:
            raise StoreFailed("a frame is damaged")
        return await read(place, key, start, stop)

    monkeypatch.setattr(FakeContents, "read", failing)
    found = await records(account, inbox.id)
    assert [one.content is None for one in found] == [False, True]
    with pytest.raises(StoreFailed, match="frame"):
        await whole(await account.content(found[1]))


# Where the contents lie.


async def test_contents_that_were_in_the_database_stay_readable(path: Path | Target) -> None:
    database = at_once(path)
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, FakeBus(), Clock(), Clock())
    await store.prepare()
    await store.deliver([Delivery("1", ALICE, HELLO), Delivery("2", ALICE, new_message(BIG))])
    await database.close()
    house = House_(path)
    store = await house.start()
    await store.deliver([Delivery("3", ALICE, new_message(b"\r\nthree"))])
    account = await store.open(ALICE)
    [inbox] = await account.mailboxes()
    assert await octets(account, inbox.id) == [await whole(HELLO.content), BIG, b"\r\nthree"]
    assert [one.content for one in await records(account, inbox.id)] == [
        await whole(HELLO.content), None, b"\r\nthree",
    ]  # fmt: skip
    del account
    await expunge_all(store)
    await house.is_sound()
    await house.stop()


async def test_a_place_that_is_another_houses_is_left_alone(
    house: House_, tmp_path: Path
) -> None:
    """A database that was lost takes no mail along."""
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    there = dict(house.place.kept)
    new = House_(tmp_path / "new.db", house.place)
    for _ in range(2):
        with pytest.raises(ConfigError, match="bring back the database"):
            await new.start()
        await new.database.close()
    assert house.place.kept == there


async def test_another_place_than_before_is_refused(house: House_, path: Path | Target) -> None:
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    await house.stop()
    other = House_(path, house.place, "other")
    with pytest.raises(ConfigError, match=r"lie in \[contents.files\]"):
        await other.start()
    await other.database.close()
    in_database = at_once(path)
    await in_database.open()
    store = IndexedStore(IndexedStoreSettings(), in_database, FakeBus(), Clock(), Clock())
    with pytest.raises(ConfigError, match=r"lie in \[contents.files\]"):
        await store.prepare()
    await in_database.close()
    empty = House_(path, FakeContents())
    with pytest.raises(ConfigError, match="has not the mark"):
        await empty.start()
    await empty.database.close()
    await expunge_all(await house.start())
    await house.stop()
    await other.start()
    await other.stop()
    await house.start()


# What goes wrong.


async def test_what_a_crash_left_is_removed_after_the_start(house: House_) -> None:
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    for n in range(10):
        house.place.kept[f"left {n}"] = b"half"
    await house.stop()
    await house.start()
    assert list(house.kept.values()) == [await whole(HELLO.content)]


@pytest.mark.parametrize("size", [100, len(BIG)])
async def test_a_commit_that_fails_leaves_no_content(
    house: House_, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()

    def full(*_args: object) -> object:
        raise DiskFull("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(queries.appending, "append", full)
        patch.setattr(queries.arrivals, "deliver", full)
        with pytest.raises(DiskFull):
            await account.append(inbox.id, [new_message(BIG[:size]), HELLO])
        [outcome] = await house.store.deliver([Delivery("1", ALICE, HELLO)])
        assert isinstance(outcome.error, DiskFull)
    assert house.kept == {}
    await house.is_sound()


async def test_a_message_that_cannot_be_read_takes_those_before_it_along(
    house: House_,
) -> None:
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    broken = attrs.evolve(HELLO, content=FakeContent(BIG, fails_at=5))
    with pytest.raises(StoreFailed):
        await account.append(inbox.id, [HELLO, new_message(BIG), broken])
    assert house.kept == {}


async def test_nothing_is_removed_while_nobody_knows_what_was_committed(
    house: House_,
) -> None:
    """A disk that fails in a commit may have kept it: only a start can tell."""
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    write_each, write = house.database.write_each, house.database.write

    def broken(*_args: object) -> Deferred[Any]:
        failed: Deferred[Any] = Deferred()
        failed.errback(StoreFailed("the disk has failed"))
        return failed

    house.database.write_each = house.database.write = broken
    [outcome] = await house.store.deliver([Delivery("2", ALICE, new_message(BIG))])
    assert isinstance(outcome.error, StoreFailed)
    assert len(house.kept) == 2
    sweep = Deferred.fromCoroutine(house.store.elsewhere.sweep())
    assert len(house.kept) == 2
    assert not sweep.called
    house.database.write_each, house.database.write = write_each, write
    await house.store.elsewhere.clear_up()
    assert sweep.called
    await house.is_sound()


async def test_what_cannot_be_removed_is_left_to_the_next_start(
    house: House_, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.store.deliver([Delivery("1", ALICE, HELLO)])
    with monkeypatch.context() as patch:

        async def refuse(_place: FakeContents, _keys: Collection[str]) -> None:
            raise StoreFailed("made to fail")

        patch.setattr(FakeContents, "remove", refuse)
        await expunge_all(house.store)
    assert len(house.kept) == 1
    await house.stop()
    await house.start()
    assert house.kept == {}


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "a\0b"])
async def test_a_key_that_is_none_is_refused(house: House_, key: str) -> None:
    async def bad(_account: AccountId, _content: Content) -> str:
        return key

    place: Any = FakeContents()
    house.store.elsewhere._place = Shown(place, bad)
    [outcome] = await house.store.deliver([Delivery("1", ALICE, HELLO)])
    assert isinstance(outcome.error, StoreFailed)


@attrs.define
class Shown:
    """A place of contents that adds in another way."""

    place: Any
    add: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.place, name)
