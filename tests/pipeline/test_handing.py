"""Who waits for the outcome, and what the queue takes over instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from mailplat.interfaces import IDeliveryAgent, IQueue
from mailplat.mail.envelope import Notify
from mailplat.mail.errors import DiskFull, MailError, Refused
from mailplat.mail.mailbox import Outcome
from mailplat.mail.queued import Posting
from mailplat.mail.status import DELIVERED, Status
from mailplat.mail.transit import Job, Stage, Transit, Verdict
from mailplat.testing.fakes import FakeContent
from mailplat.testing.transits import HELLO, new_transit

SERVED = Outcome(DELIVERED, "here")
LATER = Outcome(Status(4, 2, 2), "full")
NEVER = Outcome(Status(5, 2, 1), "disabled")
HERE = ("alice@example.org", "bob@example.org")


@implementer(IQueue)
@attrs.define
class FakeQueue:
    """A queue that remembers what came, unless it ``fails``."""

    postings: list[Posting] = attrs.field(factory=list)
    fails: MailError | None = None

    async def enqueue(self, posting: Posting) -> str:
        if self.fails:
            raise self.fails
        await posting.content.read(0, posting.content.size)
        self.postings.append(posting)
        return posting.id

    async def hurry(self, queue_id: str) -> None:
        pass


@implementer(IDeliveryAgent)
@attrs.define
class Deciding:
    """An agent with an outcome for each recipient, which may be waited for."""

    outcomes: Sequence[Outcome] = ()
    waits: Deferred[None] | None = None
    jobs: list[Job] = attrs.field(factory=list)

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        self.jobs.append(job)
        if self.waits:
            await self.waits
        return self.outcomes


@attrs.define
class Holding:
    """Wants to hold everything."""

    stages = (Stage.SENDER,)

    async def judge(self, *_about: Any) -> Verdict:
        return Verdict.hold(Refused("looks odd"))


@pytest.fixture
def queue(bench: Any) -> FakeQueue:
    bench.queue = FakeQueue()
    return bench.queue


async def accepted(bench: Any, transit: Transit, **parts: Any) -> list[int]:
    """Return the classes of the outcomes that a transit got."""
    return [one.status.klass for one in await bench.pipeline(**parts).accept(transit)]


@pytest.mark.parametrize(
    ("outcomes", "answered", "queued"),
    [
        ((SERVED, SERVED), [2, 2], []),
        ((SERVED, LATER), [2, 2], [HERE[1]]),
        ((NEVER, SERVED), [2, 2], [HERE[0]]),
        ((LATER, LATER), [4, 4], []),
        ((LATER, NEVER), [4, 5], []),
        ((NEVER, NEVER), [5, 5], []),
    ],
)
async def test_what_is_queued_behind_a_delivery(
    bench: Any, queue: FakeQueue, outcomes: Any, answered: list[int], queued: list[str]
) -> None:
    bench.agent = Deciding(outcomes)
    assert await accepted(bench, new_transit(to=HERE)) == answered
    found = [str(r.address) for one in queue.postings for r in one.envelope.recipients]
    assert found == queued
    if queued:
        [posting] = queue.postings
        [known] = posting.known.values()
        assert known in outcomes
        assert (posting.id, posting.may_bounce, posting.flow) == (
            "4f2a", False, "carol@example.net",
        )  # fmt: skip


@pytest.mark.parametrize("outcome", [LATER, NEVER])
async def test_lmtp_hears_of_each(bench: Any, queue: FakeQueue, outcome: Outcome) -> None:
    bench.agent = Deciding((SERVED, outcome))
    transit = new_transit(to=HERE, protocol="LMTP")
    assert await accepted(bench, transit) == [2, outcome.status.klass]
    assert not queue.postings


async def test_anyone_elsewhere_queues_it_for_all(bench: Any, queue: FakeQueue) -> None:
    to = (HERE[0], "x@example.net")
    transit = new_transit(to=to, login="alice@example.org")
    assert await accepted(bench, transit) == [2, 2]
    [posting] = queue.postings
    assert [str(one.address) for one in posting.envelope.recipients] == list(to)
    assert (posting.may_bounce, posting.login) == (True, "alice@example.org")
    assert not bench.agent.jobs
    assert [one.detail for one in bench.record.outcomes] == ["queued", "queued"]


async def test_what_can_not_be_queued_is_the_senders(bench: Any, queue: FakeQueue) -> None:
    queue.fails = DiskFull("no room")
    assert await accepted(bench, new_transit(to=("x@example.net",))) == [4]
    bench.agent = Deciding((SERVED, NEVER))
    assert await accepted(bench, new_transit(to=HERE)) == [2, 4]


async def test_what_is_held_waits_in_the_queue(bench: Any, queue: FakeQueue) -> None:
    """Also where a policy said so before there was any content."""
    pipeline = bench.pipeline(policies=[Holding()])
    transit = new_transit(to=HERE)
    verdict = await pipeline.ask(Stage.SENDER, transit)
    assert not verdict.disposition.refuses
    assert [one.status.klass for one in await pipeline.accept(transit)] == [2, 2]
    [posting] = queue.postings
    assert "looks odd" in posting.hold
    assert not bench.agent.jobs


async def test_without_a_queue_a_hold_is_for_later(bench: Any) -> None:
    pipeline = bench.pipeline(policies=[Holding()])
    transit = new_transit(to=HERE)
    transit.recipient = transit.envelope.recipients[0]
    await pipeline.ask(Stage.SENDER, transit)
    assert (await pipeline.ask(Stage.RECIPIENT, transit)).disposition.refuses


async def test_nobody_waits_for_long(bench: Any, queue: FakeQueue) -> None:
    """What isn't finished in time is queued, and its content stays until it is."""
    bench.agent = Deciding((SERVED,), waits=Deferred())
    transit = new_transit(to=HERE[:1])
    content = FakeContent(HELLO)
    transit.content = content
    outcomes: list[Any] = []
    work = Deferred.fromCoroutine(bench.pipeline().accept(transit))
    work.addCallback(outcomes.extend)
    bench.clock.advance(59)
    assert not outcomes
    bench.clock.advance(1)
    assert [one.status.klass for one in outcomes] == [2]
    assert [one.id for one in queue.postings] == ["4f2a"]
    assert not content.closed
    bench.agent.waits.callback(None)
    assert content.closed
    assert not bench.clock.getDelayedCalls()


async def test_an_answer_in_time_leaves_no_timer(bench: Any, queue: FakeQueue) -> None:
    bench.agent = Deciding((SERVED,), waits=Deferred())
    work = Deferred.fromCoroutine(bench.pipeline().accept(new_transit(to=HERE[:1])))
    bench.agent.waits.callback(None)
    await work
    assert not bench.clock.getDelayedCalls()
    assert not queue.postings


async def test_a_report_of_success_is_the_queues(bench: Any, queue: FakeQueue) -> None:
    bench.agent = Deciding((SERVED, SERVED))
    transit = new_transit(to=HERE)
    first, second = transit.envelope.recipients
    asked = attrs.evolve(first, notify=Notify.SUCCESS)
    transit.envelope = attrs.evolve(transit.envelope, recipients=(asked, second))
    assert await accepted(bench, transit) == [2, 2]
    [posting] = queue.postings
    assert posting.envelope.recipients == (asked,)
    assert list(posting.known.values()) == [SERVED]
