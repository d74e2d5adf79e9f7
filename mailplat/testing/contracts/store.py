"""What every `IMailStore` promises, as tests that a backend inherits."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.content import whole
from mailplat.mail.errors import NoSuchMessage, StoreFailed
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import (
    FLAGGED,
    INBOX,
    SEEN,
    Delivery,
    NewMessage,
    Outcome,
    Placement,
    Role,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.status import DELIVERED
from mailplat.mail.summary import summarise
from mailplat.testing.contracts.accounts import (
    ALICE,
    ALL,
    BIG,
    HELLO,
    flags,
    named,
    names,
    numbered,
    octets,
    records,
    uids,
)
from mailplat.testing.fakes import FakeBus, FakeContent, new_message
from mailplat.testing.fixtures import async_fixture

BOB = AccountId("bob")


def to(key: str, *placements: Placement, account: AccountId = ALICE) -> Delivery:
    """Return a delivery of a small message."""
    return Delivery(key, account, HELLO, placements or (Placement(),))


async def deliver(store: IMailStore, *deliveries: Delivery) -> list[Outcome]:
    """Deliver, and see that all of it went well."""
    outcomes = list(await store.deliver(deliveries))
    assert [outcome.status for outcome in outcomes] == [DELIVERED] * len(deliveries)
    return outcomes


class StoreContract:
    """Inherit, and say in a fixture ``store`` how to make a new, empty store.

    It tells the fixture ``bus`` what happens.
    """

    store: Any

    @pytest.fixture
    def bus(self) -> FakeBus:
        return FakeBus()

    @async_fixture
    async def account(self, store: IMailStore) -> IAccount:
        return await store.open(ALICE)

    async def test_it_is_what_it_says(self, store: IMailStore) -> None:
        assert verifyObject(IMailStore, store)

    async def test_mail_for_someone_who_never_came_waits_in_the_inbox(
        self, store: IMailStore, bus: FakeBus
    ) -> None:
        await deliver(store, to("1"))
        account = await store.open(ALICE)
        inbox = await named(account, INBOX)
        assert (inbox.messages, inbox.unseen) == (1, 1)
        assert await octets(account, inbox.id) == [await whole(HELLO.content)]
        index = await account.index(inbox.id)
        assert bus.events == [AccountChanged(ALICE, index.modseq, frozenset({inbox.id}))]

    async def test_accounts_know_nothing_of_one_another(
        self, store: IMailStore, account: IAccount
    ) -> None:
        await deliver(store, to("1"), to("2"))
        inbox = await named(account, INBOX)
        last = (await records(account, inbox.id))[-1]
        stranger = await store.open(BOB)
        assert (await named(stranger, INBOX)).messages == 0
        with pytest.raises(NoSuchMessage):
            await (await stranger.content(attrs.evolve(last, content=None))).read(0, 5)
        assert not await stranger.subscriptions()

    async def test_all_placements_are_made(self, store: IMailStore, account: IAccount) -> None:
        await account.create("box")
        await account.create("Spam", Role.JUNK)
        await deliver(
            store,
            to(
                "1",
                Placement(flags=frozenset([SEEN])),
                Placement("box"),
                Placement("Junk", Role.JUNK, frozenset(["$Junk"])),
                Placement("new/one", create=True),
            ),
        )
        assert await names(account) == [INBOX, "Spam", "box", "new", "new/one"]
        found = {
            mailbox.name: await records(account, mailbox.id, wanted=Wanted.FLAGS)
            for mailbox in await account.mailboxes()
        }
        assert {name: [r.flags for r in kept] for name, kept in found.items()} == {
            INBOX: [{SEEN}],
            "Spam": [{"$Junk"}],
            "box": [set()],
            "new": [],
            "new/one": [set()],
        }
        assert len({record.email_id for kept in found.values() for record in kept}) == 1

    @pytest.mark.parametrize(
        "placement",
        [
            Placement("nowhere"),
            Placement("nowhere", Role.JUNK),
            Placement("a//b", create=True),
            Placement("", create=True),
            Placement("inbox"),
            Placement("else", Role.INBOX),
        ],
        ids=repr,
    )
    async def test_what_leads_nowhere_leads_to_the_inbox(
        self, store: IMailStore, account: IAccount, placement: Placement
    ) -> None:
        await deliver(store, to("1", placement))
        assert await names(account) == [INBOX]
        assert (await named(account, INBOX)).messages == 1

    async def test_a_mailbox_is_made_with_its_role(
        self, store: IMailStore, account: IAccount
    ) -> None:
        placement = Placement("Junk", Role.JUNK, create=True)
        await deliver(store, to("1", placement), to("2", placement))
        junk = await named(account, "Junk")
        assert (junk.role, junk.messages) == (Role.JUNK, 2)

    async def test_a_name_that_is_there_serves_for_its_role(
        self, store: IMailStore, account: IAccount
    ) -> None:
        await account.create("Junk")
        await deliver(store, to("1", Placement("Junk", Role.JUNK, create=True)))
        assert (await named(account, "Junk")).messages == 1

    async def test_one_mailbox_gets_a_message_once(
        self, store: IMailStore, account: IAccount
    ) -> None:
        await deliver(
            store,
            to(
                "1",
                Placement(flags=frozenset([SEEN])),
                Placement("nowhere", flags=frozenset([FLAGGED])),
                Placement("Inbox"),
            ),
        )
        inbox = await named(account, INBOX)
        assert await flags(account, inbox.id) == {1: {SEEN, FLAGGED}}

    async def test_a_known_key_adds_nothing(
        self, store: IMailStore, account: IAccount, bus: FakeBus
    ) -> None:
        """Whatever became of the message meanwhile, and whatever comes by that key."""
        await account.create("box")
        [first] = await deliver(store, to("1", Placement(), Placement("box")))
        inbox = await named(account, INBOX)
        await account.expunge(inbox.id, ALL)
        before = await account.mailboxes()
        bus.events.clear()
        big = Delivery("1", ALICE, new_message(BIG), (Placement("more", create=True),))
        for repeat in (to("1"), to("1", Placement("new", create=True)), big):
            assert await deliver(store, repeat) == [first]
        assert await account.mailboxes() == before
        assert not bus.events

    async def test_keys_are_those_of_an_account(self, store: IMailStore) -> None:
        await deliver(store, to("1"), to("1", account=BOB), to("1"), to("2"))
        for account, count in ((ALICE, 2), (BOB, 1)):
            assert (await named(await store.open(account), INBOX)).messages == count

    @pytest.mark.parametrize("size", [100, len(BIG)])
    async def test_a_delivery_that_fails_stands_alone(
        self, store: IMailStore, account: IAccount, size: int
    ) -> None:
        broken = FakeContent(BIG[:size], fails_at=size - 1)
        failing = Delivery("2", ALICE, NewMessage(broken, summarise(b"")))
        outcomes = await store.deliver([to("1"), failing, to("3", account=BOB)])
        assert [outcome.status.klass for outcome in outcomes] == [2, 4, 2]
        assert isinstance(outcomes[1].error, StoreFailed)
        assert (await named(account, INBOX)).messages == 1
        again = Delivery("2", ALICE, new_message(BIG[:size]))
        await deliver(store, again)
        assert (await named(account, INBOX)).messages == 2

    async def test_a_large_message_is_delivered_whole(
        self, store: IMailStore, account: IAccount
    ) -> None:
        await account.create("box")
        content = FakeContent(BIG)
        message = NewMessage(content, summarise(BIG[:100]))
        await deliver(
            store, Delivery("1", ALICE, message, (Placement(), Placement("box"))), to("2")
        )
        inbox, box = await account.mailboxes()
        assert sorted(map(len, await octets(account, inbox.id))) == [
            HELLO.content.size,
            len(BIG),
        ]
        assert await octets(account, box.id) == [BIG]

    async def test_callers_at_once_get_uids_without_gap_or_repeat(
        self, store: IMailStore, account: IAccount
    ) -> None:
        under_way = [
            Deferred.fromCoroutine(deliver(store, to(str(n % 80)))) for n in range(100)
        ]
        for one in under_way:
            await one
        inbox = await named(account, INBOX)
        assert await uids(account, inbox.id) == list(range(1, 81))

    async def test_flags_of_the_message_and_of_its_place_are_joined(
        self, store: IMailStore, account: IAccount
    ) -> None:
        placed = Placement(flags=frozenset(["$new", FLAGGED]))
        await deliver(store, Delivery("1", ALICE, numbered(1, "$New", SEEN), (placed,)))
        inbox = await named(account, INBOX)
        [found] = (await flags(account, inbox.id)).values()
        assert {name.lower() for name in found} == {"$new", "\\seen", "\\flagged"}
        assert len(found) == 3

    async def test_of_a_removed_account_nothing_is_left(self, store: IMailStore) -> None:
        await deliver(
            store, to("1"), Delivery("2", ALICE, new_message(BIG)), to("1", account=BOB)
        )
        account = await store.open(ALICE)
        await account.create("box")
        await account.subscribe(["box"], True)
        await store.remove(ALICE)
        await store.remove(AccountId("nobody"))
        again = await store.open(ALICE)
        assert await names(again) == [INBOX]
        inbox = await named(again, INBOX)
        assert inbox.messages == 0
        assert not await again.subscriptions()
        await deliver(store, to("3"))
        assert (await named(again, INBOX)).messages == 1
        assert (await named(await store.open(BOB), INBOX)).messages == 1
