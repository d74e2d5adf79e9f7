"""An index that sessions share says what the account says, whatever happens meanwhile."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.errors import MailError, NoSuchMailbox, StoreFailed
from mailplat.mail.mailbox import (
    FLAGGED,
    SEEN,
    Batch,
    Change,
    Changes,
    FlagChange,
    MailboxId,
    MailboxIndex,
    ModSeq,
    UidSet,
)
from mailplat.mail.people import AccountId
from mailplat.portals import indexes as shared
from mailplat.portals.indexes import Indexes, followed
from mailplat.store.indexed.queries import changes as kept
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.memory import MemoryStore
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once

ALICE = AccountId("alice")
HELLO = new_message(b"Subject: hello\r\n\r\nhello\r\n")


@attrs.define
class Spy:
    """An account that counts what it is asked, and can be told to wait or to fail."""

    inner: IAccount
    asked: list[str] = attrs.field(factory=list)
    gate: Deferred[None] | None = None
    error: MailError | None = None
    is_gap: bool = False

    @property
    def id(self) -> AccountId:
        return AccountId(self.inner.id)

    async def index(self, mailbox: MailboxId) -> MailboxIndex:
        self.asked.append("index")
        return await self.inner.index(mailbox)

    async def changes(self, since: ModSeq, mailbox: MailboxId | None = None) -> Changes:
        self.asked.append("changes")
        if self.error:
            raise self.error
        found = await self.inner.changes(since, mailbox)
        if self.gate:
            await self.gate
        return Changes(found.modseq, complete=False) if self.is_gap else found

    def records(self, *asked: object) -> object:
        self.asked.append("records")
        return self.inner.records(*asked)


@attrs.define
class Scene:
    """A mailbox with ten messages, its sharers, and who asks."""

    store: IMailStore
    spy: Spy
    inbox: MailboxId
    indexes: Indexes = attrs.field(factory=Indexes)

    async def open(self) -> shared.OpenIndex:
        return await self.indexes.open(self.store, self.spy, self.inbox)

    async def flag(self, first: int, last: int, *flags: str) -> None:
        change = FlagChange(Change.ADD, frozenset(flags))
        await self.spy.inner.flag(self.inbox, UidSet(((first, last),)), change)

    async def append(self, count: int = 1) -> None:
        await self.spy.inner.append(self.inbox, [HELLO] * count)

    async def agrees(self, found: MailboxIndex) -> bool:
        return rows_of(found) == rows_of(await self.spy.inner.index(self.inbox))


def rows_of(index: MailboxIndex) -> tuple[int, list[tuple[int, frozenset[str], int]]]:
    columns = zip(index.uids, index.flags, index.modseqs, strict=True)
    rows = [(uid, index.flag_sets[flags], modseq) for uid, flags, modseq in columns]
    return index.modseq, rows


@async_yield_fixture
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    database = database_at_once(tmp_path / "mail.db", durable=False)
    await database.open()
    store = IndexedStore(IndexedStoreSettings(index=False), database, FakeBus(), clock, clock)
    await store.prepare()
    account = await store.open(ALICE)
    [inbox] = await account.mailboxes()
    scene = Scene(store, Spy(account), inbox.id)
    await scene.append(10)
    yield scene
    store.finish()
    await database.close()


async def test_the_second_to_open_it_reads_only_what_is_new(scene: Scene) -> None:
    first = await scene.open()
    assert scene.spy.asked == ["index"]
    await scene.append(2)
    await scene.flag(3, 4, SEEN)
    await scene.spy.inner.expunge(scene.inbox, UidSet.of(1, 7))
    scene.spy.asked.clear()
    second = await scene.open()
    assert scene.spy.asked == ["changes", "records"]
    found = await second.advance()
    assert await scene.agrees(found)
    assert await first.advance() is found


async def test_an_index_that_was_returned_stays_as_it_is(scene: Scene) -> None:
    opened = await scene.open()
    before = await opened.advance()
    rows = rows_of(before)
    await scene.flag(1, 10, FLAGGED)
    flagged = await opened.advance()
    assert flagged.uids is before.uids
    await scene.append()
    await scene.spy.inner.expunge(scene.inbox, UidSet.of(5))
    assert await scene.agrees(await opened.advance())
    assert rows_of(before) == rows
    assert len(flagged.uids) == 10


async def test_it_is_forgotten_with_the_last_who_has_it_open(scene: Scene) -> None:
    first, second = await scene.open(), await scene.open()
    first.close()
    first.close()
    assert len(scene.indexes) == 1
    second.close()
    assert len(scene.indexes) == 0
    scene.spy.asked.clear()
    await scene.open()
    assert scene.spy.asked == ["index"]


async def test_others_ask_once_and_leave_nothing(scene: Scene) -> None:
    found = await scene.indexes.current(scene.store, scene.spy, scene.inbox)
    assert await scene.agrees(found)
    assert len(scene.indexes) == 0
    opened = await scene.open()
    scene.spy.asked.clear()
    found = await scene.indexes.current(scene.store, scene.spy, scene.inbox)
    assert scene.spy.asked == ["changes"]
    assert found == await opened.advance()


async def test_two_stores_are_two(scene: Scene) -> None:
    other = MemoryStore(FakeBus(), Clock())
    account = await other.open(ALICE)
    [inbox] = await account.mailboxes()
    await scene.open()
    opened = await scene.indexes.open(other, account, inbox.id)
    assert not (await opened.advance()).uids


async def test_after_a_gap_it_is_read_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of changes so old that the account doesn't remember them nothing is missed."""
    opened = await scene.open()
    monkeypatch.setattr(kept, "KEPT_CHANGES", 2)
    for uid in range(1, 9):
        await scene.flag(uid, uid, SEEN)
    await scene.spy.inner.expunge(scene.inbox, UidSet.of(2))
    await scene.store.database.write(kept.forget_changes, "")
    scene.spy.asked.clear()
    assert await scene.agrees(await opened.advance())
    assert scene.spy.asked == ["changes", "index"]


async def test_very_much_is_read_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MANY", 3)
    opened = await scene.open()
    await scene.flag(1, 4, SEEN)
    scene.spy.asked.clear()
    assert await scene.agrees(await opened.advance())
    assert scene.spy.asked == ["changes", "index"]


async def test_a_mailbox_that_has_gone_says_so(scene: Scene) -> None:
    box = await scene.spy.inner.create("short")
    opened = await scene.indexes.open(scene.store, scene.spy, box.id)
    await scene.spy.inner.remove(box.id)
    with pytest.raises(NoSuchMailbox):
        await opened.advance()
    opened.close()
    with pytest.raises(NoSuchMailbox):
        await scene.indexes.open(scene.store, scene.spy, box.id)
    assert len(scene.indexes) == 0


async def test_a_failure_is_told_and_passes(scene: Scene) -> None:
    opened = await scene.open()
    await scene.append()
    scene.spy.error = StoreFailed("now")
    with pytest.raises(StoreFailed):
        await opened.advance()
    with pytest.raises(StoreFailed):
        await scene.open()
    scene.spy.error = None
    assert await scene.agrees(await opened.advance())
    opened.close()
    assert len(scene.indexes) == 0


async def test_who_asks_during_a_reading_gets_a_later_one(scene: Scene) -> None:
    """What was committed before somebody asked is in his answer; those who wait share it."""
    opened = await scene.open()
    scene.spy.gate = Deferred()
    early = Deferred.fromCoroutine(opened.advance())
    await scene.append()
    late = [Deferred.fromCoroutine(opened.advance()) for _ in range(3)]
    scene.spy.asked.clear()
    gate, scene.spy.gate = scene.spy.gate, None
    gate.callback(None)
    assert len((await early).uids) == 10
    found = [await one for one in late]
    assert all(one is found[0] for one in found)
    assert await scene.agrees(found[0])
    assert scene.spy.asked == ["changes", "records"]


async def test_who_is_cancelled_holds_up_nobody(scene: Scene) -> None:
    opened = await scene.open()
    scene.spy.gate = Deferred()
    early = Deferred.fromCoroutine(opened.advance())
    waiting = [Deferred.fromCoroutine(opened.advance()) for _ in range(2)]
    scene.spy.gate = None
    waiting[0].addErrback(lambda _cancelled: None).cancel()
    early.addErrback(lambda _cancelled: None).cancel()
    assert await scene.agrees(await waiting[1])


Messages = dict[int, tuple[frozenset[str], int]]  # flags and mod-sequence, by UID

EMPTY = MailboxIndex(ModSeq(0), array("I"), array("B"), (), array("Q"))


def batch(there: Messages) -> Batch:
    uids = sorted(there)
    none = [""] * len(uids)
    return Batch(
        uids=uids,
        modseqs=[there[uid][1] for uid in uids],
        email_ids=none,
        thread_ids=none,
        sizes=uids,
        received=uids,
        saved=uids,
        flags=[there[uid][0] for uid in uids],
    )


messages = st.dictionaries(
    st.integers(1, 30), st.tuples(st.frozensets(st.sampled_from("abcdef")), st.integers(1, 99))
)


@given(messages, st.lists(st.tuples(st.sets(st.integers(1, 30)), messages), max_size=4))
def test_columns_follow(first: Messages, steps: list[tuple[set[int], Messages]]) -> None:
    """Also where messages come between others, as they do when an account is restored."""
    there = dict(first)
    index = followed(EMPTY, UidSet(), [batch(there)])
    for removed, come in steps:
        for uid in removed:
            there.pop(uid, None)
        there.update(come)
        index = followed(index, UidSet.of(*removed), [batch(come)])
        _, rows = rows_of(index)
        assert rows == [(uid, *there[uid]) for uid in sorted(there)]


def test_columns_grow_with_the_number_of_flag_sets() -> None:
    index = EMPTY
    sets = [frozenset(some) for some in itertools.combinations("abcdefghijkl", 4)]
    for uid, names in enumerate([*sets, *sets], 1):
        index = followed(index, UidSet(), [batch({uid: (names, uid)})])
    assert index.flags.typecode == "H"
    assert [index.flag_sets[n] for n in index.flags] == sets * 2
