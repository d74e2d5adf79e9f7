"""Answers of IMAP taken apart, whoever gave them."""

from __future__ import annotations

import re

Word = bytes | list["Word"] | None

_WORD = re.compile(
    rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*+)"|(NIL)|([!#-\'*-\[\]^-z|}~]++)|\{(\d+)\}\r\n|([() ])'
)
_ESCAPED = re.compile(rb"\\(.)")


def words_of(octets: bytes) -> list[Word]:
    """Return what stands there as strings, NIL as None, and lists of these.

    Raises `ValueError` for anything that RFC 9051 section 9 doesn't have.
    """
    stack: list[list[Word]] = [[]]
    at = 0
    while at < len(octets):
        found = _WORD.match(octets, at)
        if not found:
            raise ValueError(f"no word of IMAP: {octets[at : at + 50]!r}")
        at = found.end()
        quoted, nil, atom, length, mark = found.groups()
        if mark == b"(":
            stack.append([])
        elif mark == b")":
            inner = stack.pop()
            stack[-1].append(inner)
        elif length is not None:
            stack[-1].append(octets[at : at + int(length)])
            at += int(length)
        elif quoted is not None:
            stack[-1].append(_ESCAPED.sub(rb"\1", quoted))
        elif not mark:
            stack[-1].append(None if nil else atom)
    [words] = stack
    return words
