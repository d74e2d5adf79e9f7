"""The index of texts catches up with the mail, and goes when the mail goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from mailplat.interfaces import IMailStore
from mailplat.mail import search
from mailplat.mail.content import Octets
from mailplat.mail.errors import StoreFailed
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Delivery, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.search import SearchText
from mailplat.store.indexed import queries as mail_queries
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.search import indexer, queries
from mailplat.store.search.indexer import SearchFile
from mailplat.testing.contracts.accounts import ALICE
from mailplat.testing.contracts.search import SearchContract
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once, workers_at_once
from mailplat.texts.reader import TextReader

BOB = AccountId("bob")
LIMITS = Limits()


class Reader(TextReader):
    """Reads as the house does, here, and counts."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        super().__init__(workers_at_once(), limits, {})
        self.read: list[int] = []
        self.broken = False

    async def texts_of(self, contents: Sequence[bytes]) -> Sequence[SearchText | None]:
        if self.broken:
            raise StoreFailed("broken")
        self.read.append(len(contents))
        return await super().texts_of(contents)


class House:
    """A store with an index, in which everything happens when the clock says so."""

    def __init__(
        self, path: Path, bus: FakeBus, *, reader: Reader | None = None, **settings: bool
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.bus = bus
        self.reader = reader or Reader()
        self.mail = database_at_once(path / "mail.db")
        self.file = database_at_once(path / "search.db")
        self.store = IndexedStore(
            IndexedStoreSettings(**settings),
            self.mail,
            self.bus,
            self.clock,
            self.clock,
            file=SearchFile(self.file),
            reader=self.reader,
        )

    async def open(self) -> None:
        await self.mail.open()
        await self.store.prepare()

    async def close(self) -> None:
        self.store.finish()
        self.clock.pump([0.0] * 5)
        await self.mail.close()
        await self.file.close()

    def settle(self, seconds: float = 3.0) -> None:
        self.clock.pump([seconds / 100] * 100)

    async def count(self, table: str) -> int:
        [[count]] = await self.file.read(
            lambda db: db.all(f"SELECT count(*) FROM search_{table}")
        )
        return int(count)

    async def search(self, *words: str, account: AccountId = ALICE) -> tuple[str, str]:
        opened = await self.store.open(account)
        [inbox, *_] = await opened.mailboxes()
        found = await opened.search_text(inbox.id, words)
        return str(found.uids), str(found.unsure)

    async def deliver(self, *texts: str, to: AccountId = ALICE) -> None:
        for text in texts:
            message = new_message(b"Subject: x\r\n\r\n" + text.encode())
            await self.store.deliver([Delivery(f"{text[:50]} {to}", to, message)])


@async_yield_fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, FakeBus())
    await house.open()
    yield house
    await house.close()


HOUSES: dict[Path, House] = {}  # those of the contract that are open


class TestSearchBehind(SearchContract):
    """Nothing is indexed yet."""

    @async_yield_fixture
    async def store(self, tmp_path: Path, bus: FakeBus) -> AsyncIterator[IMailStore]:
        house = House(tmp_path, bus)
        await house.open()
        yield house.store
        await house.close()


class TestSearchIndexed(SearchContract):
    """Everything is."""

    @async_yield_fixture
    async def store(self, tmp_path: Path, bus: FakeBus) -> AsyncIterator[IMailStore]:
        house = HOUSES[tmp_path] = House(tmp_path, bus)
        await house.open()
        yield house.store
        await HOUSES.pop(tmp_path).close()

    async def settle(self, store: IMailStore) -> None:
        [house] = [one for one in HOUSES.values() if one.store is store]
        house.settle()

    async def test_the_answers_are_sure(self, tmp_path: Path, searchable: object) -> None:
        house = HOUSES[tmp_path]
        assert await house.search("soon") == ("1:2", "")
        assert await house.search("needle") == ("4", "")
        assert await house.search("soon", "by") == ("", "1:2")


class TestSearchWithout(SearchContract):
    """There is no index."""

    @async_yield_fixture
    async def store(self, tmp_path: Path, bus: FakeBus) -> AsyncIterator[IMailStore]:
        house = House(tmp_path, bus, index=False)
        await house.open()
        yield house.store
        await house.close()


async def test_what_comes_is_indexed_a_little_later_and_together(house: House) -> None:
    house.settle()
    await house.deliver("one fish", "two fish")
    await house.deliver("red fish", to=BOB)
    assert await house.search("fish") == ("", "1:2")
    house.settle()
    assert house.reader.read == [3]
    assert await house.search("two fish") == ("2", "")
    assert await house.search("fish", account=BOB) == ("1", "")
    await house.deliver("blue fish")
    assert await house.search("fish") == ("1:2", "3")


async def test_a_backlog_is_indexed_in_steps(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "EMAILS_AT_ONCE", 3)
    await house.deliver(*[f"number {n}" for n in range(8)])
    house.settle()
    assert house.reader.read == [3, 3, 2]
    monkeypatch.setattr(indexer, "EMAILS_AT_ONCE", 100)
    monkeypatch.setattr(indexer, "OCTETS_AT_ONCE", 1000)
    await house.deliver(*[f"{n} more {'x' * 600}" for n in range(5)])
    house.settle()
    assert house.reader.read[3:] == [2, 2, 1]


async def test_an_index_goes_on_where_it_ended(tmp_path: Path) -> None:
    house = House(tmp_path, FakeBus())
    await house.open()
    await house.deliver("one fish")
    house.settle()
    await house.close()
    again = House(tmp_path, FakeBus())
    await again.open()
    await again.deliver("two fish")
    again.settle()
    assert again.reader.read == [1]
    assert await again.search("fish") == ("1:2", "")
    await again.close()


@pytest.mark.parametrize("change", ["version", "other mail", "lost"])
async def test_an_index_that_does_not_fit_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    house = House(tmp_path, FakeBus())
    await house.open()
    await house.deliver("one fish", "two fish")
    house.settle()
    await house.close()
    if change == "version":
        monkeypatch.setattr(queries, "VERSION", f"{search.VERSION}.next")
    left = "1:2"
    if change == "other mail":
        left = "1"
        for name in ("mail.db", "mail.db-wal", "mail.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
    if change == "lost":
        (tmp_path / "search.db").unlink()
    again = House(tmp_path, FakeBus())
    await again.open()
    if change == "other mail":
        assert await again.count("documents") == 0
        await again.deliver("a fish of another mail")
    again.settle()
    assert await again.search("fish") == (left, "")
    await again.close()


async def test_a_message_that_is_still_arriving_is_looked_at_again(house: House) -> None:
    email = await house.mail.write(mail_queries.contents.begin_content, ALICE, 0.0)
    given_up = await house.mail.write(mail_queries.contents.begin_content, ALICE, 0.0)
    await house.deliver("one fish")
    house.settle()
    assert await house.count("late") == 2
    assert await house.search("fish") == ("1", "")
    large = b"Subject: large\r\n\r\n" + b"many fish " * 30_000
    for at in range(0, len(large), 262144):
        piece = [large[at : at + 262144]]
        await house.mail.write(
            mail_queries.contents.add_pieces, ALICE, email, at // 262144, piece
        )
    order = mail_queries.arrivals.Order(
        ALICE,
        "large",
        mail_queries.arrivals.Stored(
            len(large), new_message(b"").summary.octets, (), frozenset(), None, None, email
        ),
        Delivery("", ALICE, new_message(b"")).placements,
        0.0,
    )
    await house.mail.write(mail_queries.arrivals.deliver, [order])
    assert await house.search("many fish") == ("", "2")
    dropped = await house.mail.write(mail_queries.contents.drop_content, ALICE, given_up)
    assert not dropped.more
    await house.deliver("another")
    house.settle()
    assert await house.search("many fish") == ("2", "")
    assert await house.count("late") == 0


async def test_texts_go_with_their_messages(house: House) -> None:
    await house.deliver("one fish", "two fish")
    await house.deliver("red fish", to=BOB)
    house.settle()
    account = await house.store.open(ALICE)
    [inbox] = await account.mailboxes()
    await account.expunge(inbox.id, UidSet.of(1))
    del account
    await house.store.remove(BOB)
    await house.store.open(ALICE)
    house.settle(2 * indexer.AN_HOUR)
    assert await house.count("documents") == 1
    [[left]] = await house.file.read(
        lambda db: db.all("SELECT count(*) FROM search_texts WHERE search_texts MATCH 'fish'")
    )
    assert left == 1
    assert await house.search("fish") == ("2", "")


async def test_what_is_cut_or_unreadable_is_never_sure_to_be_without(tmp_path: Path) -> None:
    house = House(tmp_path, FakeBus(), reader=Reader(Limits(index_text=100)))
    await house.open()
    await house.deliver("fish " + "x" * 200, "x" * 200 + " fish", "short")
    house.settle()
    assert await house.search("fish") == ("1", "2")
    await house.close()


async def test_an_index_that_fails_is_tried_again(house: House) -> None:
    house.reader.broken = True
    await house.deliver("one fish")
    house.settle()
    assert await house.search("fish") == ("", "1")
    house.reader.broken = False
    house.settle(10)
    assert await house.search("fish") == ("1", "")


async def test_a_private_store_has_no_texts(tmp_path: Path) -> None:
    secret = "a very secret word 5b2f9c1e7a"
    house = House(tmp_path, FakeBus())
    await house.open()
    await house.deliver(secret)
    house.settle()
    assert await house.count("documents") == 1
    await house.close()
    private = House(tmp_path, FakeBus(), private=True)
    await private.open()
    assert await private.search("secret") == ("", "1")
    await private.close()
    assert secret[:12].encode() not in (tmp_path / "search.db").read_bytes()


async def test_texts_that_can_not_be_read_together_are_read_apart() -> None:
    reader = TextReader(workers_at_once(), Limits(), {})
    found = await reader.texts_of([b"Subject: one\r\n\r\nfish", b"", b"\r\n\r\n"])
    assert [text and text.body for text in found] == ["fish", "", ""]
    assert (await reader.text_of(Octets(b"Subject: one\r\n\r\nfish"))) == found[0]
