"""What IMAP says of a part, but for its size and what is in it (RFC 9051 section 7.5.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

from mailplat.mail.entity import MESSAGES, Entity
from mailplat.mail.layout import Kind
from mailplat.mail.parameters import Disposition, Pair

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
NIL = b"NIL"
_PLAIN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]*+")
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*+")


def nstring(octets: bytes | None) -> bytes:
    """Return octets as IMAP writes a string, or nothing (RFC 9051 section 4.3).

    What can't stand in quotation marks is a literal; no string can have a NUL,
    which becomes U+FFFD.
    """
    if octets is None:
        return NIL
    if _PLAIN.fullmatch(octets):
        return b'"%b"' % octets
    if _QUOTABLE.fullmatch(octets):
        return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    octets = octets.replace(b"\0", b"\xef\xbf\xbd")
    return b"{%d}\r\n%b" % (len(octets), octets)


def is_plain(octets: bytes) -> bool:
    """Whether octets can stand in quotation marks as they are."""
    return _PLAIN.fullmatch(octets) is not None


class Words(NamedTuple):
    """A part's description, cut where stands what its header doesn't say.

    A multipart's parts stand between ``begin`` and the ends, of any other part
    its size, and envelope, body and lines where there are any; ``short_end`` is
    that of BODY, ``long_end`` that of BODYSTRUCTURE.
    """

    begin: bytes
    short_end: bytes
    long_end: bytes


def words_of(entity: Entity, kind: Kind) -> Words:
    """Return the words for a part that is looked into as its kind says."""
    (outer, inner, parameters), encoding, id_, description, md5, *_ = entity
    written = parameters.joined
    extension = _extension(entity)
    if kind is _MULTIPART:
        subtype = _token(inner)
        return Words(
            b"(", b" %b)" % subtype, b" %b %b %b)" % (subtype, _parameters(written), extension)
        )
    if kind is _TEXT and not _has_charset(written):
        written = (*written, (b"charset", b"us-ascii"))  # RFC 2045 section 5.2
    elif kind is _MESSAGE:
        outer, inner = outer.lower(), inner.lower()  # words of the grammar, not of the sender
    elif kind is _OTHER and outer.lower() in _HOLDERS and _holds(entity):
        outer, inner = b"application", b"octet-stream"
    begin = b"(%b %b %b %b %b %b " % (
        _token(outer),
        _token(inner),
        _parameters(written),
        NIL if id_ is None else nstring(id_),
        NIL if description is None else nstring(description),
        _token(encoding),
    )
    return Words(begin, b")", b" %b %b)" % (nstring(md5), extension))


_HOLDERS = (b"multipart", b"message")


def _holds(entity: Entity) -> bool:
    """Whether a type says that there is something in a part, which isn't looked into then."""
    outer, inner, _ = entity.media_type
    return outer.lower() == b"multipart" or inner.lower() in MESSAGES


def _has_charset(written: tuple[Pair, ...]) -> bool:
    for name, _ in written:  # noqa: SIM110 - any() would take three times as long
        if name.lower() == b"charset":
            return True
    return False


def _parameters(written: tuple[Pair, ...]) -> bytes:
    if not written:
        return NIL
    strings = [string for pair in written for string in pair]
    if _PLAIN.fullmatch(b"".join(strings)):
        return b'("%b")' % b'" "'.join(strings)
    return b"(%b)" % b" ".join(map(nstring, strings))


def _extension(entity: Entity) -> bytes:
    """Return what only BODYSTRUCTURE has, as every part has it behind its MD5."""
    disposed, language, location = entity.disposition, entity.language, entity.location
    if disposed is None and not language and location is None:
        return b"NIL NIL NIL"
    return b"%b %b %b" % (
        NIL if disposed is None else _disposition(disposed),
        b"(%b)" % b" ".join(map(_token, language)) if language else NIL,
        nstring(location),
    )


def _disposition(disposition: Disposition) -> bytes:
    kind, parameters = disposition
    return b"(%b %b)" % (_token(kind), _parameters(parameters.joined))


def _token(octets: bytes) -> bytes:
    """Return a string that has nothing to escape unless it is outside ASCII."""
    return b'"%b"' % octets if octets.isascii() else nstring(octets)
