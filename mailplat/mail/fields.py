"""Writes structured fields, such as identifiers and parameters (RFC 5322, 2045, 2231).

Whatever becomes a field of a message goes through one of three functions:
`mailplat.mail.words.text_field` for text, and `structured` or `laid_out` here for
all else.  They refuse CR, LF, NUL and other controls, so that nobody's words
can begin another line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from mailplat.mail.dates import date_text
from mailplat.mail.words import (
    LONGEST_LINE,
    UNSAFE,
    check_name,
    check_text,
    encoded_words,
    folded,
)

_UNSAFE = re.compile(UNSAFE.encode())
_UNSAFE_BETWEEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # lines
# Controls, halves of surrogate pairs, and what turns the direction of text.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_ENDS = re.compile("[\t\r\n\u0085\u2028\u2029]+")
_IDENTIFIER = re.compile(rb"[!-;=?-~]{1,900}")
_WORD = r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+"  # RFC 2045 section 5.1
_VALUE = re.compile(rf"{_WORD}(?:/{_WORD})?")
_ATTRIBUTE = re.compile(_WORD)
_PLAIN = re.compile(r"[A-Za-z0-9+\-._]+")  # what cautious programs leave without quotes
_SPECIAL = re.compile(r'(["\\])')
_ATTRIBUTE_CHARS = frozenset(  # RFC 2231 section 7; "!", "$" and "&" are spared for old readers
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.^_`{|}~"
)
_QUOTED = 200  # octets of a value that stay in one quoted string
_SECTION = 56  # octets of one section of a long parameter


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """Return a stranger's words as one line of text that does no harm, of so many characters.

    Line ends become spaces, controls and their like U+FFFD.
    """
    cut = text[:most]
    if not cut.isprintable():
        cut = _UNFIT.sub("\ufffd", _LINE_ENDS.sub(" ", cut))
    return cut if len(text) <= most else cut + "…"


# Any field -------------------------------------------------------------------


def structured(name: bytes, pieces: Iterable[bytes]) -> bytes:
    """Return the whole field with CRLF, folded between pieces, each with its space in front.

    Raises `ValueError` for controls in a piece, for one that fits no line, and
    for a name that is none.
    """
    check_name(name)
    checked = list(pieces)
    for piece in checked:
        if _UNSAFE.search(piece):
            raise ValueError(f"a control character in a {name.decode()} field: {piece[:200]!r}")
        if len(piece) + len(name) >= LONGEST_LINE:
            raise ValueError(f"too long for a line of a {name.decode()} field: {piece[:200]!r}")
    return folded(name, checked)


def laid_out(field: bytes, lines: int = 1) -> bytes:
    """Return a field that was written by hand in so many lines, each with its CRLF.

    Raises `ValueError` if it has another CR or LF, or any other control but a tab.
    """
    ends = field.count(b"\r\n"), field.count(b"\r"), field.count(b"\n")
    if ends != (lines, lines, lines) or _UNSAFE_BETWEEN.search(field):
        raise ValueError(f"a control character in a field: {field[:200]!r}")
    return field


# Identifiers and dates -------------------------------------------------------


def identifier_field(name: bytes, identifiers: Iterable[bytes]) -> bytes:
    """Return a field of identifiers, given without their brackets (RFC 5322 section 3.6.4).

    Those that can't be written as they are, are left out; without any there is
    no field, and nothing is returned.
    """
    pieces = [b" <%b>" % one for one in identifiers if _IDENTIFIER.fullmatch(one)]
    return structured(name, pieces) if pieces else b""


def date_field(name: bytes, moment: datetime) -> bytes:
    """Return a field with a moment in it (RFC 5322 section 3.6.1)."""
    return structured(name, [b" " + date_text(moment).encode()])


# Parameters ------------------------------------------------------------------


def parameter_field(
    name: bytes, value: str, parameters: Mapping[str, str], *more: Iterable[bytes]
) -> bytes:
    """Return a field with a value and parameters, as Content-Type has (RFC 2045 section 5.1).

    Values outside ASCII are written as RFC 2231 has it, in UTF-8, long ones in
    several sections; others as a token or quoted string.  ``more`` are parameters
    that have been put into pieces already.  Raises `ValueError` for controls,
    and for what is no media type or other token, or no name of a parameter.
    """
    check_text(value + "".join(parameters) + "".join(parameters.values()), name)
    if not _VALUE.fullmatch(value) or not all(map(_ATTRIBUTE.fullmatch, parameters)):
        raise ValueError(f"no token: {value[:200]!r} or one of {list(parameters)!r:.200}")
    groups = [[b" " + value.encode("ascii", "replace")]]
    for attribute, text in parameters.items():
        groups += ([b" " + one] for one in _parameter(attribute, text))
    groups += (list(pieces) for pieces in more)
    return structured(name, _separated(groups))


def _separated(groups: Sequence[list[bytes]]) -> Iterator[bytes]:
    *before, last = groups
    for group in before:
        yield from group[:-1]
        yield group[-1] + b";"
    yield from last


def _parameter(attribute: str, text: str) -> Iterator[bytes]:
    name = attribute.encode("ascii", "replace")
    if _PLAIN.fullmatch(text) and len(text) <= _QUOTED:
        yield b"%b=%b" % (name, text.encode())
    elif text.isascii() and len(text) <= _QUOTED:
        yield b"%b=%b" % (name, _quoted(text))
    elif text.isascii():
        for number, at in enumerate(range(0, len(text), _SECTION)):
            yield b"%b*%d=%b" % (name, number, _quoted(text[at : at + _SECTION]))
    else:
        yield from _extended(name, text)


def _quoted(text: str) -> bytes:
    return b'"%b"' % _SPECIAL.sub(r"\\\1", text).encode("utf-8", "replace")


def _extended(name: bytes, text: str) -> Iterator[bytes]:
    """Yield an extended parameter, in one section where it fits (RFC 2231 sections 3 and 4)."""
    first, *others = _sections(text)
    if not others:
        yield b"%b*=%b" % (name, first)
        return
    for number, section in enumerate([first, *others]):
        yield b"%b*%d*=%b" % (name, number, section)


def _sections(text: str) -> Iterator[bytes]:
    """Yield a text in pieces that fit into a line each, no character of it cut in two.

    The standard lets characters be cut, and not every reader puts them together again.
    """
    section = b"utf-8''"
    for character in text:
        octets = b"".join(map(_percent, character.encode("utf-8", "replace")))
        if len(section) + len(octets) > _SECTION:
            yield section
            section = b""
        section += octets
    yield section


def _percent(octet: int) -> bytes:
    return bytes((octet,)) if octet in _ATTRIBUTE_CHARS else b"%%%02X" % octet


def words_parameter(attribute: bytes, text: str) -> Iterator[bytes]:
    """Yield a parameter as encoded words in quotes, which no standard allows and many read.

    It is meant for readers that don't know RFC 2231, beside one that is as it
    should be.
    """
    check_text(text, attribute)
    quoted = [word[1:] for word in encoded_words(text, _SECTION)]
    quoted[0] = b'%b="%b' % (attribute, quoted[0])
    quoted[-1] += b'"'
    yield from (b" " + word for word in quoted)
