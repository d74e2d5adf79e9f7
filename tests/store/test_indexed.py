"""The store whose index is in SQL, on SQLite, held to the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from mailplat.interfaces import IBus, IMailStore
from mailplat.sql import SqliteDatabase
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.store import StoreContract
from mailplat.testing.fixtures import async_yield_fixture


@asynccontextmanager
async def opened(
    folder: Path, reactor: IReactorFromThreads, bus: IBus
) -> AsyncIterator[IndexedStore]:
    clock = Clock()
    clock.advance(1_700_000_000)
    database = SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    store = IndexedStore(IndexedStoreSettings(), database, bus, clock)
    await store.prepare()
    yield store
    await database.close()


class TestSqliteAccount(AccountContract):
    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        async with opened(tmp_path, reactor, bus) as store:
            yield store


class TestSqliteStore(StoreContract):
    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        async with opened(tmp_path, reactor, bus) as store:
            yield store
