"""Hands a judged message on: to the delivery agent while the sender waits, or to the queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailplat.interfaces import IDeliveryAgent, IDirectory, IQueue
from mailplat.mail.envelope import Envelope, Notify, Recipient
from mailplat.mail.errors import MailError, StoreFailed
from mailplat.mail.mailbox import Outcome
from mailplat.mail.queued import Posting
from mailplat.mail.status import Status
from mailplat.mail.transit import Disposition, Job, Transit, Verdict
from mailplat.pipeline.judge import described
from mailplat.pipeline.waiting import begin

QUEUED = Status(2, 0, 0)
LATE: Sequence[Outcome] = ()
"""Stands for outcomes that have not come in time."""

PROVEN = ("pass", True)  # what the fact `spf` says of a sender who is who it says


@attrs.frozen
class Share:
    """Recipients of one message whose copies have one fate, by their places."""

    junk: bool
    hold: str


@attrs.define
class Handing:
    """Knows whether the sender waits for the outcome or the queue takes the message over.

    All recipients local: they are served while the sender waits, up to ``patience``
    seconds.  Where then some have been served and others not, the others are queued with
    their reason, so that no repeat of the sender's brings anybody a second copy.
    Without a queue all this is answered as the agent says.
    """

    agent: IDeliveryAgent
    queue: IQueue | None
    directory: IDirectory
    clock: IReactorTime
    patience: float
    log = Logger()

    async def hand_on(
        self, transit: Transit, fates: Sequence[Verdict], outcomes: list[Outcome | None]
    ) -> Deferred[None] | None:
        """Find an outcome for everyone who has none.

        What is returned ends when nobody reads the content any more; None: nobody does.
        """
        late: list[Deferred[Sequence[Outcome]]] = []
        shares = _shares(fates, outcomes)
        for share, places in sorted(shares.items(), key=lambda item: item[0].junk):
            served = any(one.status.is_success for one in outcomes if one)
            found = await self._serve(transit, places, share, late, served)
            for place, outcome in zip(places, found, strict=True):
                outcomes[place] = outcome
        if not late:
            return None
        ended: Deferred[None] = Deferred()
        DeferredList(late, consumeErrors=True).addCallback(lambda _all: ended.callback(None))
        return ended

    async def _serve(
        self,
        transit: Transit,
        places: Sequence[int],
        share: Share,
        late: list[Deferred[Sequence[Outcome]]],
        has_served: bool,
    ) -> Sequence[Outcome]:
        """Serve those of one share; ``has_served``: somebody has the message already."""
        envelope = transit.envelope
        if len(places) < len(envelope.recipients):
            some = tuple(envelope.recipients[place] for place in places)
            envelope = attrs.evolve(envelope, recipients=some)
        if self.queue and (share.hold or not await self._is_all_local(envelope)):
            return await self._enqueue(transit, envelope, share, {})
        found = await self._attempt(transit, envelope, share.junk, late)
        if self.queue is None:
            return found
        if found is LATE:
            return await self._enqueue(transit, envelope, share, {})
        return await self._queue_the_rest(transit, envelope, share, found, has_served)

    async def _is_all_local(self, envelope: Envelope) -> bool:
        for recipient in envelope.recipients:
            domain = recipient.address.domain
            if domain and not await self.directory.domain(domain):
                return False
        return True

    # The agent.

    async def _attempt(
        self,
        transit: Transit,
        envelope: Envelope,
        junk: bool,
        late: list[Deferred[Sequence[Outcome]]],
    ) -> Sequence[Outcome]:
        arrived = transit.arrived or datetime.now(UTC)
        job = Job(transit.id, envelope, transit.content, arrived, junk)
        work = begin(self._outcomes(job))
        if not isinstance(work, Deferred):
            return work
        if self.queue is None:
            return await work
        answer: Deferred[Sequence[Outcome]] = Deferred()
        timer = self.clock.callLater(self.patience, answer.callback, LATE)

        def tell(found: Sequence[Outcome]) -> Sequence[Outcome]:
            if timer.active():
                timer.cancel()
                answer.callback(found)
            return found

        work.addCallback(tell)
        found = await answer
        if found is LATE:
            late.append(work)
        return found

    async def _outcomes(self, job: Job) -> Sequence[Outcome]:
        """Return one outcome a recipient, whatever the agent does."""
        count = len(job.envelope.recipients)
        try:
            outcomes = await self.agent.attempt(job)
            if len(outcomes) == count:
                return outcomes
            problem = f"{len(outcomes)} outcomes for {count} recipients"
        except Exception as error:  # noqa: BLE001 - a bug; the sender keeps the message
            problem = described(error)
            self.log.failure("{id}: the delivery agent failed", id=job.id)
        failed = StoreFailed(problem)
        return [Outcome(failed.status, problem, failed)] * count

    # The queue.

    async def _queue_the_rest(
        self,
        transit: Transit,
        envelope: Envelope,
        share: Share,
        found: Sequence[Outcome],
        has_served: bool,
    ) -> Sequence[Outcome]:
        """Queue those who were not served where others were, and reports of success."""
        served = [outcome.status.is_success for outcome in found]
        keeps_rest = (has_served or any(served)) and "LMTP" not in transit.protocol
        wanted = [
            place
            for place, one in enumerate(envelope.recipients)
            if (served[place] and _wants_success(one)) or (not served[place] and keeps_rest)
        ]
        if not wanted:
            return found
        some = tuple(envelope.recipients[place] for place in wanted)
        rest = attrs.evolve(envelope, recipients=some)
        known = {number: found[place] for number, place in enumerate(wanted)}
        queued = await self._enqueue(transit, rest, share, known)
        outcomes = list(found)
        for place, outcome in zip(wanted, queued, strict=True):
            if not served[place]:
                outcomes[place] = outcome
        return outcomes

    async def _enqueue(
        self,
        transit: Transit,
        envelope: Envelope,
        share: Share,
        known: dict[int, Outcome],
    ) -> Sequence[Outcome]:
        assert self.queue
        login = transit.login.name if transit.login else ""
        words = [transit.id, "junk" if share.junk else "", "held" if share.hold else ""]
        posting = Posting(
            key=" ".join(filter(None, words)),
            id=transit.id,
            envelope=envelope,
            content=transit.content,
            arrived=transit.arrived or datetime.now(UTC),
            flow=login or str(envelope.sender or transit.peer.host),
            login=login,
            may_bounce=bool(login) or transit.facts.get("spf") in PROVEN,
            junk=share.junk,
            hold=share.hold,
            origin=transit.greeting or transit.peer.host,
            known=known,
        )
        try:
            await self.queue.enqueue(posting)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender keeps the message
            if not isinstance(error, MailError):
                self.log.failure("{id}: not queued", id=transit.id)
                error = StoreFailed(described(error))
            return [Outcome.failed(error)] * len(envelope.recipients)
        return [
            Outcome(QUEUED, _queued(known.get(place), share))
            for place in range(len(envelope.recipients))
        ]


def _shares(
    fates: Sequence[Verdict], outcomes: Sequence[Outcome | None]
) -> dict[Share, list[int]]:
    """Return the places of those without an outcome by what becomes of their copies."""
    shares: dict[Share, list[int]] = {}
    for place, (fate, outcome) in enumerate(zip(fates, outcomes, strict=True)):
        if outcome is None:
            hold = ""
            if fate.disposition is Disposition.HOLD:
                hold = described(fate.error) if fate.error else "held"
            share = Share(fate.disposition is Disposition.JUNK, hold)
            shares.setdefault(share, []).append(place)
    return shares


def _wants_success(recipient: Recipient) -> bool:
    return recipient.notify is not None and Notify.SUCCESS in recipient.notify


def _queued(known: Outcome | None, share: Share) -> str:
    if share.hold:
        return f"queued, and held: {share.hold}"
    return f"queued: {known.status} {known.detail}" if known else "queued"
