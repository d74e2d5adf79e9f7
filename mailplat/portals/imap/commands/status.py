"""STATUS: counts of a mailbox that need not be selected (RFC 9051 section 6.3.11)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.portals.imap.counts import read_counts, status_line


@attrs.frozen
class Status(Command):
    name = b"STATUS"
    states = State.LOGGED_IN
    mailbox: bytes
    items: tuple[bytes, ...]

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        cursor.space()
        items = read_counts(cursor)
        cursor.end()
        return cls(mailbox, items)

    async def run(self, session: Session) -> Ok:
        session.say(status_line(session, await session.find(self.mailbox), self.items))
        return Ok("That is how it stands")
