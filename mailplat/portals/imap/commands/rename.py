"""RENAME: give a mailbox another name (RFC 9051 section 6.3.6)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.mail.mailbox import INBOX, MailboxEdit, UidSet
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State


@attrs.frozen
class Rename(Command):
    name = b"RENAME"
    states = State.LOGGED_IN
    mailbox: bytes
    new: bytes

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        cursor.space()
        new = cursor.astring("its new name")
        cursor.end()
        return cls(mailbox, new)

    async def run(self, session: Session) -> Ok:
        """Rename it; of INBOX the messages go and the mailbox stays, with those below it."""
        mailbox, name = await session.find(self.mailbox), session.name_of(self.new)
        if mailbox.name != INBOX:
            await session.account.edit(mailbox.id, MailboxEdit(name=name))
            return Ok("Mailbox renamed")
        target = await session.account.create(name)
        await session.account.move(mailbox.id, UidSet.all(), target.id)
        return Ok("Messages moved")
