"""DELETE: remove a mailbox with its messages (RFC 9051 section 6.3.5)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import SEPARATOR
from mailplat.portals.imap.command import Coded, Command, Cursor, Ok, Session, State


@attrs.frozen
class Delete(Command):
    name = b"DELETE"
    states = State.LOGGED_IN
    mailbox: bytes

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        cursor.end()
        return cls(mailbox)

    async def run(self, session: Session) -> Ok:
        mailbox = await session.find(self.mailbox)
        selected = session.selected
        if selected and selected.mailbox.id == mailbox.id:
            session.unselect()
        try:
            await session.account.remove(mailbox.id)
        except NotPermitted as error:
            below = mailbox.name + SEPARATOR
            names = [one.name for one in await session.account.mailboxes()]
            if any(name.startswith(below) for name in names):
                raise Coded(error, b"HASCHILDREN") from None
            raise
        return Ok("Mailbox removed")
