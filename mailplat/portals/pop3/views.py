"""What a client that has not said UTF8 is shown of a message (RFC 6856 section 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from mailplat.mail.content import Content, Octets, ReadAhead, Turn
from mailplat.mail.downgrade import changes
from mailplat.mail.splices import Splice, changed, spliced
from mailplat.mail.structure import scan
from mailplat.mail.summary import Mark, findings_of, read_summary

if TYPE_CHECKING:  # it knows Twisted
    from mailplat.portals.pop3.reader import Reader

SMALL = 65536  # octets of a message whose parts are found sooner than its summary


async def changes_for_ascii(
    reader: Reader, place: int, content: Content, longest: int, turn: Turn
) -> AsyncIterator[Splice] | None:
    """Find what must be changed of a message, one after the other; None if it is nothing.

    Of a larger message is known from its arrival whether there is anything, and
    where its parts lie.  ``longest`` and ``turn`` are those of
    `mailplat.mail.downgrade.changes`.
    """
    if isinstance(content, Octets):
        if content.octets.isascii():
            return None
        if content.size <= SMALL:
            return changes(content, scan(content.octets).layout, longest, turn)
    facts = await reader.facts(place)
    if facts is None:
        facts = read_summary((await findings_of(content, turn)).summary().octets)
    return changes(content, facts.layout, longest, turn) if Mark.UTF8 in facts.marks else None


async def changed_at_once(content: Content, found: AsyncIterator[Splice] | None) -> Content:
    """Return a content with its changes, if it has any."""
    if not found:
        return content
    splices = [one async for one in found]
    return spliced(_readable(content), splices) if splices else content


def changed_as_read(
    content: Content, found: AsyncIterator[Splice] | None, size: int
) -> AsyncIterator[bytes]:
    """Yield the octets of a content with its changes, at most so many of it at once."""
    return changed(_readable(content) if found else content, found, size)


def _readable(content: Content) -> Content:
    """Return a content of which small pieces are cheap to read."""
    return content if isinstance(content, Octets) else ReadAhead(content)
