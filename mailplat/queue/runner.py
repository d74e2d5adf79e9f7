"""Tries what is in the queue: takes what comes first, asks the agents, and settles it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.interfaces import IBus, IDeliveryAgent
from mailplat.mail.deliverystatus import Action, is_wanted
from mailplat.mail.envelope import Recipient
from mailplat.mail.errors import (
    MailError,
    NoRoute,
    OutOfTime,
    Refused,
    ShuttingDown,
    StoreFailed,
)
from mailplat.mail.events import Attempted, Tried
from mailplat.mail.mailbox import Outcome
from mailplat.mail.queued import Question
from mailplat.mail.status import Status
from mailplat.mail.transit import Job
from mailplat.queue.facts import Facts, moment, recipient_of
from mailplat.queue.lanes import Lanes, kinds_of
from mailplat.queue.queries.legs import SKIP_LOCKED
from mailplat.queue.queries.settling import DELIVERED, FAILED, NOT_YET, Result, Settlement
from mailplat.queue.queries.taking import Leg, Wish
from mailplat.queue.queue import Queue
from mailplat.queue.reports import Subject, is_stuck, may_hear
from mailplat.queue.routes import FAIL, HOLD, KNOWN, LOCAL, NOWHERE, WITHOUT_AGENT, Routes
from mailplat.queue.schedule import LONGEST_DETAIL, Fated, Kind, Life, Schedule
from mailplat.queue.settings import QueueSettings

LONGEST_REST = 3600.0  # seconds without a look at what is due
LONGEST_REST_SHARED = 5.0  # the same where other nodes enqueue
LONGEST_ATTEMPT = 3 * 3600.0  # seconds after which an agent is not waited for any more
CLOSED_AT_MOST = 6  # first pauses for which a lane is closed
SHARED_AT_ONCE = 100  # legs that get the outcome of another in one unit of work
PATIENCE = 5.0  # seconds that attempts have when the house closes
RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds until what came of an attempt is written again


@attrs.frozen
class Tackled:
    """A leg that is being tried, read out of its rows."""

    leg: Leg
    facts: Facts
    recipients: tuple[Recipient, ...]

    @classmethod
    def of(cls, leg: Leg) -> Tackled:
        """Read a leg."""
        recipients = tuple(recipient_of(share.facts) for share in leg.shares)
        return cls(leg, Facts.read(leg.facts), recipients)


class Runner:
    """One configuration's work at the queue.

    In memory is what is on the way and nothing else of what is queued.  Attempts that
    take long give their places to others, up to a bound of their own, so that hosts
    that let us wait hold up nobody else's mail.  Where a host is found dead, all that
    waits for it shares that outcome at once, each by its own schedule.
    """

    log = Logger()

    def __init__(
        self,
        settings: QueueSettings,
        queue: Queue,
        routes: Routes,
        bus: IBus,
        clock: IReactorTime,
        *,
        names: tuple[str, ...] = (),
        agents: tuple[IDeliveryAgent, ...] = (),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.routes = routes
        self._settings = settings
        self._queue = queue
        self._bus = bus
        self._clock = clock
        self._agents: Mapping[str, IDeliveryAgent] = dict(zip(names, agents, strict=True))
        self._schedule = Schedule(settings, chance)
        self._lanes = Lanes(settings)
        self._sharing = DeferredLock()
        self._began: dict[int, tuple[float, int]] = {}  # legs on the way, and their lanes
        self._slow: set[int] = set()  # those of them that take long
        self._work: set[Deferred[None]] = set()
        self._is_open = False
        self._is_looking = False
        self._look_again = False
        self._timer: IDelayedCall | None = None
        shared = queue.database.is_shared
        self._rest = LONGEST_REST_SHARED if shared else LONGEST_REST
        self._skip = SKIP_LOCKED.get(queue.database.dialect, "")

    @property
    def keeps_stuck(self) -> float:
        return self._settings.keep_undeliverable.total_seconds()

    async def prepare(self) -> None:
        """Take over the work, and find ways for what went by agents that are no more."""
        await self._queue.employ(self)
        self._is_open = True
        await self._queue.clamp(self._schedule.longest)
        count = await self._queue.reroute_all_but([*self._agents, HOLD, FAIL, KNOWN])
        if count:
            self.log.info("{count} recipients in the queue go another way now", count=count)
        self.wake()

    async def finish(self) -> None:
        """Begin nothing more; what is on the way has a moment to come to its end."""
        self.retire()
        self._queue.dismiss(self)
        if not self._work:
            return
        ended = DeferredList([_observed(one) for one in self._work])
        timer = self._clock.callLater(PATIENCE, self._cut_off)
        await ended
        if timer.active():
            timer.cancel()

    def retire(self) -> None:
        self._is_open = False
        if self._timer and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def resume(self) -> None:
        self._is_open = True
        self.wake()

    def _cut_off(self) -> None:
        for one in list(self._work):
            one.cancel()

    # Looking for work.

    def wake(self) -> None:
        if not self._is_open:
            return
        self._look_again = True
        if not self._is_looking:
            self._is_looking = True
            self._clock.callLater(0, self._look)

    def _look(self) -> None:
        looking = Deferred.fromCoroutine(self._look_for_work())
        looking.addErrback(self._fail_to_look)

    def _fail_to_look(self, failure: Failure) -> None:
        self._is_looking = False
        if not isinstance(failure.value, ShuttingDown):
            self.log.warn("the queue can't be looked at: {why}", why=str(failure.value))
            self._sleep(RETRY)

    async def _look_for_work(self) -> None:
        next_at: float | None = None
        while self._is_open and self._look_again:
            self._look_again = False
            room = self._room()
            if room <= 0:
                break
            taken = await self._queue.take(self._wish(room))
            next_at = taken.next_at
            for leg in taken.legs:
                self._begin(leg)
            self._look_again |= len(taken.legs) == room
        self._is_looking = False
        if self._is_open:
            self._sleep(self._pause(next_at))

    def _wish(self, room: int) -> Wish:
        now = self._clock.seconds()
        return Wish(
            node=self._queue.node,
            now=self._queue.clock.now(),
            most=room,
            room=1,
            rooms=self._lanes.rooms(now),
            skip=self._skip,
        )

    def _room(self) -> int:
        """Return how many attempts may begin; those that have come to be slow give way."""
        before = self._clock.seconds() - self._settings.slow_after.total_seconds()
        for leg, (began, lane) in self._began.items():
            if began > before:
                break
            if leg not in self._slow:
                self._slow.add(leg)
                self._lanes.lane(lane, "").slow_down()
        quick = len(self._began) - len(self._slow)
        most = self._settings.at_once + self._settings.slow_at_once
        return min(self._settings.at_once - quick, most - len(self._began))

    def _pause(self, next_at: float | None) -> float:
        """Return in how many seconds there may be more to do."""
        pauses = [self._rest]
        if next_at is not None:
            pauses.append(next_at - self._queue.clock.now())
        if (wait := self._lanes.wait()) is not None:
            pauses.append(wait)
        quick = next(
            (began for leg, (began, _) in self._began.items() if leg not in self._slow), None
        )
        if quick is not None:
            slow_at = quick + self._settings.slow_after.total_seconds()
            pauses.append(slow_at - self._clock.seconds())
        return max(0.01, min(pauses))

    def _sleep(self, seconds: float) -> None:
        if self._timer and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self.wake)

    # Attempts.

    def _begin(self, leg: Leg) -> None:
        self._lanes.lane(leg.lane, leg.destination).begin(self._clock.seconds())
        self._began[leg.leg] = (self._clock.seconds(), leg.lane)
        work = Deferred.fromCoroutine(self._attempt(leg))
        self._work.add(work)
        work.addBoth(self._end, leg, work)

    def _end(self, result: object, leg: Leg, work: Deferred[None]) -> None:
        self._work.discard(work)
        self._began.pop(leg.leg, None)
        self._slow.discard(leg.leg)
        if isinstance(result, Failure) and not isinstance(
            result.value, CancelledError | ShuttingDown
        ):
            self.log.failure("{id}: an attempt was not settled", result, id=leg.id)
        self.wake()

    async def _attempt(self, leg: Leg) -> None:
        tackled = Tackled.of(leg)
        lane = self._lanes.lane(leg.lane, leg.destination)
        began = self._clock.seconds()
        try:
            outcomes = await self._outcomes(tackled)
        except CancelledError:
            lane.on_the_way -= 1
            self._queue.put_back(leg)
            raise
        kinds = kinds_of(outcomes)
        is_dead = lane.end(kinds) and leg.agent != LOCAL
        closes = None
        if is_dead:
            closes = self._queue.clock.now() + self._closed_for(lane.failures)
        await self._settle(tackled, outcomes, self._clock.seconds() - began, closes)
        if is_dead:
            await self._sharing.run(self._share, leg, outcomes)

    def _closed_for(self, failures: int) -> float:
        first = self._settings.first_retry.total_seconds()
        return min(self._schedule.pause(failures), CLOSED_AT_MOST * first)

    def _share(self, leg: Leg, outcomes: Sequence[Outcome]) -> Deferred[None]:
        """Give what waits for a dead host the outcome of who has tried."""
        return Deferred.fromCoroutine(self._share_all(leg, outcomes))

    async def _share_all(self, leg: Leg, outcomes: Sequence[Outcome]) -> None:
        said = next(one for one in outcomes if Kind.of(one.status) is Kind.HOST)
        while self._is_open:
            others = await self._queue.take_lane(leg.lane, SHARED_AT_ONCE)
            work = [
                Deferred.fromCoroutine(
                    self._settle(Tackled.of(one), [said] * len(one.shares), 0.0, None)
                )
                for one in others
            ]
            for one in work:
                await one
            if len(others) < SHARED_AT_ONCE:
                break

    async def _outcomes(self, tackled: Tackled) -> list[Outcome]:
        """Return one outcome a recipient, whatever the agent does."""
        leg = tackled.leg
        if leg.agent in WITHOUT_AGENT:
            return [self._decided(tackled, place) for place in range(len(leg.shares))]
        agent = self._agents.get(leg.agent)
        if agent is None:
            gone = Outcome(Status(4, 3, 5), f"there is no agent {leg.agent!r} now")
            return [gone] * len(leg.shares)
        job = Job(
            leg.id,
            attrs.evolve(tackled.facts.envelope, recipients=tackled.recipients),
            self._queue.content_of(leg),
            moment(leg.arrived),
            tackled.facts.junk,
        )
        try:
            outcomes = list(await self._patiently(Deferred.fromCoroutine(_ask(agent, job))))
            if len(outcomes) == len(leg.shares):
                return outcomes
            problem = f"{len(outcomes)} outcomes for {len(leg.shares)} recipients"
        except CancelledError:
            raise
        except MailError as error:
            return [Outcome.failed(error)] * len(leg.shares)
        except Exception as error:  # noqa: BLE001 - a bug of the agent's; the message stays
            problem = f"{type(error).__name__}: {error}"
            self.log.failure("{id}: the agent {agent} failed", id=leg.id, agent=leg.agent)
        return [Outcome.failed(StoreFailed(problem))] * len(leg.shares)

    def _patiently(self, work: Deferred[Sequence[Outcome]]) -> Deferred[Sequence[Outcome]]:
        """Wait for an agent, but not for ever."""
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            work.cancel()

        timer = self._clock.callLater(LONGEST_ATTEMPT, give_up)

        def tell(result: object) -> object:
            if timer.active():
                timer.cancel()
            if (
                is_late
                and isinstance(result, Failure)
                and isinstance(result.value, CancelledError)
            ):
                raise OutOfTime(f"no outcome within {LONGEST_ATTEMPT:g} s")
            return result

        return work.addBoth(tell)

    def _decided(self, tackled: Tackled, place: int) -> Outcome:
        """Return the outcome of what no agent is needed for."""
        leg, share = tackled.leg, tackled.leg.shares[place]
        if leg.agent == KNOWN:
            klass, subject, detail = map(int, share.status.split("."))
            return Outcome(Status(klass, subject, detail), share.detail)
        if leg.agent == NOWHERE:
            return Outcome.failed(NoRoute("no route leads there"))
        question = Question(
            recipient=tackled.recipients[place].address,
            sender=tackled.facts.envelope.sender,
            login=tackled.facts.login,
            size=leg.size,
        )
        why = self.routes.reason_of_failure(question)
        return Outcome.failed(Refused(why or "a route says so", public=why))

    # What comes of them.

    async def _settle(
        self,
        tackled: Tackled,
        outcomes: Sequence[Outcome],
        seconds: float,
        closes: float | None,
    ) -> None:
        leg, clock = tackled.leg, self._queue.clock
        life = Life(
            now=clock.now(),
            since=leg.since,
            attempts=leg.attempts + 1,
            expires=clock.is_trusted,
            deliver_by=tackled.facts.envelope.deliver_by,
        )
        fates = self._schedule.fates(
            life,
            [share.place for share in leg.shares],
            outcomes,
            [share.told for share in leg.shares],
        )
        subject = Subject(
            id=leg.id,
            facts=tackled.facts,
            arrived=moment(leg.arrived),
            content=self._queue.content_of(leg),
        )
        about = list(zip(tackled.recipients, fates, strict=True))
        until = moment(self._schedule.retries_until(life))
        report = await self._queue.reporter.order(subject, about, self._queue.maker, until)
        left = [fate.outcome for fate in fates if not fate.is_final]
        settlement = Settlement(
            leg=leg.leg,
            message=leg.message,
            node=self._queue.node,
            results=tuple(
                self._result(tackled, number, fate) for number, fate in enumerate(fates)
            ),
            due=self._schedule.next_attempt(life, left) if left else 0.0,
            reports=(report,) if report else (),
            closes=closes,
        )
        if await self._write(settlement):
            reported = report.id if report else ""
            self._tell(tackled, settlement, fates, seconds, reported)

    def _result(self, tackled: Tackled, number: int, fate: Fated) -> Result:
        done = NOT_YET
        stuck = is_stuck(tackled.facts, tackled.recipients[number], fate)
        if fate.is_final and not stuck:
            done = DELIVERED if fate.action is not Action.FAILED else FAILED
        told = fate.action is Action.DELAYED and fate.is_due and may_hear(tackled.facts)
        return Result(
            place=fate.place,
            done=done,
            status=str(fate.outcome.status),
            detail=_detail(fate.outcome),
            told=told or tackled.leg.shares[number].told,
            is_stuck=stuck,
        )

    async def _write(self, settlement: Settlement) -> bool:
        """Write down what came of an attempt, again and again until it is kept."""
        pause = RETRY
        while True:
            try:
                return await self._queue.settle(settlement)
            except ShuttingDown:
                raise
            except MailError as error:
                self.log.warn("what came of an attempt is not kept yet: {why}", why=str(error))
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_RETRY)

    def _tell(
        self,
        tackled: Tackled,
        settlement: Settlement,
        fates: Sequence[Fated],
        seconds: float,
        reported: str,
    ) -> None:
        """Tell log and journal what became of each recipient."""
        tried = []
        for recipient, fate, result in zip(
            tackled.recipients, fates, settlement.results, strict=True
        ):
            if result.is_stuck:
                then = "undeliverable, and held"
            elif result.done == NOT_YET:
                then = f"tried again {moment(settlement.due):%Y-%m-%d %H:%M:%S} UTC"
            else:
                then = fate.action.value
            if reported and fate.is_due and is_wanted(recipient, fate.action):
                then = f"{then}, reported as {reported}"
            tried.append(Tried(str(recipient.address), result.status, result.detail, then))
        self._bus.publish(
            [
                Attempted(
                    id=tackled.leg.id,
                    at=self._queue.clock.moment(),
                    agent=tackled.leg.agent,
                    destination=tackled.leg.destination,
                    seconds=seconds,
                    recipients=tuple(tried),
                )
            ]
        )


async def _ask(agent: IDeliveryAgent, job: Job) -> Sequence[Outcome]:
    return await agent.attempt(job)


def _detail(outcome: Outcome) -> str:
    host = f"{outcome.remote}: " if outcome.remote else ""
    return f"{host}{outcome.reply or outcome.detail}"[:LONGEST_DETAIL]


def _observed(work: Deferred[None]) -> Deferred[None]:
    """Return what ends when ``work`` does, however it ends."""
    ended: Deferred[None] = Deferred()

    def tell(result: object) -> object:
        ended.callback(None)
        return result

    work.addBoth(tell)
    return ended
