"""The MDA gives each account one delivery, and each recipient the outcome of its way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.delivery.discard import Discard
from mailplat.delivery.local import LARGE, LARGE_AT_ONCE, LocalDelivery, LocalSettings
from mailplat.interfaces import IDeliveryAgent, IMailStore
from mailplat.mail.address import Address
from mailplat.mail.content import Joined, Octets
from mailplat.mail.errors import Overloaded, OverQuota, StoreFailed
from mailplat.mail.mailbox import Delivery, Outcome, Placement, Role
from mailplat.mail.people import AccountId, Place
from mailplat.mail.status import DELIVERED
from mailplat.mail.transit import Job
from mailplat.testing.contracts.agents import AgentContract, new_job
from mailplat.testing.transits import HELLO, FakeDirectory, account, recipient

ALICE, BOB, GONE = (
    account("alice@example.org"),
    account("bob@example.org"),
    account("gone@example.org", enabled=False),
)
WAYS: dict[str, Sequence[Place]] = {
    "alice@example.org": [Place(ALICE)],
    "info@example.org": [Place(ALICE)],
    "alice+work@example.org": [Place(ALICE, detail="work")],
    "bob@example.org": [Place(BOB)],
    "both@example.org": [Place(ALICE), Place(BOB)],
    "gone@example.org": [Place(GONE)],
    "some@example.org": [Place(GONE), Place(BOB)],
    "mixed@example.org": [Place(ALICE), Place(address=Address("c", "example.net"))],
}


@implementer(IMailStore)
@attrs.define
class FakeStore:
    """Keeps deliveries by their keys; accounts in ``failing`` can't have any."""

    calls: list[Sequence[Delivery]] = attrs.field(factory=list)
    kept: dict[str, tuple[Delivery, bytes]] = attrs.field(factory=dict)
    failing: dict[AccountId, Outcome] = attrs.field(factory=dict)
    broken: Exception | None = None

    async def open(self, account: AccountId) -> Any:
        raise NotImplementedError

    async def remove(self, account: AccountId) -> None:
        raise NotImplementedError

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if self.broken:
            raise self.broken
        self.calls.append(deliveries)
        return [await self.deliver_one(one) for one in deliveries]

    async def deliver_one(self, one: Delivery) -> Outcome:
        if one.account in self.failing:
            return self.failing[one.account]
        content = one.message.content
        self.kept.setdefault(one.key, (one, await content.read(0, content.size)))
        return Outcome(DELIVERED)

    def of(self, name: str) -> tuple[Delivery, bytes]:
        [found] = [kept for kept in self.kept.values() if kept[0].account == account(name).id]
        return found


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def agent(store: FakeStore) -> LocalDelivery:
    return LocalDelivery(LocalSettings(), FakeDirectory(dict(WAYS)), store, Clock())


async def statuses(agent: LocalDelivery, *to: str, **changes: Any) -> list[str]:
    outcomes = await agent.attempt(new_job(*to, **changes))
    return [str(outcome.status) for outcome in outcomes]


@attrs.define
class SlowContent:
    """A content of which the first read is answered when the test says so."""

    size: int
    reads: int = 0
    first: Deferred[None] = attrs.field(factory=Deferred)

    async def read(self, start: int, stop: int) -> bytes:
        self.reads += 1
        if self.reads == 1:
            await self.first
        return b"\r\n" * ((stop - start) // 2)

    def close(self) -> None:
        """Nothing to let go of."""


async def test_only_a_few_large_messages_are_read_at_once(store: FakeStore) -> None:
    clock = Clock()
    agent = LocalDelivery(LocalSettings(), FakeDirectory(dict(WAYS)), store, clock)
    large = [SlowContent(LARGE + 2) for _ in range(LARGE_AT_ONCE + 2)]
    small = SlowContent(LARGE)
    jobs = [
        ensureDeferred(
            agent.attempt(new_job("alice@example.org", id=str(number), content=content))
        )
        for number, content in enumerate([*large, small])
    ]
    assert [one.reads for one in large] == [1, 1, 0, 0]
    assert small.reads == 1
    jobs[2].cancel()
    large[0].first.callback(None)
    clock.pump([0] * 20)
    assert [str((await jobs[0])[0].status), large[3].reads] == ["2.1.5", 1]
    for content in (large[1], large[3], small):
        content.first.callback(None)
    clock.pump([0] * 60)
    for job in (jobs[1], jobs[3], jobs[4]):
        assert str((await job)[0].status) == "2.1.5"
    assert large[2].reads == 0
    assert (await jobs[2])[0].status.is_transient


async def test_a_message_gets_its_trace_fields(agent: LocalDelivery, store: FakeStore) -> None:
    assert await statuses(agent, "alice@example.org") == ["2.1.5"]
    delivery, octets = store.of("alice@example.org")
    assert octets == (
        b"Return-Path: <carol@example.net>\r\nDelivered-To: alice@example.org\r\n" + HELLO
    )
    assert delivery.placements == (Placement(),)
    assert delivery.message.received == datetime(2026, 11, 23, tzinfo=UTC)
    assert delivery.message.summary.body == octets.index(b"\r\n\r\n") + 4


@pytest.mark.parametrize(
    ("sender", "field"),
    [
        ("", b"Return-Path: <>\r\n"),
        ('"a b"@example.net', b'Return-Path: <"a b"@example.net>\r\n'),
        ("ü@example.net", "Return-Path: <ü@example.net>\r\n".encode()),
    ],
)
async def test_the_reverse_path_is_kept(
    agent: LocalDelivery, store: FakeStore, sender: str, field: bytes
) -> None:
    await statuses(agent, "alice@example.org", sender=sender)
    assert store.of("alice@example.org")[1].startswith(field)


async def test_a_large_content_is_not_copied(agent: LocalDelivery, store: FakeStore) -> None:
    content = Joined((Octets(HELLO), Octets(b"x" * 1000)))
    await statuses(agent, "alice@example.org", content=content)
    kept = store.of("alice@example.org")[0].message.content
    assert isinstance(kept, Joined)
    assert kept.pieces[1] is content


async def test_all_recipients_share_one_call(agent: LocalDelivery, store: FakeStore) -> None:
    to = ["alice@example.org", "nobody@example.org", "bob@example.org"]
    assert await statuses(agent, *to) == ["2.1.5", "5.1.1", "2.1.5"]
    [call] = store.calls
    assert [one.key for one in call] == [f"4f2a {ALICE.id}", f"4f2a {BOB.id}"]


async def test_who_is_meant_twice_gets_it_once(agent: LocalDelivery, store: FakeStore) -> None:
    to = ["info@example.org", "alice@example.org", "alice+work@example.org", "both@example.org"]
    assert await statuses(agent, *to) == ["2.1.5"] * 4
    assert len(store.kept) == 2
    delivery, octets = store.of("alice@example.org")
    assert delivery.placements == (Placement(),)
    for address in to:
        assert f"Delivered-To: {address}\r\n".encode() in octets
    assert b"alice" not in store.of("bob@example.org")[1].partition(b"From:")[0]


async def test_a_repeat_adds_nothing(agent: LocalDelivery, store: FakeStore) -> None:
    for _ in range(2):
        assert await statuses(agent, "both@example.org") == ["2.1.5"]
    assert len(store.kept) == 2


async def test_junk_goes_to_its_mailbox(agent: LocalDelivery, store: FakeStore) -> None:
    await statuses(agent, "alice+work@example.org", junk=True)
    [placement] = store.of("alice@example.org")[0].placements
    assert (placement.role, placement.create) == (Role.JUNK, True)


async def test_a_subaddress_may_choose_the_mailbox(store: FakeStore) -> None:
    settings = LocalSettings(subaddress_mailboxes=True)
    agent = LocalDelivery(settings, FakeDirectory(dict(WAYS)), store, Clock())
    await statuses(agent, "alice+work@example.org", "alice@example.org")
    placements = store.of("alice@example.org")[0].placements
    assert placements == (Placement("work"), Placement())


@pytest.mark.parametrize(
    ("to", "failing", "status"),
    [
        ("gone@example.org", {}, "5.2.1"),
        ("some@example.org", {}, "2.1.5"),
        ("mixed@example.org", {}, "5.4.4"),
        ("nobody@example.org", {}, "5.1.1"),
        ("both@example.org", {BOB.id: "4.2.2"}, "4.2.2"),
        ("both@example.org", {BOB.id: "4.2.2", ALICE.id: "5.0.0"}, "4.2.2"),
        ("both@example.org", {ALICE.id: "5.0.0"}, "5.0.0"),
        ("alice@example.org", {BOB.id: "4.2.2"}, "2.1.5"),
    ],
)
async def test_the_worst_on_its_way_counts(
    agent: LocalDelivery, store: FakeStore, to: str, failing: dict[AccountId, str], status: str
) -> None:
    full = OverQuota("full")
    lost = Outcome(attrs.evolve(DELIVERED, klass=5, subject=0, detail=0))
    store.failing = {
        one: Outcome(full.status, "full", full) if text == "4.2.2" else lost
        for one, text in failing.items()
    }
    assert await statuses(agent, to) == [status]
    if status == "5.4.4":
        assert store.kept == {}


async def test_the_postmaster_gets_mail_though_disabled(store: FakeStore) -> None:
    ways = {"alice@example.org": [Place(GONE)]}  # where the fake leads the postmaster
    agent = LocalDelivery(LocalSettings(), FakeDirectory(dict(ways)), store, Clock())
    outcomes = await agent.attempt(new_job("postmaster", "alice@example.org"))
    assert [str(one.status) for one in outcomes] == ["2.1.5", "5.2.1"]


@pytest.mark.parametrize(
    ("broken", "kind", "status"),
    [
        (ValueError("a bug"), StoreFailed, "4.3.0"),
        (Overloaded("busy"), Overloaded, "4.3.2"),
    ],
)
async def test_a_broken_store_is_a_passing_failure(
    agent: LocalDelivery, store: FakeStore, broken: Exception, kind: type, status: str
) -> None:
    store.broken = broken
    outcomes = await agent.attempt(new_job("alice@example.org", "nobody@example.org"))
    assert [str(one.status) for one in outcomes] == [status, "5.1.1"]
    assert isinstance(outcomes[0].error, kind)


async def test_a_directory_that_fails_is_a_passing_failure(store: FakeStore) -> None:
    class Failing(FakeDirectory):
        async def places(self, address: Address) -> Sequence[Place]:
            raise Overloaded("busy")

    agent = LocalDelivery(LocalSettings(), Failing(), store, Clock())
    assert await statuses(agent, "alice@example.org") == ["4.3.2"]


class TestLocalDelivery(AgentContract):
    @pytest.fixture
    def agent(self) -> IDeliveryAgent:
        return LocalDelivery(LocalSettings(), FakeDirectory(), FakeStore(), Clock())


class TestDiscard(AgentContract):
    @pytest.fixture
    def agent(self) -> IDeliveryAgent:
        return Discard()

    async def test_it_says_that_all_went_well(self) -> None:
        outcomes = await Discard().attempt(new_job("a@example.org", "b@example.org"))
        assert all(outcome.status.is_success for outcome in outcomes)


def test_a_job_names_its_recipients() -> None:
    job: Job = new_job("alice@example.org")
    assert job.envelope.recipients == (recipient("alice@example.org"),)
