"""The server half of IMAP: framing and limits, before anybody reads a word.

A command is lines with literals between them (RFC 9051 section 4.3).  Small literals
are collected; the contents of APPEND and its like are streamed, each announced
before its first octet, so that it can be refused by its size.  A client whose
literal doesn't wait (RFC 7888) is heard to its end all the same.
"""

from __future__ import annotations

import enum
import re
from typing import TypeAlias

import attrs

from mailplat.mail.errors import (
    BadSyntax,
    MailError,
    MessageTooLarge,
    TooLarge,
)
from mailplat.mail.limits import Limits
from mailplat.wire.engine import After
from mailplat.wire.imap.cursor import CONTENT, Cursor
from mailplat.wire.imap.reply import (
    BAD,
    UNTAGGED,
    Bye,
    Challenge,
    Effect,
    Expecting,
    GoOn,
    Tagged,
    Untagged,
)
from mailplat.wire.imap.writer import CRLF, text
from mailplat.wire.lines import Lines, is_foreign
from mailplat.wire.sasl import challenge

_ANNOUNCEMENT = re.compile(rb"(~?+)\{([0-9]{1,19}+)(\+?+)\}\Z")
_STREAMING = re.compile(rb"[^ ]++ (?:APPEND|(?:UID )?+REPLACE [0-9*]++) ", re.IGNORECASE)
_HEAD = re.compile(
    rb"([!#$&',-\[\]-z|}~]{1,128}+) ((?:[Uu][Ii][Dd] )?+[A-Za-z][A-Za-z0-9.-]*+)(?= |\Z)"
)


@attrs.frozen
class Said:
    """A whole command: its tag, its name in capitals, and its octets.

    ``at`` is where the arguments begin, with the space before them.
    """

    tag: bytes
    name: bytes
    octets: bytes
    at: int

    @property
    def cursor(self) -> Cursor:
        """A new cursor at the arguments."""
        return Cursor(self.octets, self.at)


@attrs.frozen
class Announced:
    """A literal is about to come, and the command so far, as of a `Said`.

    A ``content`` will be streamed; the reply is `GoOn`, or refuses it.  Others are
    collected, and this is only to have the client told to go on.
    """

    said: Said
    size: int
    is_content: bool
    is_binary: bool = False


@attrs.frozen
class Piece:
    """Some octets of a content."""

    octets: bytes


@attrs.frozen
class Response:
    """The client's turn in a login, as it came: base64, or ``*`` to give up."""

    octets: bytes


@attrs.frozen
class Done:
    """The end of IDLE."""


@attrs.frozen
class Mistake:
    """What can't be understood, and why."""

    tag: bytes
    error: MailError = attrs.field(eq=type)


Event: TypeAlias = Said | Announced | Piece | Response | Done | Mistake


class _Mode(enum.Enum):
    """What the next octets are."""

    LINE = "a line, or what is left of one"
    LITERAL = "of a literal that is collected"
    CONTENT = "of a content"
    REFUSED = "of a literal that nobody wants"


class Receiver:
    """The engine of one connection; what a command has changed it learns from the reply."""

    __slots__ = (
        "_asked",
        "_coming",
        "_command",
        "_expecting",
        "_leaving",
        "_limits",
        "_lines",
        "_logged_in",
        "_mode",
        "_over",
        "_waits",
        "after",
        "complaint",
    )

    def __init__(self, limits: Limits) -> None:
        self.after = After.GO_ON
        self.complaint = ""
        self._limits = limits
        self._lines = Lines(limits.imap_line)
        self._logged_in = False
        self._command: bytearray | None = None  # what has come of one with literals
        self._mode = _Mode.LINE
        self._coming = 0  # octets of a literal that are still to come
        self._waits = False  # the client, for us to take or refuse its literal
        self._over = False  # the command, which has been refused before its end
        self._expecting = Expecting.COMMAND
        self._asked: Event | None = None  # what awaits its reply
        self._leaving = False  # after the next reply

    @property
    def held(self) -> int:
        """How many octets have been received and not yet been given out."""
        return self._lines.held

    @property
    def in_content(self) -> bool:
        """Whether a literal is coming."""
        return self._mode is not _Mode.LINE

    # Octets in, events out.

    def receive(self, octets: bytes) -> None:
        """Take what has arrived."""
        self._lines.receive(octets)

    def next_event(self) -> Event | None:
        """Return what the client said next, or None until more has arrived."""
        if self._leaving:
            return None
        try:
            self._asked = self._next_event()
        except MailError as error:
            self._asked = Mistake(self._tag, error)
            self._leaving = self._leaving or self._lines.endless
            self._forget()
        return self._asked

    def _next_event(self) -> Event | None:
        while True:
            if self._mode is _Mode.LINE:
                line = self._lines.next_line()
                if line is None:
                    return None
                event = self._read(line)
            else:
                octets = self._taken()
                event = self._read_literal(octets)
                if not octets and self._coming:
                    return None
                if not self._coming:
                    self._mode = _Mode.LINE
            if event is not None:
                return event

    def _read(self, line: bytes) -> Event | None:
        if self._expecting is Expecting.RESPONSE:
            return Response(line)
        if self._expecting is Expecting.DONE:
            return self._done(line)
        found = _ANNOUNCEMENT.search(line) if line.endswith(b"}") else None
        if self._over:
            self._refuse_rest(found)
            return None
        if found:
            return self._announced(line, found)
        if self._command is None:
            return self._parsed(line)
        octets = bytes(self._command) + line
        self._forget()
        return self._parsed(octets)

    def _done(self, line: bytes) -> Event:
        self._expecting = Expecting.COMMAND
        if line.upper() != b"DONE":
            raise BadSyntax(f"{line[:40]!r} in IDLE", public="expected DONE")
        return Done()

    def _parsed(self, octets: bytes) -> Said | Mistake:
        found = _HEAD.match(octets)
        if found:
            return Said(found[1], found[2].upper(), octets, found.end())
        self._leaving = is_foreign(octets)
        cursor, tag = Cursor(octets), UNTAGGED
        try:
            tag = cursor.tag()
            cursor.space()
            cursor.word("a command")
            raise cursor.wrong("a command")
        except MailError as error:
            return Mistake(tag, error)

    @property
    def _tag(self) -> bytes:
        """The tag of the command that has begun."""
        found = _HEAD.match(self._command or b"")
        return found[1] if found else UNTAGGED

    # Literals.

    def _announced(self, line: bytes, found: re.Match[bytes]) -> Event | None:
        """Look at a literal that is announced at the end of a line; None if it just comes."""
        first = self._command is None
        command = self._command = self._command or bytearray()
        size, self._waits = int(found[2]), not found[3]
        head = _STREAMING.match(line if first else command) if self._logged_in else None
        streams = head is not None and not (first and found.start() == head.end())
        command += line[: found.start()] if streams else line + CRLF
        said = self._parsed(bytes(command))
        error = self._beyond_limits(size, streams)
        if error or isinstance(said, Mistake):
            self._give_up_literal(size)
            return Mistake(said.tag, error) if error else said
        self._coming = size
        self._mode = _Mode.CONTENT if streams else _Mode.LITERAL
        if streams or self._waits:
            return Announced(said, size, streams, bool(found[1]))
        return None

    def _beyond_limits(self, size: int, streams: bool) -> MailError | None:
        limits, collected = self._limits, len(self._command or b"")
        most = limits.imap_literals_logged_in if self._logged_in else limits.imap_literals
        if collected + (0 if streams else size) > most:
            return TooLarge(f"{size} octets", public=f"over {most} octets in one command")
        if streams and size > limits.message_size:
            return MessageTooLarge(f"{size}", public=f"over {limits.message_size} octets")
        return None

    def _give_up_literal(self, size: int) -> None:
        """Have no more of a command, and hear its literal only where the client can't stop."""
        self._command = None
        if self._waits:
            self._mode, self._over = _Mode.LINE, False
        elif size > self._limits.message_size:
            self._leaving = True
        else:
            self._mode, self._over, self._coming = _Mode.REFUSED, True, size

    def _refuse_rest(self, found: re.Match[bytes] | None) -> None:
        """Read what follows behind a literal of a command that has been refused."""
        self._over = False
        if found:
            self._waits = not found[3]
            self._give_up_literal(int(found[2]))

    def _taken(self) -> bytes:
        """Take what is here of a literal."""
        octets = self._lines.take()
        if len(octets) > self._coming:
            self._lines.receive(octets[self._coming :])
            octets = octets[: self._coming]
        self._coming -= len(octets)
        return octets

    def _read_literal(self, octets: bytes) -> Event | None:
        command = self._command
        if self._mode is _Mode.LITERAL and command is not None:
            command += octets
        elif self._mode is _Mode.CONTENT and command is not None:
            if not self._coming:
                command += CONTENT
            return Piece(octets) if octets else None
        return None

    def _forget(self) -> None:
        self._command = None

    # Replies out.

    def send(self, reply: object) -> bytes:
        """Return the octets of the reply to the last event, which is a `Reply`; learn from it.

        TLS doesn't begin where the client has already said something behind its
        STARTTLS: anyone on the way could have put it there (RFC 9051 section 6.2.1).
        """
        asked, self._asked = self._asked, None
        match reply:
            case Untagged(octets):
                return octets
            case GoOn(words, expecting, untagged):
                self._expect(expecting)
                silent = isinstance(asked, Announced) and not self._waits
                return untagged if silent else b"%b+ %b\r\n" % (untagged, text(words))
            case Challenge(octets):
                self._expect(Expecting.RESPONSE)
                return b"+ " + challenge(octets) + CRLF
            case Bye():
                self.after = After.CLOSE
                self.complaint = reply.text
                return reply.octets
            case Tagged(_, _, _, _, _, After.START_TLS) if self.held:
                return self.send(Bye("Something stood behind STARTTLS"))
            case Tagged():
                return self._end(asked, reply)
            case _:
                raise TypeError(f"no reply of IMAP: {reply!r}")

    def _expect(self, expecting: Expecting) -> None:
        self._expecting = expecting
        limits = self._limits
        if expecting is Expecting.RESPONSE:
            self._lines.limit = limits.sasl_line
        else:
            self._lines.limit = (
                limits.imap_line_logged_in if self._logged_in else limits.imap_line
            )

    def _end(self, asked: Event | None, reply: Tagged) -> bytes:
        if reply.effect is not Effect.NONE:
            self._logged_in = reply.effect is Effect.LOGGED_IN
        self._expect(Expecting.COMMAND)
        if isinstance(asked, Announced):
            size, self._coming = self._coming, 0
            self._give_up_literal(size)
        if reply.status == BAD and isinstance(asked, Said) and is_foreign(asked.octets):
            self._leaving = True
        self.after = reply.after
        if self._leaving and self.after is After.GO_ON:
            self.after, self.complaint = After.CLOSE, reply.text
            return Bye(reply.text, reply.code).octets + reply.octets
        return reply.octets
