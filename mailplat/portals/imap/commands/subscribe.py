"""SUBSCRIBE and UNSUBSCRIBE: names that the client wants to see (RFC 9051 section 6.3.7)."""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State


@attrs.frozen
class Subscribe(Command):
    name = b"SUBSCRIBE"
    states = State.LOGGED_IN
    on: ClassVar[bool] = True
    mailbox: bytes

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        cursor.end()
        return cls(mailbox)

    async def run(self, session: Session) -> Ok:
        await session.account.subscribe([session.name_of(self.mailbox)], self.on)
        return Ok("Subscribed" if self.on else "Subscribed no more")


@attrs.frozen
class Unsubscribe(Subscribe):
    name = b"UNSUBSCRIBE"
    on: ClassVar[bool] = False
