"""What an operator may say of the way to other hosts."""

from __future__ import annotations

from pydantic import Field

from mailplat.plugin import Location, Settings


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
