"""Signs what those who have logged in send, for the domains that have keys (RFC 6376)."""

from __future__ import annotations

from typing import Literal

import attrs
from pydantic import Field
from zope.interface import implementer

from mailplat.interfaces import IDirectory, IFilter, ISigner
from mailplat.mail.address import Address
from mailplat.mail.canonical import Canonicalization, Style
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header
from mailplat.mail.headersteps import Add
from mailplat.mail.people import Account
from mailplat.mail.sevenbits import to_seven_bits
from mailplat.mail.signatures import signatures_of
from mailplat.mail.transit import KEEP, Transit, Verdict
from mailplat.plugin import Duration, Settings


class SignSettings(Settings):
    """Keys of ``[filters.NAME] use = "sign"``."""

    header: Literal["relaxed", "simple"] = Field(
        "relaxed", description="What of white space in the header counts for a signature."
    )
    body: Literal["relaxed", "simple"] = Field("relaxed", description="The same, for the body.")
    lifetime: Duration | None = Field(
        None, description="How long signatures hold; left out, for good."
    )
    seven_bits: bool = Field(
        True,
        description="Whether texts outside ASCII, and lines of over 998 octets, are encoded"
        " first, since a host on the way that did it would break the signature.",
    )


@implementer(IFilter)
@attrs.frozen
class Sign:
    """Puts signatures on top of a message, and so should be the last filter of its chain.

    It is signed for the domain of its author, if that is an address that the
    account may send as, else for that of the reverse-path; or for the nearest
    domain above that has a key.  Nothing is signed of those who have not logged
    in: anybody could say that they are from a domain of ours.
    """

    settings: SignSettings
    directory: IDirectory
    signer: ISigner

    async def judge(self, transit: Transit) -> Verdict:
        if not transit.login or transit.header.count(b"from") != 1:
            return KEEP  # what isn't valid should not be signed (RFC 6376 section 3.8)
        domain = await self._domain(transit, transit.login)
        if not domain:
            return KEEP
        edits = await to_seven_bits(transit.message) if self.settings.seven_bits else Edits()
        edited = await transit.message.edited(edits, transit.run)
        fields = await self.signer.signed(domain, edited.header, edited.content, self._style)
        signed = Edits((*edits.steps, *map(Add, reversed(fields))))
        names = [str(one) for one in signatures_of(Header.of_lines(fields))]
        return Verdict.keep(signed, signed=", ".join(names))

    async def _domain(self, transit: Transit, login: Account) -> str:
        """Return the domain that answers for a message; empty if none with a key does."""
        for address in _claimed(transit):
            domain: str = self.signer.domain_for(address.domain)
            if domain and await self.directory.may_send_as(login, address):
                return domain
        return ""

    @property
    def _style(self) -> Style:
        lifetime = self.settings.lifetime
        return Style(
            Canonicalization(self.settings.header),
            Canonicalization(self.settings.body),
            None if lifetime is None else int(lifetime.total_seconds()),
        )


def _claimed(transit: Transit) -> list[Address]:
    """Return whom a message says that it is from: the author, then the reverse-path."""
    claimed: list[Address] = []
    author = transit.message.originator.author
    if author and author.address:
        claimed.append(author.address)
    if transit.envelope.sender:
        claimed.append(transit.envelope.sender)
    return claimed
