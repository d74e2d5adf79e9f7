"""Refuses recipients whom a local domain does not have, while the sender waits."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from mailplat.interfaces import IDirectory, IPolicy
from mailplat.mail.people import obstacle
from mailplat.mail.transit import KEEP, Stage, Transit, Verdict


@implementer(IPolicy)
class Recipients:
    """Asks the directory; what is not at a local domain is for `Relaying` to judge."""

    stages: Collection[Stage] = frozenset({Stage.RECIPIENT})

    def __init__(self, directory: IDirectory) -> None:
        self._directory = directory

    async def judge(self, stage: Stage, transit: Transit) -> Verdict:
        if not transit.recipient:
            return KEEP
        address = transit.recipient.address
        if not await self._directory.domain(address.domain):
            return KEEP
        error = obstacle(await self._directory.places(address))
        return Verdict.reject(error) if error else KEEP
