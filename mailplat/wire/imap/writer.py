"""Writes what servers say in IMAP: strings, flags, dates, sets, response codes.

Strings of both protocol versions are written by `mailplat.mail.imapwords`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mailplat.mail.dates import imap_date_time_of
from mailplat.mail.imapwords import LONGEST_QUOTED, quoted
from mailplat.mail.mailbox import SYSTEM_FLAGS

CRLF = b"\r\n"
LONGEST_TEXT = 1000  # octets of words for people
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_QUOTABLE = re.compile(rb"[^\0\r\n]*+")
_ORDER = {flag: place for place, flag in enumerate(SYSTEM_FLAGS)}
_UNKNOWN = b'"01-Jan-1970 00:00:00 +0000"'


def text(words: str) -> bytes:
    """Return words for people as they may stand at the end of a response.

    They are never empty, and never look as if they began with a response code.
    """
    octets = _UNSAFE.sub(" ", words).strip().encode("utf-8", "replace")
    if len(octets) > LONGEST_TEXT:
        octets = octets[:LONGEST_TEXT].decode("utf-8", "ignore").encode()
    return b"- " + octets if octets[:1] in (b"[", b"") else octets


def utf8_quoted(octets: bytes) -> bytes:
    """Return a string for a client that takes UTF-8 in quotes (RFC 9051 section 4.3)."""
    if len(octets) <= LONGEST_QUOTED and _QUOTABLE.fullmatch(octets):
        return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return quoted(octets)


def literal(octets: bytes) -> bytes:
    """Return octets as a literal, whatever they are."""
    return b"{%d}\r\n%b" % (len(octets), octets)


@lru_cache(1024)
def flag_list(flags: frozenset[str]) -> bytes:
    """Return flags in parentheses, those of the system first, the others by their names."""
    return b"(" + b" ".join(map(str.encode, in_order(flags))) + b")"


def in_order(flags: Iterable[str]) -> list[str]:
    """Return flags in the order in which they are shown."""
    return sorted(flags, key=lambda flag: (_ORDER.get(flag, len(_ORDER)), flag))


def date_time(seconds: float) -> bytes:
    """Return a moment as INTERNALDATE has it; one that can't be written is the epoch."""
    try:
        return imap_date_time_of(int(seconds))
    except (ValueError, OverflowError):
        return _UNKNOWN
