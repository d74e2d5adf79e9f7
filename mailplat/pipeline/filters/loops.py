"""Refuses messages that have gone round in circles (RFC 5321 section 6.3)."""

from __future__ import annotations

import attrs
from pydantic import Field
from zope.interface import implementer

from mailplat.interfaces import IFilter
from mailplat.mail.errors import RoutingLoop
from mailplat.mail.transit import KEEP, Transit, Verdict
from mailplat.plugin import Settings


class LoopGuardSettings(Settings):
    """Keys of ``[filters.NAME] use = "loops"``."""

    max_hops: int = Field(
        100, ge=1, description="Received fields a message may bear when it comes."
    )


@implementer(IFilter)
@attrs.frozen
class LoopGuard:
    """Counts Received fields, and knows by Delivered-To who had the message before.

    More than ``max_hops`` of the first, beside the portal's own on top, is a loop
    for everyone; a recipient among the second has one of their own (RFC 9228).
    """

    settings: LoopGuardSettings

    async def judge(self, transit: Transit) -> Verdict:
        hops = transit.header.count(b"Received") - 1
        if hops > self.settings.max_hops:
            return Verdict.reject(RoutingLoop(f"{hops} hops"))
        fields = transit.header.all(b"Delivered-To")
        had_it = {field.body.decode("utf-8", "replace").casefold() for field in fields}
        if not had_it:
            return KEEP
        addresses = [recipient.address for recipient in transit.envelope.recipients]
        again = [address for address in addresses if str(address).casefold() in had_it]
        verdicts = {
            address.key: Verdict.reject(RoutingLoop(f"{address} had it before"))
            for address in again
        }
        return Verdict(recipients=verdicts) if verdicts else KEEP
