"""What a command of IMAP is, for those who write one: see `commands`, a file each."""

from __future__ import annotations

from enum import Flag, auto
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

import attrs

from mailplat.mail.errors import MailError
from mailplat.wire.engine import After
from mailplat.wire.imap.cursor import Cursor as Cursor
from mailplat.wire.imap.reply import Challenge, Effect, GoOn

if TYPE_CHECKING:
    from mailplat.portals.imap.session import ImapSession

Session: TypeAlias = "ImapSession"


class State(Flag):
    """When a command may be said (RFC 9051 section 3)."""

    NOT_AUTHENTICATED = auto()
    AUTHENTICATED = auto()
    SELECTED = auto()
    LOGGED_IN = AUTHENTICATED | SELECTED
    ANY = NOT_AUTHENTICATED | AUTHENTICATED | SELECTED


@attrs.frozen
class Ok:
    """A command that has been carried out; ``code`` is a response code without brackets."""

    text: str
    code: bytes = b""
    after: After = After.GO_ON
    effect: Effect = Effect.NONE


class Coded(MailError):
    """An error with a response code of its own, such as TRYCREATE (RFC 9051 section 7.1)."""

    def __init__(self, error: MailError, code: bytes) -> None:
        super().__init__(str(error), public=error.public)
        self.error = error
        self.code = code


class Command:
    """One command as it was said.

    ``parse`` reads its arguments, with the space before them, up to the end;
    ``run`` says what it has to say untagged by `Session.say` or `Session.write`, and
    returns the end of it.  Errors are raised as `MailError`, and the session puts them
    into words.  A command that ``withholds`` uses message numbers: nobody else's
    expunges are told while it runs (RFC 9051 section 7.5.1).
    """

    name: ClassVar[bytes]
    states: ClassVar[State]
    withholds: ClassVar[bool] = False

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        """Read the arguments; a command without any need not say so."""
        cursor.end()
        return cls()

    async def run(self, session: Session) -> Ok | GoOn | Challenge:
        """Carry it out."""
        raise NotImplementedError
