"""What of a message a DKIM signature covers, as RFC 6376 section 3.4 makes it canonical.

The one place for this: who signs, who verifies, and who asks what a change
would break compare the same octets.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

import attrs

from mailplat.mail.content import CHUNK
from mailplat.mail.header import Header, name_of

_BLANKS = re.compile(rb"[ \t]++")
_LINE_ENDS = re.compile(rb"\r?\n")


class Canonicalization(Enum):
    """What of white space and case counts for a signature (RFC 6376 section 3.4)."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


@attrs.frozen
class Style:
    """How signatures are written: what counts of white space and case, and how long they hold.

    ``lifetime`` is in seconds; None says that they hold for good.
    """

    of_header: Canonicalization = Canonicalization.RELAXED
    of_body: Canonicalization = Canonicalization.RELAXED
    lifetime: int | None = None


RELAXED = Style()

# Fields ----------------------------------------------------------------------


def canonical_field(line: bytes, how: Canonicalization) -> bytes:
    """Return a field as a signature sees it, with its CRLF (sections 3.4.1 and 3.4.2)."""
    if how is Canonicalization.SIMPLE:
        line = _LINE_ENDS.sub(b"\r\n", line)
        return line if line.endswith(b"\r\n") else line + b"\r\n"
    name, _, body = line.partition(b":")
    body = _LINE_ENDS.sub(b"", body) if b"\n" in body else body
    if b"\t" in body or b"  " in body:
        body = _BLANKS.sub(b" ", body)
    return b"%b:%b\r\n" % (name.rstrip(b" \t").lower(), body.strip(b" "))


def chosen_fields(header: Header, names: Sequence[bytes], how: Canonicalization) -> list[bytes]:
    """Return the fields that names in lower case stand for, canonical, in the names' order.

    A name counts once for each time it is given, from the lowest field of that
    name upwards; one that is given once too often stands for nothing, so that
    another field of that name would break the signature (section 5.4.2).
    """
    lines = fields_by_name(header, names)
    found: list[bytes] = []
    for name in names:
        waiting = lines.get(name)
        found.append(canonical_field(waiting.pop(), how) if waiting else b"")
    return found


def fields_by_name(header: Header, names: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Return the fields of these names, topmost first, by their names in lower case."""
    wanted = set(names)
    lines: dict[bytes, list[bytes]] = {}
    for line in header.lines:
        name = name_of(line).lower()
        if name in wanted:
            lines.setdefault(name, []).append(line)
    return lines


# Bodies ----------------------------------------------------------------------


class BodyHash:
    """The hash of a body that comes in chunks, as one signature wants it.

    Lines that end in a bare LF count as if they ended in CRLF, as they would
    on the wire.
    """

    def __init__(
        self,
        canonicalization: Canonicalization,
        length: int | None = None,
        name: str = "sha256",
    ) -> None:
        self._relaxed = canonicalization is Canonicalization.RELAXED
        self._room = length
        self._hash = hashlib.new(name, usedforsecurity=False)
        self._held = b""  # what may belong to a line's end
        self._ends = 0  # line ends behind which there may be no text any more
        self.size = 0  # canonical octets so far, no more than are signed

    @property
    def is_full(self) -> bool:
        """Whether no further octet counts."""
        return self._room is not None and self.size >= self._room

    def feed(self, octets: bytes) -> None:
        """Take the next octets."""
        octets = self._held + octets
        self._held = b"\r" if octets.endswith(b"\r") else b""
        octets = octets.removesuffix(b"\r")
        if octets.count(b"\n") != octets.count(b"\r\n"):
            octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if self._relaxed:
            octets = _without_blanks(octets)
            if octets.endswith(b" "):
                octets, self._held = octets[:-1], b" " + self._held
        self._take(octets)

    def digest(self) -> bytes:
        """Return the hash in Base64, as bh= has it; no more octets come."""
        rest, self._held = self._held, b""
        self._take(rest.removeprefix(b" ") if rest == b" " else rest)
        if self.size or not self._relaxed:
            self._update(b"\r\n")
        return b64encode(self._hash.digest())

    def _take(self, octets: bytes) -> None:
        text = _without_last_ends(octets)
        if text:
            for count in _shares(self._ends):
                self._update(b"\r\n" * count)
            self._update(text)
            self._ends = 0
        self._ends += (len(octets) - len(text)) // 2

    def _update(self, octets: bytes) -> None:
        if self._room is not None:
            octets = octets[: max(self._room - self.size, 0)]
        self._hash.update(octets)
        self.size += len(octets)


def _without_blanks(octets: bytes) -> bytes:
    """Make one space of blanks, and none of those before a line's end.

    Most text has few of them, and is searched much faster than by a pattern.
    """
    if b"\t" in octets:
        octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets.replace(b" \r\n", b"\r\n") if b" \r\n" in octets else octets


def _without_last_ends(octets: bytes) -> bytes:
    """Return octets without the line ends behind all text; a CR alone is text."""
    if octets.endswith(b"\r"):
        return octets
    text = octets.rstrip(b"\r\n")
    alone = octets.rfind(b"\r\r", len(text))
    return octets[: alone + 1] if alone >= 0 else text


def _shares(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, CHUNK)
        count -= CHUNK
