"""UNSELECT: leave the selected mailbox and expunge nothing (RFC 3691)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Ok, Session, State


class Unselect(Command):
    name = b"UNSELECT"
    states = State.SELECTED

    async def run(self, session: Session) -> Ok:
        await session.leave(expunge=False)
        return Ok("Mailbox left as it was")
