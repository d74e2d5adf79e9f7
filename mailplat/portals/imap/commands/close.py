"""CLOSE: expunge in silence and leave the mailbox (RFC 9051 section 6.4.1)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Ok, Session, State


class Close(Command):
    name = b"CLOSE"
    states = State.SELECTED

    async def run(self, session: Session) -> Ok:
        await session.leave(expunge=True)
        return Ok("Mailbox closed")
