"""How much room the house gives to whom: the same for all, or more or less by domain."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field
from zope.interface import implementer

from mailplat.interfaces import IAllowances, IDirectory
from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Bounds
from mailplat.plugin import Duration, Settings, Size


def _domain(name: str) -> str:
    try:
        return domain_of(name)
    except BadAddress:
        raise ValueError("expected the name of a domain, such as example.org") from None


class BoundsSettings(Settings):
    """How much one account may have."""

    storage: Size | None = Field(
        None, description="The octets that an account may have. Left out: as many as fit."
    )
    messages: int | None = Field(
        None, ge=1, description="The messages that an account may have. Left out: no limit."
    )


class QuotaSettings(BoundsSettings):
    """Keys of ``[quota]``: the room of accounts without limits of their own.

    `mailplat account quota` gives an account its own.
    """

    domains: dict[Annotated[str, AfterValidator(_domain)], BoundsSettings] = Field(
        {},
        description="Other limits for the accounts of a domain; as tables such as"
        ' `[quota.domains."example.org"]` with `storage`, `messages` or both.',
    )
    reject_after: Duration = Field(
        timedelta(days=3),
        description="How long mail for a full account is refused for now, so that its sender"
        " tries again; after that it is refused for good. `0 s`: at once.",
    )
    warn_at: int = Field(
        90,
        ge=1,
        le=100,
        description="How many percent are taken when an account gets a letter that says so,"
        " once each time it comes to that; 100: never.",
    )


@implementer(IAllowances)
class Allowances:
    """What ``[quota]`` says, for those whom the directory knows."""

    def __init__(self, settings: QuotaSettings, directory: IDirectory) -> None:
        self._directory = directory
        self._settings = settings
        self._house = self._of(settings)
        self._domains = {name: self._of(one) for name, one in settings.domains.items()}

    async def allowance(self, account: AccountId) -> Allowance:
        if not self._domains:
            return self._house
        holder = await self._directory.holder(account)
        domain = holder.name.rpartition("@")[2] if holder else ""
        return self._domains.get(domain, self._house)

    def _of(self, own: BoundsSettings) -> Allowance:
        house = self._settings
        return Allowance(
            Bounds(
                house.storage if own.storage is None else own.storage,
                house.messages if own.messages is None else own.messages,
            ),
            house.reject_after.total_seconds(),
            house.warn_at,
        )
