"""Message identifiers, and which messages a message belongs to (RFC 5322 section 3.6.4)."""

from __future__ import annotations

import re

REFERENCES = 50  # ancestors read of one message; of more, the nearest
LONGEST_IDENTIFIER = 250  # octets; longer ones are passed over

_MOST_READ = 32 * 1024  # octets of a field

_USUAL = re.compile(rb'<([^<> \t\r\n"]++)>')

# A comment; what stands in brackets, and whether they are closed; a word, and whether
# it ends in a bracket.
_FOUND = re.compile(rb"\([^()]*+\)|<([^<>]*+)(>?+)|([^ \t\r\n<>(),;]++)(>?+)")
_STRING_OR_WORD = re.compile(rb'"((?:[^"\\]++|\\.)*+)"|([^" \t\r\n]++|")', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def own_identifier(body: bytes) -> bytes:
    """Return the identifier in a Message-ID field, or nothing if there is none.

    Without brackets the first word with an @ is taken for one.
    """
    body = body[:_MOST_READ]
    found = _usual(body) or _in_brackets(body)
    if not found:
        words = _FOUND.findall(body)
        found = [word for _, _, word, _ in words if b"@" in word]
    return found[0] if found and len(found[0]) <= LONGEST_IDENTIFIER else b""


def identifiers_in(body: bytes) -> list[bytes]:
    """Return the identifiers in a References or In-Reply-To field, the nearest last.

    They come without their brackets, quotes and the white space inside them, so
    that two spellings of one are the same (RFC 5256 section 3).  Words among
    them are phrases (RFC 5322 section 4.5.4); a field of nothing but words with
    an @ is read as if they had brackets.
    """
    body = _end(body)
    found = _usual(body) or _in_brackets(body)
    if not found:
        found = [word for _, _, word, _ in _FOUND.findall(body) if word]
        if not all(b"@" in word for word in found):
            return []
    return [one for one in found[-REFERENCES:] if len(one) <= LONGEST_IDENTIFIER]


def ancestors_of(references: bytes, in_reply_to: bytes) -> list[bytes]:
    """Return the ancestors that threads are built of, the parent last.

    These are the References, or else the first identifier in In-Reply-To (RFC
    5256 section 3, REFERENCES, step 1).
    """
    return identifiers_in(references) or identifiers_in(in_reply_to)[:1]


def relatives_of(message_id: bytes, references: bytes, in_reply_to: bytes) -> tuple[bytes, ...]:
    """Return a message's own identifier, if it has one, and then all ancestors', each once."""
    own = own_identifier(message_id)
    ancestors = _usual(b"%b %b" % (_end(references), _end(in_reply_to)))
    if not ancestors:
        ancestors = identifiers_in(references) + identifiers_in(in_reply_to)
    named = dict.fromkeys([own, *ancestors[-REFERENCES:]])
    return tuple([one for one in named if 0 < len(one) <= LONGEST_IDENTIFIER])


def _end(body: bytes) -> bytes:
    """Return as much of a field as is read, from its last identifiers."""
    if len(body) <= _MOST_READ:
        return body
    end = body[-_MOST_READ:]
    return end[max(end.find(b"<"), 0) :]


def _usual(body: bytes) -> list[bytes]:
    """Return the identifiers if all are written as most are, else nothing."""
    if b"(" in body:
        return []
    found = _USUAL.findall(body)
    return found if len(found) == body.count(b"<") == body.count(b">") else []


def _in_brackets(body: bytes) -> list[bytes]:
    """Return what stands in brackets, of which one may be missing."""
    if b"<" not in body and b">" not in body:
        return []
    found = [
        inside if closed else inside.split(None, 1)[0] if inside else word
        for inside, closed, word, ended in _FOUND.findall(body)
        if (inside and not inside.isspace()) or (ended and b"@" in word)
    ]
    return [one for one in map(_plain, found) if one]


def _plain(identifier: bytes) -> bytes:
    """Return an identifier without its quotes and the white space outside them."""
    if b'"' not in identifier:
        return b"".join(identifier.split())
    return b"".join(
        word or _ESCAPE.sub(rb"\1", string)
        for string, word in _STRING_OR_WORD.findall(identifier)
    )
