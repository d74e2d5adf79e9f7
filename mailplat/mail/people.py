"""Whose domains these are, where an address leads, who the people are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType

import attrs

from mailplat.mail.address import Address
from mailplat.mail.errors import (
    AccountDisabled,
    MailError,
    NoRoute,
    NoSuchAccount,
    NoSuchAddress,
)

AccountId = NewType("AccountId", str)
"""An account's identity; opaque, given once, never reused, kept when it is renamed."""


@attrs.frozen
class Account:
    """One holder of mail.

    ``name`` is the address that the account logs in with, in `Address.key`'s
    spelling.  ``credential_version`` changes whenever anything does that a
    remembered login depends on.
    """

    id: AccountId
    name: str
    enabled: bool = True
    credential_version: int = 0


@attrs.frozen
class Domain:
    """A domain whose mail is kept here."""

    name: str


@attrs.frozen
class Alias:
    """An address that leads to others; ``source`` may be ``@domain`` (all the rest)."""

    source: str
    targets: tuple[str, ...]


def no_account(name: str, alias: Alias | None) -> NoSuchAccount:
    """Return the error that says that there is no such account, and what there is instead."""
    if alias:
        return NoSuchAccount(
            f"{name} is no account: it is an alias, and leads to {', '.join(alias.targets)}"
        )
    return NoSuchAccount(f"there is no account {name}")


@attrs.frozen
class Place:
    """One end of an address's way: an account here, or an address elsewhere.

    ``detail`` is the subaddress that was cut off (``tag`` of ``name+tag``), ``via``
    the sources of the aliases that were followed, first to last.
    """

    account: Account | None = None
    address: Address | None = None
    detail: str = ""
    via: tuple[str, ...] = ()


def obstacle(places: Sequence[Place]) -> MailError | None:
    """Return why mail can't be delivered to an address that leads to ``places``, or None.

    An account that is disabled stands in nobody else's way; an end elsewhere
    does, since nothing is sent there yet.
    """
    if not places:
        return NoSuchAddress("leads nowhere")
    for place in places:
        if place.address:
            return NoRoute(f"leads to {place.address}")
    if not any(place.account and place.account.enabled for place in places):
        return AccountDisabled("leads to disabled accounts only")
    return None
