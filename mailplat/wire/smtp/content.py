"""A message as it is sent: by DATA with its dots doubled, or in counted chunks."""

from __future__ import annotations

import re
from typing import Protocol

CRLF = b"\r\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class ContentWriter(Protocol):
    """Makes of the octets of a message what goes over the wire."""

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets, and return what to send."""

    def finish(self, octets: bytes) -> bytes:
        """Take the last octets, and return what to send."""


class DotWriter:
    """Doubles dots at the beginning of lines and puts a lone one behind (RFC 5321 4.5.2).

    All lines end in CRLF, whatever was in the message: a bare CR or LF might end
    a line for who comes behind the next host (RFC 5321 section 2.3.8).
    """

    def __init__(self) -> None:
        self._held = b""  # a CR that came last
        self._at_start = True  # of a line

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        self._held = b"\r" if octets.endswith(b"\r") else b""
        octets = with_crlf(octets.removesuffix(b"\r"))
        if not octets:
            return b""
        dot = b"." if self._at_start and octets.startswith(b".") else b""
        self._at_start = octets.endswith(CRLF)
        return dot + octets.replace(b"\r\n.", b"\r\n..")

    def finish(self, octets: bytes) -> bytes:
        sent = self.feed(octets)
        if self._held:
            self._held = b""
            return sent + b"\r\n.\r\n"
        return sent + (b".\r\n" if self._at_start else b"\r\n.\r\n")


class ChunkWriter:
    """Sends each piece with its count (RFC 3030), lines ended in CRLF unless it is binary."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        if not self._binary:
            octets = self._held + octets
            self._held = b"\r" if octets.endswith(b"\r") else b""
            octets = with_crlf(octets.removesuffix(b"\r"))
        return b"BDAT %d\r\n%b" % (len(octets), octets) if octets else b""

    def finish(self, octets: bytes) -> bytes:
        if not self._binary:
            octets, self._held = with_crlf(self._held + octets), b""
        return b"BDAT %d LAST\r\n%b" % (len(octets), octets)


def with_crlf(octets: bytes) -> bytes:
    """Return octets whose every CR and LF is part of a CRLF."""
    ends = octets.count(CRLF)
    if octets.count(b"\n") == ends == octets.count(b"\r"):
        return octets
    return _LINE_END.sub(CRLF, octets)
