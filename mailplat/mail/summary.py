"""What the access protocols will ask of a message, computed once at arrival."""

from __future__ import annotations

import re
from datetime import date
from struct import Struct

import attrs

from mailplat.mail.content import Content
from mailplat.mail.limits import MIB

VERSION = 1
HEADER = MIB  # octets in which a header must have ended
REFERENCES = 50  # ancestors kept of one message; of more, the nearest
LONGEST_IDENTIFIER = 250  # octets; longer ones are passed over
LONGEST_DATE = 100  # octets of a Date field in which the moment must stand

# Classes of two letters instead of IGNORECASE, which would cost a search three times its time.
_FIELDS = re.compile(
    rb"\n([Mm][Ee][Ss][Ss][Aa][Gg][Ee]-[Ii][Dd]|[Rr][Ee][Ff][Ee][Rr][Ee][Nn][Cc][Ee][Ss]"
    rb"|[Ii][Nn]-[Rr][Ee][Pp][Ll][Yy]-[Tt][Oo]|[Dd][Aa][Tt][Ee])[ \t]*:"
    rb"([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)"
)
_IDENTIFIER = re.compile(rb"<([^<>]+)>")
_DATE = re.compile(
    rb"(?:[A-Za-z]+\s*,\s*)?(\d{1,2})\s+([A-Za-z]{3})[a-z]*\s+(\d{2,4})"
    rb"\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:([+-])(\d{2})(\d{2})|([A-Za-z]+))?"
)
_MONTHS = {
    name: number
    for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}
_THE_EPOCH = date(1970, 1, 1).toordinal()
_ZONES = {
    b"EST": -5,
    b"EDT": -4,
    b"CST": -6,
    b"CDT": -5,
    b"MST": -7,
    b"MDT": -6,
    b"PST": -8,
    b"PDT": -7,
}
_FRONT = Struct("<BIqB")  # version, body, sent, number of references
_LENGTH = Struct("<H")
_UNDATED = -(2**63)


@attrs.frozen
class Summary:
    """The facts of one message that stores keep beside it as opaque octets.

    ``octets`` is the serialised whole, version first; the other fields are
    what a store itself needs: ``references`` are the message identifiers that
    put it into a thread (its own first), ``body`` is where the body begins.
    """

    octets: bytes
    body: int
    references: tuple[bytes, ...] = ()


@attrs.frozen
class Facts:
    """What a summary's octets say.

    ``references`` are identifiers without their angle brackets: the message's
    own, if it has one, then its ancestors'.  ``sent`` is the moment in its Date
    field, in seconds since 1970; None if there is none that can be understood.
    """

    body: int
    references: tuple[bytes, ...]
    sent: int | None


def summarise(octets: bytes) -> Summary:
    """Summarise a message, given whole or at least as far as its header goes.

    It never fails, whatever the octets: what can't be understood is left out.
    """
    if octets.startswith(b"\r\n"):
        header, body = b"", 2
    else:
        end = octets.find(b"\r\n\r\n")
        header, body = octets[:end], end + 4
        if end < 0:
            header, body = octets, len(octets)
    found: dict[bytes, bytes] = {}
    for field in _FIELDS.finditer(b"\n" + header):
        found.setdefault(field[1].lower(), field[2])
    references = _identifiers(
        found.get(b"message-id", b""),
        found.get(b"references", b"") + found.get(b"in-reply-to", b""),
    )
    sent = _seconds(found.get(b"date", b""))
    front = _FRONT.pack(VERSION, body, _UNDATED if sent is None else sent, len(references))
    written = [_LENGTH.pack(len(one)) + one for one in references]
    return Summary(b"".join([front, *written]), body, references)


async def summary_of(content: Content) -> Summary:
    """Summarise a content, reading no more of it than its header needs."""
    return summarise(await content.read(0, min(content.size, HEADER)))


def read_summary(octets: bytes) -> Facts:
    """Read what `summarise` wrote; raises `ValueError` for a version not known here."""
    version, body, sent, count = _FRONT.unpack_from(octets)
    if version != VERSION:
        raise ValueError(f"a summary of version {version}; {VERSION} is known")
    references: list[bytes] = []
    at = _FRONT.size
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(octets, at)
        at += _LENGTH.size + length
        references.append(octets[at - length : at])
    return Facts(body, tuple(references), None if sent == _UNDATED else sent)


def _identifiers(own: bytes, ancestors: bytes) -> tuple[bytes, ...]:
    """Return the identifiers in two fields, each once, white space inside them left out.

    Of too many ancestors the last are kept: they are the nearest.
    """
    found = _IDENTIFIER.findall(own)[:1] + _IDENTIFIER.findall(ancestors)[-REFERENCES:]
    names = dict.fromkeys(b"".join(one.split()) for one in found)
    return tuple(name for name in names if 0 < len(name) <= LONGEST_IDENTIFIER)


def _seconds(body: bytes) -> int | None:
    """Return a Date field's moment (RFC 5322 sections 3.3 and 4.3), or None."""
    found = _DATE.match(body.strip()[:LONGEST_DATE])
    if not found:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes, zone = found.groups()
    if sign:
        east = int(hours) * 3600 + int(minutes) * 60
        east = -east if sign == b"-" else east
    else:
        east = _ZONES.get((zone or b"").upper(), 0) * 3600
    number = int(year)
    number += {4: 0, 3: 1900}.get(len(year), 2000 if number < 50 else 1900)
    try:
        days = date(number, _MONTHS.get(month.lower(), 0), int(day)).toordinal() - _THE_EPOCH
    except ValueError:
        return None
    if int(hour) > 23 or int(minute) > 59:
        return None
    seconds = int(hour) * 3600 + int(minute) * 60 + min(int(second or 0), 60)
    return days * 86400 + seconds - east
