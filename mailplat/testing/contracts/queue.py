"""What every `IQueue` with `IQueueAdmin` promises, as tests that a queue inherits."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from zope.interface.verify import verifyObject

from mailplat.interfaces import IQueue, IQueueAdmin
from mailplat.mail.content import whole
from mailplat.mail.envelope import DeliverBy, Notify, Return
from mailplat.mail.errors import StoreFailed
from mailplat.mail.mailbox import Outcome
from mailplat.mail.queued import QueueFailed, Selection, Standing
from mailplat.mail.status import DELIVERED
from mailplat.testing.fakes import FakeContent
from mailplat.testing.queues import (
    FULL,
    GREYLISTED,
    NO_HOST,
    NOW,
    UNKNOWN,
    QueueScene,
    new_posting,
)
from mailplat.testing.transits import HELLO

ALL = Selection()
DAY = 86400.0
CAROL = "carol@example.org"  # who sends, and is local
BIG = HELLO + b"and more of it, up to the end of the line\r\n" * 20_000  # over several pieces


def ids(*names: str) -> Selection:
    """Return the selection of messages by their ids."""
    return Selection(ids=names)


async def standings(scene: QueueScene) -> dict[str, Standing]:
    """Return how it stands with each recipient, by message and address."""
    return {
        f"{message.id} {one.address}": one.standing
        for message in await scene.queue.messages(ALL)
        for one in message.recipients
    }


def reports(scene: QueueScene) -> list[bytes]:
    """Return the reports that our own people got."""
    return [one.octets for one in scene.local.tried if b"multipart/report" in one.octets]


class QueueContract:
    """Inherit, and have a fixture ``scene`` that makes a `QueueScene`."""

    def test_it_is_what_it_says(self, scene: QueueScene) -> None:
        assert verifyObject(IQueue, scene.queue)
        assert verifyObject(IQueueAdmin, scene.queue)

    # Coming in.

    async def test_what_is_enqueued_is_delivered_and_forgotten(self, scene: QueueScene) -> None:
        posting = new_posting("x@example.net", "y@example.net", "alice@example.org")
        assert await scene.queue.enqueue(posting) == posting.id
        scene.pass_time()
        assert [one.to for one in scene.relay.tried] == [("x@example.net", "y@example.net")]
        assert [one.to for one in scene.local.tried] == [("alice@example.org",)]
        job = scene.relay.tried[0].job
        assert job.envelope == attrs.evolve(
            posting.envelope, recipients=posting.envelope.recipients[:2]
        )
        assert (job.id, job.arrived, scene.relay.tried[0].octets) == (
            "k1",
            posting.arrived,
            HELLO,
        )
        assert not await scene.queue.messages(ALL)
        assert (await scene.queue.stats()).messages == 0

    async def test_a_known_key_adds_nothing(self, scene: QueueScene) -> None:
        """Not even when the message has long been delivered."""
        await scene.queue.enqueue(new_posting("x@example.net", id="first"))
        again = new_posting("y@example.net", id="second")
        assert await scene.queue.enqueue(again) == "first"
        scene.pass_time()
        big = new_posting("y@example.net", id="third", content=FakeContent(BIG))
        assert await scene.queue.enqueue(big) == "first"
        scene.pass_time(60)
        assert scene.relay.served() == [("first", "x@example.net")]

    @pytest.mark.parametrize("size", [0, 1, 8192, 8193, 65536, 65537, len(BIG)])
    async def test_a_content_comes_through_whole(self, scene: QueueScene, size: int) -> None:
        scene.relay.answers["example.net"] = [FULL, Outcome(DELIVERED)]
        content = FakeContent(BIG[:size])
        await scene.queue.enqueue(new_posting("x@example.net", content=content))
        scene.pass_time()
        assert await whole(await scene.queue.content("k1")) == BIG[:size]
        scene.pass_time(DAY)
        assert [one.octets for one in scene.relay.tried] == [BIG[:size]] * 2
        with pytest.raises(QueueFailed):
            await scene.queue.content("k1")

    async def test_a_content_that_fails_leaves_nothing(self, scene: QueueScene) -> None:
        for size in (100, len(BIG)):
            broken = FakeContent(BIG[:size], fails_at=size - 1)
            with pytest.raises(StoreFailed):
                await scene.queue.enqueue(new_posting("x@example.net", content=broken))
        scene.pass_time()
        assert not scene.relay.tried
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time()
        assert scene.relay.served() == [("k1", "x@example.net")]

    async def test_it_is_all_there_after_a_crash(self, scene: QueueScene) -> None:
        scene.relay.usual = FULL
        for number in range(5):
            await scene.queue.enqueue(new_posting("x@example.net", key=f"k{number}"))
        await scene.crash()
        scene.relay.usual = Outcome(DELIVERED)
        scene.pass_time(DAY)
        assert {name for name, _ in scene.relay.served()} == {f"k{n}" for n in range(5)}
        assert not await scene.queue.messages(ALL)

    async def test_what_was_on_the_way_in_a_crash_is_tried_again(
        self, scene: QueueScene
    ) -> None:
        scene.relay.waits.add("example.net")
        scene.local.waits.add("example.org")
        await scene.queue.enqueue(new_posting("x@example.net", "alice@example.org"))
        scene.pass_time()
        assert set((await standings(scene)).values()) == {Standing.INFLIGHT}
        await scene.crash()
        [message] = await scene.queue.messages(ALL)
        assert [one.doubtful for one in message.recipients] == [True, False]
        assert (await scene.queue.stats()).doubtful == 1
        scene.relay.waits.clear()
        scene.local.waits.clear()
        scene.pass_time()
        assert Counter(scene.relay.served()) == {("k1", "x@example.net"): 2}
        assert not await scene.queue.messages(ALL)

    # Trying again.

    async def test_what_failed_for_now_is_tried_less_and_less_often(
        self, scene: QueueScene
    ) -> None:
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time(3 * DAY)
        times = [one.at for one in scene.relay.tried]
        pauses = [later - sooner for sooner, later in pairwise(times)]
        assert len(pauses) > 8
        assert pauses == sorted(pauses)
        assert pauses[0] < 3600 < pauses[-1] <= DAY / 2
        [message] = await scene.queue.messages(ALL)
        [one] = message.recipients
        assert (one.standing, one.attempts) == (Standing.DEFERRED, len(times))
        assert (one.status, one.detail) == ("4.2.2", "mailbox full")
        assert one.due

    async def test_only_those_are_tried_again_who_are_left(self, scene: QueueScene) -> None:
        scene.relay.answers["y@example.net"] = [GREYLISTED, Outcome(DELIVERED)]
        await scene.queue.enqueue(new_posting("x@example.net", "y@example.net"))
        scene.pass_time()
        assert await standings(scene) == {
            "k1 x@example.net": Standing.DELIVERED,
            "k1 y@example.net": Standing.DEFERRED,
        }
        scene.pass_time(DAY)
        assert [one.to for one in scene.relay.tried] == [
            ("x@example.net", "y@example.net"),
            ("y@example.net",),
        ]

    async def test_nothing_is_given_up_before_its_time_and_its_attempts(
        self, scene: QueueScene
    ) -> None:
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time(4.9 * DAY)
        assert await standings(scene) == {"k1 x@example.net": Standing.DEFERRED}
        scene.pass_time(DAY)
        assert not await standings(scene)
        last = reports(scene)[-1]
        assert b"Action: failed" in last
        assert b"Status: 5.4.7" in last

    async def test_a_jump_of_the_date_gives_nothing_up(self, scene: Any) -> None:
        """While we run it isn't even noticed; across a restart nothing expires for a day."""
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time(DAY)
        tried = len(scene.relay.tried)
        scene.wall.advance(300 * DAY)
        scene.pass_time(3600)
        assert len(scene.relay.tried) <= tried + 1
        await scene.crash()
        scene.pass_time(0.9 * DAY)
        assert await standings(scene) == {"k1 x@example.net": Standing.DEFERRED}

    async def test_a_date_that_was_set_back_keeps_nothing_waiting(self, scene: Any) -> None:
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time(DAY)
        tried = len(scene.relay.tried)
        scene.wall.rightNow -= 100 * DAY
        await scene.crash()
        scene.pass_time(DAY / 2)
        assert len(scene.relay.tried) > tried

    # What the sender hears.

    async def test_the_sender_hears_of_a_failure(self, scene: QueueScene) -> None:
        scene.relay.answers["x@example.net"] = attrs.evolve(
            UNKNOWN, remote="mx.example.net", reply="550 5.1.1 who is that"
        )
        await scene.queue.enqueue(new_posting("x@example.net", "y@example.net"))
        scene.pass_time()
        [report] = reports(scene)
        assert scene.local.tried[0].to == (CAROL,)
        assert scene.local.tried[0].job.envelope.sender is None
        for words in (b"x@example.net", b"Remote-MTA: dns; mx.example.net", b"who is that"):
            assert words in report
        assert b"y@example.net" not in report
        assert not await scene.queue.messages(ALL)

    async def test_the_sender_hears_once_of_a_delay(self, scene: QueueScene) -> None:
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time(3600)
        assert not reports(scene)
        scene.pass_time(DAY)
        [report] = reports(scene)
        assert b"Action: delayed" in report
        assert b"Will-Retry-Until:" in report

    @pytest.mark.parametrize("notify", [None, *map(Notify, range(8))], ids=repr)
    async def test_the_sender_hears_what_it_wants_to(
        self, scene: QueueScene, notify: Notify | None
    ) -> None:
        """Each row of RFC 3461's table: delivered, relayed with and without, delayed, failed."""
        scene.relay.answers["relayed@example.net"] = Outcome(DELIVERED, relayed=True)
        scene.relay.answers["told@example.net"] = Outcome(DELIVERED, relayed=True, reports=True)
        scene.relay.answers["failed@example.net"] = UNKNOWN
        scene.relay.answers["delayed@example.net"] = [FULL] * 8 + [Outcome(DELIVERED)]
        names = ("relayed", "told", "failed", "delayed")
        posting = new_posting(*(f"{name}@example.net" for name in names), "alice@example.org")
        envelope = attrs.evolve(
            posting.envelope,
            recipients=tuple(
                attrs.evolve(one, notify=notify) for one in posting.envelope.recipients
            ),
        )
        await scene.queue.enqueue(attrs.evolve(posting, envelope=envelope))
        scene.pass_time(DAY)
        text = b"\n".join(reports(scene)).decode()
        heard = {word for word in ("failed", "delayed") if f"Action: {word}" in text}
        heard |= {word for word in ("relayed", "delivered") if f"Action: {word}" in text}
        wanted = Notify.FAILURE | Notify.DELAY if notify is None else notify
        expected: set[str] = set()
        for flag, words in (
            (Notify.FAILURE, {"failed"}),
            (Notify.DELAY, {"delayed"}),
            (Notify.SUCCESS, {"relayed", "delivered"}),
        ):
            expected |= words if flag in wanted else set()
        assert heard == expected
        assert "told@example.net" not in text
        assert not await scene.queue.messages(ALL)

    async def test_a_report_has_the_message_if_that_was_asked_for(
        self, scene: QueueScene
    ) -> None:
        scene.relay.usual = UNKNOWN
        posting = new_posting("x@example.net")
        envelope = attrs.evolve(posting.envelope, returns=Return.FULL, envelope_id="ID 1")
        await scene.queue.enqueue(attrs.evolve(posting, envelope=envelope))
        scene.pass_time()
        [report] = reports(scene)
        assert b"message/rfc822" in report
        assert b"Original-Envelope-Id: ID 1" in report

    @pytest.mark.parametrize(
        "sender", ["", "eve@example.com"], ids=["the null reverse-path", "not proven"]
    )
    async def test_what_may_not_be_reported_is_held(
        self, scene: QueueScene, sender: str
    ) -> None:
        scene.relay.answers["x@example.net"] = UNKNOWN
        scene.relay.answers["z@example.net"] = FULL
        posting = new_posting(
            "x@example.net", "z@example.net", sender=sender, may_bounce=False, login=""
        )
        await scene.queue.enqueue(posting)
        scene.pass_time(DAY)
        assert await standings(scene) == {
            "k1 x@example.net": Standing.UNDELIVERABLE,
            "k1 z@example.net": Standing.DEFERRED,
        }
        scene.pass_time(9 * DAY)
        assert set((await standings(scene)).values()) == {Standing.UNDELIVERABLE}
        assert not scene.local.tried
        scene.pass_time(22 * DAY)
        assert not await standings(scene)

    async def test_a_report_that_fails_is_held_and_not_reported(
        self, scene: QueueScene
    ) -> None:
        scene.relay.usual = scene.local.usual = UNKNOWN
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time(DAY)
        [message] = await scene.queue.messages(ALL)
        assert message.sender == ""
        assert message.recipients[0].standing is Standing.UNDELIVERABLE

    async def test_an_outcome_that_there_is_already_is_reported(
        self, scene: QueueScene
    ) -> None:
        posting = new_posting("x@example.net", "alice@example.org", known={1: UNKNOWN})
        await scene.queue.enqueue(posting)
        scene.pass_time()
        [report] = reports(scene)
        assert b"Final-Recipient: rfc822; alice@example.org" in report
        assert scene.relay.served() == [("k1", "x@example.net")]
        assert [one.to for one in scene.local.tried] == [(CAROL,)]

    # What the sender asks for.

    async def test_what_is_for_later_waits(self, scene: QueueScene) -> None:
        posting = new_posting("x@example.net")
        at = datetime.fromtimestamp(NOW, UTC) + timedelta(hours=2)
        envelope = attrs.evolve(posting.envelope, release_at=at)
        await scene.queue.enqueue(attrs.evolve(posting, envelope=envelope))
        scene.pass_time(7100)
        await scene.crash()
        assert not scene.relay.tried
        scene.pass_time(110)
        assert [one.at for one in scene.relay.tried] == [pytest.approx(7200, abs=2)]

    @pytest.mark.parametrize("returns", [True, False])
    async def test_what_is_late_comes_back_or_is_said_to_be_late(
        self, scene: QueueScene, returns: bool
    ) -> None:
        scene.relay.usual = FULL
        posting = new_posting("x@example.net")
        at = datetime.fromtimestamp(NOW, UTC) + timedelta(minutes=30)
        envelope = attrs.evolve(posting.envelope, deliver_by=DeliverBy(at, returns))
        await scene.queue.enqueue(attrs.evolve(posting, envelope=envelope))
        scene.pass_time(1790)
        assert not reports(scene)
        scene.pass_time(20)
        [report] = reports(scene)
        assert (b"Action: failed" in report) is returns
        assert bool(await scene.queue.messages(ALL)) is not returns

    # Fairness.

    async def test_one_sender_of_many_holds_up_nobody(self, scene: QueueScene) -> None:
        scene.relay.waits |= {f"d{n}.example" for n in range(200)}
        for number in range(400):
            to = f"x@d{number % 200}.example"
            await scene.queue.enqueue(new_posting(to, key=f"many{number}", flow="many"))
        scene.pass_time()
        await scene.queue.enqueue(new_posting("x@d199.example", key="one", flow="few"))
        for _ in range(20):
            scene.relay.go_on()
            scene.pass_time()
            if ("one", "x@d199.example") in scene.relay.served():
                break
        before = scene.relay.served().index(("one", "x@d199.example"))
        assert before < 250

    async def test_a_slow_destination_holds_up_nobody(self, scene: QueueScene) -> None:
        slow = {f"slow{n}.example" for n in range(150)}
        scene.relay.waits |= slow
        for number, domain in enumerate(sorted(slow)):
            for which in range(3):
                key = f"slow{number}.{which}"
                await scene.queue.enqueue(new_posting(f"x@{domain}", key=key))
        scene.pass_time()
        for number in range(50):
            await scene.queue.enqueue(new_posting(f"x@good{number}.example", key=f"g{number}"))
        scene.pass_time(25)
        served = {to for _, to in scene.relay.served()}
        assert {f"x@good{number}.example" for number in range(50)} <= served

    async def test_who_waits_for_a_dead_destination_shares_its_outcome(
        self, scene: QueueScene
    ) -> None:
        scene.relay.answers["dead.example"] = NO_HOST
        for number in range(50):
            await scene.queue.enqueue(new_posting("x@dead.example", key=f"k{number}"))
        scene.pass_time()
        assert len(scene.relay.tried) == 1
        found = await scene.queue.messages(ALL)
        assert {one.standing for m in found for one in m.recipients} == {Standing.DEFERRED}
        assert {one.attempts for m in found for one in m.recipients} == {1}
        scene.relay.answers.clear()
        scene.pass_time(DAY)
        assert not await scene.queue.messages(ALL)

    async def test_priority_goes_first(self, scene: QueueScene) -> None:
        scene.relay.waits.add("example.net")
        for priority in (0, 0, -3, 4):
            posting = new_posting("x@example.net", key=f"p{priority} {len(scene.relay.tried)}")
            posting = new_posting("x@example.net", key=f"{priority} {id(posting)}")
            envelope = attrs.evolve(posting.envelope, priority=priority)
            await scene.queue.enqueue(attrs.evolve(posting, envelope=envelope))
        scene.pass_time()
        for _ in range(5):
            scene.relay.go_on()
            scene.pass_time()
        order = [name.partition(" ")[0] for name, _ in scene.relay.served()]
        assert order[0] == "4"
        assert order[-1] == "-3"

    # The operator.

    async def test_what_is_held_waits_for_its_release(self, scene: QueueScene) -> None:
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net"))
        await scene.queue.enqueue(new_posting("x@example.net", key="k2", hold="looks odd"))
        scene.pass_time()
        assert await scene.queue.hold(ids("k1"), "why not") == 1
        assert set((await standings(scene)).values()) == {Standing.HELD}
        assert [m.held for m in await scene.queue.messages(ALL)] == ["why not", "looks odd"]
        scene.relay.usual = Outcome(DELIVERED)
        tried = len(scene.relay.tried)
        scene.pass_time(9 * DAY)
        assert len(scene.relay.tried) == tried
        assert await scene.queue.release(ALL) == 2
        scene.pass_time()
        assert not await scene.queue.messages(ALL)

    async def test_what_is_on_the_way_is_held_behind_its_attempt(
        self, scene: QueueScene
    ) -> None:
        scene.relay.usual = FULL
        scene.relay.waits.add("example.net")
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time()
        await scene.queue.hold(ids("k1"), "")
        assert set((await standings(scene)).values()) == {Standing.INFLIGHT}
        scene.relay.go_on()
        scene.pass_time(DAY)
        assert set((await standings(scene)).values()) == {Standing.HELD}

    async def test_what_waits_can_be_hurried(self, scene: QueueScene) -> None:
        scene.relay.answers["example.net"] = [NO_HOST, Outcome(DELIVERED)]
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time()
        await scene.queue.hurry("k1")
        scene.pass_time()
        assert [one.at for one in scene.relay.tried] == [0, 0]
        assert await scene.queue.retry(ALL) == 0

    @pytest.mark.parametrize("report", [True, False])
    async def test_what_is_removed_is_gone(self, scene: QueueScene, report: bool) -> None:
        scene.relay.usual = FULL
        big = FakeContent(BIG)
        await scene.queue.enqueue(new_posting("x@example.net"))
        await scene.queue.enqueue(new_posting("x@example.net", key="k2", content=big))
        scene.pass_time()
        assert await scene.queue.remove(ids("k2", "nothing"), report) == 1
        scene.pass_time()
        assert list(await standings(scene)) == ["k1 x@example.net"]
        assert len(reports(scene)) == report

    async def test_what_is_removed_on_the_way_stays_gone(self, scene: QueueScene) -> None:
        scene.relay.usual = FULL
        scene.relay.waits.add("example.net")
        await scene.queue.enqueue(new_posting("x@example.net"))
        scene.pass_time()
        assert await scene.queue.remove(ALL, report=False) == 1
        scene.relay.go_on()
        scene.pass_time(DAY)
        assert not await scene.queue.messages(ALL)
        assert len(scene.relay.tried) == 1

    async def test_messages_are_chosen_by_what_is_known_of_them(
        self, scene: QueueScene
    ) -> None:
        scene.relay.usual = FULL
        await scene.queue.enqueue(new_posting("x@example.net", "y@example.com", key="a"))
        await scene.queue.enqueue(
            new_posting("y@example.com", sender="eve@example.org", key="b")
        )
        scene.pass_time(60)
        await scene.queue.enqueue(new_posting("z@example.com", key="c", hold="why not"))
        for selection, expected in (
            (ALL, "abc"),
            (Selection(sender=CAROL), "ac"),
            (Selection(recipient="y@example.com"), "ab"),
            (Selection(destination="example.net"), "a"),
            (Selection(standing=Standing.HELD), "c"),
            (Selection(standing=Standing.DEFERRED, destination="example.com"), "ab"),
            (Selection(ids=("c", "a")), "ac"),
            (Selection(after="a"), "bc"),
            (Selection(most=2), "ab"),
        ):
            found = await scene.queue.messages(selection)
            assert "".join(message.id for message in found) == expected, selection
        stats = await scene.queue.stats()
        assert (stats.messages, stats.octets) == (3, 3 * len(HELLO))
        assert dict(stats.by_standing) == {Standing.DEFERRED: 3, Standing.HELD: 1}
        assert list(stats.destinations) == [
            ("relay", "example.com", 3),
            ("relay", "example.net", 1),
        ]
