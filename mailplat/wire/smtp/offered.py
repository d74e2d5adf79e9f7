"""What a server offers to a client, as it said in its answer to EHLO (RFC 5321 section 4.1.1.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs

from mailplat.mail.envelope import Body

_KEYWORD = re.compile(r"([A-Za-z0-9][A-Za-z0-9\-]{0,63})(?:[ =]++(.*+))?+")
_NUMBER = re.compile(r"[0-9]{1,20}")
_LIMIT = re.compile(r"([A-Z0-9\-]{1,64})=([0-9]{1,9})", re.IGNORECASE)


@attrs.frozen
class Offered:
    """A server's name, and its extensions in capitals with what stands behind them."""

    name: str = ""
    extensions: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def read(cls, lines: Sequence[str]) -> Offered:
        """Read the lines of a reply; what is no extension is passed over.

        ``AUTH=PLAIN`` is an old way to say ``AUTH PLAIN``; where both are said the
        mechanisms of both count.
        """
        found: dict[str, str] = {}
        for line in lines[1:]:
            if match := _KEYWORD.fullmatch(line):
                keyword = match[1].upper()
                found[keyword] = f"{found.get(keyword, '')} {match[2] or ''}".strip()
        return cls(lines[0].split(" ")[0], found)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.extensions

    @cached_property
    def largest(self) -> int | None:
        """The most octets a message may have; None if nothing was said (RFC 1870)."""
        text = self.extensions.get("SIZE", "")
        return int(text) or None if _NUMBER.fullmatch(text) else None

    @property
    def mechanisms(self) -> frozenset[str]:
        """How one may log in (RFC 4954)."""
        return frozenset(self.extensions.get("AUTH", "").upper().split())

    @cached_property
    def bodies(self) -> frozenset[Body]:
        """What content may be like (RFC 6152, 3030)."""
        taken = {Body.SEVEN_BIT}
        if "8BITMIME" in self:
            taken.add(Body.EIGHT_BIT)
        if "BINARYMIME" in self and "CHUNKING" in self:
            taken |= {Body.EIGHT_BIT, Body.BINARY}
        return frozenset(taken)

    @cached_property
    def limits(self) -> Mapping[str, int]:
        """The numbers of the extension LIMITS: MAILMAX, RCPTMAX, RCPTDOMAINMAX (RFC 9422)."""
        words = self.extensions.get("LIMITS", "").split()
        found = filter(None, map(_LIMIT.fullmatch, words))
        return {match[1].upper(): int(match[2]) for match in found if int(match[2])}
