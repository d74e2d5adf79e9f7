"""Refuses recipients whom a local domain does not have, or who have no room left."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zope.interface import implementer

from mailplat.interfaces import IDirectory, IMailStore, IPolicy, IQuotaStore
from mailplat.mail.errors import OverQuota
from mailplat.mail.people import Place, obstacle
from mailplat.mail.transit import KEEP, Stage, Transit, Verdict


@implementer(IPolicy)
class Recipients:
    """Asks the directory; what is not at a local domain is for `Relaying` to judge.

    Where the store bounds its accounts' room, a recipient leads to a full account
    if the message would not fit whose size the sender has declared, or else none
    would.  That is told before the content comes; the postmaster isn't asked about.
    """

    stages: Collection[Stage] = frozenset({Stage.RECIPIENT})

    def __init__(self, directory: IDirectory, store: IMailStore | None = None) -> None:
        self._directory = directory
        self._rooms: IQuotaStore | None = store if IQuotaStore.providedBy(store) else None

    async def judge(self, stage: Stage, transit: Transit) -> Verdict:
        if not transit.recipient:
            return KEEP
        address = transit.recipient.address
        if not await self._directory.domain(address.domain):
            return KEEP
        places = await self._directory.places(address)
        if error := obstacle(places):
            return Verdict.reject(error)
        full = await self._why_full(places, transit.envelope.declared_size or 1)
        if full is None:
            return KEEP
        return Verdict.defer(full) if full.status.is_transient else Verdict.reject(full)

    async def _why_full(self, places: Sequence[Place], size: int) -> OverQuota | None:
        if self._rooms is None:
            return None
        for place in places:
            if place.account and place.account.enabled:
                full = await self._rooms.why_full(place.account.id, size)
                if full:
                    return full
        return None
