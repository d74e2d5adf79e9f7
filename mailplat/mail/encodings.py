"""Base64, quoted-printable and uuencode, a chunk at a time (RFC 2045 sections 6.7 and 6.8).

A `Decoder` or `Encoder` is fed chunks of any size and told when no more come;
how the octets were cut never changes what comes out, and what it holds back
meanwhile is bounded.  Decoders read whatever there is and never fail; encoders
lose nothing, and write lines of 76 octets at most that end in CRLF.
"""

from __future__ import annotations

import re
from binascii import Error as Undecodable
from binascii import a2b_base64, a2b_qp, a2b_uu, b2a_base64
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import attrs

IDENTITIES = frozenset((b"7bit", b"8bit", b"binary"))
LINE = 76  # octets of a line that an encoder writes, its CRLF not counted
_BLANKS = 998  # white space before a line's end that is taken for a mistake of transport
_UU_LINE = 1000  # octets of a line of uuencode; longer ones are passed over


class Codec(Protocol):
    """Takes octets in chunks and gives back what they become."""

    def feed(self, octets: bytes) -> bytes:
        """Return what can be said already."""

    def finish(self) -> bytes:
        """Return the rest: no more octets come."""


def encoding_name(octets: bytes) -> bytes:
    """Return what a Content-Transfer-Encoding says, in lower case and by its usual name."""
    name = octets.lower()
    return _ALIASES.get(name, name)


_ALIASES = {
    b"8-bit": b"8bit",
    b"7-bit": b"7bit",
    b"qp": b"quoted-printable",
    b"quoted printable": b"quoted-printable",
    b"quotedprintable": b"quoted-printable",
    b"base-64": b"base64",
    b"base 64": b"base64",
    b"x-base64": b"base64",
    b"uuencode": b"x-uuencode",
    b"x-uue": b"x-uuencode",
    b"uue": b"x-uuencode",
}


def is_known(encoding: bytes) -> bool:
    """Whether content with this encoding, by its usual name, can be decoded."""
    return encoding.lower() in _DECODERS


def decoder(encoding: bytes) -> Codec | None:
    """Return a decoder for a Content-Transfer-Encoding; None if it is not known.

    What nobody can decode is to be taken for octets that nobody understands
    (RFC 2045 section 6.4).
    """
    make = _DECODERS.get(encoding_name(encoding))
    return make() if make else None


def decoded(octets: bytes, encoding: bytes) -> bytes:
    """Return octets that are all at hand decoded; as they are if the encoding is not known."""
    found = decoder(encoding)
    return found.feed(octets) + found.finish() if found else octets


def decoding(chunks: Iterable[bytes], encoding: bytes) -> Iterator[bytes]:
    """Yield chunks decoded, as they are if the encoding is not known."""
    codec = decoder(encoding) or Identity()
    for chunk in chunks:
        yield codec.feed(chunk)
    yield codec.finish()


@attrs.define
class Identity:
    """Leaves octets as they are."""

    def feed(self, octets: bytes) -> bytes:
        return octets

    def finish(self) -> bytes:
        return b""


# Base64 ----------------------------------------------------------------------

BASE64_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(BASE64_DIGITS + b"="))


@attrs.define
class Base64Decoder:
    """Reads Base64; passes over what is none, and reads on behind padding in the middle.

    Padding that is missing is thought there; a single digit, which can't be an
    octet, is dropped.
    """

    _held: bytes = attrs.field(default=b"", init=False)  # up to three digits

    def feed(self, octets: bytes) -> bytes:
        digits = self._held + octets.translate(None, _NOT_BASE64)
        if b"=" not in digits:
            return self._whole(digits)
        *groups, last = digits.split(b"=")
        return b"".join(map(_padded, filter(None, groups))) + self._whole(last)

    def finish(self) -> bytes:
        rest, self._held = self._held, b""
        return _padded(rest)

    def _whole(self, digits: bytes) -> bytes:
        cut = len(digits) & ~3
        self._held = digits[cut:]
        return a2b_base64(digits[:cut])


def _padded(digits: bytes) -> bytes:
    if len(digits) & 3 == 1:
        digits = digits[:-1]
    return a2b_base64(digits + b"==")


@attrs.define
class Base64Encoder:
    """Writes Base64 in lines of 76 digits."""

    _held: bytes = attrs.field(default=b"", init=False)

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        cut = len(octets) // 57 * 57
        self._held = octets[cut:]
        return _base64_lines(octets[:cut])

    def finish(self) -> bytes:
        rest, self._held = self._held, b""
        return _base64_lines(rest)


def _base64_lines(octets: bytes) -> bytes:
    digits = b2a_base64(octets, newline=False)
    lines = [digits[at : at + LINE] for at in range(0, len(digits), LINE)]
    return b"\r\n".join([*lines, b""]) if lines else b""


# Quoted-printable ------------------------------------------------------------

_TRAILING = re.compile(rb"(?<![ \t])[ \t]{1,998}+(?=\r?\n)")
_TRAILING_LAST = re.compile(rb"(?<![ \t])[ \t]{1,998}+\Z")
_BEFORE_AN_END = (b" \r\n", b"\t\r\n", b" \n", b"\t\n")
_PLAIN_SIGN = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")
_LAST_SIGN = re.compile(rb"=\r?\Z")


@attrs.define
class QuotedPrintableDecoder:
    """Reads quoted-printable as RFC 2045 section 6.7 advises.

    Digits may be of any case; a "=" before anything but an octet or a line's
    end stays; white space at the end of a line was put there on the way and
    goes, behind the "=" of a soft line break too.
    """

    _held: bytes = attrs.field(default=b"", init=False)
    _blank: bool = attrs.field(default=False, init=False)  # in too long a run of white space

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        before = b""
        if self._blank:
            rest = octets.lstrip(b" \t")
            before, octets = octets[: len(octets) - len(rest)], rest
            self._blank = not rest
        cut = self._clear(octets)
        self._held = octets[cut:]
        return before + _quoted_printable(octets[:cut])

    def finish(self) -> bytes:
        rest, self._held = self._held, b""
        return _quoted_printable(_LAST_SIGN.sub(b"", _TRAILING_LAST.sub(b"", rest)))

    def _clear(self, octets: bytes) -> int:
        """Return up to where the octets can be read, whatever comes next."""
        end = len(octets)
        line = octets[-_BLANKS - 2 :]
        text = line.removesuffix(b"\r").rstrip(b" \t")
        if len(text) == len(line):
            sign = octets.rfind(b"=", max(end - 2, 0))
            return end if sign < 0 else sign
        text = text.removesuffix(b"\r")  # white space behind it goes if the line ends there
        if len(line) - len(text) > _BLANKS + 1:
            self._blank = not line.endswith(b"\r")
            return end
        return end - (len(line) - len(text)) - text.endswith(b"=")


def _quoted_printable(octets: bytes) -> bytes:
    if any(blank in octets for blank in _BEFORE_AN_END):
        octets = _TRAILING.sub(b"", octets)
    if (
        b"==" in octets
        or octets.endswith(b"=")
        or octets.count(b"=\r") != octets.count(b"=\r\n")
    ):
        octets = _PLAIN_SIGN.sub(b"=3D", octets)  # a2b_qp would lose some of this
    return a2b_qp(octets)


_TO_ESCAPE = re.compile(rb"[^\t\r\n -<>-~]++")
_ODD_END = re.compile(rb"(?:\r(?!\n))++|(?<!\r)\n++|[ \t](?=\r\n)")


@attrs.define
class QuotedPrintableEncoder:
    """Writes quoted-printable; CRLF stays what it is, and a CR or LF alone becomes an octet."""

    _held: bytes = attrs.field(default=b"", init=False)  # a blank and CR that may end a line
    _line: bytes = attrs.field(default=b"", init=False)  # escaped, and not yet ended

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        cut = len(octets) - octets.endswith(b"\r")
        cut -= octets.endswith((b" ", b"\t"), 0, cut)
        self._held = octets[cut:]
        *lines, last = (self._line + _escaped(octets[:cut])).split(b"\r\n")
        *begun, self._line = _wrapped(last)
        done = [line for long in lines for line in _wrapped(long)]
        return b"".join([b"\r\n".join([*done, b""]), *(part + b"\r\n" for part in begun)])

    def finish(self) -> bytes:
        rest = self._line
        rest += _hex(self._held) if self._held in (b" ", b"\t") else _escaped(self._held)
        self._held = self._line = b""
        return b"\r\n".join(_wrapped(rest))


def _escaped(octets: bytes) -> bytes:
    escaped = _TO_ESCAPE.sub(lambda found: _hex(found[0]), octets)
    ends = octets.count(b"\r\n")
    if (
        ends != octets.count(b"\r")
        or ends != octets.count(b"\n")
        or any(blank in octets for blank in _BEFORE_AN_END)
    ):
        escaped = _ODD_END.sub(lambda found: _hex(found[0]), escaped)
    return escaped


def _hex(octets: bytes) -> bytes:
    return _HEX.get(octets) or b"=" + octets.hex("=").upper().encode()


_HEX = {bytes((octet,)): b"=%02X" % octet for octet in range(256)}


def _wrapped(line: bytes) -> list[bytes]:
    """Cut an escaped line into such as are short enough, never through an octet's digits."""
    if len(line) <= LINE:
        return [line]
    lines: list[bytes] = []
    at = 0
    while len(line) - at > LINE:
        cut = at + LINE - 1
        cut -= 2 if line[cut - 2] == ord("=") else line[cut - 1] == ord("=")
        lines.append(line[at:cut] + b"=")
        at = cut
    return [*lines, line[at:]]


# Uuencode --------------------------------------------------------------------

_UU_BEGIN = re.compile(rb"begin [0-7]{3,4} ")


@attrs.define
class UuDecoder:
    """Reads the first file in a text by uuencode, as POSIX has it; its end may be missing.

    A line that can't be read is passed over, and so is what stands before
    "begin" and behind "end".
    """

    _held: bytes = attrs.field(default=b"", init=False)  # a line that has not yet ended
    _state: str = attrs.field(default="before", init=False)  # before, inside, behind

    def feed(self, octets: bytes) -> bytes:
        if self._state == "behind":
            return b""
        *lines, self._held = (self._held + octets).split(b"\n")
        if len(self._held) > _UU_LINE:
            self._held = self._held[: _UU_LINE + 1]
        return b"".join(self._read(line) for line in lines)

    def finish(self) -> bytes:
        rest, self._held = self._held, b""
        return self._read(rest)

    def _read(self, line: bytes) -> bytes:
        if self._state == "before":
            if _UU_BEGIN.match(line[:_UU_LINE]):
                self._state = "inside"
            return b""
        if self._state == "behind" or not 0 < len(line) <= _UU_LINE:
            return b""
        if line.rstrip() == b"end":
            self._state = "behind"
            return b""
        return _uu_line(line)


def _uu_line(line: bytes) -> bytes:
    try:
        return a2b_uu(line)
    except Undecodable:
        digits = ((line[0] - 32 & 63) * 4 + 2) // 3  # what stands behind them is not ours
    try:
        return a2b_uu(line[: 1 + digits])
    except Undecodable:
        return b""


_DECODERS: dict[bytes, Callable[[], Codec]] = {
    **dict.fromkeys(IDENTITIES, Identity),
    b"base64": Base64Decoder,
    b"quoted-printable": QuotedPrintableDecoder,
    b"x-uuencode": UuDecoder,
}
