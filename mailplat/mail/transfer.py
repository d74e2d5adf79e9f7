"""Chooses how a content travels: as it is, quoted-printable or Base64 (RFC 2045 section 6)."""

from __future__ import annotations

import attrs

from mailplat.mail.content import Content, Octets, chunks, whole
from mailplat.mail.encodings import Base64Encoder, QuotedPrintableEncoder
from mailplat.mail.envelope import Body
from mailplat.mail.limits import KIB
from mailplat.mail.words import LONGEST_LINE

MOST_QUOTED = 64 * KIB  # octets; more is never written in quoted-printable, but in Base64
_RAW_LINE, _LINE = 57, 78  # octets of a line of Base64, before and after, its CRLF counted
_HIGH = bytes(range(0x80, 0x100))

TRANSPORT_NAMES = {Body.SEVEN_BIT: "7bit", Body.EIGHT_BIT: "8bit", Body.BINARY: "binary"}


@attrs.frozen
class Encoded:
    """A content as it travels: what its Content-Transfer-Encoding says, and what it needs.

    ``bare`` says that the octets are those that were given, so that anything
    may occur in them.
    """

    encoding: str
    body: Content
    needs: Body = Body.SEVEN_BIT
    bare: bool = False


@attrs.frozen
class Base64:
    """A content in Base64 by lines of 76 digits, encoded when it is read and never kept."""

    raw: Content

    @property
    def size(self) -> int:
        lines, rest = divmod(self.raw.size, _RAW_LINE)
        return lines * _LINE + (-(-rest // 3) * 4 + 2 if rest else 0)

    async def read(self, start: int, stop: int) -> bytes:
        start = max(start, 0)
        first, behind = start // _LINE, -(-stop // _LINE)
        if start >= stop or first * _RAW_LINE >= self.raw.size:
            return b""
        stop_raw = min(behind * _RAW_LINE, self.raw.size)
        raw = await self.raw.read(first * _RAW_LINE, stop_raw)
        encoder = Base64Encoder()
        lines = encoder.feed(raw) + encoder.finish()
        return lines[start - first * _LINE : stop - first * _LINE]

    def close(self) -> None:
        self.raw.close()


# What a content is -----------------------------------------------------------


@attrs.define
class Survey:
    """Counts what decides how octets can travel; they come in chunks of any size."""

    size: int = 0
    high: int = 0  # octets outside ASCII
    has_nul: bool = False
    has_bare_ends: bool = False  # CR or LF outside CRLF
    longest: int = 0  # octets of the longest line, its end not counted
    _line: int = 0  # octets of the line at hand
    _after_cr: bool = False

    def feed(self, octets: bytes) -> None:
        """Count the next octets."""
        if not octets:
            return
        self.size += len(octets)
        if not octets.isascii():
            self.high += len(octets) - len(octets.translate(None, _HIGH))
        self.has_nul = self.has_nul or b"\0" in octets
        self._feed_ends(octets)
        first, *others = octets.split(b"\n")
        self._line += len(first)
        if others:
            self.longest = max(self.longest, self._line, *map(len, others[:-1]))
            self._line = len(others[-1])

    def _feed_ends(self, octets: bytes) -> None:
        ends = octets.count(b"\r\n")
        if self._after_cr:
            ends += octets.startswith(b"\n")
        returns = octets.count(b"\r") + self._after_cr - octets.endswith(b"\r")
        self._after_cr = octets.endswith(b"\r")
        self.has_bare_ends |= ends != returns or ends != octets.count(b"\n")

    @property
    def is_binary(self) -> bool:
        """Whether what has come can't be sent as lines of text (RFC 2045 section 2.9)."""
        # A line's CR was counted with it.
        longest = max(self.longest - 1, self._line - 1)
        return self.has_nul or self.has_bare_ends or longest > LONGEST_LINE

    def needs(self) -> Body:
        """Return what all octets need to be sent as they are (RFC 2045 section 2.7 to 2.9)."""
        if self.is_binary or self._after_cr or self._line > LONGEST_LINE:
            return Body.BINARY
        return Body.EIGHT_BIT if self.high else Body.SEVEN_BIT


async def survey_of(content: Content) -> Survey:
    """Read a content and count."""
    survey = Survey()
    async for chunk in chunks(content):
        survey.feed(chunk)
    return survey


# How it travels --------------------------------------------------------------


def as_it_is(content: Content, needs: Body) -> Encoded:
    """Return a content that needs no encoding, or may have none, as messages in messages."""
    return Encoded(TRANSPORT_NAMES[needs], content, needs, bare=True)


async def encoded(content: Content, *, is_text: bool, eight_bit: bool = False) -> Encoded:
    """Return a content encoded in the way that suits it.

    What already travels as it is stays so; with ``eight_bit`` that holds for
    octets outside ASCII too, and the message needs 8BITMIME.  A text that is
    mostly ASCII, and not large, is written in quoted-printable, which people can
    read; everything else in Base64, at the moment when it is read.
    """
    survey = Survey()
    async for chunk in chunks(content):
        survey.feed(chunk)
        if survey.is_binary and not _may_be_quoted(survey, content, is_text=is_text):
            return Encoded("base64", Base64(content))
    needs = survey.needs()
    if needs is Body.SEVEN_BIT or (needs is Body.EIGHT_BIT and eight_bit):
        return as_it_is(content, needs)
    if _may_be_quoted(survey, content, is_text=is_text):
        return _quoted_or_base64(await whole(content))
    return Encoded("base64", Base64(content))


def text_encoded(octets: bytes, *, eight_bit: bool = False) -> Encoded:
    """Return a text that is at hand as `encoded` would."""
    survey = Survey()
    survey.feed(octets)
    needs = survey.needs()
    if needs is Body.SEVEN_BIT or (needs is Body.EIGHT_BIT and eight_bit):
        return as_it_is(Octets(octets), needs)
    return _quoted_or_base64(octets)


def _may_be_quoted(survey: Survey, content: Content, *, is_text: bool) -> bool:
    return (
        is_text and content.size <= MOST_QUOTED and not (survey.has_nul or survey.has_bare_ends)
    )


def _quoted_or_base64(octets: bytes) -> Encoded:
    encoder = QuotedPrintableEncoder()
    quoted = encoder.feed(octets) + encoder.finish()
    content = Octets(octets)
    based = Base64(content)
    if 4 * len(quoted) <= 5 * based.size:  # as long as a third or less is written in digits
        return Encoded("quoted-printable", Octets(quoted))
    return Encoded("base64", based)
