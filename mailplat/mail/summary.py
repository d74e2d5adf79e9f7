"""What the access protocols will ask of a message, computed once at arrival."""

from __future__ import annotations

import re
from struct import Struct

import attrs

from mailplat.mail.content import Content
from mailplat.mail.dates import date_in
from mailplat.mail.identifiers import relatives_of
from mailplat.mail.limits import MIB

VERSION = 1
HEADER = MIB  # octets in which a header must have ended

# Classes of two letters instead of IGNORECASE, which would cost a search three times its time.
_FIELDS = re.compile(
    rb"\n([Mm][Ee][Ss][Ss][Aa][Gg][Ee]-[Ii][Dd]|[Rr][Ee][Ff][Ee][Rr][Ee][Nn][Cc][Ee][Ss]"
    rb"|[Ii][Nn]-[Rr][Ee][Pp][Ll][Yy]-[Tt][Oo]|[Dd][Aa][Tt][Ee])[ \t]*:"
    rb"([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)"
)
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
    references = relatives_of(
        found.get(b"message-id", b""),
        found.get(b"references", b""),
        found.get(b"in-reply-to", b""),
    )
    sent = date_in(found.get(b"date", b"").strip())
    front = _FRONT.pack(VERSION, body, sent.seconds if sent else _UNDATED, len(references))
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
