"""Fields read without losing an octet, added without rewriting one (RFC 5322).

A header block is cut into logical lines, a field with its folded lines each.
Lines end at LF, with or without a CR before it, so that a message from an old
store reads as well as one that came in today.  What is no field stays in its
place and has no name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from itertools import islice
from typing import Self

import attrs

_LOGICAL_LINE = re.compile(rb"[^\n]*+\n(?:[ \t][^\n]*+\n?+)*+|[^\n]++")
_FIELD = re.compile(  # a field with its name, or another logical line
    rb"(([!-9;-~]++)[ \t]*+:([^\n]*+\n?+(?:[ \t][^\n]*+\n?+)*+))|" + _LOGICAL_LINE.pattern
)
# Fields that tell what a message is, in any case: classes of two letters are quicker than
# IGNORECASE, and most lines fail the first look.
_TELLING = re.compile(
    rb"\n(?=[BbCcDdFfIiMmRrSsTt])([Ff][Rr][Oo][Mm]|[Tt][Oo]|[Bb]?[Cc][Cc]|[Dd][Aa][Tt][Ee]"
    rb"|[Ss](?:[Uu][Bb][Jj][Ee][Cc][Tt]|[Ee][Nn][Dd][Ee][Rr])"
    rb"|[Rr][Ee](?:[Pp][Ll][Yy]-[Tt][Oo]|[Ff][Ee][Rr][Ee][Nn][Cc][Ee][Ss])"
    rb"|[Ii][Nn]-[Rr][Ee][Pp][Ll][Yy]-[Tt][Oo]|[Mm][Ee][Ss][Ss][Aa][Gg][Ee]-[Ii][Dd]"
    rb"|[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[!-9;-~]++)"
    rb"[ \t]*+:[ \t]*+([^\n]*+)((?:\n[ \t][^\n]*+)*+)"
)
MOST_TELLING = 1000  # fields that are read of a header
_AT_ONCE = 65536  # octets of a header, longer than nearly all are
EMPTY_LINE = re.compile(rb"\n\r?\n")
_CONTENT = re.compile(rb"\n[cC][oO][nN][tT][eE][nN][tT]-[^\n]*+(?:\n[ \t][^\n]*+)*+")
_NAME = re.compile(rb"[!-9;-~]+")  # RFC 5322 section 2.2
_UNFOLD = re.compile(rb"\r?\n(?=[ \t])")


def body_begins(octets: bytes) -> int:
    """Return where a message's body begins: behind the first empty line, or at the end."""
    if octets.startswith((b"\r\n", b"\n")):
        return octets.index(b"\n") + 1
    found = EMPTY_LINE.search(octets)
    return found.end() if found else len(octets)


Telling = Mapping[bytes, list[bytes]]
"""Bodies of fields, topmost first, by the fields' names in lower case."""


def telling_fields(block: bytes) -> Telling:
    """Return the bodies of the fields that tell what a message or a part is.

    They are unfolded, with the white space at their end, which IMAP shows of some.

    These are the originator, destination and identification fields, Date and
    Subject (RFC 5322 section 3.6), of which envelopes, threads and sort keys are
    made, and all of Content-* (RFC 2045 section 3), a thousand in all.  Finding
    them takes two thirds of the time of looking at all fields.
    """
    fields = _TELLING.findall(b"\n" + block[:_AT_ONCE])
    if len(fields) > MOST_TELLING or len(block) > _AT_ONCE:
        found = _TELLING.finditer(b"\n" + block)
        fields = [field.groups() for field in islice(found, MOST_TELLING)]
    telling = {
        name.lower(): [_told(line + more) if more else line.removesuffix(b"\r")]
        for name, line, more in fields
    }
    if len(telling) < len(fields):
        telling = {}
        for name, line, more in fields:
            telling.setdefault(name.lower(), []).append(_told(line + more))
    return telling


HEADER_OF_FEW = 4 * MOST_TELLING  # octets of a header that can't have more fields than that


def content_fields(block: bytes) -> bytes:
    """Return the fields of a header that are called Content-*, as a header of their own."""
    return b"".join(_CONTENT.findall(b"\n" + block))[1:]


def _told(body: bytes) -> bytes:
    body = body.removesuffix(b"\r")
    body = body.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
    if b"\n" in body:
        body = body.replace(b"\n ", b" ").replace(b"\n\t", b"\t")
    return body.lstrip(b" \t")


@attrs.frozen
class Field:
    """One field: its name as written, and all its octets with the final CRLF."""

    name: bytes
    octets: bytes

    @property
    def body(self) -> bytes:
        """What follows the colon, unfolded, without the white space around it."""
        return _unfolded(self.octets.partition(b":")[2])


@attrs.frozen
class Header:
    """A header block: its octets without the empty line, and on demand its fields."""

    octets: bytes = b""

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Return the header of a message or of the beginning of one."""
        return cls.of_block(octets[: body_begins(octets)])

    @classmethod
    def of_block(cls, block: bytes) -> Self:
        """Return the header that is a block which may have its empty line behind it."""
        if block.endswith(b"\n\r\n") or block == b"\r\n":
            return cls(block[:-2])
        if block.endswith(b"\n\n") or block == b"\n":
            return cls(block[:-1])
        return cls(block)

    @cached_property
    def lines(self) -> tuple[bytes, ...]:
        """The logical lines; joined they are the octets."""
        return tuple(_LOGICAL_LINE.findall(self.octets))

    @cached_property
    def _index(self) -> dict[bytes, list[tuple[bytes, bytes, bytes]]]:
        """Octets, name and folded body of each field, by their names in lower case."""
        index: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
        for field in _FIELD.findall(self.octets):
            key = field[1].lower()
            if key in index:
                index[key].append(field)
            else:
                index[key] = [field]
        index.pop(b"", None)  # lines that are no fields
        return index

    @property
    def fields(self) -> tuple[Field, ...]:
        """All fields, topmost first."""
        return tuple(Field(name, line) for line, name, _ in _FIELD.findall(self.octets) if name)

    @property
    def names(self) -> tuple[bytes, ...]:
        """The names of all fields in lower case, each once."""
        return tuple(self._index)

    def all(self, name: bytes) -> tuple[Field, ...]:
        """Return the fields of that name, whatever its case, topmost first."""
        return tuple(Field(name, line) for line, name, _ in self._index.get(name.lower(), ()))

    def first(self, name: bytes) -> Field | None:
        """Return the topmost field of that name, or None."""
        found = self._index.get(name.lower())
        return Field(found[0][1], found[0][0]) if found else None

    def body(self, name: bytes) -> bytes:
        """Return the `Field.body` of the topmost field of that name; empty without one."""
        found = self._index.get(name.lower())
        return _unfolded(found[0][2]) if found else b""

    def bodies(self, name: bytes) -> list[bytes]:
        """Return the `Field.body` of every field of that name, topmost first."""
        found = self._index.get(name.lower())
        if found is None:
            return []
        if len(found) == 1:  # as nearly all are; a comprehension would take twice as long
            return [_unfolded(found[0][2])]
        return [_unfolded(body) for _, _, body in found]

    def picked(self, names: Collection[bytes], others: bool = False) -> bytes:
        """Return the octets of the fields of these names, or else of all other lines.

        Names are in lower case.
        """
        return b"".join(
            [
                line
                for line, name, _ in _FIELD.findall(self.octets)
                if (name.lower() in names) is not others
            ]
        )

    def count(self, name: bytes) -> int:
        """Return how many fields bear that name."""
        return len(self._index.get(name.lower(), ()))

    @classmethod
    def of_lines(cls, lines: Iterable[bytes]) -> Self:
        """Return the header that consists of these logical lines."""
        return cls(b"".join(lines))


def _unfolded(body: bytes) -> bytes:
    body = body.strip(b" \t\r\n")
    if b"\n" not in body:
        return body
    body = body.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
    return _UNFOLD.sub(b"", body) if b"\n" in body else body


def name_of(line: bytes) -> bytes:
    """Return the name of the field that a logical line is; empty if it is none."""
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")  # white space before the colon is obsolete, and read
    return name if colon and _NAME.fullmatch(name) else b""
