"""STARTTLS: speak TLS from now on (RFC 9051 section 6.2.1)."""

from __future__ import annotations

from mailplat.mail.errors import BadSequence, UnknownCommand
from mailplat.portals.imap.command import Command, Ok, Session, State
from mailplat.wire.engine import After


class StartTls(Command):
    name = b"STARTTLS"
    states = State.NOT_AUTHENTICATED

    async def run(self, session: Session) -> Ok:
        if session.connection.secured:
            raise BadSequence("STARTTLS under TLS", public="this is TLS already")
        if not session.rules.tls:
            raise UnknownCommand("STARTTLS where no TLS is offered")
        return Ok("Begin TLS now", after=After.START_TLS)
