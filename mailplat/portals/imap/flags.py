"""Flags as clients write them (RFC 9051 section 2.3.2)."""

from __future__ import annotations

from collections.abc import Iterable

from mailplat.mail.errors import BadParameter
from mailplat.mail.mailbox import SYSTEM_FLAGS

LONGEST_KEYWORD = 255
_SYSTEM = {flag.lower(): flag for flag in SYSTEM_FLAGS}
_RECENT = "\\recent"


def proper_flags(flags: Iterable[str]) -> frozenset[str]:
    """Return flags as they are kept: those of the system in one spelling, without \\Recent.

    Raises `BadParameter` for what begins with a backslash and is none of the system's,
    and for keywords that are too long.
    """
    return frozenset(_proper(flag) for flag in flags if flag.lower() != _RECENT)


def _proper(flag: str) -> str:
    if flag.startswith("\\"):
        known = _SYSTEM.get(flag.lower())
        if known is None:
            raise BadParameter(flag[:40], public=f"there is no flag {flag[:40]}")
        return known
    if len(flag) > LONGEST_KEYWORD:
        raise BadParameter(flag[:40], public="the keyword is too long")
    return flag
