"""What every `IDeliveryKeys` promises, as tests that a store inherits."""

from __future__ import annotations

from typing import Any

from zope.interface.verify import verifyObject

from mailplat.interfaces import IDeliveryKeys
from mailplat.mail.mailbox import Delivery
from mailplat.mail.people import AccountId
from mailplat.mail.status import DELIVERED
from mailplat.testing.contracts.accounts import ALICE, HELLO
from mailplat.testing.contracts.store import StoreContract

BOB = AccountId("bob")


class DeliveryKeysContract(StoreContract):
    """Inherit it in place of `StoreContract`, where the store has the facet."""

    async def test_it_knows_the_keys_of_its_deliveries(self, store: Any) -> None:
        assert verifyObject(IDeliveryKeys, store)
        deliveries = [Delivery(f"k{n}", ALICE, HELLO, lasting=n % 2 > 0) for n in range(150)]
        outcomes = await store.deliver(deliveries)
        assert {outcome.status for outcome in outcomes} == {DELIVERED}
        asked = [f"k{number}" for number in range(100, 300)]
        assert set(await store.known(ALICE, asked)) == {f"k{n}" for n in range(100, 150)}
        assert not set(await store.known(ALICE, []))

    async def test_keys_are_those_of_one_account(self, store: Any) -> None:
        await store.deliver([Delivery("one", ALICE, HELLO)])
        assert not set(await store.known(BOB, ["one"]))
