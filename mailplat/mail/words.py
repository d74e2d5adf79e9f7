"""Encoded words, to text and back (RFC 2047), and header text in lines that fit (RFC 5322)."""

from __future__ import annotations

import re
from binascii import Error as BadBase64
from binascii import a2b_base64, a2b_qp, b2a_base64
from collections.abc import Iterable, Iterator
from itertools import groupby

from mailplat.mail.charsets import charset_of, text_of

LINE = 78  # octets a line should keep to, its CRLF not counted (RFC 5322 section 2.1.1)
LONGEST_LINE = 998  # and may not pass
_WORD_OCTETS = 39  # of UTF-8 in one encoded word, which then has 64, at most 75 allowed

_ENCODED_WORD = re.compile(rb"=\?([!->@-~]++)\?([bBqQ])\?([^?\r\n]*+)\?=")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u2028\u2029]")
_LINE_ENDS = re.compile(r"[\t\r\n]+")
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_RUN = re.compile(r" *+[^ ]++")
_NAME = re.compile(rb"[!-9;-~]{1,70}")


# To text ---------------------------------------------------------------------


def decoded(body: bytes) -> str:
    """Return a field's body as text, its encoded words decoded.

    What is broken is shown as it stands; octets outside ASCII are read as
    UTF-8 or else as Latin-1.  Nothing is raised, whatever the octets.
    """
    if b"=?" not in body:
        return _raw(body)
    texts: list[str] = []
    for charset, parts in groupby(_pieces(body), key=lambda piece: piece[0]):
        octets = b"".join(part for _, part in parts)
        texts.append(text_of(octets, charset) if charset else _raw(octets))
    return "".join(texts)


def shown(body: bytes) -> str:
    """Return a field's body as one line of text without control characters."""
    text = decoded(body)
    if text.isprintable():
        return text
    return _CONTROLS.sub("\ufffd", _LINE_ENDS.sub(" ", text))


def _pieces(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (charset, octets) of encoded words, and ("", octets) of all else.

    White space between two encoded words is theirs and goes (RFC 2047 section
    6.2).  Neighbours in one charset are put together by the caller, since many
    programs cut a character in two.
    """
    end, after_word = 0, False
    for match in _ENCODED_WORD.finditer(body):
        word = _word(match)
        if word is None:
            continue
        between = body[end : match.start()]
        if between and not (after_word and between.isspace()):
            yield "", between
        yield word
        end, after_word = match.end(), True
    if end < len(body):
        yield "", body[end:]


def _word(match: re.Match[bytes]) -> tuple[str, bytes] | None:
    charset = charset_of(match[1].partition(b"*")[0].decode("ascii"))  # RFC 2231 section 5
    if not charset:
        return None
    if match[2] in b"qQ":
        return charset, a2b_qp(match[3], header=True)
    try:
        return charset, a2b_base64(match[3] + b"==")
    except BadBase64:
        return None


def _raw(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


# From text -------------------------------------------------------------------


def encoded(name: bytes, text: str) -> bytes:
    """Return the whole field, its text encoded where it must be, folded, with CRLF.

    This is the only way by which text becomes a field of a message.  Raises
    `ValueError` for CR, LF, NUL and other controls in the text, and for a name
    that is none.  Lines keep to 78 octets where a space lets them, and to 998
    in any case (RFC 2047 sections 2 and 5, RFC 5322 sections 2.1.1 and 2.2.3).
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"no field name: {name!r}")
    if _UNSAFE.search(text):
        raise ValueError(f"a control character in a {name.decode()} field: {text[:200]!r}")
    pieces = _pieces_to_fold(text.replace("\t", " ").strip(" "), len(name) + 1)
    return folded(name, pieces)


def folded(name: bytes, pieces: Iterable[bytes]) -> bytes:
    """Return the whole field with CRLF, cut between pieces; each has its space in front."""
    return b"".join(_lines(name + b":", pieces))


def _lines(line: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines of as many pieces as fit; only encoded words leave a name alone."""
    for piece in pieces:
        breakable = not line.endswith(b":") or piece.startswith(b" =?")
        if len(line) + len(piece) > LINE and breakable:
            yield line + b"\r\n"
            line = b""
        line += piece
    yield line + b"\r\n"


def _pieces_to_fold(text: str, indent: int) -> Iterator[bytes]:
    """Yield what may stand on a line of its own: words with the space before them."""
    runs = _RUN.findall(" " + text)
    for plain, group in groupby(runs, key=lambda run: _is_plain(run, indent)):
        if plain:
            yield from (run.encode("ascii") for run in group)
        else:
            yield from encoded_words("".join(group)[1:])


def _is_plain(run: str, indent: int) -> bool:
    return run.isascii() and "=?" not in run and len(run) + indent <= LONGEST_LINE


def encoded_words(text: str) -> Iterator[bytes]:
    """Yield encoded words that together are ``text``, each with a space before it."""
    room = b""
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(room) + len(octets) > _WORD_OCTETS:
            yield _encoded_word(room)
            room = b""
        room += octets
    yield _encoded_word(room)


def _encoded_word(octets: bytes) -> bytes:
    return b" =?utf-8?b?" + b2a_base64(octets, newline=False) + b"?="
