"""Shows senders of hosts inside, such as cron's, by addresses that the world knows."""

from __future__ import annotations

from typing import Annotated

import attrs
from pydantic import AfterValidator, Field
from zope.interface import implementer

from mailplat.interfaces import IFilter
from mailplat.mail.address import Address, domain_of
from mailplat.mail.edit import Edits
from mailplat.mail.errors import BadAddress
from mailplat.mail.masks import Mask, MaskFields
from mailplat.mail.transit import KEEP, Transit, Verdict
from mailplat.plugin import Settings


def _domain(text: str) -> str:
    try:
        return domain_of(text)
    except BadAddress as problem:
        raise ValueError(str(problem)) from None


def _mapping(table: dict[str, str]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for inside, outside in table.items():
        if inside.startswith("@") != outside.startswith("@"):
            raise ValueError(f"expected two addresses, or two domains with @: {inside}")
        if inside.startswith("@"):
            checked[f"@{_domain(inside[1:])}"] = f"@{_domain(outside[1:])}"
            continue
        try:
            checked[Address.parse(inside).key] = str(Address.parse(outside))
        except BadAddress as problem:
            raise ValueError(str(problem)) from None
    return checked


class MasqueradeSettings(Settings):
    """Keys of ``[filters.NAME] use = "masquerade"``."""

    domains: tuple[Annotated[str, AfterValidator(_domain)], ...] = Field(
        (),
        description="Domains whose hosts are not shown: `root@web.example.org` becomes "
        "`root@example.org`, the first that fits counts.",
    )
    spare: tuple[str, ...] = Field(
        (), description="Local parts that stay as they are, such as `root`."
    )
    addresses: Annotated[dict[str, str], AfterValidator(_mapping)] = Field(
        default_factory=dict,
        description="Addresses that are shown as others, or `@domain` as another `@domain`; "
        "they count before the domains.",
    )


@implementer(IFilter)
@attrs.define(init=False)
class Masquerade:
    """Changes the reverse-path, and the fields that name people.

    Recipients of the envelope stay as they are; what is received has to come
    back to the addresses that are shown, which the directory sees to.
    """

    mask: Mask

    def __init__(self, settings: MasqueradeSettings) -> None:
        spared = frozenset(local.casefold() for local in settings.spare)
        self.mask = Mask(settings.domains, spared, settings.addresses)

    async def judge(self, transit: Transit) -> Verdict:
        facts: dict[str, object] = {}
        sender = transit.envelope.sender
        if sender and (shown := self.mask.of(sender)) != sender:
            transit.envelope = attrs.evolve(transit.envelope, sender=shown)
            facts["sender"] = str(sender)  # as it was
        edits = Edits((MaskFields(self.mask),))
        if edits.apply(transit.header).octets == transit.header.octets:
            edits = Edits()
        return Verdict.keep(edits, **facts) if facts or edits else KEEP
