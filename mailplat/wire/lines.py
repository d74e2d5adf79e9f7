"""Command lines out of chunks of any size, with limits."""

from __future__ import annotations

import re

import attrs

from mailplat.mail.errors import BareLineEnd, LineTooLong

CRLF = b"\r\n"
FORBIDDEN = re.compile(rb"[\r\n\0]")
FOREIGN = re.compile(
    rb"(?:GET|POST|HEAD|PUT|DELETE|CONNECT|OPTIONS|PATCH|TRACE|PRI) |[!-9;-~]++:",
    re.IGNORECASE,
)
DISCARDED = 65536  # octets of an over-long line that are read to find its end


def is_foreign(line: bytes) -> bool:
    """Say whether a line belongs to HTTP, or is a header field: no mail client says that.

    A browser that was sent to a port of ours would say its commands behind them.
    """
    return FOREIGN.match(line) is not None


@attrs.define
class Lines:
    """Cuts a stream into lines that end in CRLF, and in nothing else.

    How the network cut the stream never changes what comes out.  A line that
    breaks a rule is one error and never two commands: a bare CR, LF or NUL
    spoils the line it stands in, and of a line over ``limit`` octets (its CRLF
    counted) nothing is kept while its end is looked for.  Where that takes more
    than `DISCARDED` octets, ``endless`` is set and nothing comes out any more.
    """

    limit: int
    endless: bool = attrs.field(default=False, init=False)
    _octets: bytes = attrs.field(default=b"", init=False)
    _start: int = attrs.field(default=0, init=False)  # of the first line not yet given
    _searched: int = attrs.field(default=0, init=False)  # no CRLF begins before this
    _discarded: int = attrs.field(default=0, init=False)  # of an over-long line

    @property
    def held(self) -> int:
        """How many octets have been received and not yet been given out."""
        return len(self._octets) - self._start

    def receive(self, octets: bytes) -> None:
        """Take what has arrived."""
        if self.endless:
            return
        if self._start:
            self._searched -= self._start
            octets = self._octets[self._start :] + octets
            self._start = 0
        elif self._octets:
            octets = self._octets + octets
        self._octets = octets

    def next_line(self) -> bytes | None:
        """Return the next line without its CRLF, or None until there is more.

        Raises `LineTooLong` or `BareLineEnd` in the place of a line that is not
        given out, once for each.
        """
        end = self._octets.find(CRLF, self._searched)
        if end < 0:
            self._wait()
            return None
        line = self._octets[self._start : end]
        length = self._discarded + len(line) + 2
        self._start = self._searched = end + 2
        self._discarded = 0
        if length > self.limit:
            raise self._too_long(length)
        if FORBIDDEN.search(line):
            raise BareLineEnd("a bare CR, LF or NUL in a line")
        return line

    def take(self) -> bytes:
        """Give up everything that is held, for somebody else to read."""
        octets = self._octets[self._start :]
        self._octets, self._start, self._searched = b"", 0, 0
        return octets

    def _wait(self) -> None:
        """Make ready for more; what has been given out is kept no longer."""
        if not self.held:
            self.take()
            return
        half = self._octets.endswith(b"\r", self._start)
        length = self._discarded + self.held - half + 2  # if it ended right here
        if length > self.limit:
            self._discarded += self.held - half
            self._octets = b"\r" if half else b""
            self._start = 0
        self._searched = len(self._octets) - half
        if length > self.limit + DISCARDED:
            raise self._too_long(length)

    def _too_long(self, length: int) -> LineTooLong:
        if length > self.limit + DISCARDED:
            self.endless = True
            self._discarded = 0
            self.take()
        return LineTooLong(f"a line of over {self.limit} octets")
