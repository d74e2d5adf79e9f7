"""What an `IQuota` promises, as tests that a backend inherits whose accounts provide it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from mailplat.interfaces import IAccount, IMailStore, IQuota, IQuotaStore
from mailplat.mail.errors import OverQuota
from mailplat.mail.events import AccountNearlyFull
from mailplat.mail.mailbox import INBOX, Delivery, Mailbox, Outcome, Placement, Replaced, Uid
from mailplat.mail.quota import MESSAGE, STORAGE, Room
from mailplat.testing.contracts.accounts import (
    ALICE,
    ALL,
    HELLO,
    Accounts,
    append,
    named,
    numbered,
    octets,
)
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.fixtures import async_fixture

SIZE = HELLO.content.size


def bounded(account: IAccount) -> IQuota:
    """Return the account's facet; without it the test is left out."""
    if not IQuota.providedBy(account):
        pytest.skip("its accounts have no quota")
    facet: IQuota = account
    return facet


async def deliver(store: IMailStore, key: str, *names: str, beyond: bool = False) -> Outcome:
    """Deliver a small message into mailboxes."""
    placements = tuple(Placement(name, create=True) for name in names or (INBOX,))
    [outcome] = await store.deliver(
        [Delivery(key, ALICE, HELLO, placements, beyond_quota=beyond)]
    )
    return outcome


class QuotaContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store.

    Its accounts have no limits but those that the tests set.
    """

    @async_fixture
    async def quota(self, account: IAccount) -> IQuota:
        return bounded(account)

    async def test_what_is_there_is_counted(
        self, store: IMailStore, account: IAccount, quota: IQuota, inbox: Mailbox
    ) -> None:
        assert await quota.quota() == {STORAGE: Room(0, None), MESSAGE: Room(0, None)}
        box = await account.create("box")
        await deliver(store, "1", INBOX, "box")
        await account.move(inbox.id, ALL, box.id, keep=True)
        assert (await quota.quota())[STORAGE].used == 3 * SIZE
        await account.expunge(box.id, ALL)
        assert await quota.quota() == {STORAGE: Room(SIZE, None), MESSAGE: Room(1, None)}
        await account.remove(box.id)
        await account.expunge(inbox.id, ALL)
        assert await quota.quota() == {STORAGE: Room(0, None), MESSAGE: Room(0, None)}

    async def test_limits_are_set_and_taken_back(self, quota: IQuota) -> None:
        await quota.set_quota({STORAGE: 100, MESSAGE: None})
        assert await quota.quota() == {
            STORAGE: Room(0, 100, is_own=True),
            MESSAGE: Room(0, None, is_own=True),
        }
        await quota.set_quota({MESSAGE: 0})
        assert await quota.quota() == {
            STORAGE: Room(0, None),
            MESSAGE: Room(0, 0, is_own=True),
        }
        await quota.set_quota({})
        assert not any(room.is_own for room in (await quota.quota()).values())

    @pytest.mark.parametrize("limits", [{STORAGE: 2 * SIZE}, {MESSAGE: 2}])
    async def test_what_fits_fits_and_no_more(
        self,
        store: IMailStore,
        account: IAccount,
        quota: IQuota,
        inbox: Mailbox,
        limits: dict[str, int],
    ) -> None:
        await quota.set_quota(limits)
        assert (await deliver(store, "1")).status.is_success
        await account.append(inbox.id, [HELLO])
        before = await account.mailboxes()
        refused = await deliver(store, "2")
        assert isinstance(refused.error, OverQuota)
        assert refused.status.is_transient
        with pytest.raises(OverQuota):
            await account.append(inbox.id, [HELLO])
        with pytest.raises(OverQuota):
            await account.move(inbox.id, ALL, inbox.id, keep=True)
        assert await account.mailboxes() == before
        await account.expunge(inbox.id, ALL)
        assert (await deliver(store, "2")).status.is_success

    async def test_a_repeat_is_no_matter_of_room(
        self, store: IMailStore, quota: IQuota
    ) -> None:
        first = await deliver(store, "1")
        await quota.set_quota({MESSAGE: 1})
        assert await deliver(store, "1") == first

    async def test_all_placements_of_a_delivery_fit_or_none(
        self, store: IMailStore, account: IAccount, quota: IQuota, inbox: Mailbox
    ) -> None:
        await quota.set_quota({MESSAGE: 1})
        assert not (await deliver(store, "1", INBOX, "box")).status.is_success
        assert [box.messages for box in await account.mailboxes()] == [0]

    async def test_what_is_appended_fits_whole_or_not_at_all(
        self, account: IAccount, quota: IQuota, inbox: Mailbox
    ) -> None:
        await quota.set_quota({MESSAGE: 2})
        with pytest.raises(OverQuota):
            await append(account, inbox.id, 3)
        assert (await named(account, INBOX)).messages == 0

    async def test_moving_and_replacing_need_no_room(
        self, account: IAccount, quota: IQuota, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        await account.append(inbox.id, [HELLO])
        await quota.set_quota({STORAGE: SIZE, MESSAGE: 1})
        await account.append(inbox.id, [HELLO], Replaced(inbox.id, Uid(1)))
        large = new_message(b"Subject: x\r\n\r\n" + b"x" * SIZE)
        with pytest.raises(OverQuota):
            await account.append(inbox.id, [large], Replaced(inbox.id, Uid(2)))
        await account.move(inbox.id, ALL, box.id)
        await quota.set_quota({STORAGE: 1, MESSAGE: 0})
        small = numbered(1)
        assert small.content.size < SIZE
        await account.append(box.id, [small], Replaced(box.id, Uid(1)))
        assert len(await octets(account, box.id)) == 1

    async def test_some_mail_is_kept_though_there_is_no_room(
        self, store: IMailStore, account: IAccount, quota: IQuota, inbox: Mailbox
    ) -> None:
        await quota.set_quota({MESSAGE: 0})
        assert (await deliver(store, "1", beyond=True)).status.is_success
        assert (await quota.quota())[MESSAGE] == Room(1, 0, is_own=True)

    async def test_deliveries_at_once_share_what_room_there_is(
        self, store: IMailStore, account: IAccount, quota: IQuota
    ) -> None:
        await quota.set_quota({MESSAGE: 7})
        under_way = [Deferred.fromCoroutine(deliver(store, str(n))) for n in range(20)]
        outcomes = [await one for one in under_way]
        assert sum(outcome.status.is_success for outcome in outcomes) == 7
        assert (await named(account, INBOX)).messages == 7

    async def test_who_is_full_is_known_before_a_message_comes(
        self, store: IMailStore, account: IAccount, quota: IQuota, inbox: Mailbox
    ) -> None:
        asked: IQuotaStore = IQuotaStore(store)
        assert await asked.why_full(ALICE, 10**9) is None
        await quota.set_quota({STORAGE: 2 * SIZE})
        await account.append(inbox.id, [HELLO])
        assert await asked.why_full(ALICE, SIZE) is None
        assert isinstance(await asked.why_full(ALICE, SIZE + 1), OverQuota)

    async def test_one_letter_says_that_an_account_is_nearly_full(
        self,
        store: IMailStore,
        account: IAccount,
        quota: IQuota,
        inbox: Mailbox,
        bus: FakeBus,
    ) -> None:
        def told() -> list[AccountNearlyFull]:
            found = [one for one in bus.events if isinstance(one, AccountNearlyFull)]
            bus.events.clear()
            return found

        await quota.set_quota({MESSAGE: 10})
        await append(account, inbox.id, 9)
        assert told() == []
        await deliver(store, "1")
        [first] = told()
        assert first.account == ALICE
        assert first.rooms[MESSAGE].used == 10
        await deliver(store, "2")
        assert [one.key for one in told()] == [first.key]
        await deliver(store, first.key, beyond=True)
        await deliver(store, first.key, beyond=True)
        assert told() == []
        await deliver(store, "3")
        await account.expunge(inbox.id, ALL)
        await append(account, inbox.id, 9)
        assert told() == []
        await append(account, inbox.id, 1)
        [second] = told()
        assert second.key != first.key
