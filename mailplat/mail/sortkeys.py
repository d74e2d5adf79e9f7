"""Octets by which messages are sorted: their order is the order asked for (RFC 5256, 5957).

They are made once, at arrival, and kept in the summary.  All strings are
compared by ``i;unicode-casemap``, and by their first `LONGEST_KEY` octets.
"""

from __future__ import annotations

from mailplat.mail.addresslist import First, addresses_in
from mailplat.mail.collation import casemapped
from mailplat.mail.subject import base_subject
from mailplat.mail.words import decoded_words

LONGEST_KEY = 200  # octets
_NUMBER = 5  # octets of a moment or a size
_LARGEST = (1 << 8 * _NUMBER) - 1
_HALF = (_LARGEST + 1) // 2  # added to moments, so that those before 1970 come first
_FEW = 3  # elements of a list among which the first address should be


def moment_key(seconds: int) -> bytes:
    """Return the key of ARRIVAL, or of DATE, for a moment in seconds since 1970."""
    return max(0, min(seconds + _HALF, _LARGEST)).to_bytes(_NUMBER, "big")


def size_key(octets: int) -> bytes:
    """Return the key of SIZE for a size in octets; all above a tebibyte are the same."""
    return max(0, min(octets, _LARGEST)).to_bytes(_NUMBER, "big")


def subject_key(body: bytes) -> bytes:
    """Return the key of SUBJECT for that field's body."""
    return base_subject(body).key[:LONGEST_KEY]


def mailbox_key(body: bytes) -> bytes:
    """Return the key of FROM, TO or CC for that field's body: the first address's local part.

    A group's name stands for it where the group comes first, as in an ENVELOPE.
    """
    return address_keys(body)[0]


def display_key(body: bytes) -> bytes:
    """Return the key of DISPLAYFROM or DISPLAYTO for that field's body.

    It is made of the first address's name, or else of the address itself, or of
    a group's name (RFC 5957 section 3).
    """
    return address_keys(body)[1]


def address_keys(body: bytes) -> tuple[bytes, bytes]:
    """Return `mailbox_key` and `display_key` at the cost of one."""
    return keys_of(addresses_in(body, most=_FEW).first)


def keys_of(first: First) -> tuple[bytes, bytes]:
    """Return the same for what comes first in a list that has been read."""
    name, local, domain = first
    mailbox = _key(local)
    if name and (display := _key(name)):
        return mailbox, display
    return mailbox, _key(b"%b@%b" % (local, domain)) if domain else mailbox


def _key(octets: bytes) -> bytes:
    if octets.isascii() and b"=?" not in octets:
        return octets[:LONGEST_KEY].upper()
    return casemapped(decoded_words(octets))[:LONGEST_KEY]
