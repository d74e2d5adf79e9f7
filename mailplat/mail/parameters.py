"""Content-Type and Content-Disposition, and the parameters of both (RFC 2045 5.1, 2183, 2231).

What is broken gets a best reading: an unquoted value goes on to the next
semicolon, or to white space that is followed by another ``name=``; a comment
behind a value is one, in the middle of a value it is part of it; a quotation
mark that is never closed stands for itself.  Of parameters with the same name
the first counts, but all of them can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import attrs

from mailplat.mail.characters import text_of
from mailplat.mail.words import decoded_words

PARAMETERS = 100  # of one field; those behind them are not read
CONTINUATIONS = PARAMETERS  # fewer would let the end of a file's name be hidden from filters
LONGEST_BODY = 16384  # octets of a field that are read

Pair = tuple[bytes, bytes]

_WS = rb"[ \t\r\n]*+"
_TOKEN = rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]++"  # RFC 2045 section 5.1, UTF-8 too (RFC 6532)
_END = rb"(?=" + _WS + rb"(?:;|\Z))"
_PARAMETER = (
    _WS + rb";" + _WS + rb"(" + _TOKEN + rb")=(?:\"([^\"\\\r\n]*+)\"|(" + _TOKEN + rb"))" + _END
)
_USUAL = re.compile(_PARAMETER)
_USUAL_TYPE = re.compile(
    _WS + rb"(" + _TOKEN + rb")/(" + _TOKEN + rb")(?:" + _PARAMETER + rb")?+" + _END
)
_USUAL_DISPOSITION = re.compile(_WS + rb"(" + _TOKEN + rb")(?:" + _PARAMETER + rb")?+" + _END)
_ONE_TOKEN = re.compile(_TOKEN)
_WHITE = re.compile(rb"(?:[ \t\r\n]++|\([^()\\]*+\))*+")  # and comments, if they are simple
_BLANK = b" \t\r\n"
_SEMICOLONS = re.compile(rb"(?:;" + _WS + rb")++")
_NAME = re.compile(rb"(?<!" + _TOKEN[:-2] + rb")(" + _TOKEN + rb")" + _WS + rb"=")
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_NEXT_NAME = re.compile(rb"[ \t\r\n]" + _TOKEN + rb"[ \t]*+=")
_COMMENT_MARK = re.compile(rb"[()]|\\.", re.DOTALL)
_ENDS_THERE = re.compile(_END)
_SECTION = re.compile(rb"([^*]++)(?:\*([0-9]{1,9}))?(\*?)")  # RFC 2231 sections 3 and 4


class Parameters(tuple[Pair, ...]):
    """The parameters of one field: names and values as they stand in it, without quotes.

    Names may be written in any case, but are asked for in lower case.
    """

    __slots__ = ()

    @property
    def joined(self) -> tuple[Pair, ...]:
        """The parameters as IMAP shows them: continuations joined, nothing decoded.

        Those that were joined or are extended stand behind the others, by name;
        where a piece is missing all stay as they are (RFC 2231 sections 3 to 6).
        """
        for name, _ in self:
            if b"*" in name:
                return self._joined()
        return self

    def _joined(self) -> tuple[Pair, ...]:
        plain: list[Pair] = []
        sections: dict[bytes, list[_Section]] = {}
        for name, value in self:
            piece = _section(name, value)
            if piece is None:
                plain.append((name, value))
            else:
                sections.setdefault(piece.base.lower(), []).append(piece)
        for _, pieces in sorted(sections.items()):
            plain += _joined(sorted(pieces, key=lambda piece: piece.place))
        return tuple(plain)

    def raw(self, name: bytes) -> bytes | None:
        """Return the first value of this name; pieces by RFC 2231 have others."""
        for written, value in self:
            if written == name or written.lower() == name:
                return value
        return None

    def octets(self, name: bytes) -> bytes | None:
        """Return the value of a parameter, put together and decoded as far as its octets."""
        if (plain := self.raw(name)) is not None:
            return plain
        return next((octets for _, octets in self._sectioned(name)), None)

    def text(self, name: bytes) -> str | None:
        """Return the value of a parameter, decoded; None where there is none.

        An extended value counts more than a plain one of the same name, which
        is there for those who don't know RFC 2231.
        """
        for written, _ in self:
            if b"*" in written:
                return next(self._readings(name), None)
        plain = self.raw(name)
        return None if plain is None else decoded_words(plain)

    def texts(self, name: bytes) -> tuple[str, ...]:
        """Return every way in which somebody may read a parameter, the usual one first."""
        return tuple(dict.fromkeys(self._readings(name)))

    def raws(self, name: bytes) -> tuple[bytes, ...]:
        """Return every value that is part of a parameter, as it stands."""
        return tuple(
            value
            for written, value in self
            if written.lower() == name
            or ((piece := _section(written, value)) and piece.base.lower() == name)
        )

    def _readings(self, name: bytes) -> Iterator[str]:
        for charset, octets in self._sectioned(name):
            yield decoded_words(octets) if charset is None else text_of(octets, charset)
        for written, value in self:
            if written.lower() == name:
                yield decoded_words(value)

    def _sectioned(self, name: bytes) -> Iterator[tuple[bytes | None, bytes]]:
        """Yield character set and octets of what was written as RFC 2231 has it."""
        numbered: dict[int, _Section] = {}
        for written, value in self:
            section = _section(written, value) if b"*" in written else None
            if section is None or section.base.lower() != name:
                continue
            if section.numbered:
                numbered.setdefault(section.place, section)
            else:
                yield _unescaped([section])
        if numbered:
            whole = list(_run(numbered))
            yield _unescaped(whole)
            if len(whole) < len(numbered):  # one is missing, and not everybody minds
                yield _unescaped([numbered[index] for index in sorted(numbered)])


class MediaType(NamedTuple):
    """What a Content-Type says, in the sender's spelling."""

    type: bytes
    subtype: bytes
    parameters: Parameters = Parameters()

    @property
    def name(self) -> str:
        """The type as everybody writes it, such as ``text/plain``."""
        return f"{self.type.decode('latin-1')}/{self.subtype.decode('latin-1')}".lower()


class Disposition(NamedTuple):
    """What a Content-Disposition says, in the sender's spelling (RFC 2183)."""

    kind: bytes
    parameters: Parameters = Parameters()

    @property
    def is_attachment(self) -> bool:
        """Whether the part isn't to be shown unasked; unknown kinds are not (section 2.8)."""
        return self.kind.lower() != b"inline"


TEXT_PLAIN = MediaType(b"text", b"plain")
_OBSOLETE = {b"text": TEXT_PLAIN, b"multipart": MediaType(b"multipart", b"mixed")}  # RFC 1049


# Calling a NamedTuple takes thrice as long.
_media_type: Callable[[tuple[object, ...]], MediaType] = partial(tuple.__new__, MediaType)
_disposition: Callable[[tuple[object, ...]], Disposition] = partial(tuple.__new__, Disposition)


def media_type(body: bytes) -> MediaType:
    """Return what the body of a Content-Type field says.

    One that says no type is text/plain, as RFC 2045 section 5.2 recommends.
    """
    body = body[:LONGEST_BODY]
    if found := _USUAL_TYPE.match(body):
        outer, inner, name, quoted, plain = found.groups()
        return _media_type((outer, inner, _usual(body, found.end(), name, quoted, plain)))
    reader = _Reader(body)
    outer = reader.token()
    inner = reader.token() if outer and reader.passed(b"/") else b""
    if not inner:
        outer, inner, _ = _OBSOLETE.get(outer.lower(), TEXT_PLAIN)
    return MediaType(outer, inner, Parameters(reader.parameters(PARAMETERS)))


def disposition(body: bytes) -> Disposition | None:
    """Return what the body of a Content-Disposition field says; None if it says nothing.

    Parameters without a kind are those of an attachment.
    """
    body = body[:LONGEST_BODY]
    if found := _USUAL_DISPOSITION.match(body):
        kind, name, quoted, plain = found.groups()
        return _disposition((kind, _usual(body, found.end(), name, quoted, plain)))
    reader = _Reader(body)
    kind = reader.token()
    if kind and reader.passed(b"="):
        kind, reader = b"", _Reader(body)
    parameters = Parameters(reader.parameters(PARAMETERS))
    return Disposition(kind or b"attachment", parameters) if kind or parameters else None


def token(body: bytes) -> bytes:
    """Return the token with which a field's body begins, behind comments; empty without one."""
    return _Reader(body[:LONGEST_BODY]).token()


def tokens(body: bytes) -> tuple[bytes, ...]:
    """Return the tokens that begin the elements of a list, such as languages (RFC 3282)."""
    elements = body[:LONGEST_BODY].split(b",", PARAMETERS)[:PARAMETERS]
    return tuple(filter(None, map(token, elements)))


# Reading ---------------------------------------------------------------------


def _usual(
    body: bytes, at: int, name: bytes | None, quoted: bytes | None, plain: bytes | None
) -> Parameters:
    """Return parameters, the first of which is there already unless its name is None."""
    found: list[Pair] = []
    while name is not None:
        found.append((name, (quoted or b"") if plain is None else plain))
        usual = _USUAL.match(body, at) if at < len(body) and len(found) < PARAMETERS else None
        name = None
        if usual:
            name, quoted, plain = usual.groups()
            at = usual.end()
    if at < len(body):
        found += _Reader(body, at).parameters(PARAMETERS - len(found))
    return Parameters(found)


@attrs.define
class _Reader:
    """Reads tokens and parameters one behind the other, with comments in between."""

    _body: bytes
    _at: int = 0
    _comments: bool = True  # False once one was found that doesn't end

    def token(self) -> bytes:
        """Return the token that comes next, out of its quotes; empty if there is none."""
        self._skip()
        quoted = self.passed(b'"')
        found = _ONE_TOKEN.match(self._body, self._at)
        if not found:
            return b""
        self._at = found.end()
        if quoted and not self._body.startswith(b"/", self._at):
            self.passed(b'"')
        return found[0]

    def passed(self, mark: bytes) -> bool:
        """Step over a mark, if that comes next."""
        self._skip()
        found = self._body.startswith(mark, self._at)
        self._at += found
        return found

    def parameters(self, most: int) -> tuple[Pair, ...]:
        """Return at most so many of those that follow."""
        found: list[Pair] = []
        for _ in range(most):
            self._skip()
            while semicolons := _SEMICOLONS.match(self._body, self._at):
                self._at = semicolons.end()
                self._skip()
            if self._at == len(self._body):
                break
            if name := self._name():
                found.append((name, self._value()))
        return tuple(found)

    def _name(self) -> bytes:
        """Return the name that is followed by "=" before the next semicolon, if any."""
        start = self._at
        if (first := self.token()) and self.passed(b"="):
            return first
        self._at = start
        end = self._end()
        name = _NAME.search(self._body, self._at, end)
        self._at = name.end() if name else end
        return name[1] if name else b""

    def _value(self) -> bytes:
        self._skip()
        if quoted := _QUOTED.match(self._body, self._at):
            self._at = quoted.end()
            return _ESCAPED.sub(rb"\1", quoted[1])
        start, end = self._at, self._end()
        if following := _NEXT_NAME.search(self._body, start, end):
            end = following.start()
        comment = self._body.find(b"(", start, end)
        if comment >= 0:
            self._at = comment
            self._skip()
            if self._at > comment and _ENDS_THERE.match(self._body, self._at):
                return self._body[start:comment].strip(_BLANK)
        self._at = end
        return self._body[start:end].strip(_BLANK).rstrip(b",").removeprefix(b'"')

    def _end(self) -> int:
        end = self._body.find(b";", self._at)
        return len(self._body) if end < 0 else end

    def _skip(self) -> None:
        """Step over white space and comments (RFC 2045 section 5.1)."""
        self._at = _end_of_white(self._body, self._at)
        while self._comments and self._body.startswith(b"(", self._at):
            depth = 0
            for mark in _COMMENT_MARK.finditer(self._body, self._at):
                depth += _DEPTH.get(mark[0], 0)
                if not depth:
                    self._at = _end_of_white(self._body, mark.end())
                    break
            else:
                self._comments = False


_DEPTH = {b"(": 1, b")": -1}


def _end_of_white(body: bytes, at: int) -> int:
    white = _WHITE.match(body, at)
    return white.end() if white else at


# RFC 2231 --------------------------------------------------------------------


class _Section(NamedTuple):
    """One parameter whose name says that it is a piece of another, or extended, or both."""

    base: bytes
    place: int
    extended: bool
    numbered: bool
    value: bytes


def _section(name: bytes, value: bytes) -> _Section | None:
    found = _SECTION.fullmatch(name)
    if not found or found[0] == found[1]:
        return None
    base, index, extended = found.groups()
    return _new_section((base, int(index or 0), bool(extended), index is not None, value))


_new_section: Callable[[tuple[object, ...]], _Section] = partial(tuple.__new__, _Section)


def _joined(sections: list[_Section]) -> tuple[Pair, ...]:
    """Return one parameter's pieces, sorted, as one; or as they are where some are missing."""
    base = sections[0].base
    extended = any(section.extended for section in sections)
    if [section.place for section in sections] != list(range(len(sections))):
        return tuple(
            (b"%b*%d%b" % (base, section.place, b"*" * section.extended), section.value)
            for section in sections
        )
    values = [
        section.value
        if section.extended or not extended
        else section.value.replace(b"%", b"%25")
        for section in sections
    ]
    return ((base + b"*" * extended, b"".join(values)),)


def _unescaped(sections: list[_Section]) -> tuple[bytes | None, bytes]:
    """Return a parameter's character set, None if no piece is extended, and its octets."""
    if not any(section.extended for section in sections):
        return None, b"".join(section.value for section in sections)
    first = sections[0].value
    charset = b""
    if sections[0].extended and first.count(b"'") >= 2:
        charset, _, first = first.split(b"'", 2)
    values = [first, *(section.value for section in sections[1:])]
    return charset, b"".join(
        unquote_to_bytes(value) if section.extended else value
        for section, value in zip(sections, values, strict=True)
    )


def _run(sections: dict[int, _Section]) -> Iterator[_Section]:
    """Yield the pieces up to the first that is missing."""
    index = min(sections)
    while index in sections:
        yield sections[index]
        index += 1
