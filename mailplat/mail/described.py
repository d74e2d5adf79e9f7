"""What a part's header says, for the one pass in which a message is read.

Most headers of parts are one of a few but for a boundary or a file's name in
quotation marks.  So what was found in one is remembered, with those strings
left out, and put together for the next with its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from mailplat.mail.bodywords import Words, is_plain, words_of
from mailplat.mail.entity import Entity, content_fields, read_entity
from mailplat.mail.layout import Kind

_SHORT = 512  # octets of a header that may be remembered
_MARK = b"Qx%dxQ"  # stands for a string that was left out
_MARKS = re.compile(rb"Qx([0-9]+)xQ")


class Described(NamedTuple):
    """A part as far as it is needed to find those in it, and to describe it to IMAP.

    ``fields`` are the header's Content-* fields; ``is_digest`` says whether
    parts in it that say no type are messages, ``is_attachment`` whether it is
    called one, or is no text, message or multipart and has a file's name.
    """

    fields: bytes
    in_digest: bool
    kind: Kind
    is_digest: bool
    is_attachment: bool
    boundary: bytes | None
    words: Words

    @property
    def entity(self) -> Entity:
        """All that the header says."""
        if len(self.fields) <= _SHORT:
            return _entity(self.fields, self.in_digest)
        return read_entity(self.fields, self.in_digest)


_entity = lru_cache(1024)(read_entity)


# Calling a NamedTuple takes thrice as long.
_words: Callable[[tuple[bytes, ...]], Words] = partial(tuple.__new__, Words)
_new: Callable[[tuple[object, ...]], Described] = partial(tuple.__new__, Described)


def describe_header(header: bytes, in_digest: bool = False) -> Described:
    """Return what a header block says; in a digest a part without a type is a message."""
    if len(header) > _SHORT:
        header = content_fields(header)
        if len(header) > _SHORT:
            return _described(header, in_digest)
    if b'"' not in header or (b"name" not in header and b"boundary" not in header):
        return _remembered(header, in_digest)
    frame = header.split(b'"')
    strings = frame[1::2]
    template = _template(tuple(frame[::2]), in_digest) if len(frame) % 2 else None
    if template is None or not all(strings) or not is_plain(b"".join(strings)):
        return _described(header, in_digest)
    return template.filled(header, in_digest, strings)


def _described(fields: bytes, in_digest: bool) -> Described:
    entity = read_entity(fields, in_digest)
    kind = entity.kind
    boundary = None
    if kind is Kind.MULTIPART:
        boundary = entity.media_type.parameters.octets(b"boundary")
    is_digest = kind is Kind.MULTIPART and entity.media_type.subtype.lower() == b"digest"
    return Described(
        fields,
        in_digest,
        kind,
        is_digest,
        _is_attachment(entity),
        boundary,
        words_of(entity, kind),
    )


def _is_attachment(entity: Entity) -> bool:
    disposed = entity.disposition
    if disposed is None:
        return False
    return disposed.kind.lower() == b"attachment" or (
        entity.kind is Kind.OTHER and bool(disposed.parameters.octets(b"filename"))
    )


_remembered = lru_cache(1024)(_described)
OPAQUE_PART = _described(b"Content-Type: application/octet-stream\r\n", False)


class _Template(NamedTuple):
    """A description with marks in the place of strings, ready to be filled in."""

    kind: Kind
    is_digest: bool
    is_attachment: bool
    boundary: bytes | int | None  # a number is that of a string
    begin: bytes
    begins: tuple[int, ...]  # the strings that belong there
    short_end: bytes
    long_end: bytes
    ends: tuple[int, ...]

    def filled(self, fields: bytes, in_digest: bool, strings: list[bytes]) -> Described:
        """Return the description of a header that has these strings."""
        kind, is_digest, is_attachment, boundary, begin, begins, short_end, long_end, ends = (
            self
        )
        if isinstance(boundary, int):
            boundary = strings[boundary]
        if begins:
            begin %= tuple([strings[one] for one in begins])
        if ends:
            long_end %= tuple([strings[one] for one in ends])
        words = _words((begin, short_end, long_end))
        return _new((fields, in_digest, kind, is_digest, is_attachment, boundary, words))


@lru_cache(1024)
def _template(frame: tuple[bytes, ...], in_digest: bool) -> _Template | None:
    """Return what a header says that has this around its quoted strings.

    None if what it says may depend on the strings: they must be the values of
    parameters that nobody puts together, and comments could be anywhere.
    """
    text = b"".join(frame)
    if any(mark in text for mark in (b"*", b"(", b"\\", b"Qx")):
        return None
    if not all(piece.endswith(b"=") for piece in frame[:-1]):
        return None
    marked = frame[0]
    marks = [_MARK % number for number in range(len(frame) - 1)]
    for mark, piece in zip(marks, frame[1:], strict=True):
        marked += b'"%b"%b' % (mark, piece)
    found = _described(marked, in_digest)
    if not set(marks).issubset(_values(found.entity)):
        return None
    begin, short_end, long_end = found.words
    boundary: bytes | int | None = found.boundary
    if found.boundary is not None and (whole := _MARKS.fullmatch(found.boundary)):
        boundary = int(whole[1])
    return _Template(
        found.kind,
        found.is_digest,
        found.is_attachment,
        boundary,
        *_format(begin),
        short_end,
        *_format(long_end),
    )


def _values(entity: Entity) -> set[bytes]:
    disposed = entity.disposition
    parameters = entity.media_type.parameters + (disposed.parameters if disposed else ())
    return {value for _, value in parameters}


def _format(words: bytes) -> tuple[bytes, tuple[int, ...]]:
    """Return words as a format, and which strings belong into it; without any as they are."""
    pieces = _MARKS.split(words)
    if len(pieces) == 1:
        return words, ()
    plain = [piece.replace(b"%", b"%%") for piece in pieces[::2]]
    return b"%b".join(plain), tuple(map(int, pieces[1::2]))
