"""What an IMAP server says, for the engine to put into octets (RFC 9051 section 7)."""

from __future__ import annotations

import enum
from typing import Self

import attrs

from mailplat.mail.errors import (
    BadParameter,
    BadSequence,
    BadSyntax,
    LoginAborted,
    UnknownCommand,
    UnknownMechanism,
)
from mailplat.wire.engine import After
from mailplat.wire.imap.writer import CRLF, text
from mailplat.wire.replies import text_for, words_for

OK, NO, BAD = b"OK", b"NO", b"BAD"
UNTAGGED = b"*"

_MISTAKES = (BadSyntax, UnknownCommand, BadSequence, BadParameter, LoginAborted)
_REFUSALS = (UnknownMechanism,)


def status_for(error: Exception) -> bytes:
    """Return BAD for a mistake in what was said, and NO for what can't be done."""
    is_mistake = isinstance(error, _MISTAKES) and not isinstance(error, _REFUSALS)
    return BAD if is_mistake else NO


class Expecting(enum.Enum):
    """What the client may say next."""

    COMMAND = "a command"
    RESPONSE = "its turn in a login"
    DONE = "the end of IDLE"


class Effect(enum.Enum):
    """What a command has changed of what the client may do."""

    NONE = "nothing"
    LOGGED_IN = "logged in"
    LOGGED_OUT = "logged out"


@attrs.frozen
class Tagged:
    """The end of a command: its status, and what is to be said before it.

    ``code`` is a response code without its brackets, ``untagged`` whole lines.
    """

    tag: bytes
    status: bytes
    text: str
    code: bytes = b""
    untagged: bytes = b""
    after: After = After.GO_ON
    effect: Effect = Effect.NONE

    @classmethod
    def refusing(cls, tag: bytes, error: Exception, untagged: bytes = b"") -> Self:
        """Return what a client hears of an error."""
        code = words_for(error).imap.encode()
        return cls(tag, status_for(error), text_for(error), code, untagged)

    @property
    def octets(self) -> bytes:
        """The lines of this."""
        return self.untagged + line(self.tag, self.status, self.code, self.text)


@attrs.frozen
class Untagged:
    """Whole lines that end no command: the greeting, and what happens while a client waits."""

    octets: bytes


@attrs.frozen
class GoOn:
    """The client is to say more: a literal, its turn in a login, or nothing until DONE."""

    text: str = "Go on"
    expecting: Expecting = Expecting.COMMAND
    untagged: bytes = b""


@attrs.frozen
class Challenge:
    """The server's turn in a SASL exchange."""

    octets: bytes


@attrs.frozen
class Bye:
    """The last words, and why."""

    text: str
    code: bytes = b""

    @classmethod
    def because(cls, error: Exception) -> Self:
        """Return the last words of a connection that is closed for an error."""
        return cls(text_for(error), words_for(error).imap.encode())

    @property
    def octets(self) -> bytes:
        """The line of this."""
        return line(UNTAGGED, b"BYE", self.code, self.text)


Reply = Tagged | Untagged | GoOn | Challenge | Bye


def line(tag: bytes, status: bytes, code: bytes, words: str) -> bytes:
    """Return one status response."""
    if code:
        return b"%b %b [%b] %b\r\n" % (tag, status, code, text(words))
    return b"%b %b %b" % (tag, status, text(words)) + CRLF
