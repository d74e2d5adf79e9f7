"""NAMESPACE: where mailboxes lie (RFC 2342)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Ok, Session, State


class Namespace(Command):
    name = b"NAMESPACE"
    states = State.LOGGED_IN

    async def run(self, session: Session) -> Ok:
        session.say(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
        return Ok("All of them are yours")
