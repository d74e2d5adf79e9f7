"""CREATE: make a mailbox, for a special use perhaps (RFC 9051 section 6.3.4, RFC 6154)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.mail.errors import BadParameter, NotPermitted
from mailplat.mail.mailbox import SEPARATOR, Role
from mailplat.portals.imap.command import Coded, Command, Cursor, Ok, Session, State

_ROLES = {role.value.lower(): role for role in Role if role.value.startswith("\\")}


@attrs.frozen
class Create(Command):
    name = b"CREATE"
    states = State.LOGGED_IN
    mailbox: bytes
    uses: tuple[str, ...] = ()

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mailbox = cursor.astring("a mailbox")
        uses: list[str] = []
        if cursor.skip(b" "):
            for _ in cursor.list_items():
                if not cursor.skip_word(b"USE "):
                    raise cursor.wrong("USE")
                uses += [cursor.flag() for _ in cursor.list_items()]
        cursor.end()
        return cls(mailbox, tuple(uses))

    async def run(self, session: Session) -> Ok:
        """Make it; a separator behind the name only says that others will lie in it."""
        octets = self.mailbox.removesuffix(SEPARATOR.encode())
        role = self._role()
        try:
            made = await session.account.create(session.name_of(octets), role)
        except NotPermitted as error:
            raise (Coded(error, b"USEATTR") if self.uses else error) from None
        return Ok("Mailbox made", b"MAILBOXID (%b)" % made.id.encode())

    def _role(self) -> Role:
        if not self.uses:
            return Role.NONE
        role = _ROLES.get(self.uses[0].lower())
        if role is None or len(self.uses) > 1:
            error = BadParameter(str(self.uses), public="a mailbox has one use of RFC 6154")
            raise Coded(error, b"USEATTR")
        return role
