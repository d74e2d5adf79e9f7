"""What an SMTP server says to a client, out of chunks of any size (RFC 5321 section 4.2)."""

from __future__ import annotations

import re

import attrs

from mailplat.mail.status import Status

LONGEST_LINE = 4096  # octets with CRLF; RFC 5321 section 4.5.3.1.5 has 512
MOST_LINES = 256  # of one reply

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ \-])(.*+))?+", re.DOTALL)
_STATUS = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![^ ])")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class BadReply(Exception):
    """The server said what is no reply, or too long a one; it can't be understood further."""


@attrs.frozen
class Heard:
    """One reply: its code, and the text of each line."""

    code: int
    lines: tuple[str, ...] = ("",)

    @property
    def is_success(self) -> bool:
        """Whether what was asked has been done."""
        return 200 <= self.code < 300

    @property
    def status(self) -> Status:
        """The enhanced status if the server gave one that fits (RFC 2034), else a general one.

        An intermediate reply has that of a passing failure: it came where none was due.
        """
        klass = self.code // 100 if self.code // 100 != 3 else 4
        match = _STATUS.match(self.lines[0])
        if match and int(match[1]) == klass:
            return Status(klass, int(match[2]), int(match[3]))
        return Status(klass, 0, 0)

    def __str__(self) -> str:
        return f"{self.code} {' '.join(filter(None, self.lines))}".rstrip()


@attrs.define
class Hearing:
    """Puts replies together; how the network cut them never changes what comes out.

    Lines end in CRLF and in nothing else (RFC 5321 section 2.3.8): a server that
    ends one otherwise is told apart at once, and not waited for.
    """

    _octets: bytes = attrs.field(default=b"", init=False)
    _code: int = attrs.field(default=0, init=False)  # of a reply that goes on
    _lines: list[str] = attrs.field(factory=list, init=False)

    @property
    def held(self) -> int:
        """How many octets have come that no reply has been made of."""
        return len(self._octets) + len(self._lines)

    def receive(self, octets: bytes) -> None:
        """Take what has arrived."""
        self._octets += octets

    def next_reply(self) -> Heard | None:
        """Return the next reply, or None until it is whole; raises `BadReply`."""
        while True:
            end = self._octets.find(b"\r\n", 0, LONGEST_LINE)
            if self._octets.find(b"\n", 0, end if end >= 0 else LONGEST_LINE) >= 0:
                raise BadReply("a line that ends in a bare LF")
            if end < 0:
                if len(self._octets) >= LONGEST_LINE:
                    raise BadReply(f"a line of over {LONGEST_LINE} octets")
                return None
            line, self._octets = self._octets[:end], self._octets[end + 2 :]
            if reply := self._take(line):
                return reply

    def _take(self, line: bytes) -> Heard | None:
        match = _LINE.fullmatch(line)
        if not match:
            raise BadReply(f"no reply: {line[:80]!r}")
        code = int(match[1])
        if self._code not in (0, code):
            raise BadReply(f"a reply of {self._code} and {code}")
        if len(self._lines) >= MOST_LINES:
            raise BadReply(f"a reply of over {MOST_LINES} lines")
        text = (match[3] or b"").decode("utf-8", "backslashreplace")
        self._lines.append(_UNSAFE.sub("?", text).strip())
        if match[2] == b"-":
            self._code = code
            return None
        lines, self._lines, self._code = tuple(self._lines), [], 0
        return Heard(code, lines)
