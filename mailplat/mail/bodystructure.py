"""BODY and BODYSTRUCTURE in IMAP's words (RFC 9051 section 7.5.2, RFC 3501 section 7.4.2)."""

from __future__ import annotations

from typing import NamedTuple

from mailplat.mail.bodywords import words_of
from mailplat.mail.layout import Kind
from mailplat.mail.structure import Structure

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_NO_ENVELOPE = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
_NOTHING = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'  # not yet closed


class Bodies(NamedTuple):
    """How IMAP describes the parts of a message, in short and with extension data."""

    body: bytes
    bodystructure: bytes


def describe(structure: Structure) -> Bodies:
    """Return BODY and BODYSTRUCTURE of a message.

    Envelopes of messages in it are those that were made when the structure was;
    without any they are empty.
    """
    short: list[bytes] = []
    long: list[bytes] = []
    ends: list[tuple[int, bytes, bytes]] = []  # of the parts around the next
    parts = structure.layout.parts
    for number, (part, described) in enumerate(zip(parts, structure.described, strict=True)):
        parent, _, _, body, stop, lines, _, _, kind = part
        while ends and ends[-1][0] != parent:
            _end(ends, short, long)
        begin, short_end, long_end = described.words
        if kind is not described.kind:  # there was no room for what is in it
            begin, short_end, long_end = words_of(described.entity, kind)
        if kind is _TEXT or kind is _OTHER:
            begin += b"%d %d" % (stop - body, lines) if kind is _TEXT else b"%d" % (stop - body)
            short.append(begin + short_end)
            long.append(begin + long_end)
            continue
        if kind is _MESSAGE:
            envelope = structure.envelopes.get(number + 1) or _NO_ENVELOPE
            begin += b"%d %b " % (stop - body, envelope)
            short_end, long_end = b" %d%b" % (lines, short_end), b" %d%b" % (lines, long_end)
        elif number + 1 == len(parts) or parts[number + 1].parent != number:
            begin += _NOTHING  # the grammar wants a part in a multipart
            short_end, long_end = b")" + short_end, b" NIL NIL NIL NIL)" + long_end
        short.append(begin)
        long.append(begin)
        ends.append((number, short_end, long_end))
    while ends:
        _end(ends, short, long)
    return Bodies(b"".join(short), b"".join(long))


def described_size(structure: Structure) -> int:
    """Return about how many octets BODYSTRUCTURE will have, without writing it."""
    size = sum(map(len, structure.envelopes.values()))
    for described in structure.described:
        begin, _, end = described.words
        size += len(begin) + len(end)
    return size


def _end(ends: list[tuple[int, bytes, bytes]], short: list[bytes], long: list[bytes]) -> None:
    _, short_end, long_end = ends.pop()
    short.append(short_end)
    long.append(long_end)
