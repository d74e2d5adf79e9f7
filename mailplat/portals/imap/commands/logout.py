"""LOGOUT: the end (RFC 9051 section 6.1.3)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Ok, Session, State
from mailplat.wire.engine import After
from mailplat.wire.imap.reply import Bye


class Logout(Command):
    name = b"LOGOUT"
    states = State.ANY

    async def run(self, session: Session) -> Ok:
        session.say(Bye("Goodbye").octets)
        session.ends("LOGOUT")
        return Ok("Gone", after=After.CLOSE)
