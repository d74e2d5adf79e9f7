"""Comparing text without regard to case, as IMAP, Sieve and JMAP do (RFC 4790, 5051)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]++")
_MOST_REMEMBERED = 10_000  # characters, and short runs of them


def casemapped(text: str) -> bytes:
    """Return octets that are the same, and sort the same, for text that differs in case only.

    Every character is made a title-case one and then decomposed; what comes out
    is compared octet by octet (``i;unicode-casemap``, RFC 5051 section 2).
    """
    octets = text.encode("utf-8", "replace").upper()
    return octets if octets.isascii() else _OUTSIDE_ASCII.sub(_mapped, octets)


def _mapped(run: re.Match[bytes]) -> bytes:
    octets = run[0]
    if len(octets) <= 4:
        return _mapped_shortly(octets)
    return octets.decode().translate(_MAPPING).encode()


@lru_cache(maxsize=_MOST_REMEMBERED)
def _mapped_shortly(octets: bytes) -> bytes:
    return octets.decode().translate(_MAPPING).encode()


class _Mapping(dict[int, str]):
    """What each character becomes, found when it is first asked for."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        character = chr(code)
        title = character.title()
        # Only mappings from one character to one count, which are UnicodeData's own.
        mapped = unicodedata.normalize("NFKD", title if len(title) == 1 else character)
        self[code] = mapped
        return mapped


_MAPPING = _Mapping()
