"""NOOP and CHECK: hear what is new (RFC 9051 section 6.1.2, RFC 3501 section 6.4.1)."""

from __future__ import annotations

from mailplat.portals.imap.command import Command, Ok, Session, State


class Noop(Command):
    name = b"NOOP"
    states = State.ANY

    async def run(self, session: Session) -> Ok:
        return Ok("Here")


class Check(Command):
    """Asks for a checkpoint; everything that was answered is durable anyway."""

    name = b"CHECK"
    states = State.SELECTED

    async def run(self, session: Session) -> Ok:
        return Ok("All is kept")
