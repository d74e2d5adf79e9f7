"""Where a message ends in the DATA phase, and nothing else (RFC 5321 section 4.5.2)."""

from __future__ import annotations

from io import IncrementalNewlineDecoder

import attrs

from mailplat.mail.errors import (
    BadContent,
    BareLineEnd,
    LineTooLong,
    MailError,
    MessageTooLarge,
)

CRLF = b"\r\n"
DOT = b"\r\n."  # begins a line: the last one, or one with a dot too many
END = b"\r\n.\r\n"
_BEGINNINGS = (END[:4], END[:3], END[:2], END[:1])  # of the end, longest first


@attrs.frozen
class Body:
    """Some octets of the message, their extra dots removed."""

    octets: bytes


@attrs.frozen
class EndOfData:
    """The lone dot arrived; ``failure`` is why the message can't be kept, if so."""

    failure: MailError | None = attrs.field(default=None, eq=type)


@attrs.define
class DotReader:
    """Finds the end of a message in a stream of octets.

    Feed it whatever arrived; how the stream was cut never changes what comes
    out.  Only CRLF ends a line, so nobody can hide a second message behind a
    bare LF.  A message that breaks a rule is read to its real end and refused
    there: its rest is never taken for commands.  Where twice the octets that a
    message may have bring no end, none is looked for any more (`is_endless`).
    It looks at chunks, never at single lines, and holds back at most four
    octets, which may be the end's.
    """

    line: int  # octets in one line, its CRLF counted and its extra dot not
    size: int  # octets in the message
    trailing: bytes = attrs.field(default=b"", init=False)  # came behind the end
    _held: bytes = attrs.field(default=CRLF, init=False)  # as if a line had just ended
    _opening: bytes = attrs.field(default=CRLF, init=False)  # that CRLF, until it is taken off
    _read: int = attrs.field(default=-2, init=False)  # octets of the message, without it
    _column: int = attrs.field(default=0, init=False)  # octets read of an unfinished line
    _bare: bool = attrs.field(default=False, init=False)
    _long: bool = attrs.field(default=False, init=False)
    _has_nul: bool = attrs.field(default=False, init=False)

    @property
    def failure(self) -> MailError | None:
        """Why the message can't be kept, as far as it has been read."""
        if self._bare:
            return BareLineEnd("a CR or LF outside CRLF")
        if self._long:
            return LineTooLong(f"a line of over {self.line} octets")
        if self._has_nul:
            return BadContent("a NUL, which no line may have (RFC 2045 section 2.8)")
        if self._read > self.size:
            return MessageTooLarge(f"over {self.size} octets")
        return None

    @property
    def is_endless(self) -> bool:
        """Whether so much was read that whoever sends it can't mean a message."""
        return self._read > 2 * self.size

    def receive(self, octets: bytes) -> list[Body | EndOfData]:
        """Return what ``octets`` complete; nothing may be fed behind the end."""
        window = self._held + octets
        dot = window.find(DOT)
        end = window.find(END, dot) if dot >= 0 else -1
        if end >= 0:
            self.trailing = window[end + 5 :]
            return [*self._body(window[: end + 2], dot < end), EndOfData(self.failure)]
        self._held = next(filter(window.endswith, _BEGINNINGS), b"")
        return self._body(window[: len(window) - len(self._held)], dot >= 0)

    def _body(self, piece: bytes, has_dots: bool) -> list[Body | EndOfData]:
        self._bare = self._bare or _line_ends(piece) not in (None, "\r\n")
        self._has_nul = self._has_nul or b"\0" in piece
        body = piece.replace(DOT, CRLF) if has_dots else piece
        self._long = self._long or self._has_long_line(body)
        self._read += len(body)
        last = body.rfind(CRLF)
        self._column = len(body) - last - 2 if last >= 0 else self._column + len(body)
        if not body or self.failure:
            return []
        body, self._opening = body.removeprefix(self._opening), b""
        return [Body(body)] if body else []

    def _has_long_line(self, body: bytes) -> bool:
        """Say whether a line is too long; looks once for each ``line`` octets at most."""
        start, room = 0, self.line - 2 - self._column
        while len(body) - start > room:
            end = body.rfind(CRLF, start, start + room + 2)
            if end < 0:
                return True
            start, room = end + 2, self.line - 2
        return False


def _line_ends(octets: bytes) -> object:
    """Return the one kind of line ends that there is in ``octets``, or all of them, or None."""
    scanner = IncrementalNewlineDecoder(None, translate=False)
    scanner.decode(octets.decode("latin-1"), final=True)
    return scanner.newlines
