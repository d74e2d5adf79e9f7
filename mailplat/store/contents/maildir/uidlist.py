"""Reads the numbers that Dovecot gave: the file ``dovecot-uidlist``, version 3 or 1.

A header ``3 V<UIDVALIDITY> N<UIDNEXT> …``, then a line for each message: its UID, fields
that begin with a letter, and behind a colon its file's name without flags.  Version 1 has
``1 <UIDVALIDITY> <UIDNEXT>``, and lines of a UID and a name.

Source: Dovecot's documentation, "Maildir mailbox format", dovecot-uidlist.
"""

from __future__ import annotations

import os
import re

import attrs

from mailplat.mail.mailbox import LAST_UID
from mailplat.store.contents.maildir.names import split

UIDLIST = "dovecot-uidlist"
SUBSCRIPTIONS = "subscriptions"
LONGEST_LIST = 256 << 20  # octets
_LINE = re.compile(rb"([0-9]{1,10}) (?:(?:[^ :\n]++ )*+:)?([^\n]++)")


@attrs.frozen
class UidList:
    """UIDVALIDITY, UIDNEXT, and the UIDs by the bases of files."""

    uid_validity: int
    uid_next: int
    uids: dict[str, int]


def read_uidlist(octets: bytes) -> UidList | None:
    """Read the numbers, or return None where there are none to be relied on.

    UIDs ascend; a line that goes back is passed over, and the later of two for the
    same file counts.
    """
    head, _, rest = octets[:LONGEST_LIST].partition(b"\n")
    validity, following = _header(head.split())
    if not 0 < validity <= LAST_UID:
        return None
    uids: dict[str, int] = {}
    last = 0
    for line in rest.split(b"\n"):
        found = _LINE.fullmatch(line)
        if found and last < (uid := int(found[1])) <= LAST_UID:
            uids[split(os.fsdecode(found[2]))[0]] = last = uid
    return UidList(validity, max(following, last + 1), uids)


def _header(words: list[bytes]) -> tuple[int, int]:
    """Return UIDVALIDITY and UIDNEXT; 0 for what isn't said."""
    if not words:
        return 0, 0
    if words[0] == b"1" and len(words) > 2:
        return _number(words[1]), _number(words[2])
    fields = {word[:1]: word[1:] for word in words[1:]}
    return _number(fields.get(b"V", b"")), _number(fields.get(b"N", b""))


def _number(word: bytes) -> int:
    return int(word) if word.isdigit() and len(word) < 11 else 0


def read_subscriptions(octets: bytes) -> list[list[str]]:
    """Read which mailboxes are subscribed, in parts: Dovecot's file, version 1 or 2."""
    lines = octets.decode("utf-8", "replace").split("\n")
    separator = "."
    if lines[0].startswith("V\t2"):
        separator, lines = "\t", lines[1:]
    return [line.split(separator) for line in lines[:100_000] if line]
