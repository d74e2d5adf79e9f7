"""IMAP's way to write strings and structures of a message (RFC 9051 section 9, RFC 3501).

What stands here is valid in both versions of the protocol: octets outside
ASCII go into literals, never into quoted strings, so that a client needs
neither UTF8=ACCEPT nor IMAP4rev2 to read them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mailplat.mail.addresslist import (
    NOBODY,
    USUAL,
    AddressList,
    Effort,
    First,
    addresses_in,
    usual_parts,
)
from mailplat.mail.header import Header, Telling, telling_fields
from mailplat.mail.limits import MIB

LONGEST_QUOTED = 1000  # octets; longer ones are sent as literals, which no line limit stops

_PLAIN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]*+")
_ESCAPABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*+")
_ATOM = re.compile(rb"[!#$&'+-\[\]-z|}~]++")  # ASTRING-CHAR
_LOST = "\ufffd".encode()  # what stands for NUL, which no string of IMAP can have


def quoted(octets: bytes | None) -> bytes:
    """Return an ``nstring``: NIL for None, else a quoted string, or a literal where it must be.

    Literals are for CR, LF, what is outside ASCII and what is long.  NUL becomes
    U+FFFD, since only ``literal8`` may have it.
    """
    if octets is None:
        return b"NIL"
    if len(octets) <= LONGEST_QUOTED:
        if _PLAIN.fullmatch(octets):
            return b'"%b"' % octets
        if _ESCAPABLE.fullmatch(octets):
            return b'"%b"' % octets.replace(b"\\", rb"\\").replace(b'"', rb"\"")
    octets = octets.replace(b"\0", _LOST)
    return b"{%d}\r\n%b" % (len(octets), octets)


def astring(octets: bytes) -> bytes:
    """Return an ``astring``: an atom where that is possible, else as `quoted` has it."""
    if len(octets) <= LONGEST_QUOTED and _ATOM.fullmatch(octets) and octets.upper() != b"NIL":
        return octets
    return quoted(octets)


# Envelopes ---------------------------------------------------------------------

_ADDRESS_FIELDS = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
_TEXT_FIELDS = (b"date", b"subject", b"in-reply-to", b"message-id")
_SHORTEST = len(b'(NIL NIL "a" "b")')  # octets of an address, a group has more
_FEW = 3  # elements of a list that are read in any case, for what comes first
_NO_MAILBOX, _NO_HOST = b"MISSING_MAILBOX", b"MISSING_DOMAIN"


class Envelope(NamedTuple):
    """A header's ENVELOPE, and what comes first in the lists that messages are sorted by."""

    octets: bytes
    sender: First
    to: First
    cc: First


def envelope(header: Header) -> bytes:
    """Return a header's ENVELOPE (RFC 9051 section 7.5.2)."""
    return read_envelope(telling_fields(header.octets)).octets


def read_envelope(
    telling: Telling, longest: int = MIB, effort: Effort | None = None
) -> Envelope:
    """Return what a header's fields say of its envelope.

    All fields of one name are read as one list of addresses, so that nobody is
    shown another author than the one whom others have checked; of other fields
    the topmost counts.  docs/mime.md says how it was settled what the RFC
    leaves open.  Of the fields of one name ``longest`` octets are read.  Of an
    ENVELOPE of more than that the addresses are left out, and what takes more
    than an eighth.
    """
    lists: list[_List] = []
    room = longest
    for name in _ADDRESS_FIELDS:
        one = _list(telling[name], longest, room, effort) if name in telling else _NO_LIST
        room -= len(one[0])
        lists.append(one)
    (author, first), (sender, _), (reply_to, _), (to, first_to), (cc, first_cc), (bcc, _) = (
        lists
    )
    date, subject, in_reply_to, message_id = [
        quoted(telling[name][0].rstrip()) if name in telling else b"NIL"
        for name in _TEXT_FIELDS
    ]
    octets = b"(%b %b %b %b %b %b %b %b %b %b)" % (
        date,
        subject,
        author,
        author if sender == b"NIL" else sender,
        author if reply_to == b"NIL" else reply_to,
        to,
        cc,
        bcc,
        in_reply_to,
        message_id,
    )
    if len(octets) > longest:
        octets = _shortened(telling, longest // 8)
    return Envelope(octets, first, first_to, first_cc)


def _shortened(telling: Telling, longest: int) -> bytes:
    """Return an ENVELOPE without addresses, and without what has more octets."""
    date, subject, in_reply_to, message_id = [
        quoted(said[0].rstrip())
        if (said := telling.get(name)) and len(said[0]) <= longest
        else b"NIL"
        for name in _TEXT_FIELDS
    ]
    return b"(%b %b NIL NIL NIL NIL NIL NIL %b %b)" % (date, subject, in_reply_to, message_id)


_List = tuple[bytes, First]  # as an ENVELOPE has it, and what comes first
_NO_LIST: _List = (b"NIL", NOBODY)


def _list(bodies: list[bytes], longest: int, room: int, effort: Effort | None) -> _List:
    """Return a list: ``longest`` octets are read, hardly more than ``room`` written."""
    body = bodies[0]
    if len(bodies) == 1 and len(body) <= LONGEST_QUOTED and body.isascii():
        usual = _usual_list(body)
        if usual:
            return usual
    if effort and effort.words <= 0:
        return _NO_LIST
    most = max(room // _SHORTEST + 1, _FEW)
    read = addresses_in(*_beginning(bodies, longest), most=most, effort=effort)
    written = address_list(read)
    return b"(%b)" % written if written else b"NIL", read.first


def _beginning(bodies: list[bytes], longest: int) -> list[bytes]:
    """Return bodies up to so many octets, the last up to a comma where it is cut."""
    if sum(map(len, bodies)) <= longest:
        return bodies
    kept: list[bytes] = []
    for body in bodies:
        if len(body) > longest:
            return [*kept, body[:longest].rpartition(b",")[0]]
        kept.append(body)
        longest -= len(body)
    return kept


def _usual_list(body: bytes) -> _List | None:
    """Return a list if all addresses are as most are, just as `address_list` would write it."""
    written, at, first = b"", 0, NOBODY
    while match := USUAL.match(body, at):
        name, local, domain = one = usual_parts(match)
        if name:
            written += b'("%b" NIL "%b" "%b")' % (name, local, domain)
        else:
            written += b'(NIL NIL "%b" "%b")' % (local, domain)
        first = first if at else one
        at = match.end()
        if at == len(body):
            return b"(%b)" % written, first
    return None


def address_list(addresses: AddressList) -> bytes:
    """Return addresses and groups as an ENVELOPE has them, without the outer parentheses."""
    single = [
        b"(%b %b %b %b)"
        % (
            quoted(one.name),
            quoted(one.route),
            quoted(one.local or _NO_MAILBOX),
            quoted(one.domain or _NO_HOST),
        )
        for one in addresses.addresses
    ]
    written, at = [], 0
    for group in addresses.groups:
        written += single[at : group.start]
        written.append(b"(NIL NIL %b NIL)" % quoted(group.name))
        written += single[group.start : group.stop]
        written.append(b"(NIL NIL NIL NIL)")
        at = group.stop
    return b"".join(written + single[at:])
