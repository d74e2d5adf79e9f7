"""The text of a part, read as it was meant and written back as it was written (RFC 2045, 2046).

In text lines end in "\\n", whatever they ended in.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mailplat.mail.characters import GUESSED, codec_of, text_of
from mailplat.mail.charsets import charset_to_write
from mailplat.mail.encodings import (
    IDENTITIES,
    Base64Encoder,
    QuotedPrintableEncoder,
    decoded,
    encoding_name,
)
from mailplat.mail.entity import Entity
from mailplat.mail.fields import structured
from mailplat.mail.metacharset import charset_in
from mailplat.mail.parameters import MediaType
from mailplat.mail.words import LONGEST_LINE

_LINE_END = re.compile(r"\r?\n")
_TOO_LONG = re.compile(rb"[^\n]{%d}" % (LONGEST_LINE + 1))
_ALONE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_TOKEN = re.compile(rb"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++")
_TYPE = b"Content-Type"
_QUOTABLE = re.compile(rb'(["\\])')
_WRITABLE = (*IDENTITIES, b"base64", b"quoted-printable")


class Written(NamedTuple):
    """A text as a part's body, and the fields that the part needs for it, if others."""

    octets: bytes
    fields: tuple[bytes, ...] = ()


def is_writable(entity: Entity) -> bool:
    """Say whether a part's transfer encoding is one that text can be written in."""
    return encoding_name(entity.encoding) in _WRITABLE


def read_text(entity: Entity, octets: bytes) -> str:
    """Return a part's body as text; nothing is raised, what can't be read is U+FFFD.

    Without a charset that anybody knows (see `charset_label`) it is UTF-8, or else
    windows-1252.
    """
    octets = decoded(octets, entity.encoding)
    return _LINE_END.sub("\n", text_of(octets, charset_label(entity, octets)))


def charset_label(entity: Entity, octets: bytes) -> str:
    """Return the label of the charset in which a part's octets, decoded, are to be read.

    The charset parameter counts first; where it is missing or says nothing that
    can be read by, HTML may name one itself (see `metacharset`).
    """
    label = entity.media_type.parameters.text(b"charset") or ""
    if entity.media_type.subtype.lower() == b"html" and codec_of(label) == GUESSED:
        return charset_in(octets) or label
    return label


def write_text(entity: Entity, text: str) -> Written:
    """Return a text as the body of a part that has the charset and encoding of ``entity``.

    Where its charset can't hold the text that becomes UTF-8, and where its
    encoding can't, quoted-printable.
    """
    fields: list[bytes] = []
    label = entity.media_type.parameters.text(b"charset") or "us-ascii"
    text = _LINE_END.sub("\r\n", text)
    octets = _in_charset(entity, text, label)
    if octets is None:
        octets = text.encode("utf-8", "replace")
        fields.append(type_field(entity.media_type, b"utf-8"))
    encoding = encoding_name(entity.encoding)
    if encoding in IDENTITIES and not _fits(octets, encoding):
        encoding = b"quoted-printable"
        fields.append(b"Content-Transfer-Encoding: quoted-printable\r\n")
    return Written(_in_encoding(octets, encoding), tuple(fields))


def type_field(type_: MediaType, charset: bytes) -> bytes:
    """Return the Content-Type field of a type with another charset.

    Parameters that no line can hold, and those with controls, are left out.
    """
    pieces = [b" %b/%b" % (type_.type, type_.subtype), b" charset=%b" % charset]
    for name, value in type_.parameters:
        piece = b" %b=%b" % (name, _value(value))
        if name.lower().partition(b"*")[0] != b"charset" and _can_be_written(piece):
            pieces.append(piece)
    return structured(_TYPE, [*(piece + b";" for piece in pieces[:-1]), pieces[-1]])


def _can_be_written(piece: bytes) -> bool:
    try:
        structured(_TYPE, [piece + b";"])
    except ValueError:
        return False
    return True


def _value(value: bytes) -> bytes:
    return value if _TOKEN.fullmatch(value) else b'"%b"' % _QUOTABLE.sub(rb"\\\1", value)


def _in_charset(entity: Entity, text: str, label: str) -> bytes | None:
    """Return a text in a charset; None if that can't hold it, or would be read as another."""
    try:
        octets = text.encode(charset_to_write(label) or "ascii")
    except UnicodeEncodeError:
        return None
    return octets if text_of(octets, charset_label(entity, octets)) == text else None


def _fits(octets: bytes, encoding: bytes) -> bool:
    """Say whether octets can stand as they are (RFC 2045 sections 2.7 and 2.8)."""
    if b"\0" in octets or _TOO_LONG.search(octets) or _ALONE.search(octets):
        return False
    return encoding != b"7bit" or octets.isascii()


def _in_encoding(octets: bytes, encoding: bytes) -> bytes:
    if encoding in IDENTITIES:
        return octets
    codec = Base64Encoder() if encoding == b"base64" else QuotedPrintableEncoder()
    return codec.feed(octets) + codec.finish()
