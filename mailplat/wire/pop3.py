"""POP3 whole: octets in, commands out; replies in, octets out.

RFC 1939 with the extensions of RFC 2449, 2595, 3206, 5034 and 6856.  APOP is
left out on purpose: it needs every password in clear at the server.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable

import attrs

from mailplat.mail.errors import BadParameter, LineTooLong, MailError, UnknownCommand
from mailplat.mail.limits import Limits
from mailplat.wire.engine import After
from mailplat.wire.lines import CRLF, Lines, is_foreign

REPLY_LINE = 512  # octets of a reply's first line, CRLF included (RFC 2449 section 4)


# What the client says.


@attrs.frozen
class Capa:
    """What can you do? (RFC 2449)."""


@attrs.frozen
class User:
    """The name of a maildrop."""

    name: bytes


@attrs.frozen
class Pass:
    """The password to the name said before; spaces belong to it."""

    password: bytes


@attrs.frozen
class Auth:
    """The beginning of a SASL exchange; ``initial`` is as it came, in base64 (RFC 5034)."""

    mechanism: str
    initial: bytes | None


@attrs.frozen
class SaslLine:
    """The answer to a challenge, as it came: base64, or ``*`` to give up."""

    octets: bytes


@attrs.frozen
class Stls:
    """Let us speak TLS (RFC 2595 section 4)."""


@attrs.frozen
class Utf8:
    """From now on messages and names may be in UTF-8 (RFC 6856 section 2)."""


@attrs.frozen
class Lang:
    """Speak that language, or say which ones there are (RFC 6856 section 3)."""

    tag: str | None


@attrs.frozen
class Stat:
    """How many messages, how many octets?"""


@attrs.frozen
class List:
    """The size of one message, or of all."""

    number: int | None


@attrs.frozen
class Uidl:
    """The unique identifier of one message, or of all."""

    number: int | None


@attrs.frozen
class Retr:
    """The whole of a message."""

    number: int


@attrs.frozen
class Top:
    """The header of a message and so many lines of its body."""

    number: int
    lines: int


@attrs.frozen
class Dele:
    """Mark a message as deleted."""

    number: int


@attrs.frozen
class Rset:
    """Take all marks away."""


@attrs.frozen
class Noop:
    """Are you still there?"""


@attrs.frozen
class Quit:
    """The end, and the only way to the UPDATE state."""


@attrs.frozen
class Wrong:
    """A line that can't be understood, and why."""

    error: MailError


Command = (
    Capa | User | Pass | Auth | SaslLine | Stls | Utf8 | Lang | Stat | List | Uidl
    | Retr | Top | Dele | Rset | Noop | Quit | Wrong
)  # fmt: skip


# What the server says.


@attrs.frozen
class Ok:
    """A positive answer; ``after`` is what becomes of the connection then."""

    text: str
    after: After = After.GO_ON


@attrs.frozen
class Err:
    """A negative answer, with its response code if it has one (RFC 2449 section 8)."""

    text: str
    code: str = ""
    after: After = After.GO_ON


@attrs.frozen
class Listing:
    """A positive answer of several lines, each with its CRLF and none with a dot in front."""

    text: str
    octets: bytes


@attrs.frozen
class Message:
    """A positive answer that is a message, or the top of one, and is all in memory."""

    text: str
    octets: bytes


@attrs.frozen
class Tail:
    """What is left of a positive answer whose beginning was written ahead."""

    octets: bytes


@attrs.frozen
class Challenge:
    """The server's turn in a SASL exchange."""

    octets: bytes


Reply = Ok | Err | Listing | Message | Tail | Challenge


_DOT = re.compile(rb"\n\.")


def _stuffed(octets: bytes, *, new_line: bool) -> bytes:
    """Double the dots at the beginnings of lines (RFC 1939 section 3).

    Also of a line that a bare LF began: no mail that came by SMTP has such
    lines, but a client that ends lines there would take the lone dot for the
    message's end, and what follows it for our answers.
    """
    stuffed = octets
    if _DOT.search(octets):  # rarely, and found out in half the time of a replacement
        stuffed = octets.replace(b"\n.", b"\n..")
    return b"." + stuffed if new_line and octets.startswith(b".") else stuffed


def _ended(tail: bytes) -> bytes:
    """Return what ends a message: a CRLF where it has none, and the lone dot."""
    return b".\r\n" if tail.endswith(CRLF) else b"\r\n.\r\n"


class Transfer:
    """A message on its way to the client, a piece at a time, dots and all."""

    def __init__(self, text: str) -> None:
        self._ahead = _first_line("+OK", "", text)
        self._tail = CRLF  # the last two octets said: a line begins

    def feed(self, piece: bytes) -> bytes:
        """Return what is to be sent for a piece of the message."""
        sent = self._ahead + _stuffed(piece, new_line=self._tail.endswith(b"\n"))
        self._ahead = b""
        self._tail = (self._tail + piece[-2:])[-2:]
        return sent

    def end(self) -> bytes:
        """Return what is left to be sent when the message is over."""
        return self.feed(b"") + _ended(self._tail)


class TopCut:
    """Finds the end of a message's header and first lines, a piece at a time.

    Source: RFC 1939 section 7, TOP.  A message without an empty line is all
    header.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._in_header = True
        self._held = b""  # an end that may be half of what is looked for
        self.done = False

    def feed(self, piece: bytes) -> bytes:
        """Return how much of the message so far is wanted beyond what was returned before."""
        window, wanted = self._held + piece, b""
        self._held = b""
        if self._in_header:
            wanted, window = self._header(window)
        if not self._in_header and not self.done:
            wanted += self._body(window)
        return wanted

    def end(self) -> bytes:
        """Return what was held back, when the message is over."""
        rest, self._held = self._held, b""
        return rest

    def _header(self, window: bytes) -> tuple[bytes, bytes]:
        end = window.find(b"\r\n\r\n")
        if end < 0:
            self._held = window[-3:]
            return window[:-3], b""
        self._in_header = False
        return window[: end + 4], window[end + 4 :]

    def _body(self, window: bytes) -> bytes:
        lines = window.count(CRLF)
        if lines >= self._lines:
            self.done = True
            rest = window.split(CRLF, self._lines)[self._lines]
            return window[: len(window) - len(rest)]
        self._lines -= lines
        if window.endswith(b"\r"):
            self._held, window = b"\r", window[:-1]
        return window


# The grammar.

_NUMBER = re.compile(rb"0*[1-9][0-9]{0,9}")
_COUNT = re.compile(rb"[0-9]{1,10}")
_MECHANISM = re.compile(rb"[A-Za-z0-9\-_]{1,20}")  # RFC 4422 section 3.1
_TAG = re.compile(rb"\*|[A-Za-z0-9\-]{1,64}")  # a basic language range, RFC 4647 section 2.1


def _matched(pattern: re.Pattern[bytes], octets: bytes, what: str) -> bytes:
    if not pattern.fullmatch(octets):
        raise BadParameter(f"no {what}: {octets[:64]!r}")
    return octets


def _number(octets: bytes) -> int:
    return int(_matched(_NUMBER, octets, "message number"))


def _alone(command: Callable[[], Command]) -> Callable[[bytes], Command]:
    event = command()

    def parse(argument: bytes) -> Command:
        if argument:
            raise BadParameter("an argument where none belongs")
        return event

    return parse


def _of_one(command: Callable[[int], Command]) -> Callable[[bytes], Command]:
    return lambda argument: command(_number(argument))


def _of_one_or_all(command: Callable[[int | None], Command]) -> Callable[[bytes], Command]:
    return lambda argument: command(_number(argument) if argument else None)


def _of_text(command: Callable[[bytes], Command]) -> Callable[[bytes], Command]:
    def parse(argument: bytes) -> Command:
        if not argument:
            raise BadParameter("an argument is missing")
        return command(argument)

    return parse


def _auth(argument: bytes) -> Auth:
    name, space, initial = argument.partition(b" ")
    mechanism = _matched(_MECHANISM, name, "mechanism").decode("ascii").upper()
    return Auth(mechanism, initial if space else None)


def _lang(argument: bytes) -> Lang:
    return Lang(_matched(_TAG, argument, "language").decode("ascii") if argument else None)


def _top(argument: bytes) -> Top:
    number, _, lines = argument.partition(b" ")
    return Top(_number(number), int(_matched(_COUNT, lines, "number of lines")))


_COMMANDS: dict[bytes, Callable[[bytes], Command]] = {
    b"AUTH": _auth,
    b"CAPA": _alone(Capa),
    b"DELE": _of_one(Dele),
    b"LANG": _lang,
    b"LIST": _of_one_or_all(List),
    b"NOOP": _alone(Noop),
    b"PASS": _of_text(Pass),
    b"QUIT": _alone(Quit),
    b"RETR": _of_one(Retr),
    b"RSET": _alone(Rset),
    b"STAT": _alone(Stat),
    b"STLS": _alone(Stls),
    b"TOP": _top,
    b"UIDL": _of_one_or_all(Uidl),
    b"USER": _of_text(User),
    b"UTF8": _alone(Utf8),
}


def _parsed(line: bytes) -> Command:
    verb, _, argument = line.partition(b" ")
    parse = _COMMANDS.get(verb.upper())
    if parse is None:
        raise UnknownCommand(f"{verb[:64]!r}")
    return parse(argument)


_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _first_line(status: str, code: str, text: str) -> bytes:
    words = f"{status} [{code}] {text}" if code else f"{status} {text}"
    if not words.isprintable():
        words = _UNSAFE.sub(" ", words)
    octets = words.rstrip(" ").encode("utf-8", "replace")
    if len(octets) > REPLY_LINE - 2:
        octets = octets[: REPLY_LINE - 2].decode("utf-8", "ignore").encode()
    return octets + CRLF


class Pop3Engine:
    """The server's half of one POP3 conversation, without any I/O.

    Whether the next line is a command or part of a SASL exchange follows from
    what was sent last.  RFC 5034 section 4 lets the lines of an exchange be as
    long as a mechanism needs; a command with an initial response may be as
    long, all others stay within ``limits.pop3_line``.
    """

    __slots__ = ("_challenged", "_leaving", "_limit", "_lines", "after", "complaint")

    in_content = False  # nothing that clients say is long

    def __init__(self, limits: Limits) -> None:
        self.after = After.GO_ON
        self.complaint = ""
        self._limit = limits.pop3_line
        self._lines = Lines(limits.sasl_line)
        self._challenged = False
        self._leaving = False  # after the next reply

    @property
    def held(self) -> int:
        """Octets received and not yet understood."""
        return self._lines.held

    def receive(self, octets: bytes) -> None:
        """Take what arrived."""
        self._lines.receive(octets)

    def next_event(self) -> Command | None:
        """Return the next command, or None until more octets have come."""
        try:
            line = self._lines.next_line()
            if line is None:
                return None
            if self._challenged:
                return SaslLine(line)
            if len(line) + 2 > self._limit and line[:5].upper() != b"AUTH ":
                raise LineTooLong(f"a command of over {self._limit} octets")
            return self._command(line)
        except MailError as error:
            return Wrong(error)

    def _command(self, line: bytes) -> Command:
        try:
            return _parsed(line)
        except UnknownCommand:
            self._leaving = is_foreign(line)
            raise

    def send(self, reply: object) -> bytes:
        """Return the octets that say ``reply``, which is a `Reply`.

        TLS doesn't begin where the client has already said something behind
        its STLS: anyone on the way could have put it there (RFC 2595 section 4).
        """
        self._challenged = isinstance(reply, Challenge)
        match reply:
            case Message(text, octets):
                body = _stuffed(octets, new_line=True)
                return _first_line("+OK", "", text) + body + _ended(octets or CRLF)
            case Listing(text, octets):
                return _first_line("+OK", "", text) + octets + b".\r\n"
            case Tail(octets):
                return octets
            case Challenge(octets):
                return b"+ " + b64encode(octets) + CRLF
            case Ok(_, After.START_TLS) if self.held:
                self.after = After.CLOSE
                return _first_line("-ERR", "", "Something stood behind STLS")
            case Ok(text, after):
                self.after = self._unless_leaving(after)
                return _first_line("+OK", "", text)
            case Err(text, code, after):
                self.after = self._unless_leaving(after)
                self.complaint = text if self.after is After.CLOSE else ""
                return _first_line("-ERR", code, text)
            case _:
                raise TypeError(f"no reply of POP3: {reply!r}")

    def _unless_leaving(self, after: After) -> After:
        return After.CLOSE if self._leaving or self._lines.endless else after
