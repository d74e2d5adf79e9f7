"""The pipeline asks in order, amends, merges, decides for each recipient, and hands on."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent

from mailplat.interfaces import IPipeline
from mailplat.mail.address import Address
from mailplat.mail.content import Joined, Octets
from mailplat.mail.edit import Edits
from mailplat.mail.errors import (
    BadContent,
    DiskFull,
    HeaderTooLarge,
    NoSuchAddress,
    NotNow,
    Overloaded,
    Refused,
    RoutingLoop,
)
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED
from mailplat.mail.transit import KEEP, Disposition, Job, Peer, Stage, Transit, Verdict
from mailplat.pipeline.pipeline import FEW
from mailplat.pipeline.waiting import begin_for_good
from mailplat.testing.contracts.pipeline import PipelineContract
from mailplat.testing.transits import HELLO, new_transit, recipient

Answer = Any
BOTH = ("alice@example.org", "bob@example.org")


class Policy:
    """Answers at some stages, and remembers what it was asked."""

    def __init__(self, verdict: Verdict, *stages: Stage) -> None:
        self.verdict = verdict
        self.stages: Collection[Stage] = stages or tuple(Stage)
        self.asked: list[Stage] = []

    async def judge(self, stage: Stage, _transit: Transit) -> Verdict:
        self.asked.append(stage)
        return self.verdict


class Filter:
    """Answers with a verdict or what a function makes of the transit."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    async def judge(self, transit: Transit) -> Verdict:
        self.asked += 1
        verdict: Verdict = self.answer(transit) if callable(self.answer) else self.answer
        return verdict


def statuses(outcomes: Sequence[Outcome]) -> list[str]:
    return [str(outcome.status) for outcome in outcomes]


# The chain.


async def test_what_nobody_objects_to_is_delivered(bench: Any) -> None:
    transit = new_transit(to=BOTH)
    outcomes = await bench.pipeline(filters=[Filter(KEEP), Filter(KEEP)]).accept(transit)
    assert statuses(outcomes) == ["2.1.5", "2.1.5"]
    [job] = bench.agent.jobs
    assert (job.id, job.envelope, job.junk) == (transit.id, transit.envelope, False)
    assert bench.agent.octets == [HELLO]


async def test_the_first_that_objects_ends_the_chain(bench: Any) -> None:
    error = RoutingLoop("101 hops")
    filters = [Filter(KEEP), Filter(Verdict.reject(error)), Filter(Verdict.discard())]
    outcomes = await bench.pipeline(filters=filters).accept(new_transit(to=BOTH))
    assert [outcome.error for outcome in outcomes] == [error, error]
    assert statuses(outcomes) == ["5.4.6", "5.4.6"]
    assert [one.asked for one in filters] == [1, 1, 0]
    assert bench.agent.jobs == []


async def test_accept_ends_the_chain_too(bench: Any) -> None:
    filters = [Filter(Verdict.accept()), Filter(Verdict.reject(Refused("no")))]
    assert statuses(await bench.pipeline(filters=filters).accept(new_transit())) == ["2.1.5"]


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.defer(), "4.7.1"),
        (Verdict.defer(Overloaded("busy")), "4.3.2"),
        (Verdict.defer(Refused("for good?")), "4.7.1"),  # the disposition counts
        (Verdict.hold(Refused("look at this")), "4.7.1"),  # until there is a queue
        (Verdict.reject(NotNow("for now?")), "5.7.1"),
        (Verdict(disposition=Disposition.REJECT), "5.7.1"),
        (Verdict.discard(), "2.1.5"),
    ],
)
async def test_what_is_not_delivered(bench: Any, verdict: Verdict, status: str) -> None:
    outcomes = await bench.pipeline(filters=[Filter(verdict)]).accept(new_transit(to=BOTH))
    assert statuses(outcomes) == [status, status]
    assert bench.agent.jobs == []


async def test_edits_add_up_and_later_filters_see_them(bench: Any) -> None:
    def tag(transit: Transit) -> Verdict:
        return Verdict.keep(
            transit.edit().replace(b"Subject", f"[x] {transit.message.subject}"), tagged=1
        )

    def see(transit: Transit) -> Verdict:
        assert transit.message.subject == "[x] hello"
        assert transit.facts["tagged"] == 1
        assert transit.original == Octets(HELLO)
        return attrs.evolve(Verdict.junk(), edits=Edits().add(b"X-Spam", "yes"))

    transit = new_transit()
    transit.edits = Edits().remove(b"To")  # as a policy may have asked
    await bench.pipeline(filters=[Filter(tag), Filter(see)]).accept(transit)
    [octets] = bench.agent.octets
    assert octets == (
        b"X-Spam: yes\r\n"
        b"From: Carol <carol@example.net>\r\n"
        b"Subject: [x] hello\r\n"
        b"Message-ID: <1@example.net>\r\n"
        b"\r\nhello\r\n"
    )
    assert bench.agent.jobs[0].junk


def broken(_lines: list[bytes]) -> list[bytes]:
    raise KeyError("X-Nothing")


@pytest.mark.parametrize(
    ("on_error", "status"), [("defer", "4.3.0"), ("reject", "5.7.1"), ("keep", "2.1.5")]
)
async def test_edits_that_fail_are_treated_as_on_error_says(
    bench: Any, on_error: str, status: str
) -> None:
    spoilt = Filter(Verdict.keep(Edits((*Edits().add(b"X-New", "1").steps, broken))))
    transit = new_transit()
    outcomes = await bench.pipeline(filters=[spoilt], on_error=on_error).accept(transit)
    assert statuses(outcomes) == [status]
    assert bench.agent.octets == ([HELLO] if on_error == "keep" else [])
    [decision] = transit.decisions
    assert decision.detail == f"KeyError: 'X-Nothing', therefore {on_error}"


async def test_where_edits_of_policies_fail_the_sender_keeps_the_message(bench: Any) -> None:
    transit = new_transit()
    transit.edits = Edits((broken,))
    assert statuses(await bench.pipeline().accept(transit)) == ["4.3.0"]
    assert bench.agent.octets == []


async def test_scores_are_summed(bench: Any) -> None:
    transit = new_transit()
    filters = [Filter(Verdict(score=1.5)), Filter(Verdict(score=2))]
    await bench.pipeline(filters=filters).accept(transit)
    assert transit.facts["score"] == 3.5


async def test_the_header_is_read_from_contents_in_pieces(bench: Any) -> None:
    octets = b"A: b\r\n" * 20000 + b"Subject: far down\r\n\r\nbody"
    bench.limits = Limits(header_fields=30000)
    transit = new_transit()
    transit.content = Joined((Octets(octets[:100]), Octets(octets[100:])))
    subjects = []
    note = Filter(lambda transit: subjects.append(transit.message.subject) or KEEP)
    await bench.pipeline(filters=[note]).accept(transit)
    assert subjects == ["far down"]
    assert bench.agent.octets == [octets]


@pytest.mark.parametrize(
    ("octets", "refused"),
    [
        (b"A: b\r\n" * 100 + b"\r\n", False),
        (b"A: b\r\n" * 101 + b"\r\n", True),
        (b"A: b\r\n" * 100000 + b"\r\n", True),
        (b"A:" + b"b" * 9996 + b"\r\n\r\nbody", False),
        (b"A:" + b"b" * 9997 + b"\r\n\r\nbody", True),
        (b"A:" + b"b" * 10_000_000, True),
    ],
)
async def test_headers_have_limits(bench: Any, octets: bytes, refused: bool) -> None:
    bench.limits = Limits(header_size=10000, header_fields=100)
    [outcome] = await bench.pipeline().accept(new_transit(octets))
    assert isinstance(outcome.error, HeaderTooLarge) is refused


# Single recipients.


def on(address: str, verdict: Verdict) -> Verdict:
    return Verdict(recipients={Address.parse(address).key: verdict})


async def test_smtp_files_a_refused_copy_as_junk_beside_a_kept_one(bench: Any) -> None:
    refuse = Filter(on("Bob@example.org", Verdict.reject(Refused("not bob"))))
    outcomes = await bench.pipeline(filters=[refuse]).accept(new_transit(to=BOTH))
    assert statuses(outcomes) == ["2.1.5", "2.1.5"]
    assert [(job.junk, job.envelope.recipients) for job in bench.agent.jobs] == [
        (False, (recipient("alice@example.org"),)),
        (True, (recipient("bob@example.org"),)),
    ]


async def test_smtp_defers_all_where_one_is_deferred(bench: Any) -> None:
    defer = Filter(on("bob@example.org", Verdict.defer(Overloaded("bob's filter"))))
    outcomes = await bench.pipeline(filters=[defer]).accept(new_transit(to=BOTH))
    assert statuses(outcomes) == ["4.3.2", "4.3.2"]
    assert bench.agent.jobs == []


async def test_lmtp_answers_for_each(bench: Any) -> None:
    filters = [
        Filter(on("bob@example.org", Verdict.reject(BadContent("not for bob")))),
        Filter(on("bob@example.org", Verdict.discard())),  # too late for bob
    ]
    transit = new_transit(to=[*BOTH, "bob+x@example.org"], protocol="LMTPS")
    outcomes = await bench.pipeline(filters=filters).accept(transit)
    assert statuses(outcomes) == ["2.1.5", "5.6.0", "2.1.5"]


async def test_all_refused_one_by_one_is_refused(bench: Any) -> None:
    verdicts = {address: Verdict.reject(Refused("no")) for address in BOTH}
    refuse = Filter(Verdict(recipients=verdicts))
    outcomes = await bench.pipeline(filters=[refuse]).accept(new_transit(to=BOTH))
    assert statuses(outcomes) == ["5.7.1", "5.7.1"]


async def test_one_recipient_may_be_spared_what_comes_later(bench: Any) -> None:
    filters = [
        Filter(on("bob@example.org", Verdict.accept())),
        Filter(Verdict.reject(Refused("no"))),
    ]
    transit = new_transit(to=BOTH, protocol="LMTP")
    outcomes = await bench.pipeline(filters=filters).accept(transit)
    assert statuses(outcomes) == ["5.7.1", "2.1.5"]


# The envelope.


async def test_policies_are_asked_at_their_stages(bench: Any) -> None:
    one, two = Policy(KEEP, Stage.CONNECT), Policy(KEEP)
    pipeline = bench.pipeline(policies=[one, two])
    transit = new_transit()
    for stage in (Stage.CONNECT, Stage.SENDER):
        assert await pipeline.ask(stage, transit) is KEEP
    assert one.asked == [Stage.CONNECT]
    assert two.asked == [Stage.CONNECT, Stage.SENDER]
    assert [decision.stage for decision in transit.decisions] == [
        Stage.CONNECT,
        Stage.CONNECT,
        Stage.SENDER,
    ]


async def test_the_first_policy_that_objects_or_accepts_ends_its_stage(bench: Any) -> None:
    last = Policy(Verdict.reject(Refused("no")))
    pipeline = bench.pipeline(policies=[Policy(Verdict.accept()), last])
    verdict = await pipeline.ask(Stage.CONNECT, new_transit())
    assert verdict.disposition is Disposition.ACCEPT
    assert last.asked == []


async def test_hold_is_told_as_not_now(bench: Any) -> None:
    pipeline = bench.pipeline(policies=[Policy(Verdict.hold(Refused("hm")))])
    verdict = await pipeline.ask(Stage.CONNECT, new_transit())
    assert verdict.disposition is Disposition.DEFER
    assert str(verdict.error.status) == "4.7.1"


async def ask_about(pipeline: Any, transit: Transit, text: str) -> Verdict:
    transit.recipient = recipient(text)
    verdict: Verdict = await pipeline.ask(Stage.RECIPIENT, transit)
    return verdict


@pytest.mark.parametrize(
    "postmaster",
    ["postmaster", "PostMaster", "postmaster@example.org", "POSTMASTER@example.org"],
)
async def test_no_policy_keeps_mail_from_the_postmaster(bench: Any, postmaster: str) -> None:
    refuse = Policy(Verdict.reject(Refused("everything")), Stage.SENDER, Stage.RECIPIENT)
    pipeline = bench.pipeline(policies=[refuse])
    transit = new_transit(to=[])
    assert await pipeline.ask(Stage.SENDER, transit) is KEEP  # put off
    assert (await ask_about(pipeline, transit, postmaster)).disposition is Disposition.ACCEPT
    assert refuse.asked == [Stage.SENDER]
    other = await ask_about(pipeline, transit, "alice@example.org")
    assert other.disposition is Disposition.REJECT
    assert refuse.asked == [Stage.SENDER]
    assert transit.decisions[-1].recipient == "alice@example.org"
    assert transit.decisions[-1].detail == "Refused: everything"
    transit.envelope = transit.envelope.with_recipient(recipient(postmaster))
    assert statuses(await pipeline.accept(transit)) == ["2.1.5"]


async def test_elsewhere_there_are_other_postmasters(bench: Any) -> None:
    refuse = Policy(Verdict.reject(Refused("everything")), Stage.RECIPIENT)
    pipeline = bench.pipeline(policies=[refuse])
    verdict = await ask_about(pipeline, new_transit(to=[]), "postmaster@example.net")
    assert verdict.disposition is Disposition.REJECT


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.GREETING, Stage.SENDER])
async def test_junk_by_a_policy_is_junk_for_all(bench: Any, stage: Stage) -> None:
    pipeline = bench.pipeline(policies=[Policy(Verdict.junk(), stage)])
    transit = new_transit()
    await pipeline.ask(stage, transit)
    await pipeline.accept(transit)
    assert bench.agent.jobs[0].junk


async def test_junk_and_discard_for_one_recipient(bench: Any) -> None:
    @attrs.define
    class Picky:
        stages = (Stage.RECIPIENT,)

        async def judge(self, _stage: Stage, transit: Transit) -> Verdict:
            assert transit.recipient
            verdicts = {"bob": Verdict.junk(), "alice": Verdict.discard()}
            return verdicts.get(transit.recipient.address.local, KEEP)

    pipeline = bench.pipeline(policies=[Picky()])
    everyone = [*BOTH, "dora@example.org"]
    transit = new_transit(to=everyone)
    for text in everyone:
        await ask_about(pipeline, transit, text)
    assert statuses(await pipeline.accept(transit)) == ["2.1.5"] * 3
    assert [(job.junk, [str(one.address) for one in job.envelope.recipients]) for job in bench.agent.jobs] == [
        (False, ["dora@example.org"]),
        (True, ["bob@example.org"]),
    ]  # fmt: skip


async def test_a_message_that_a_policy_discards_is_seen_by_nobody(bench: Any) -> None:
    seen = Filter(KEEP)
    pipeline = bench.pipeline(
        policies=[Policy(Verdict.discard(), Stage.SENDER)], filters=[seen]
    )
    transit = new_transit()
    await pipeline.ask(Stage.SENDER, transit)
    assert statuses(await pipeline.accept(transit)) == ["2.1.5"]
    assert seen.asked == 0
    assert bench.agent.jobs == []


# Handing on.


@attrs.define
class SlowAgent:
    """Delivers when it is told to."""

    waiting: Deferred[None] = attrs.field(factory=Deferred)
    answer: Any = None
    done: bool = False

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        await self.waiting
        self.done = True
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return list(self.answer)
        return [Outcome(DELIVERED)] * len(job.envelope.recipients)


def start(awaitable: Awaitable[Answer]) -> Deferred[Answer]:
    return Deferred.fromCoroutine(awaitable)  # type: ignore[arg-type]


async def test_a_peer_that_leaves_does_not_stop_a_delivery(bench: Any) -> None:
    bench.agent = SlowAgent()
    answer = start(bench.pipeline().accept(new_transit()))
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    bench.agent.waiting.callback(None)
    assert bench.agent.done
    assert statuses(bench.record.outcomes) == ["2.1.5"]


async def test_a_peer_that_leaves_before_it_stops_everything(bench: Any) -> None:
    class Slow:
        cancelled = False
        waiting: Deferred[None]

        async def judge(self, _transit: Transit) -> Verdict:
            self.waiting = Deferred(lambda _: setattr(self, "cancelled", True))
            await self.waiting
            return KEEP

    slow, next_one = Slow(), Filter(KEEP)
    answer = start(bench.pipeline(filters=[slow, next_one]).accept(new_transit()))
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    assert slow.cancelled
    assert next_one.asked == 0
    assert bench.agent.jobs == []
    assert statuses(bench.record.outcomes) == ["4.4.2"]
    assert not bench.clock.getDelayedCalls()


@pytest.mark.parametrize("answer", [ValueError("a bug"), (), [Outcome(DELIVERED)] * 3])
async def test_an_agent_with_a_bug_delivers_later(bench: Any, answer: object) -> None:
    bench.agent = SlowAgent(answer=answer)
    bench.agent.waiting.callback(None)
    outcomes = await bench.pipeline().accept(new_transit(to=BOTH))
    assert statuses(outcomes) == ["4.3.0", "4.3.0"]


# The record.


async def test_every_decision_is_on_record(bench: Any) -> None:
    bench.clock.advance(1_000_000_000)
    pipeline = bench.pipeline(
        policies=[Policy(KEEP, Stage.SENDER, Stage.RECIPIENT)],
        filters=[
            Filter(Verdict.keep(size="small")),
            Filter(on("bob@example.org", Verdict.reject(Refused("not bob")))),
        ],
    )
    transit = new_transit(login="carol@example.net")
    await pipeline.ask(Stage.SENDER, transit)
    await ask_about(pipeline, transit, "alice@example.org")
    await pipeline.accept(transit)
    record = bench.record
    assert record.id == transit.id
    assert record.arrived.year == 2001
    assert (record.sender, record.recipients) == ("carol@example.net", ("alice@example.org",))
    assert (record.message_id, record.subject) == ("<1@example.net>", "hello")
    assert (record.peer, record.login) == ("192.0.2.1:4000", "carol@example.net")
    assert record.size == len(HELLO)
    assert [(d.stage.value, d.component, d.disposition.value, d.recipient) for d in record.decisions] == [
        ("sender", "policy", "keep", ""),
        ("recipient", "policy", "keep", "alice@example.org"),
        ("content", "filter", "keep", ""),
        ("content", "filter", "keep", ""),
        ("content", "filter", "reject", "bob@example.org"),
    ]  # fmt: skip
    assert record.decisions[2].facts == {"size": "small"}


async def test_a_transaction_refused_before_its_content_is_on_record(bench: Any) -> None:
    pipeline = bench.pipeline(policies=[Policy(Verdict.reject(Refused("no")), Stage.RECIPIENT)])
    transit = new_transit(to=[])
    pipeline.drop(transit)
    assert bench.bus.events == []
    await ask_about(pipeline, transit, "alice@example.org")
    pipeline.drop(transit)
    [decision] = bench.record.refusals
    assert decision.detail == "Refused: no"
    assert bench.record.outcomes == ()


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.GREETING])
async def test_who_is_refused_before_there_is_mail_is_named_in_the_log(
    bench: Any, stage: Stage
) -> None:
    pipeline = bench.pipeline(policies=[Policy(Verdict.reject(Refused("listed")), stage)])
    with capturedLogs() as events:
        await pipeline.ask(stage, new_transit(to=[]))
    assert [formatEvent(event) for event in events] == [
        f"192.0.2.1:4000 was refused at {stage.value} by policy: Refused: listed"
    ]


async def test_hostile_text_in_the_record_is_capped_and_harmless(bench: Any) -> None:
    octets = b"Subject: " + b"=?utf-8?q?=0D=0A=1B?=" * 10000 + b"\r\n\r\n"
    await bench.pipeline().accept(new_transit(octets))
    assert len(bench.record.subject) == 256
    assert "\n" not in bench.record.subject


class TestPipeline(PipelineContract):
    @pytest.fixture
    def pipeline(self, bench: Any) -> IPipeline:
        refuse = Policy(Verdict.reject(Refused("everyone")), Stage.SENDER, Stage.RECIPIENT)
        pipeline: IPipeline = bench.pipeline(policies=[refuse])
        return pipeline


async def test_what_fails_while_a_message_is_carried_is_told_as_it_is() -> None:
    waiting: Deferred[None] = Deferred()

    async def carry() -> str:
        try:
            await waiting
        except DiskFull as error:
            return str(error)
        return ""

    answer = begin_for_good(carry())
    waiting.errback(DiskFull("no room"))
    assert await answer == "no room"


async def settled_by(bench: Any, verdict: Verdict, count: int, host: str = "192.0.2.1") -> Any:
    """Let so many messages be judged so, and return a pipeline that knows of them."""
    pipeline = bench.pipeline(filters=[Filter(verdict)])
    for _ in range(count):
        transit = new_transit()
        transit.peer = Peer(host, 4000)
        await pipeline.accept(transit)
    return pipeline


def repeats(bench: Any) -> list[int]:
    return [event.record.repeats for event in bench.bus.events]


async def test_what_is_refused_again_and_again_is_counted(bench: Any) -> None:
    await settled_by(bench, Verdict.reject(Refused("no")), 100)
    assert repeats(bench) == [0] * FEW
    bench.clock.advance(60)
    assert repeats(bench) == [0] * FEW + [100 - FEW - 1]
    pipeline = await settled_by(bench, Verdict.reject(Refused("no")), FEW + 2)
    pipeline.finish()
    assert repeats(bench)[FEW + 1 :] == [0] * FEW + [1]
    assert not bench.clock.getDelayedCalls()


async def test_what_is_accepted_is_told_one_by_one(bench: Any) -> None:
    await settled_by(bench, KEEP, 100)
    assert repeats(bench) == [0] * 100


async def test_what_differs_is_not_counted_together(bench: Any) -> None:
    """Another network, another reason: each is told by itself."""
    pipeline = bench.pipeline(
        policies=[
            Policy(Verdict.reject(Refused("no")), Stage.SENDER),
            Policy(Verdict.reject(NoSuchAddress("no")), Stage.RECIPIENT),
        ]
    )
    for number in range(FEW * 2):
        for host in ("192.0.2.1", "2001:db8::1"):
            transit = new_transit(to=[])
            transit.peer = Peer(host, 4000 + number)
            await pipeline.ask(Stage.RECIPIENT if number % 2 else Stage.SENDER, transit)
            pipeline.drop(transit)
    assert repeats(bench) == [0] * FEW * 4
