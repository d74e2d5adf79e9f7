"""IDLE: tell the client what happens, until it says DONE (RFC 2177, RFC 9051 section 6.3.13)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Session, State
from mailplat.wire.imap.reply import Expecting, GoOn


class Idle(Command):
    name = b"IDLE"
    states = State.LOGGED_IN

    async def run(self, session: Session) -> GoOn:
        return GoOn("Listening", Expecting.DONE)
