"""Adds to a submitted message what it should have had (RFC 6409 section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import attrs
from pydantic import Field
from zope.interface import implementer

from mailplat.interfaces import House, IFilter, WallClock
from mailplat.mail.compose import received
from mailplat.mail.edit import Edits
from mailplat.mail.fields import date_field, identifier_field
from mailplat.mail.headersteps import Replace
from mailplat.mail.transit import KEEP, Transit, Verdict
from mailplat.plugin import Settings


class CompleteSettings(Settings):
    """Keys of ``[filters.NAME] use = "complete"``."""

    hide_client: bool = Field(
        False,
        description="Whether the trace field keeps the address and name of a client that"
        " has logged in to itself; the log and `mailplat explain` know them all the same.",
    )


@implementer(IFilter)
@attrs.frozen
class Complete:
    """Adds Date and Message-ID where there is none, below all other fields."""

    settings: CompleteSettings
    house: House
    wall: WallClock

    async def judge(self, transit: Transit) -> Verdict:
        steps: list[Replace] = []
        if self.settings.hide_client and transit.login:
            steps += self._hiding(transit)
        if not transit.header.count(b"date"):
            steps.append(Replace(b"date", date_field(b"Date", self._arrived(transit))))
        if not transit.header.count(b"message-id"):
            name = f"{transit.id}@{self.house.hostname}".encode()
            steps.append(Replace(b"message-id", identifier_field(b"Message-ID", [name])))
        return Verdict.keep(Edits(tuple(steps))) if steps else KEEP

    def _arrived(self, transit: Transit) -> datetime:
        return transit.arrived or datetime.fromtimestamp(self.wall.seconds(), UTC)

    def _hiding(self, transit: Transit) -> Iterator[Replace]:
        """Yield what writes the portal's own trace field anew, if that is the topmost one."""
        field = transit.header.first(b"received")
        if field and b" id %b" % transit.id.encode() in field.octets:
            arrived = self._arrived(transit)
            hidden = received(transit, self.house.hostname, arrived, hides_client=True)
            yield Replace(b"received", hidden)
