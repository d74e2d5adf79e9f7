"""CAPABILITY: say what the client can do now (RFC 9051 section 6.1.1)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Ok, Session, State


class Capability(Command):
    name = b"CAPABILITY"
    states = State.ANY

    async def run(self, session: Session) -> Ok:
        session.say(f"* CAPABILITY {' '.join(session.capabilities())}\r\n".encode())
        return Ok("That is what I can do")
