"""Who may do what with a mailbox: rights, and whom they are given to (RFC 4314).

An identifier is an account's identity, or `ANYONE`; with a minus sign before it the
rights are taken away, whoever else gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import Mailbox
from mailplat.mail.people import AccountId

ANYONE = "anyone"
NEGATIVE = "-"
RIGHTS = frozenset("lrswipkxtea")
"""Lookup, read, seen, write, insert, post, create, delete, delete message, expunge, admin."""

Rights = frozenset[str]


@attrs.frozen
class Shared:
    """A mailbox that another account shares, and what may be done with it."""

    owner: AccountId
    mailbox: Mailbox
    rights: Rights


def proper_rights(rights: Iterable[str]) -> Rights:
    """Return rights as a set; raises `NotPermitted` for a letter that is none.

    The letters ``c`` and ``d`` of RFC 2086 are for the protocol to translate.
    """
    wanted = frozenset(rights)
    if unknown := wanted - RIGHTS:
        raise NotPermitted(f"there is no right {''.join(sorted(unknown))!r}")
    return wanted


def split_identifier(identifier: str) -> tuple[str, bool]:
    """Return an identifier without its minus sign, and whether it had one."""
    name = identifier.removeprefix(NEGATIVE)
    if not name:
        raise NotPermitted("rights are given to somebody")
    return name, identifier.startswith(NEGATIVE)


def effective(rights: Mapping[str, Rights], account: AccountId) -> Rights:
    """Return what an account that isn't the owner may do.

    Source: RFC 4314 section 2: rights that are given by any identifier add up, and
    those that are taken by any are gone.
    """
    nothing: Rights = frozenset()
    given = rights.get(account, nothing) | rights.get(ANYONE, nothing)
    taken = rights.get(NEGATIVE + account, nothing) | rights.get(NEGATIVE + ANYONE, nothing)
    return given - taken
