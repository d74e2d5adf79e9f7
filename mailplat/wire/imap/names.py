"""Mailbox names as IMAP writes them, and the patterns of LIST (RFC 9051 section 6.3.9)."""

from __future__ import annotations

import re

from mailplat.mail.errors import NotPermitted
from mailplat.mail.imapwords import astring
from mailplat.mail.mailbox import INBOX, LONGEST_NAME, SEPARATOR
from mailplat.mail.utf7 import from_utf7, to_utf7
from mailplat.wire.imap.writer import utf8_quoted

LONGEST_PATTERN = 2 * LONGEST_NAME  # octets
_WILDCARDS = re.compile(r"[*%]{2,}+")


def read_name(octets: bytes, utf8: bool) -> str:
    """Return the name that a client has written; `proper_name` says if it may be one.

    Clients that have not agreed on UTF-8 write modified UTF-7; where they write
    UTF-8 none the less, it is read.  Raises `NotPermitted` for what is neither, as for
    letters hidden in a shift that need none: one mailbox has one spelling.
    """
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise NotPermitted("a name that is not UTF-8") from None
    if utf8 or not text.isascii():
        return text
    name = from_utf7(text)
    if to_utf7(name) != text:
        raise NotPermitted(f"no modified UTF-7: {text[:100]!r}")
    return name


def write_name(name: str, utf8: bool) -> bytes:
    """Return a name as an ``astring`` for a client that takes UTF-8, or doesn't."""
    if name.isascii() and "&" not in name:
        return astring(name.encode())
    return utf8_quoted(name.encode()) if utf8 else astring(to_utf7(name).encode())


class Pattern:
    """A pattern of names: ``*`` is anything, ``%`` anything within one level.

    Matching takes one step for each letter of a name, whatever the pattern: all
    places of the pattern that may have been reached are the bits of one number.
    """

    def __init__(self, text: str) -> None:
        """Raise `NotPermitted` for a pattern that is longer than any name."""
        if len(text) > LONGEST_PATTERN:
            raise NotPermitted(f"a pattern of {len(text)} letters")
        self._exact = _Places(_with_inbox(text))
        self._inbox = _Places(text.upper())

    def matches(self, name: str) -> bool:
        """Say whether a mailbox's name is among those that are meant."""
        return (self._inbox if name == INBOX else self._exact).match(name)


def _with_inbox(text: str) -> str:
    first, slash, rest = text.partition(SEPARATOR)
    return INBOX + slash + rest if first.upper() == INBOX else text


class _Places:
    """The letters of a pattern, and at which of its places each stands."""

    def __init__(self, text: str) -> None:
        text = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", text)
        self._end = 1 << len(text)
        self._letters: dict[str, int] = {}
        for place, letter in enumerate(text):
            self._letters[letter] = self._letters.get(letter, 0) | 1 << place
        self._anything = self._letters.pop("*", 0)
        self._level = self._letters.pop("%", 0)

    def match(self, name: str) -> bool:
        wild = self._anything | self._level
        places = 1
        for letter in name:
            places |= (places & wild) << 1
            stay = self._anything if letter == SEPARATOR else wild
            places = (places & stay) | (places & self._letters.get(letter, 0)) << 1
            if not places:
                return False
        places |= (places & wild) << 1
        return bool(places & self._end)
