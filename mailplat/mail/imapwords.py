"""IMAP's way to write strings and structures of a message (RFC 9051 section 9, RFC 3501).

What stands here is valid in both versions of the protocol: octets outside
ASCII go into literals, never into quoted strings, so that a client needs
neither UTF8=ACCEPT nor IMAP4rev2 to read them.
"""

from __future__ import annotations

import re

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
