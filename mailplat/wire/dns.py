"""Questions to a DNS server and what it says, as octets (RFC 1035 section 4, RFC 6891).

Only what the house asks for is read.  Every name costs a bounded number of
steps: a pointer leads only backwards and never to another pointer, which no
server sends and the RFC does not need.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

import attrs

from mailplat.mail.dns import (
    KINDS,
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ptr,
    ResourceRecord,
    Srv,
    Tlsa,
    Txt,
)

UDP_SIZE = 1232  # octets that pass through every path in one piece (DNS flag day 2020)
MOST_RECORDS = 512  # in the answer section; more are no answer
LONGEST_TTL = 0x7FFFFFFF  # RFC 2181 section 8

_HEAD = struct.Struct(">HHHHHH")
_FIXED = struct.Struct(">HHIH")  # of a record, behind its name
_NUMBERS = struct.Struct(">HHH")
_OPT = 41
_SOA = 6
_IN = 1
_QUERY = 0x0120  # recursion desired; we understand AD (RFC 6840 section 5.7)
_ODD = re.compile(rb"[^!-\-/-\[\]-~]")


class Code(IntEnum):
    """What a server says of a question (RFC 1035 section 4.1.1)."""

    NO_ERROR = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NO_SUCH_NAME = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class BadMessage(Exception):
    """Octets that are no message of the DNS, or none of reasonable size."""


@attrs.frozen
class Question:
    """One question: a name in `name_of`'s spelling, and a type's number."""

    id: int
    name: str
    number: int

    def octets(self, *, edns: bool = True) -> bytes:
        """Return the message that asks it; without EDNS for servers that can't stand it."""
        labels = self.name.encode("ascii").split(b".") if self.name else []
        name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
        head = _HEAD.pack(self.id, _QUERY, 1, 0, 0, int(edns))
        opt = b"\0" + _FIXED.pack(_OPT, UDP_SIZE, 0, 0) if edns else b""
        return head + name + struct.pack(">HH", self.number, _IN) + opt


@attrs.frozen
class Found:
    """A resource record, and whose it is."""

    name: str
    ttl: int
    record: ResourceRecord


@attrs.frozen
class Response:
    """What a server said; ``records`` are those of its answer section that we know.

    ``authentic`` is the AD bit.  ``negative_ttl`` is how long, in seconds, it
    may be believed that there is nothing (RFC 2308 section 5), None where
    nothing is said of that.
    """

    code: int
    truncated: bool
    authentic: bool
    records: tuple[Found, ...] = ()
    negative_ttl: int | None = None


def read(octets: bytes, question: Question) -> Response | None:
    """Return what a message says to a question, None if it is another's answer.

    Raises `BadMessage`.
    """
    if len(octets) < _HEAD.size:
        raise BadMessage(f"{len(octets)} octets")
    number, flags, questions, answers, authorities, _ = _HEAD.unpack_from(octets)
    if number != question.id or not flags & 0x8000 or flags & 0x7800:
        return None
    code, truncated, authentic = flags & 0xF, bool(flags & 0x0200), bool(flags & 0x0020)
    if code == Code.FORMAT_ERROR and not questions:
        return Response(code, truncated, False)  # it did not read the question
    reader = _Reader(octets, _HEAD.size)
    if questions != 1 or not reader.repeats(question):
        return None
    if truncated:
        return Response(code, truncated, authentic)
    if answers > MOST_RECORDS or authorities > MOST_RECORDS:
        raise BadMessage(f"{answers} answers, {authorities} authorities")
    records = tuple(found for _ in range(answers) if (found := reader.record()))
    ttls = [ttl for _ in range(authorities) if (ttl := reader.negative_ttl()) is not None]
    return Response(code, truncated, authentic, records, ttls[0] if ttls else None)


@attrs.define
class _Reader:
    """Reads one message from front to back."""

    octets: bytes
    at: int

    def repeats(self, question: Question) -> bool:
        """Whether the question comes next, whatever the case of its letters."""
        name = self.name()
        number, kind = struct.unpack(">HH", self.take(4))
        return (name, number, kind) == (question.name, question.number, _IN)

    def record(self) -> Found | None:
        """Read a record; None for one that we don't know."""
        name, number, kind, ttl, end = self._beginning()
        known = _READERS.get(number) if kind == _IN else None
        found = Found(name, ttl, known(self, end)) if known else None
        if known and self.at != end:
            raise BadMessage(f"a record of type {number} of another size")
        self.at = end
        return found

    def negative_ttl(self) -> int | None:
        """Read a record; return what it says of how long nothing is nothing, if it does."""
        _, number, kind, ttl, end = self._beginning()
        self.at = end
        if number != _SOA or kind != _IN or end < 4:
            return None
        return min(ttl, int.from_bytes(self.octets[end - 4 : end], "big"))

    def _beginning(self) -> tuple[str, int, int, int, int]:
        name = self.name()
        number, kind, ttl, length = _FIXED.unpack(self.take(_FIXED.size))
        end = self.at + length
        if end > len(self.octets):
            raise BadMessage("a record without an end")
        return name, number, kind, ttl if ttl <= LONGEST_TTL else 0, end

    def take(self, count: int) -> bytes:
        """Read so many octets."""
        taken = self.octets[self.at : self.at + count]
        if len(taken) != count:
            raise BadMessage("a message without an end")
        self.at += count
        return taken

    def number(self) -> int:
        """Read one octet."""
        return self.take(1)[0]

    def name(self) -> str:
        """Read a name, which may be continued at a place before it (RFC 1035 section 4.1.4)."""
        labels: list[str] = []
        size, behind = 0, None
        while length := self.number():
            if length >= 0xC0:
                start = (length & 0x3F) << 8 | self.number()
                behind = self.at if behind is None else behind
                if start >= self.at - 2 or self.octets[start] >= 0xC0:
                    raise BadMessage("a pointer that leads nowhere")
                self.at = start
                continue
            if length > 63 or (size := size + length + 1) > 254:
                raise BadMessage("a name that is too long")
            labels.append(_label(self.take(length)))
        if behind is not None:
            self.at = behind
        return ".".join(labels)


def _label(octets: bytes) -> str:
    odd = _ODD.sub(lambda found: b"\\%03d" % found[0][0], octets)
    return odd.decode("ascii").lower()


# One reader for each type; each is told where its record ends.


def _a(reader: _Reader, end: int) -> ResourceRecord:
    return A(IPv4Address(reader.take(4)))


def _aaaa(reader: _Reader, end: int) -> ResourceRecord:
    return Aaaa(IPv6Address(reader.take(16)))


def _mx(reader: _Reader, end: int) -> ResourceRecord:
    return Mx(int.from_bytes(reader.take(2), "big"), reader.name())


def _txt(reader: _Reader, end: int) -> ResourceRecord:
    strings = []
    while reader.at < end:
        strings.append(reader.take(reader.number()))
    return Txt(b"".join(strings))


def _srv(reader: _Reader, end: int) -> ResourceRecord:
    priority, weight, port = _NUMBERS.unpack(reader.take(6))
    return Srv(priority, weight, port, reader.name())


def _tlsa(reader: _Reader, end: int) -> ResourceRecord:
    usage, selector, matching = reader.take(3)
    return Tlsa(usage, selector, matching, reader.take(max(end - reader.at, 0)))


def _caa(reader: _Reader, end: int) -> ResourceRecord:
    flags, length = reader.take(2)
    tag = reader.take(length).decode("ascii", "replace").lower()
    return Caa(flags, tag, reader.take(max(end - reader.at, 0)))


_READERS: dict[int, Callable[[_Reader, int], ResourceRecord]] = {
    A.number: _a,
    Aaaa.number: _aaaa,
    Mx.number: _mx,
    Txt.number: _txt,
    Srv.number: _srv,
    Tlsa.number: _tlsa,
    Caa.number: _caa,
    Cname.number: lambda reader, end: Cname(reader.name()),
    Ptr.number: lambda reader, end: Ptr(reader.name()),
}
assert _READERS.keys() == KINDS.keys()
