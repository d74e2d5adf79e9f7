"""Lets strangers send to local domains only, and those who have logged in wherever a route leads."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from mailplat.interfaces import IDirectory, IPolicy, IRoutes
from mailplat.mail.address import Address
from mailplat.mail.errors import NoRoute, RelayingDenied
from mailplat.mail.queued import Question
from mailplat.mail.transit import KEEP, Stage, Transit, Verdict


@implementer(IPolicy)
class Relaying:
    """Looks at the recipient's domain and never into a local part.

    So what percent signs, bangs and quotes in a local part seem to say is said
    to nobody, and no address is ever rewritten into another (RFC 5321 section
    7.9 and appendix F.2).
    """

    stages: Collection[Stage] = frozenset({Stage.RECIPIENT})

    def __init__(self, directory: IDirectory, routes: IRoutes | None = None) -> None:
        self._directory = directory
        self._routes = routes

    async def judge(self, stage: Stage, transit: Transit) -> Verdict:
        if not transit.recipient:
            return KEEP
        domain = transit.recipient.address.domain
        if await self._directory.domain(domain):
            return KEEP
        if transit.login:
            return await self._by_route(transit.recipient.address, transit)
        return Verdict.reject(RelayingDenied(f"{domain} is not a local domain"))

    async def _by_route(self, address: Address, transit: Transit) -> Verdict:
        """Say whether a route leads to an address for whoever has logged in."""
        if self._routes is None:
            return Verdict.reject(NoRoute(f"{address.domain} is not a local domain"))
        question = Question(
            recipient=address,
            sender=transit.envelope.sender,
            login=transit.login.name if transit.login else "",
            size=transit.envelope.declared_size or 0,
        )
        routed = await self._routes.route(question)
        if not routed.agent:
            return Verdict.reject(NoRoute(f"{address.domain}: {routed.reason}"))
        return KEEP
