"""What an operator may say of the way to other hosts."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mailplat.mail.address import Address
from mailplat.mail.errors import BadAddress
from mailplat.plugin import Location, Settings


def _address(text: str) -> str:
    try:
        return str(Address.parse(text)) if text else ""
    except BadAddress:
        raise ValueError("expected an address such as tls-reports@example.org") from None


class WaySettings(Settings):
    """Keys of ``[ways]``: what the way to other hosts has to prove."""

    dane: bool = Field(
        True,
        description="Whether TLSA records bind us to a host's certificate. It needs a "
        "resolver that validates, and whose word counts: `[resolver]`.",
    )
    mta_sts: bool = Field(
        True, description="Whether the policies that domains publish for MTA-STS count."
    )
    trust: Location | None = Field(
        None,
        description="A file of certificates, in PEM, whose owners may vouch for the web "
        "servers that have such policies; left out, those that the system trusts.",
    )
    reports_from: Annotated[str, AfterValidator(_address)] = Field(
        "",
        description="The address that reports come from about how TLS went, which domains "
        "ask for (RFC 8460), one a day; left out, nothing is counted and none are sent.",
    )
    organization: str = Field(
        "", description="Who reports, in words; left out, the server's own name."
    )
