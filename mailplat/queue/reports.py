"""Tells senders what became of their messages: DSNs, kept by the queue like all mail.

Source: RFC 3461 sections 5 and 6, RFC 3464.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs
from twisted.logger import Logger

from mailplat.mail.compose import Occasion
from mailplat.mail.content import Content, Octets, whole
from mailplat.mail.deliverystatus import Action, Fate, Host
from mailplat.mail.envelope import Envelope, Notify, Recipient
from mailplat.mail.errors import MailError
from mailplat.mail.header import Header
from mailplat.mail.queued import Posting
from mailplat.mail.reports import Reported, mail_system, report
from mailplat.queue.facts import Facts
from mailplat.queue.orders import OrderMaker
from mailplat.queue.queries.enqueueing import Order
from mailplat.queue.schedule import Fated

FLOW = "reports"
PRIORITY = 0


@attrs.frozen(kw_only=True)
class Subject:
    """The message that a report is to be about."""

    id: str
    facts: Facts
    arrived: datetime
    content: Content


def may_hear(facts: Facts) -> bool:
    """Say whether the sender may be told of failures: that it is who it says is proven."""
    return facts.envelope.sender is not None and facts.may_bounce


def is_stuck(facts: Facts, recipient: Recipient, fated: Fated) -> bool:
    """Say whether a copy has failed and nobody may be told, who has not said so."""
    if fated.action is not Action.FAILED or may_hear(facts):
        return False
    wants_nothing = recipient.notify is not None and Notify.FAILURE not in recipient.notify
    return facts.envelope.sender is None or not wants_nothing


class Reporter:
    """Writes the reports that are due."""

    log = Logger()

    def __init__(self, hostname: str, unique: Callable[[], str]) -> None:
        self._hostname = hostname
        self._unique = unique

    async def order(
        self,
        subject: Subject,
        fated: Sequence[tuple[Recipient, Fated]],
        maker: OrderMaker,
        retry_until: datetime | None = None,
    ) -> Order | None:
        """Return the report that is due of these recipients, to be kept; None if none is."""
        if not may_hear(subject.facts):
            return None
        now = maker.clock.moment()
        fates = [
            _fate(subject, recipient, one, now, retry_until)
            for recipient, one in fated
            if one.is_due
        ]
        if not any(fate.is_due for fate in fates):
            return None
        unique = self._unique()
        author = mail_system(self._hostname)
        occasion = Occasion(author=author, hostname=self._hostname, now=now, unique=unique)
        letter = await self._letter(subject, fates, occasion)
        if letter is None:
            return None
        envelope, content = letter
        places = ",".join(str(one.place) for _, one in fated if one.is_due)
        posting = Posting(
            key=f"{subject.id} report {places} {unique}",
            id=unique,
            envelope=envelope,
            content=content,
            arrived=now,
            flow=FLOW,
        )
        return await maker.order(posting, content.octets)

    async def _letter(
        self, subject: Subject, fates: Sequence[Fate], occasion: Occasion
    ) -> tuple[Envelope, Octets] | None:
        """Return a report; one without the message where that can't be read."""
        facts = subject.facts
        for content in (subject.content, Octets(Header().octets)):
            about = Reported(
                envelope=facts.envelope,
                content=content,
                arrived=subject.arrived,
                origin=Host(facts.origin) if facts.origin else None,
            )
            try:
                letter = await report(about, fates, occasion)
                return (
                    (letter.envelope, Octets(await whole(letter.content))) if letter else None
                )
            except MailError as error:
                self.log.warn("{id}: not in its report: {why}", id=subject.id, why=str(error))
        return None


def _fate(
    subject: Subject,
    recipient: Recipient,
    one: Fated,
    now: datetime,
    retry_until: datetime | None,
) -> Fate:
    outcome = one.outcome
    return Fate(
        recipient=recipient,
        action=one.action,
        outcome=outcome,
        remote=Host(outcome.remote) if outcome.remote else None,
        reply=outcome.reply,
        attempted=now,
        retry_until=retry_until,
        log_id=subject.id,
    )
