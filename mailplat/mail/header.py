"""Fields read without losing an octet, added without rewriting one (RFC 5322)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

_FIELD = re.compile(
    rb"([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r(?!\n)|(?<!\r)\n|\r\n(?=[ \t]))*)(?:\r\n|\Z)"
)


@attrs.frozen
class Field:
    """One field: its name as written, and all its octets with the final CRLF."""

    name: bytes
    octets: bytes

    @property
    def body(self) -> bytes:
        """What follows the colon, unfolded, without the white space around it."""
        return self.octets.partition(b":")[2].replace(b"\r\n", b"").strip()


@attrs.frozen
class Header:
    """A header block, as its fields in order."""

    fields: tuple[Field, ...] = ()

    @classmethod
    def parse(cls, octets: bytes) -> Header:
        """Read the fields of a header block; what is no field is passed over."""
        return cls(tuple(Field(m[1], m[0]) for m in _FIELD.finditer(octets)))

    def all(self, name: bytes) -> Iterator[Field]:
        """Yield the fields of that name, whatever its case, topmost first."""
        wanted = name.lower()
        return (field for field in self.fields if field.name.lower() == wanted)

    def first(self, name: bytes) -> Field | None:
        """Return the topmost field of that name, or None."""
        return next(self.all(name), None)

    def count(self, name: bytes) -> int:
        """Return how many fields bear that name."""
        return sum(1 for _ in self.all(name))
