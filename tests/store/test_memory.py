"""The store in memory, held to the contract."""

from __future__ import annotations

from twisted.internet.task import Clock

from mailplat.interfaces import IBus, IMailStore
from mailplat.mail.retention import NOTHING_KEPT, Retention
from mailplat.store.memory import MemoryStore
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.annotations import AnnotationsContract
from mailplat.testing.contracts.keys import DeliveryKeysContract
from mailplat.testing.contracts.quota import QuotaContract
from mailplat.testing.contracts.scripts import ScriptsContract
from mailplat.testing.contracts.search import SearchContract
from mailplat.testing.contracts.sharing import SharingContract
from mailplat.testing.contracts.undelete import UndeleteContract
from mailplat.testing.fixtures import async_fixture


def new_store(bus: IBus, retention: Retention = NOTHING_KEPT) -> IMailStore:
    clock = Clock()
    clock.advance(1_700_000_000)
    return MemoryStore(bus, clock, retention=retention)


class TestMemoryAccount(AccountContract):
    examples = 100

    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemoryStore(DeliveryKeysContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemoryQuota(QuotaContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemorySearch(SearchContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemoryScripts(ScriptsContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemoryAnnotations(AnnotationsContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemorySharing(SharingContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemoryUndelete(UndeleteContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus, Retention())
