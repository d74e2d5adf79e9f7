"""IMAP's way to write strings and structures of a message (RFC 9051 section 9, RFC 3501).

What stands here is valid in both versions of the protocol: octets outside
ASCII go into literals, never into quoted strings, so that a client needs
neither UTF8=ACCEPT nor IMAP4rev2 to read them.
"""

from __future__ import annotations

import re

from mailplat.mail.addresslist import USUAL, AddressList, addresses_in
from mailplat.mail.header import Header

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
_NO_MAILBOX, _NO_HOST = b"MISSING_MAILBOX", b"MISSING_DOMAIN"


def envelope(header: Header) -> bytes:
    """Return a header's ENVELOPE (RFC 9051 section 7.5.2).

    All fields of one name are read as one list of addresses, so that nobody is
    shown another author than the one whom others have checked; of other fields
    the topmost counts.  docs/mime.md says how it was settled what the RFC
    leaves open.
    """
    get = header.envelope_fields.get
    lists = [_lists(said) if (said := get(name)) else b"NIL" for name in _ADDRESS_FIELDS]
    author, sender, reply_to, *receivers = lists
    return b"(%b %b %b %b %b %b %b %b)" % (
        _text(get(b"date")),
        _text(get(b"subject")),
        author,
        author if sender == b"NIL" else sender,
        author if reply_to == b"NIL" else reply_to,
        b" ".join(receivers),
        _text(get(b"in-reply-to")),
        _text(get(b"message-id")),
    )


def bounded_envelope(header: Header, longest: int) -> bytes:
    """Return a header's ENVELOPE if it has at most so many octets.

    Of a longer one the addresses are left out, and what takes more than an eighth.
    """
    written = envelope(header)
    if len(written) <= longest:
        return written

    def short(name: bytes) -> bytes:
        bodies = header.envelope_fields.get(name)
        return _text(bodies) if bodies and len(bodies[0]) <= longest // 8 else b"NIL"

    return b"(%b %b NIL NIL NIL NIL NIL NIL %b %b)" % (
        short(b"date"),
        short(b"subject"),
        short(b"in-reply-to"),
        short(b"message-id"),
    )


def _text(bodies: list[bytes] | None) -> bytes:
    return quoted(bodies[0]) if bodies else b"NIL"


def _lists(bodies: list[bytes]) -> bytes:
    written = _usual_list(bodies[0]) if len(bodies) == 1 else b""
    if not written:
        written = address_list(addresses_in(*bodies))
    return b"(%b)" % written if written else b"NIL"


def _usual_list(body: bytes) -> bytes:
    """Return what `address_list` would if all addresses are as most are, otherwise nothing."""
    written, at, end = b"", 0, len(body)
    usual = body.isascii() and end <= LONGEST_QUOTED
    while usual and at < end and (match := USUAL.match(body, at)):
        string, phrase, local, domain, bare, its_domain = match.groups()
        if name := string or phrase:
            written += b'("%b" NIL "%b" "%b")' % (name, local, domain)
        else:
            written += b'(NIL NIL "%b" "%b")' % (local or bare, domain or its_domain)
        at = match.end()
    return written if at == end else b""


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
