"""Lets strangers send to local domains only, and nobody elsewhere yet."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from mailplat.interfaces import IDirectory, IPolicy
from mailplat.mail.errors import NoRoute, RelayingDenied
from mailplat.mail.transit import KEEP, Stage, Transit, Verdict


@implementer(IPolicy)
class Relaying:
    """Looks at the recipient's domain and never into a local part.

    So what percent signs, bangs and quotes in a local part seem to say is said
    to nobody, and no address is ever rewritten into another (RFC 5321 section
    7.9 and appendix F.2).
    """

    stages: Collection[Stage] = frozenset({Stage.RECIPIENT})

    def __init__(self, directory: IDirectory) -> None:
        self._directory = directory

    async def judge(self, stage: Stage, transit: Transit) -> Verdict:
        if not transit.recipient:
            return KEEP
        domain = transit.recipient.address.domain
        if await self._directory.domain(domain):
            return KEEP
        if transit.login:
            return Verdict.reject(NoRoute(f"{domain} is not a local domain"))
        return Verdict.reject(RelayingDenied(f"{domain} is not a local domain"))
