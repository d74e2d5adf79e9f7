"""The store in memory, held to the contract."""

from __future__ import annotations

from twisted.internet.task import Clock

from mailplat.interfaces import IBus, IMailStore
from mailplat.store.memory import MemoryStore
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.keys import DeliveryKeysContract
from mailplat.testing.fixtures import async_fixture


def new_store(bus: IBus) -> IMailStore:
    clock = Clock()
    clock.advance(1_700_000_000)
    return MemoryStore(bus, clock)


class TestMemoryAccount(AccountContract):
    examples = 100

    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)


class TestMemoryStore(DeliveryKeysContract):
    @async_fixture
    async def store(self, bus: IBus) -> IMailStore:
        return new_store(bus)
