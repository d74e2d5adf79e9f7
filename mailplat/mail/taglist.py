"""Lists of tags and values, as DKIM fields and records in the DNS have (RFC 6376 section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

MOST_TAGS = 100  # that are read of one list

_WHITE = re.compile(rb"[ \t\r\n]++")
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_]*+")
_EDGE = b" \t\r\n"


@attrs.frozen
class TagList:
    """What a list says: values by the names of their tags, as far as it can be read.

    Of a name that comes twice the first value counts.  ``is_sound`` says that it
    is a list as the standard has it; ``first`` is the name that comes first, as
    some records are known by it.
    """

    tags: Mapping[bytes, bytes]
    is_sound: bool
    first: bytes = b""

    def raw(self, name: bytes) -> bytes:
        """Return the value of a tag without white space around it; empty without one."""
        return self.tags.get(name, b"")

    def value(self, name: bytes) -> bytes:
        """Return the value of a tag without any white space in it; empty without one."""
        value = self.tags.get(name, b"")
        return _WHITE.sub(b"", value) if not value.isalnum() else value


def tags_of(octets: bytes) -> TagList:
    """Read a list; linear in its size, and at most `MOST_TAGS` tags of it."""
    pieces = octets.split(b";", MOST_TAGS)
    is_sound = len(pieces) <= MOST_TAGS
    del pieces[MOST_TAGS:]
    if not pieces[-1].strip(_EDGE):
        pieces.pop()
    tags: dict[bytes, bytes] = {}
    first = b""
    for piece in pieces:
        name, equals, value = piece.partition(b"=")
        name = name.strip(_EDGE)
        is_sound = is_sound and bool(equals and _NAME.fullmatch(name)) and name not in tags
        first = first or name
        tags.setdefault(name, value.strip(_EDGE))
    return TagList(tags, is_sound and bool(tags), first)
