"""A queue with nothing around it but fakes, and agents that do as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.interfaces import IDeliveryAgent
from mailplat.mail.content import Content, Octets
from mailplat.mail.envelope import Envelope
from mailplat.mail.mailbox import Outcome
from mailplat.mail.queued import Posting
from mailplat.mail.status import DELIVERED, Status
from mailplat.mail.transit import Job
from mailplat.testing.transits import HELLO, new_transit

NOW = 1_795_000_000.0  # seconds since 1970: in November 2026
SERVED = Outcome(DELIVERED, "taken")
NO_HOST = Outcome(Status(4, 4, 1), "no answer")
GREYLISTED = Outcome(Status(4, 7, 1), "greylisted")
FULL = Outcome(Status(4, 2, 2), "mailbox full")
UNKNOWN = Outcome(Status(5, 1, 1), "unknown")


def new_posting(
    *to: str, sender: str = "carol@example.org", key: str = "k1", **changes: Any
) -> Posting:
    """Return a small message of somebody who has logged in."""
    content: Content = changes.pop("content", Octets(HELLO))
    envelope: Envelope = new_transit(to=to, sender=sender).envelope
    facts: dict[str, Any] = {
        "login": sender,
        "may_bounce": bool(sender),
        "arrived": datetime.fromtimestamp(NOW, UTC),
        **changes,
    }
    facts.setdefault("id", key)
    facts.setdefault("envelope", envelope)
    return Posting(key=key, content=content, **facts)


@attrs.frozen
class Attempt:
    """What an agent was asked."""

    at: float
    id: str
    to: tuple[str, ...]
    octets: bytes
    job: Job = attrs.field(repr=False, eq=False)


@implementer(IDeliveryAgent)
@attrs.define(eq=False)
class TellingAgent:
    """Gives each recipient the outcome that ``answers`` has for it, its domain, or else ``usual``.

    While it ``waits``, it answers nothing until `go_on`.
    """

    clock: Clock
    usual: Outcome = SERVED
    answers: dict[str, Outcome | list[Outcome]] = attrs.field(factory=dict)
    waits: set[str] = attrs.field(factory=set)  # domains at which it waits
    tried: list[Attempt] = attrs.field(factory=list)
    waiting: list[tuple[str, Deferred[None]]] = attrs.field(factory=list)

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        octets = await job.content.read(0, job.content.size)
        to = tuple(str(one.address) for one in job.envelope.recipients)
        self.tried.append(Attempt(self.clock.seconds(), job.id, to, octets, job))
        domain = to[0].partition("@")[2]
        if domain in self.waits:
            turn: Deferred[None] = Deferred()
            self.waiting.append((domain, turn))
            await turn
        return [self._outcome(one) for one in to]

    def go_on(self, domain: str = "") -> None:
        """Answer what waits, at one domain or everywhere."""
        ready = [one for one in self.waiting if domain in ("", one[0])]
        self.waiting = [one for one in self.waiting if one not in ready]
        for _, turn in ready:
            turn.callback(None)

    def served(self) -> list[tuple[str, str]]:
        """Return the messages and recipients that were tried, in order."""
        return [(one.id, to) for one in self.tried for to in one.to]

    def _outcome(self, address: str) -> Outcome:
        found = self.answers.get(address, self.answers.get(address.partition("@")[2]))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found or self.usual


def turn_clock(clock: Clock, seconds: float) -> None:
    """Let time go by, from one timer to the next, so that each is told its own time."""
    end = clock.seconds() + seconds
    while True:
        calls = [call.getTime() for call in clock.getDelayedCalls()]
        upcoming = min([*calls, end])
        if upcoming > end or (upcoming == end and end not in calls):
            break
        clock.advance(max(0.0, upcoming - clock.seconds()))
    clock.advance(max(0.0, end - clock.seconds()))


class QueueScene(Protocol):
    """A queue to be tested, with its worker and two agents.

    Mail for example.org goes to ``local``, all other to ``relay``.  Everything has
    happened when a call returns.
    """

    queue: Any
    local: TellingAgent
    relay: TellingAgent
    clock: Clock

    def pass_time(self, seconds: float = 0.0) -> None:
        """Let the clock go on, and everything be done that comes due."""

    async def crash(self) -> None:
        """End without a word, and begin anew on what is durable."""
