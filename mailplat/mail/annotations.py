"""What annotations of mailboxes and accounts may be called (RFC 5464)."""

from __future__ import annotations

import re

from mailplat.mail.errors import NotPermitted

SHARED, PRIVATE = "/shared/", "/private/"
LONGEST_ENTRY = 1000  # octets of an entry's name
_ENTRY = re.compile(r"/(?:shared|private)(?:/[!-$&-)+-.0-~]++)++")


def proper_entry(text: str) -> str:
    """Return an entry's name as it is kept, in small letters: its case means nothing.

    Raises `NotPermitted` unless it begins with ``/shared/`` or ``/private/`` and has
    parts of printable ASCII without ``*`` and ``%``.  Source: RFC 5464 section 3.2.
    """
    entry = text[: LONGEST_ENTRY + 1].lower()
    if len(entry) > LONGEST_ENTRY or not _ENTRY.fullmatch(entry):
        raise NotPermitted(f"no annotation can be called {text[:LONGEST_ENTRY]!r}")
    return entry


def is_private(entry: str) -> bool:
    """Whether only the one who has set it sees it."""
    return entry.startswith(PRIVATE)
