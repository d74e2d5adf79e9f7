"""LOGIN and AUTHENTICATE: prove who you are (RFC 9051 sections 6.2.2 and 6.2.3, RFC 4959)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.mail.errors import LoginFailed
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.wire.imap.reply import Challenge


@attrs.frozen
class Login(Command):
    name = b"LOGIN"
    states = State.NOT_AUTHENTICATED
    login: bytes
    password: bytes = attrs.field(repr=False)

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        login = cursor.astring("a name")
        cursor.space()
        password = cursor.astring("a password")
        cursor.end()
        return cls(login, password)

    async def run(self, session: Session) -> Ok:
        session.rules.logins.insist_on_privacy(session.connection)
        try:
            name = self.login.decode()
        except UnicodeDecodeError:
            raise LoginFailed("a name that is not UTF-8") from None
        return await session.by_password(name, self.password)


@attrs.frozen
class Authenticate(Command):
    name = b"AUTHENTICATE"
    states = State.NOT_AUTHENTICATED
    mechanism: str
    initial: bytes | None = attrs.field(repr=False)

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        mechanism = cursor.word("a mechanism").decode("ascii")
        initial = None
        if not cursor.is_at_end:
            cursor.space()
            initial = cursor.base64()
        cursor.end()
        return cls(mechanism, initial)

    async def run(self, session: Session) -> Ok | Challenge:
        return await session.begin_proof(self.mechanism, self.initial)
