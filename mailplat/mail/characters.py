"""Octets in any character set to text, a chunk at a time, never failing."""

from __future__ import annotations

import codecs
import re
from base64 import b64decode
from functools import cache
from typing import Protocol

import attrs

from mailplat.mail.charsets import charset_of, charset_to_write, errors_of

GUESSED = ""  # the codec of text that doesn't say, or not credibly, what it is
_UTF_7 = "utf-7"
_SHIFT_AT_ONCE = 4096  # octets
_SHIFT = re.compile(rb"[A-Za-z0-9+/]{1,%d}+" % _SHIFT_AT_ONCE)


def codec_of(label: str | bytes) -> str:
    """Return Python's name of the codec that reads what bears this label.

    It is empty, `GUESSED`, for labels that say nothing (us-ascii, unknown-8bit,
    none at all) or that nobody knows.
    """
    text = label.decode("latin-1") if isinstance(label, bytes) else label
    return GUESSED if charset_to_write(text) == "ascii" else charset_of(text)


class Decoder(Protocol):
    """Turns octets that come in chunks into text; nothing is ever raised."""

    def decode(self, octets: bytes, final: bool = False) -> str:
        """Return the text that these octets complete; ``final`` says that no more come."""


def text_decoder(label: str | bytes) -> Decoder:
    """Return a new decoder for text with this label (see `codec_of`)."""
    codec = codec_of(label)
    if codec == GUESSED:
        return _Guessing()
    if codec == _UTF_7:
        return _Utf7()
    if codec in _MARKS:
        return _Marked(codec)
    return _incremental(codec)(errors_of(codec))


def text_of(octets: bytes, label: str | bytes = "") -> str:
    """Return octets that are all at hand as text; what can't be read is U+FFFD."""
    if octets.isascii() and is_like_ascii(label):
        return octets.decode("ascii")
    return text_decoder(label).decode(octets, final=True)


def is_like_ascii(label: str | bytes) -> bool:
    """Say whether octets of ASCII stand for themselves in text with this label."""
    return codec_of(label) in _LIKE_ASCII


_LIKE_ASCII = {
    GUESSED, "utf-8", "cp1250", "cp1251", "cp1252", "iso8859-2", "iso8859-15", "koi8-r",
}  # fmt: skip


@cache
def _incremental(codec: str) -> codecs._IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)


@attrs.define
class _Guessing:
    """Reads UTF-8 for as long as it is that, and windows-1252 from there on."""

    _strict: codecs.IncrementalDecoder = attrs.field(
        factory=lambda: codecs.getincrementaldecoder("utf-8-sig")(), init=False
    )
    _loose: codecs.IncrementalDecoder | None = attrs.field(default=None, init=False)

    def decode(self, octets: bytes, final: bool = False) -> str:
        if self._loose is not None:
            return self._loose.decode(octets, final)
        try:
            return self._strict.decode(octets, final)
        except UnicodeDecodeError as failure:
            read, start = failure.object, failure.start
            self._loose = codecs.getincrementaldecoder("cp1252")("replace")
            return read[:start].decode("utf-8") + self._loose.decode(read[start:], final)


_MARKS = {"utf-16": b"\xfe\xff", "utf-32": b"\x00\x00\xfe\xff"}  # when big-endian


@attrs.define
class _Marked:
    """Reads what begins with a mark of its order of octets, or else is little-endian."""

    _codec: str
    _start: bytes = attrs.field(default=b"", init=False)
    _rest: codecs.IncrementalDecoder | None = attrs.field(default=None, init=False)

    def decode(self, octets: bytes, final: bool = False) -> str:
        if self._rest is None:
            octets = self._start + octets
            mark = _MARKS[self._codec]
            if len(octets) < len(mark) and not final:
                self._start = octets
                return ""
            big = octets.startswith(mark)
            octets = octets.removeprefix(mark if big else mark[::-1])
            order = "-be" if big else "-le"
            self._rest = codecs.getincrementaldecoder(self._codec + order)("replace")
        return self._rest.decode(octets, final)


@attrs.define
class _Utf7:
    """Reads UTF-7 (RFC 2152) with a few octets of state, however long a shift is.

    Python's own decoder holds each shift until it ends, and reads it anew with
    every chunk.
    """

    _sextets: bytes = attrs.field(default=b"", init=False)  # Base64 not yet read
    _shifted: bool = attrs.field(default=False, init=False)
    _fresh: bool = attrs.field(default=False, init=False)  # nothing since the "+"
    _units: codecs.IncrementalDecoder = attrs.field(
        factory=lambda: codecs.getincrementaldecoder("utf-16-be")("replace"), init=False
    )

    def decode(self, octets: bytes, final: bool = False) -> str:
        out: list[str] = []
        at = 0
        while at < len(octets):
            if self._shifted:
                at = self._read_shift(octets, at, out)
                continue
            plus = octets.find(b"+", at)
            stop = plus if plus >= 0 else len(octets)
            out.append(octets[at:stop].decode("ascii", "replace"))
            at = stop + 1
            self._shifted = self._fresh = plus >= 0
        if final and self._shifted:
            self._end_shift(out)
        return "".join(out)

    def _read_shift(self, octets: bytes, at: int, out: list[str]) -> int:
        shift = _SHIFT.match(octets, at)
        stop = shift.end() if shift else at
        if stop > at:
            self._fresh = False
            self._sextets += octets[at:stop]
            whole = len(self._sextets) // 8 * 8  # eight are three units of UTF-16
            if whole:
                out.append(self._units.decode(b64decode(self._sextets[:whole])))
                self._sextets = self._sextets[whole:]
        if stop == len(octets) or stop - at == _SHIFT_AT_ONCE:
            return stop
        ends = octets[stop : stop + 1] == b"-"
        if ends and self._fresh:
            out.append("+")
        self._end_shift(out)
        return stop + ends

    def _end_shift(self, out: list[str]) -> None:
        whole = len(self._sextets) * 6 // 16 * 2
        octets = b64decode(self._sextets + b"A" * (-len(self._sextets) % 4))[:whole]
        out.append(self._units.decode(octets, True))
        self._units.reset()
        self._sextets = b""
        self._shifted = False
