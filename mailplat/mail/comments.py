"""Comments of structured fields, taken away (RFC 5322 section 3.2.2)."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(
    rb'((?:[^"(\\]++|"(?:[^"\\]++|\\.)*+"|\\.|["\\])*+)(\((?:[^()\\]++|\\.)*+\))?+', re.DOTALL
)
_INSIDE = re.compile(rb"[^()\\]*+(?:\\.[^()\\]*+)*+([()])", re.DOTALL)


def without_comments(octets: bytes) -> bytes:
    """Return octets with a space for each comment, nested ones with it.

    Parentheses in quoted strings are none of a comment, and one that nobody
    closed begins none.  Takes linear time.
    """
    if b"(" not in octets:
        return octets
    kept: list[bytes] = []
    at = 0
    while found := _OUTSIDE.match(octets, at):
        kept.append(found[1])
        at = found.end()
        if not found[2]:  # no simple comment follows
            behind = _behind_comment(octets, at)
            if not behind:
                break
            at = behind
        kept.append(b" ")
    kept.append(octets[at:])
    return b"".join(kept)


def _behind_comment(octets: bytes, start: int) -> int:
    """Return where the comment ends that begins at ``start``, or 0 if none does."""
    if not octets.startswith(b"(", start):
        return 0
    depth, at = 1, start + 1
    while depth:
        found = _INSIDE.match(octets, at)
        if not found:
            return 0
        at = found.end()
        depth += 1 if found[1] == b"(" else -1
    return at
