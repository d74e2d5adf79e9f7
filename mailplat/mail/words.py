"""Encoded words, to text and back (RFC 2047), and header text in lines that fit (RFC 5322)."""

from __future__ import annotations

import re
from binascii import Error as BadBase64
from binascii import a2b_base64, a2b_qp, b2a_base64
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby

from mailplat.mail.charsets import LONGEST_LABEL, charset_of, text_by_codec

LINE = 78  # octets a line should keep to, its CRLF not counted (RFC 5322 section 2.1.1)
LINE_WITH_WORDS = 76  # and must, if it has an encoded word (RFC 2047 section 2)
LONGEST_LINE = 998  # octets no line may pass
LONGEST_WORD = 75  # octets of an encoded word

_AROUND = len("=?utf-8?q??=")
_SHORTEST_ROOM = _AROUND + len("=F0=9F=98=80")  # octets that any character fits into
_IN_Q = bytes(  # RFC 2047 section 5 (3), for phrases as well
    octet for octet in range(128) if chr(octet).isalnum() or octet in b"!*+-/ "
)
_NOT_IN_Q = re.compile(b"[^%b]++" % re.escape(_IN_Q))
_CONTINUED = (b"=8", b"=9", b"=A", b"=B")  # octets of a character that are not its first, in Q

# The text of a word may have a question mark, which RFC 2047 forbids, if that is no word's
# end or beginning.
_ENCODED_WORD = re.compile(
    rb"=\?([!->@-~]++)\?([bBqQ])\?([^?\r\n]*+(?:(?<!=)\?(?!=)[^?\r\n]*+)*+)\?="
)
_UNKNOWN = {"unknown", "unknown-8bit", "x-unknown", "default", "none"}  # RFC 1428 section 3
_GUESSED = "?"  # no name of a codec
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u2028\u2029]")
_LINE_ENDS = re.compile(r"[\t\r\n]+")
UNSAFE = r"[\x00-\x08\x0a-\x1f\x7f]"
"""A pattern for what must not come into a field: controls but tabs."""
_UNSAFE = re.compile(UNSAFE)
_RUN = re.compile(r" *+[^ ]++")
_NAME = re.compile(rb"[!-9;-~]{1,70}")


# To text ---------------------------------------------------------------------


def decoded_words(body: bytes) -> str:
    """Return a field's body as text, its encoded words decoded wherever they stand.

    What is broken is shown as it stands; octets outside ASCII are read as
    UTF-8 or else as windows-1252.  Nothing is raised, whatever the octets.
    """
    if b"=?" not in body:
        return _raw(body)
    first, *rest = _ENCODED_WORD.split(body)
    texts: list[str] = []
    words: list[bytes] = []  # those not yet decoded, all in one charset
    between = [first]  # what stands behind them
    charset = ""
    for at in range(0, len(rest), 4):
        label, encoding, payload, after = rest[at : at + 4]
        its_charset, word = _word(label, encoding, payload)
        if not its_charset:
            between.append(b"=?%b?%b?%b?=%b" % (label, encoding, payload, after))
            continue
        plain = b"".join(between)
        # White space between two words is theirs (RFC 2047 section 6.2).  Neighbours in one
        # charset are decoded together, since many programs cut a character in two.
        if words and plain.isspace():
            plain = b""
        if words and (plain or its_charset != charset):
            texts.append(_text(b"".join(words), charset))
            words = []
        if plain:
            texts.append(_raw(plain))
        words.append(word)
        charset, between = its_charset, [after]
    if words:
        texts.append(_text(b"".join(words), charset))
    return "".join(texts) + _raw(b"".join(between))


def shown(body: bytes) -> str:
    """Return a field's body as one line of text without control characters."""
    text = decoded_words(body)
    if text.isprintable():
        return text
    return _CONTROLS.sub("\ufffd", _LINE_ENDS.sub(" ", text))


def _word(label: bytes, encoding: bytes, text: bytes) -> tuple[str, bytes]:
    """Return an encoded word's charset, empty if it isn't known, and its octets."""
    charset = _charset_of(label) if len(label) <= LONGEST_LABEL else ""
    if encoding in b"qQ":
        return charset, a2b_qp(text, header=True)
    try:
        return charset, a2b_base64(text + b"==")
    except BadBase64:
        return "", b""


@lru_cache(maxsize=256)
def _charset_of(label: bytes) -> str:
    """Return the codec of a label, which may name a language as well (RFC 2231 section 5)."""
    name = label.partition(b"*")[0].decode("ascii")
    return charset_of(name) or (_GUESSED if name.lower() in _UNKNOWN else "")


def _text(octets: bytes, charset: str) -> str:
    return _raw(octets) if charset == _GUESSED else text_by_codec(octets, charset)


def _raw(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")


# From text -------------------------------------------------------------------


def text_field(name: bytes, text: str) -> bytes:
    """Return the whole field, its text encoded where it must be, folded, with CRLF.

    This is the only way by which text becomes a field of a message.  Raises
    `ValueError` for CR, LF, NUL and other controls in the text, and for a name
    that is none.  Lines keep to 78 octets where a space lets them, with encoded
    words to 76, and to 998 in any case (RFC 2047 sections 2 and 5, RFC 5322
    sections 2.1.1 and 2.2.3).
    """
    check_name(name)
    check_text(text, name)
    pieces = _pieces_to_fold(text.replace("\t", " ").strip(" "), len(name) + 1)
    return folded(name, pieces)


def check_name(name: bytes) -> None:
    """Raise `ValueError` for what can't be the name of a field."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"no field name: {name!r}")


def check_text(text: str, name: bytes) -> None:
    """Raise `ValueError` for controls in a field's text, line ends among them."""
    if _UNSAFE.search(text):
        raise ValueError(f"a control character in a {name.decode()} field: {text[:200]!r}")


def folded(name: bytes, pieces: Iterable[bytes]) -> bytes:
    """Return the whole field with CRLF, cut between pieces; each has its space in front."""
    return b"".join(_lines(name + b":", pieces))


def _lines(line: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines of as many pieces as fit; only encoded words leave a name alone."""
    longest = LINE
    for piece in pieces:
        is_word = piece.startswith(b" =?")
        most = LINE_WITH_WORDS if is_word else longest
        if len(line) + len(piece) > most and (is_word or not line.endswith(b":")):
            yield line + b"\r\n"
            line, longest = b"", LINE
        line += piece
        if is_word:
            longest = LINE_WITH_WORDS
    yield line + b"\r\n"


def _pieces_to_fold(text: str, indent: int) -> Iterator[bytes]:
    """Yield what may stand on a line of its own: words with the space before them."""
    runs = _RUN.findall(" " + text)
    room = LINE_WITH_WORDS - indent - 1
    for plain, group in groupby(runs, key=lambda run: _is_plain(run, indent)):
        if plain:
            yield from (run.encode("ascii") for run in group)
        else:
            yield from encoded_words("".join(group)[1:], room)
        room = LONGEST_WORD


def _is_plain(run: str, indent: int) -> bool:
    return run.isascii() and "=?" not in run and len(run) + indent <= LONGEST_LINE


def encoded_words(text: str, room: int = LONGEST_WORD) -> Iterator[bytes]:
    """Yield encoded words that together are ``text``, each with a space before it.

    They are in UTF-8, in Q where at least half of the octets can be read that
    way (RFC 2047 section 4), else in B; characters stay whole.  The first has at
    most ``room`` octets, if it can.
    """
    octets = text.encode("utf-8", "replace")
    most = (room if room >= _SHORTEST_ROOM else LONGEST_WORD) - _AROUND
    if 2 * len(octets.translate(None, _IN_Q)) <= len(octets):
        return _words_in_q(_NOT_IN_Q.sub(_quoted_run, octets).replace(b" ", b"_"), most)
    return _words_in_b(octets, most)


def _words_in_q(octets: bytes, most: int) -> Iterator[bytes]:
    """Yield words of octets that are quoted already, the first of at most so many."""
    start = 0
    while True:
        stop = start + most
        if stop < len(octets):
            cut = octets.rfind(b"=", stop - 2, stop)
            stop = cut if cut >= 0 else stop
            while octets[stop : stop + 2] in _CONTINUED:
                stop -= 3
        yield b" =?utf-8?q?%b?=" % octets[start:stop]
        if stop >= len(octets):
            return
        start, most = stop, LONGEST_WORD - _AROUND


def _words_in_b(octets: bytes, most: int) -> Iterator[bytes]:
    """Yield words of octets in base64, the first of at most so many octets then."""
    start = 0
    while True:
        stop = start + most // 4 * 3
        if stop < len(octets):
            while octets[stop] & 0xC0 == 0x80:  # in a character
                stop -= 1
        yield b" =?utf-8?b?%b?=" % b2a_base64(octets[start:stop], newline=False)
        if stop >= len(octets):
            return
        start, most = stop, LONGEST_WORD - _AROUND


def _quoted_run(match: re.Match[bytes]) -> bytes:
    return b"=" + match[0].hex("=").upper().encode()
