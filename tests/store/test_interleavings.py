"""Additions and removals of one content, in whatever order their steps are taken.

Each call to the place of contents and each commit waits twice, before it is done and
before it is answered, until its turn comes.  After every step each email that the
index has must have its content.
"""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.interfaces import IAddressedContents, IContentStore
from mailplat.mail.content import Content, whole
from mailplat.mail.errors import DiskFull
from mailplat.mail.mailbox import Delivery, UidSet
from mailplat.mail.people import AccountId
from mailplat.plugin import Instance
from mailplat.store.indexed import queries
from mailplat.store.indexed.elsewhere import MARK
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.accounts import HELLO
from mailplat.testing.disk import quick_folder
from mailplat.testing.fakes import FakeBus, FakeContents
from mailplat.testing.workers import database_at_once

WHO = [AccountId(name) for name in ("ann", "ben", "cid")]
ORDERS = 150


@attrs.define
class Turns:
    """Lets those who wait go on, one at a time, in an order of chance."""

    chance: random.Random
    waiting: list[Deferred[None]] = attrs.field(factory=list)
    is_open: bool = True  # nobody waits

    async def wait(self) -> None:
        if not self.is_open:
            turn: Deferred[None] = Deferred()
            self.waiting.append(turn)
            await turn

    def take(self) -> None:
        self.waiting.pop(self.chance.randrange(len(self.waiting))).callback(None)


@implementer(IContentStore, IAddressedContents)
@attrs.define
class SlowContents(FakeContents):
    """A place of contents that waits for its turns."""

    turns: Any = None

    async def add(self, account: AccountId, content: Content) -> str:
        await self.turns.wait()
        key = await FakeContents.add(self, account, content)
        await self.turns.wait()
        return key

    async def remove(self, keys: Collection[str]) -> None:
        await self.turns.wait()
        await FakeContents.remove(self, keys)
        await self.turns.wait()

    async def scan(self, after: str) -> Sequence[str]:
        await self.turns.wait()
        found = await FakeContents.scan(self, after)
        await self.turns.wait()
        return found


@attrs.define
class Reusing(SlowContents):
    """One that breaks its promise: it gives a content the key that it had before."""

    async def add(self, account: AccountId, content: Content) -> str:
        octets = await whole(content)
        await self.turns.wait()
        key = sha256(octets).hexdigest()
        self.kept[key] = octets
        await self.turns.wait()
        return key


class Race:
    """A store, and people who do things to it at the same time."""

    def __init__(self, path: Path, seed: int, kind: type[SlowContents]) -> None:
        self.turns = Turns(random.Random(seed))
        self.place = kind(turns=self.turns)
        self.database = database_at_once(path / f"{seed}.db")
        settings = IndexedStoreSettings(contents=Instance("slow"))
        self.store = IndexedStore(
            settings, self.database, FakeBus(), Clock(), Clock(), self.place
        )
        self.numbers = itertools.count()

    async def start(self) -> None:
        await self.database.open()
        await self.store.prepare()
        for who in WHO[:2]:
            await self.deliver(who)
        for name in ("write", "write_each"):
            setattr(self.database, name, self._slow(getattr(self.database, name)))

    def _slow(self, write: Callable[..., Deferred[Any]]) -> Callable[..., Deferred[Any]]:
        async def slowly(*args: Any) -> Any:
            await self.turns.wait()
            answer = await write(*args)
            await self.turns.wait()
            return answer

        return lambda *args: Deferred.fromCoroutine(slowly(*args))

    async def deliver(self, who: AccountId, key: str = "") -> None:
        await self.store.deliver([Delivery(key or f"{next(self.numbers)}", who, HELLO)])

    async def append(self, who: AccountId) -> None:
        account = await self.store.open(who)
        [inbox] = await account.mailboxes()
        await account.append(inbox.id, [HELLO, HELLO])

    async def append_in_vain(self, who: AccountId) -> None:
        def full(*_args: object) -> object:
            raise DiskFull("made to fail")

        stored = await self.store.keep_all(who, [HELLO])
        with pytest.raises(DiskFull):
            await self.store.commit(full, who, stored=stored)

    async def leave(self, who: AccountId) -> None:
        work = Deferred.fromCoroutine(self.append(who))
        await self.turns.wait()
        work.cancel()
        with suppress(CancelledError):  # unless it is done
            await work

    async def expunge(self, who: AccountId) -> None:
        account = await self.store.open(who)
        [inbox] = await account.mailboxes()
        await account.expunge(inbox.id, UidSet.all())

    async def sweep(self) -> None:
        assert self.store.elsewhere
        await self.store.elsewhere.sweep()

    async def run(self, *work: Awaitable[None]) -> None:
        """Do these things at the same time, one step of one of them after the other."""
        self.turns.is_open = False
        under_way = [Deferred.fromCoroutine(one) for one in work]  # type: ignore[arg-type]
        while self.turns.waiting:
            self.turns.take()
            self.look()
        assert all(one.called for one in under_way), "somebody waits for ever"
        for one in under_way:
            await one
        self.turns.is_open = True

    def look(self) -> None:
        """See that every email that is committed has its content."""
        found: list[list[Any]] = []
        self.database.read(lambda db: db.all("SELECT key FROM store_keys")).addCallback(
            found.append
        )
        assert {key for [key] in found[0]} <= self.place.kept.keys(), "lost"

    async def finish(self) -> None:
        """Let everybody go, and see that nothing is left over."""
        gc.collect(1)
        await self.store.open(AccountId("somebody else"))
        await self.sweep()
        self.look()
        keys = await self.database.read(lambda db: db.all("SELECT key FROM store_keys"))
        left = {key for key, octets in self.place.kept.items() if octets != MARK}
        assert {key for [key] in keys} == left, "left over"
        assert not await self.database.read(lambda db: wrong_in(db, RULES))
        self.store.finish()
        await self.database.close()


async def raced(seed: int, kind: type[SlowContents] = SlowContents) -> None:
    with quick_folder() as folder:
        await _raced(Race(folder, seed, kind))


async def _raced(race: Race) -> None:
    ann, ben, cid = WHO
    await race.start()
    work = [
        lambda: race.expunge(ann),
        lambda: race.expunge(ben),
        lambda: race.deliver(cid),
        lambda: race.deliver(ann, "the same"),
        lambda: race.deliver(ann, "the same"),
        lambda: race.append(ben),
        lambda: race.append_in_vain(cid),
        lambda: race.leave(cid),
        race.sweep,
        race.sweep,
    ]
    some = race.turns.chance.sample(work, race.turns.chance.randint(3, len(work)))
    await race.run(*[one() for one in some])
    await race.finish()


async def caught(kind: type[SlowContents] = SlowContents) -> int:
    """Return in how many orders something was lost or left over."""
    count = 0
    for seed in range(ORDERS):
        try:
            await raced(seed, kind)
        except AssertionError:
            count += 1
    return count


async def test_no_order_loses_a_content_or_leaves_one_over() -> None:
    for seed in range(ORDERS):
        await raced(seed)


async def test_a_place_that_gives_a_key_twice_is_caught() -> None:
    """So the orders that are tried are those that matter."""
    assert await caught(Reusing) > ORDERS // 20


async def test_a_sweep_that_does_not_wait_for_additions_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mailplat.store.indexed import elsewhere

    async def at_once(_under_way: object) -> None:
        pass

    monkeypatch.setattr(elsewhere, "DeferredList", at_once)
    assert await caught()


async def test_an_index_that_counts_no_other_emails_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgotten(db: Any, account: AccountId, email: int) -> list[str]:
        key = queries.keys.key_of(db, account, email)
        db.execute("DELETE FROM store_keys WHERE email = ?", (email,))
        return [key] if key else []

    monkeypatch.setattr(queries.contents, "forget_key", forgotten)
    assert await caught() > ORDERS // 20
