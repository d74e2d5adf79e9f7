"""Accounts that come from another store, in each of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from mailplat.interfaces import IBus, IMailStore
from mailplat.sql import SqliteDatabase
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.memory import MemoryStore
from mailplat.testing.contracts.restoring import RestorableContract
from mailplat.testing.fixtures import async_fixture, async_yield_fixture


class TestMemory(RestorableContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return MemoryStore(bus, Clock())


class TestIndexed(RestorableContract):
    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        database = SqliteDatabase(tmp_path / "mail.db", reactor)
        await database.open()
        store = IndexedStore(IndexedStoreSettings(), database, bus, Clock())
        await store.prepare()
        yield store
        wrong = await database.read(
            lambda db: {rule: rows for rule, sql in RULES.items() if (rows := db.all(sql))}
        )
        store.finish()
        await database.close()
        assert not wrong
