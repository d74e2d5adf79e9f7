"""Lets those who have logged in use only reverse-paths that are theirs."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from mailplat.interfaces import IDirectory, IPolicy
from mailplat.mail.errors import SenderNotAllowed
from mailplat.mail.transit import KEEP, Stage, Transit, Verdict


@implementer(IPolicy)
class Senders:
    """Asks the directory what an account may send as; the null reverse-path is anyone's."""

    stages: Collection[Stage] = frozenset({Stage.SENDER})

    def __init__(self, directory: IDirectory) -> None:
        self._directory = directory

    async def judge(self, stage: Stage, transit: Transit) -> Verdict:
        login, sender = transit.login, transit.envelope.sender
        if not login or not sender or await self._directory.may_send_as(login, sender):
            return KEEP
        return Verdict.reject(SenderNotAllowed(f"{login.name} may not send as {sender}"))
