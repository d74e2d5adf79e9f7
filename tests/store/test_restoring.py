"""Accounts that come from another store, in each of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock

from mailplat.interfaces import IBus, IMailStore
from mailplat.sql import Database, SqliteDatabase
from mailplat.sql.postgres import PostgresDatabase
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.memory import MemoryStore
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.restoring import RestorableContract
from mailplat.testing.fixtures import async_fixture, async_yield_fixture


class TestMemory(RestorableContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return MemoryStore(bus, Clock())


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, reactor: IReactorFromThreads
) -> Database:
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "mail.db", reactor)
    return PostgresDatabase(request.getfixturevalue("postgres"), reactor)


class TestIndexed(RestorableContract):
    @async_yield_fixture
    async def store(self, database: Database, bus: IBus) -> AsyncIterator[IMailStore]:
        await database.open()
        store = IndexedStore(IndexedStoreSettings(), database, bus, Clock(), Clock())
        await store.prepare()
        yield store
        wrong = await database.read(wrong_in, RULES, at_rest=False)
        store.finish()
        await database.close()
        assert not wrong
