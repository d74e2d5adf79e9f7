"""PostgreSQL crashes and comes back, again and again, while people work on their mail.

    python -m pytest tests/flows/test_postgres_restart.py -m long

Nobody hears of it: what was answered is there, once, nothing else is, and everybody's numbers
only grow.
"""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from mailplat.interfaces import IAccount
from mailplat.mail.mailbox import (
    FLAGGED,
    SEEN,
    Change,
    Delivery,
    FlagChange,
    MailboxId,
    ModSeq,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.postgres import PostgresServer
from mailplat.workers import Crew

PEOPLE = 8
BETWEEN = 150  # things that are done from one crash to the next
LARGE = 600_000  # octets; kept in pieces, over several commits

Mail = dict[MailboxId, dict[int, tuple[frozenset[str], bytes]]]


@attrs.define
class Load:
    """How much has been done, and when somebody wants to know of it."""

    done: int = 0
    stop: bool = False
    _waiting: list[tuple[int, Deferred[None]]] = attrs.field(factory=list)

    def note(self) -> None:
        self.done += 1
        for one in [one for one in self._waiting if one[0] <= self.done]:
            self._waiting.remove(one)
            one[1].callback(None)

    def end(self, failure: Failure) -> Failure:
        """Let nobody wait any longer, since somebody has met what should not be."""
        self.stop, waiting, self._waiting = True, self._waiting, []
        for _, reached in waiting:
            reached.errback(failure)
        return failure

    def until(self, more: int) -> Deferred[None]:
        reached: Deferred[None] = Deferred()
        self._waiting.append((self.done + more, reached))
        return reached


@attrs.define
class Person:
    """Does one thing after the other to an account, and knows what must be left."""

    store: IndexedStore
    name: AccountId
    chance: random.Random
    load: Load
    inbox: MailboxId = MailboxId("")
    archive: MailboxId = MailboxId("")
    mail: Mail = attrs.field(factory=dict)
    modseq: ModSeq = ModSeq(0)
    highest: dict[MailboxId, int] = attrs.field(factory=dict)
    letters: int = 0

    async def live(self) -> None:
        account: IAccount = await self.store.open(self.name)
        await account.create("Archive")
        boxes = {box.name: box.id for box in await account.mailboxes()}
        self.inbox, self.archive = boxes["INBOX"], boxes["Archive"]
        self.mail = {self.inbox: {}, self.archive: {}}
        self.highest = {self.inbox: 0, self.archive: 0}
        acts = [self.deliver, self.append, self.flag, self.move, self.expunge]
        while not self.load.stop:
            act = self.chance.choices(acts, (4, 3, 4, 3, 2))[0]
            await act(account)
            self.load.note()

    def letter(self) -> bytes:
        self.letters += 1
        size = LARGE if self.chance.random() < 0.02 else self.chance.randrange(3000)
        head = b"Subject: %s %d\r\n\r\n" % (self.name.encode(), self.letters)
        return head + b"x" * size

    def add(self, box: MailboxId, uid: int, flags: Any, octets: bytes) -> None:
        assert uid > self.highest[box]
        self.highest[box] = uid
        self.mail[box][uid] = (frozenset(flags), octets)

    def grow(self, modseq: ModSeq) -> None:
        assert modseq > self.modseq
        self.modseq = modseq

    def some(self, box: MailboxId) -> list[int]:
        there = sorted(self.mail[box])
        return sorted(self.chance.sample(there, min(len(there), self.chance.randint(1, 3))))

    async def deliver(self, _account: IAccount) -> None:
        """Deliver, and sometimes again, as one does who has missed the answer."""
        octets = self.letter()
        delivery = Delivery(f"{self.letters} {self.name}", self.name, new_message(octets))
        details = set()
        for _ in range(self.chance.choice((1, 1, 2))):
            [outcome] = await self.store.deliver([delivery])
            assert outcome.status.is_success, outcome
            details.add(outcome.detail)
        [detail] = details
        self.add(self.inbox, int(detail.rpartition(":")[2]), (), octets)

    async def append(self, account: IAccount) -> None:
        letters = [self.letter() for _ in range(self.chance.randint(1, 3))]
        made = await account.append(self.inbox, [new_message(one, SEEN) for one in letters])
        self.grow(made[0].modseq)
        for one, octets in zip(made, letters, strict=True):
            self.add(self.inbox, one.uid, [SEEN], octets)

    async def flag(self, account: IAccount) -> None:
        change = FlagChange(
            self.chance.choice((Change.ADD, Change.REMOVE)), frozenset([FLAGGED])
        )
        uids = self.some(self.inbox)
        found = await account.flag(self.inbox, UidSet.of(*uids), change)
        changed = []
        for uid in uids:
            flags, octets = self.mail[self.inbox][uid]
            self.mail[self.inbox][uid] = (change.applied_to(flags), octets)
            changed += [uid] if change.applied_to(flags) != flags else []
        assert found.changed == UidSet.of(*changed)
        if changed:
            self.grow(found.modseq)

    async def move(self, account: IAccount) -> None:
        moved = await account.move(self.inbox, UidSet.of(*self.some(self.inbox)), self.archive)
        for old, new in zip(moved.source, moved.target, strict=True):
            self.add(self.archive, new, *self.mail[self.inbox].pop(old))
        if moved.source:
            self.grow(moved.modseq)

    async def expunge(self, account: IAccount) -> None:
        uids = self.some(self.archive)
        gone = await account.expunge(self.archive, UidSet.of(*uids))
        assert gone == UidSet.of(*uids)
        for uid in uids:
            del self.mail[self.archive][uid]

    async def found(self) -> Mail:
        account = await self.store.open(self.name)
        return {box: await contents_of(account, box) for box in self.mail}


async def contents_of(
    account: IAccount, box: MailboxId
) -> dict[int, tuple[frozenset[str], bytes]]:
    found = {}
    async with account.records(box, UidSet.all(), Wanted.FLAGS | Wanted.CONTENT) as cursor:
        while (batch := await cursor.next_batch()) is not None:
            for record in batch.records():
                octets = await (await account.content(record)).read(0, record.size)
                found[record.uid] = (record.flags, octets)
    return found


async def crash_under_load(
    server: PostgresServer, target: Target, reactor: IReactorFromThreads, rounds: int
) -> None:
    server.settle()
    database = PostgresDatabase(target, reactor, patience=120)
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, FakeBus(), reactor, reactor)
    await store.prepare()
    load = Load()
    people = [
        Person(store, AccountId(f"person{n}"), random.Random(n), load) for n in range(PEOPLE)
    ]
    lives = [Deferred.fromCoroutine(one.live()).addErrback(load.end) for one in people]
    crasher = Crew(reactor, "crash", threads=1, waiting=1)
    for _ in range(rounds):
        await load.until(BETWEEN)
        await crasher.ask(server.restart)
    await load.until(BETWEEN)
    load.stop = True
    await gatherResults(lives)
    for person in people:
        assert await person.found() == person.mail
    assert await database.read(wrong_in, RULES, at_rest=False) == []
    store.finish()
    await crasher.stop()
    await database.close()
    print(
        f"{rounds} crashes, {load.done} answers, {sum(one.letters for one in people)} letters"
    )


async def test_two_crashes(
    postgres: Target, postgres_server: PostgresServer, reactor: IReactorFromThreads
) -> None:
    await crash_under_load(postgres_server, postgres, reactor, 2)


@pytest.mark.long
async def test_ten_crashes(
    postgres: Target, postgres_server: PostgresServer, reactor: IReactorFromThreads
) -> None:
    await crash_under_load(postgres_server, postgres, reactor, 10)
