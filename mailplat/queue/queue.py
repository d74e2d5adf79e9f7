"""The queue in the house's database: what comes into it, and what operators do to it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces import House, IQueue, IQueueAdmin, IRoutes, IVerified, WallClock
from mailplat.mail.content import Content
from mailplat.mail.errors import MailError, ShuttingDown
from mailplat.mail.finding import Finding
from mailplat.mail.people import AccountId
from mailplat.mail.queued import (
    Posting,
    QueuedMessage,
    QueueFailed,
    QueueStats,
    Selection,
)
from mailplat.mail.status import Status
from mailplat.queue import queries
from mailplat.queue.clock import A_DAY, QueueClock
from mailplat.queue.contents import QueuedContent, keep
from mailplat.queue.facts import Facts, moment, recipient_of
from mailplat.queue.listing import message_of, stats_of
from mailplat.queue.orders import OrderMaker
from mailplat.queue.queries.listing import Shown
from mailplat.queue.queries.settling import Settlement
from mailplat.queue.queries.steering import Removal
from mailplat.queue.queries.taking import Leg, Taken, Wish
from mailplat.queue.reports import Reporter, Subject
from mailplat.queue.schedule import given_up
from mailplat.sql import Database, steps_of

THIS_PROCESS = secrets.token_hex(8)
KEPT_KEYS = 30 * A_DAY  # seconds for which a repeat is recognised
TIDYING = 3600.0  # seconds between two times of it
BEAT = 20.0  # seconds, where others may be at the database; else there is no hurry
SILENCE = 5 * BEAT  # seconds without a beat after which a node is dead
AT_ONCE = 100  # messages that one unit of work changes
NO_MORE = Status(5, 7, 0)  # of what the operator gives up


class Worker(Protocol):
    """Who tries what is in the queue, and knows the ways."""

    @property
    def routes(self) -> IRoutes:
        """The routes that count now."""

    @property
    def keeps_stuck(self) -> float:
        """For how many seconds what is undeliverable is kept."""

    def wake(self) -> None:
        """Look whether there is something to try."""

    def retire(self) -> None:
        """Begin nothing more, for another has taken over."""

    def resume(self) -> None:
        """Go on, for the other has left."""


@implementer(IQueue, IQueueAdmin, IVerified)
class Queue:
    """Keeps messages in SQL; a `Worker`, where one is at work, is told when there is more.

    It outlives workers: each configuration has its own.  What nodes have in their hands
    is theirs as long as they live.  On a database that is this house's alone no other
    lives when it opens; on a shared one a node is dead that has not counted on for
    a while.
    """

    log = Logger()

    def __init__(
        self, database: Database, house: House, clock: IReactorTime, wall: WallClock
    ) -> None:
        self.database = database
        self.clock = QueueClock(clock, wall)
        self.node = THIS_PROCESS
        self.reporter = Reporter(house.hostname, self._new_id)
        self._workers: list[Worker] = []  # the last one is at work
        self._keeps_stuck = KEPT_KEYS
        self.routes: IRoutes | None = None  # that count while nobody is at work
        self._steady = clock
        self._heard: dict[str, tuple[int, float]] = {}  # beats of nodes, and since when
        beat = BEAT if database.is_shared else TIDYING
        self._calls = [(LoopingCall(self._tidy), TIDYING), (LoopingCall(self._beat), beat)]
        for call, _ in self._calls:
            call.clock = clock
        self._is_sweeping = False

    async def prepare(self) -> None:
        """Bring the tables up to date, and take over what a crash left in others' hands."""
        steps = steps_of("mailplat.queue", self.database.dialect)
        await self.database.migrate("queue", steps)
        self.clock.compare(await self.database.read(queries.nodes.newest_time))
        await self.database.write(queries.nodes.beat, self.node, self.clock.now())
        if not self.database.is_shared:
            for node in await self.database.read(queries.nodes.others, self.node):
                await self._take_over(node)
        for call, seconds in self._calls:
            call.start(seconds, now=False).addErrback(self._leave)
        self._sweep()

    async def finish(self) -> None:
        """Begin nothing more of one's own accord; what is in hand is put back."""
        begun = [call for call, _ in self._calls if call.running]
        for call in begun:
            call.stop()
        if begun:  # else it was never made ready, and has nothing
            await self.database.write(queries.nodes.take_over, self.node)

    async def clamp(self, longest: float) -> None:
        """Let nothing wait for longer than the longest pause from now."""
        await self.database.write(queries.nodes.clamp, self.clock.now() + longest)

    # What comes in.

    async def enqueue(self, posting: Posting) -> str:
        octets, number = await keep(self.database, posting.content, self.node)
        try:
            order = await self.maker.order(posting, octets, number)
            kept: str = await self.database.write_each(queries.enqueueing.enqueue, order)
        except BaseException:
            if number:
                self._give_up(number)
            raise
        self._wake()
        return kept

    async def hurry(self, queue_id: str) -> None:
        await self.retry(Selection(ids=(queue_id,)))

    @property
    def maker(self) -> OrderMaker:
        """Who makes orders of what comes in, by the routes as they are now."""
        return OrderMaker(self.clock, self._worker.routes if self._worker else self.routes)

    # Who works at it.

    async def employ(self, worker: Worker) -> None:
        """Let this worker try what is in the queue from now on, and nobody before it."""
        if self._worker:
            self._worker.retire()
        self._workers.append(worker)
        self._keeps_stuck = worker.keeps_stuck

    def dismiss(self, worker: Worker) -> None:
        """Tell this worker no more; who was at work before goes on, if it is still there."""
        was_at_work = self._worker is worker
        if worker in self._workers:
            self._workers.remove(worker)
        if was_at_work and self._worker:
            self._worker.resume()

    @property
    def _worker(self) -> Worker | None:
        return self._workers[-1] if self._workers else None

    @property
    def ways(self) -> IRoutes:
        """The routes that count now.  Raises `QueueFailed` where nobody knows any."""
        routes = self.maker.routes
        if routes is None:
            raise QueueFailed("nobody knows the routes")
        return routes

    async def take(self, wish: Wish) -> Taken:
        """Take what comes first into this node's hands."""
        return await self.database.write(queries.taking.take, wish)

    async def take_lane(self, lane: int, most: int) -> Sequence[Leg]:
        """Take what is pending in one lane."""
        return await self.database.write(queries.taking.take_lane, self.node, lane, most)

    async def settle(self, settlement: Settlement) -> bool:
        """Write down what came of an attempt; return whether it still counted."""
        counted: bool = await self.database.write_each(queries.settling.settle, settlement)
        self._sweep()
        return counted

    def put_back(self, leg: Leg) -> None:
        """Let an attempt that was cut off come again."""
        work = self.database.write(queries.nodes.put_back, self.node, leg.leg)
        work.addCallbacks(lambda _nothing: self._wake(), self._leave)

    def content_of(self, leg: Leg) -> Content:
        """Return the octets of what is being tried."""
        return QueuedContent(self.database, leg.message, leg.size, leg.octets)

    # What operators do.

    async def messages(self, selection: Selection) -> Sequence[QueuedMessage]:
        after = 0
        if selection.after:
            after = await self.database.read(queries.listing.number_behind, selection.after)
        chosen = await self._chosen(selection, after)
        shown = await self.database.read(queries.listing.show, [number for number, _ in chosen])
        return [message_of(row, shown.recipients) for row in shown.messages]

    async def content(self, queue_id: str) -> Content:
        chosen = await self._chosen(Selection(ids=(queue_id,)), 0)
        if not chosen:
            raise QueueFailed(f"the queue has no message {queue_id}")
        shown = await self.database.read(queries.listing.show, [chosen[0][0]])
        return self._content_of(shown)

    async def hold(self, selection: Selection, why: str) -> int:
        return await self._each(selection, queries.steering.hold, why or "by the operator")

    async def release(self, selection: Selection) -> int:
        count = 0
        async for numbers in self._batches(selection):
            await self._turn(numbers, may_hold=False)
            count += await self.database.write(
                queries.steering.release, numbers, self.clock.now()
            )
        self._wake()
        return count

    async def retry(self, selection: Selection) -> int:
        count = await self._each(selection, queries.steering.hurry)
        self._wake()
        return count

    async def reroute(self, selection: Selection) -> int:
        count = 0
        async for numbers in self._batches(selection):
            count += await self._turn(numbers)
        self._wake()
        return count

    async def remove(self, selection: Selection, report: bool) -> int:
        count = 0
        async for numbers in self._batches(selection):
            removals = [Removal(number) for number in numbers]
            if report:
                removals = [Removal(number, await self._farewell(number)) for number in numbers]
            count += await self.database.write(queries.steering.remove, removals)
        self._sweep()
        self._wake()
        return count

    async def stats(self) -> QueueStats:
        return stats_of(await self.database.read(queries.listing.count))

    async def verify(
        self, mend: bool, accounts: Collection[AccountId] | None = None
    ) -> Sequence[Finding]:
        """Return what can't be right in the tables; nothing of it is mended by itself."""
        findings: list[Finding] = []
        for rule in queries.audit.RULES:
            try:
                findings += await self.database.read(queries.audit.broken, rule)
            except MailError as problem:
                findings.append(Finding(f"can't tell whether {rule}", detail=str(problem)))
        return findings

    async def reroute_all_but(self, agents: Sequence[str]) -> int:
        """Ask the routes anew for what goes by an agent that isn't one of these."""
        count, after = 0, 0
        while numbers := await self.database.read(
            queries.steering.on_other_ways, agents, after, AT_ONCE
        ):
            count += await self._turn(numbers)
            after = numbers[-1]
        return count

    # How.

    async def _chosen(self, selection: Selection, after: int) -> Sequence[tuple[int, str]]:
        found: Sequence[Any] = await self.database.read(
            queries.listing.chosen, selection, self.clock.now(), after
        )
        return found

    async def _batches(self, selection: Selection) -> Any:
        some, after = attrs.evolve(selection, most=AT_ONCE, after=""), 0
        while chosen := await self._chosen(some, after):
            yield [number for number, _ in chosen]
            after = chosen[-1][0]

    async def _each(self, selection: Selection, unit: Callable[..., int], *args: object) -> int:
        count = 0
        async for numbers in self._batches(selection):
            count += await self.database.write(unit, numbers, *args)
        return count

    async def _turn(self, numbers: Sequence[int], *, may_hold: bool = True) -> int:
        rows = await self.database.read(queries.steering.on_the_way, numbers)
        turned = [
            one
            for row in rows
            if (one := await self.maker.turned(row, may_hold=may_hold)) is not None
        ]
        if not turned:
            return 0
        return await self.database.write(queries.steering.turn, turned)

    async def _farewell(self, number: int) -> Any:
        """Return the report that a message is given up, if its sender may have one."""
        shown = await self.database.read(queries.listing.show, [number])
        legs = await self.database.read(queries.listing.legs_of, number)
        shares = await self.database.read(queries.taking.shares_of, legs)
        [row] = shown.messages
        _, name, _, arrived, _, _, facts = row
        subject = Subject(
            id=name,
            facts=Facts.read(facts),
            arrived=moment(arrived),
            content=self._content_of(shown),
        )
        fated = [
            (recipient_of(share.facts), given_up(share.place, NO_MORE))
            for some in shares.values()
            for share in some
        ]
        return await self.reporter.order(subject, fated, self.maker)

    def _content_of(self, shown: Shown) -> Content:
        number, *_, size, _, _ = shown.messages[0]
        return QueuedContent(self.database, number, size)

    def _wake(self) -> None:
        if self._worker:
            self._worker.wake()

    def _give_up(self, number: int) -> None:
        self.database.write(queries.contents.give_up, number).addErrback(self._leave)

    def _new_id(self) -> str:
        return f"{int(self.clock.now() * 1000):011x}{secrets.token_hex(5)}"

    # What is done by itself.

    def _sweep(self) -> None:
        if not self._is_sweeping:
            self._is_sweeping = True
            Deferred.fromCoroutine(self._sweep_all()).addErrback(self._leave)

    async def _sweep_all(self) -> None:
        try:
            while await self.database.write(queries.contents.sweep):
                pass
        finally:
            self._is_sweeping = False

    async def _repeat(self, unit: Callable[..., bool], *args: object) -> None:
        while await self.database.write(unit, *args):
            pass

    def _tidy(self) -> Deferred[None]:
        now = self.clock.now()
        work: Awaitable[None] = self._repeat(
            queries.tidying.forget_old, now - KEPT_KEYS, now - self._keeps_stuck
        )
        self._sweep()
        return Deferred.fromCoroutine(work).addErrback(self._leave)  # type: ignore[arg-type]

    def _beat(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._count_on()).addErrback(self._leave)

    async def _count_on(self) -> None:
        """Show that we live, and take over what the dead had in their hands."""
        beats = await self.database.write(queries.nodes.beat, self.node, self.clock.now())
        now = self._steady.seconds()
        for node, count in beats.items():
            known, since = self._heard.get(node, (-1, now))
            if count != known:
                self._heard[node] = (count, now)
            elif node != self.node and now - since >= SILENCE:
                await self._take_over(node)
                self._heard.pop(node)

    async def _take_over(self, node: str) -> None:
        count = await self.database.write(queries.nodes.take_over, node)
        if count:
            self.log.info(
                "{count} attempts were cut short, and are repeated: node {node} has died",
                count=count,
                node=node,
            )
            self._wake()

    def _leave(self, failure: Failure) -> None:
        if not isinstance(failure.value, ShuttingDown):
            self.log.failure("what the queue does by itself is left to the next time", failure)
