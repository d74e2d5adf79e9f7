"""Carries a message nowhere, and says that it arrived."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from mailplat.interfaces import IDeliveryAgent
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED
from mailplat.mail.transit import Job

DISCARDED = Outcome(DELIVERED, "discarded")


@implementer(IDeliveryAgent)
class Discard:
    """Drops what it is given."""

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        return [DISCARDED] * len(job.envelope.recipients)
