"""Makes of a message that comes what the queue's tables keep: each recipient with its way."""

from __future__ import annotations

import attrs

from mailplat.interfaces import IRoutes
from mailplat.mail.envelope import Recipient
from mailplat.mail.mailbox import Outcome
from mailplat.mail.queued import Posting, Question, Routed
from mailplat.queue.clock import QueueClock
from mailplat.queue.facts import Facts, recipient_of, recipient_text
from mailplat.queue.queries.enqueueing import NewRecipient, Order
from mailplat.queue.queries.steering import Turned
from mailplat.queue.routes import HOLD, KNOWN, NOWHERE
from mailplat.queue.schedule import LONGEST_DETAIL
from mailplat.sql import Row

LONGEST_FLOW = 320  # characters


@attrs.frozen
class OrderMaker:
    """Knows the routes and the time; without routes they are asked for later."""

    clock: QueueClock
    routes: IRoutes | None = None

    async def order(self, posting: Posting, octets: bytes | None, number: int = 0) -> Order:
        """Return what is to be kept; ``number`` is that of a content that lies there."""
        envelope, now = posting.envelope, self.clock.now()
        facts = Facts(
            envelope=attrs.evolve(envelope, recipients=()),
            login=posting.login,
            may_bounce=posting.may_bounce,
            junk=posting.junk,
            origin=posting.origin,
        )
        recipients = [
            await self._recipient(posting, one, posting.known.get(place))
            for place, one in enumerate(envelope.recipients)
        ]
        release = envelope.release_at
        return Order(
            key=posting.key,
            id=posting.id,
            sender=str(envelope.sender or ""),
            flow=(posting.flow or posting.login or str(envelope.sender or ""))[:LONGEST_FLOW],
            arrived=posting.arrived.timestamp(),
            size=posting.content.size,
            held=posting.hold,
            facts=facts.written(),
            priority=envelope.priority,
            due=self.clock.of_wall(release) if release else 0.0,
            now=now,
            octets=octets,
            number=number,
            recipients=tuple(recipients),
        )

    async def turned(self, row: Row, *, may_hold: bool = True) -> Turned | None:
        """Return the other way that a recipient is to go; None if it stays on its own."""
        leg, place, facts, size, agent, destination, about = row
        if self.routes is None and agent == HOLD and not may_hold:
            return Turned(leg=leg, place=place, agent=NOWHERE, destination=destination)
        if self.routes is None or agent == KNOWN:
            return None
        known = Facts.read(facts)
        question = Question(
            recipient=recipient_of(about).address,
            sender=known.envelope.sender,
            login=known.login,
            size=size,
        )
        routed = await self.routes.route(question, may_hold)
        if (routed.agent, routed.destination) == (agent, destination):
            return None
        return Turned(leg=leg, place=place, agent=routed.agent, destination=routed.destination)

    async def _recipient(
        self, posting: Posting, recipient: Recipient, known: Outcome | None
    ) -> NewRecipient:
        routed = await self._routed(posting, recipient, known)
        is_decided = known is not None and not known.status.is_transient
        return NewRecipient(
            address=str(recipient.address),
            domain=recipient.address.domain,
            agent=KNOWN if is_decided else routed.agent,
            destination=routed.destination,
            hold=bool(routed.hold) and not is_decided,
            status=str(known.status) if known else "",
            detail=known.detail[:LONGEST_DETAIL] if known else routed.hold,
            facts=recipient_text(recipient),
        )

    async def _routed(
        self, posting: Posting, recipient: Recipient, known: Outcome | None
    ) -> Routed:
        if self.routes is None or (known and not known.status.is_transient):
            domain = recipient.address.domain
            return Routed(agent=NOWHERE, destination=domain, reason="not asked for")
        question = Question(
            recipient=recipient.address,
            sender=posting.envelope.sender,
            login=posting.login,
            size=posting.content.size,
        )
        return await self.routes.route(question)
