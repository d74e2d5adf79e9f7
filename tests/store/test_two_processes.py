"""Two processes on one PostgreSQL database hear of each other's commits."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import DeferredQueue
from twisted.internet.utils import getProcessOutputAndValue

from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import Change, FlagChange, UidSet
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.accounts import ALICE, HELLO
from mailplat.testing.fakes import FakeBus

OTHER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.task import react
from mailplat.mail.events import AccountChanged
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.accounts import ALICE, HELLO
from mailplat.testing.fakes import FakeBus

async def work(reactor):
    database, bus = PostgresDatabase(Target(sys.argv[1]), reactor, shared=True), FakeBus()
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, bus, reactor, reactor)
    await store.prepare()
    account = await store.open(ALICE)
    heard = DeferredQueue()
    bus.subscribe(AccountChanged, heard.put)
    [inbox] = await account.mailboxes()
    [appended] = await account.append(inbox.id, [HELLO])
    while (await heard.get()).modseq <= appended.modseq:
        pass
    index = await account.index(inbox.id)
    print(sorted(index.flag_sets[index.flags[0]]))
    store.finish()
    await database.close()

react(lambda reactor: Deferred.fromCoroutine(work(reactor)))
"""


async def test_two_processes_hear_of_each_other(postgres: Target, reactor: Any) -> None:
    """The other appends; when we hear of that we flag it, and the other hears of that."""
    database, bus = PostgresDatabase(postgres, reactor, shared=True), FakeBus()
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, bus, reactor, reactor)
    await store.prepare()
    account = await store.open(ALICE)
    [inbox] = await account.mailboxes()
    heard: DeferredQueue[AccountChanged] = DeferredQueue()
    bus.subscribe(AccountChanged, heard.put)
    program = ["-c", OTHER, postgres.url]
    ended = getProcessOutputAndValue(sys.executable, program, reactor=reactor)
    told = await heard.get()
    assert (told.account, told.mailboxes) == (ALICE, {inbox.id})
    [batch] = await batches(account, inbox.id)
    assert batch.sizes == (HELLO.content.size,)
    flagged = FlagChange(Change.ADD, frozenset({"\\Seen"}))
    await account.flag(inbox.id, UidSet.all(), flagged)
    said, complaints, status = await ended
    assert (said, status) == (b"['\\\\Seen']\n", 0), complaints
    store.finish()
    await database.close()


async def batches(account: Any, mailbox: Any) -> list[Any]:
    found = []
    async with account.records(mailbox, UidSet.all()) as cursor:
        while batch := await cursor.next_batch():
            found.append(batch)
    return found
