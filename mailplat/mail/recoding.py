"""What must change in a message for a host without 8BITMIME or BINARYMIME (RFC 6152, 3030).

First a `Survey` says of which kind the octets of each part are, then `plan`
what has to change, and a `Recoder` writes the message so; both take chunks of
any size.  Every octet that need not change stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum

import attrs

from mailplat.mail.encodings import (
    IDENTITIES,
    Base64Encoder,
    Codec,
    Identity,
    QuotedPrintableEncoder,
    decoder,
    encoding_name,
)
from mailplat.mail.entity import Entity
from mailplat.mail.header import Header, name_of
from mailplat.mail.headersteps import Replace, ended
from mailplat.mail.layout import Kind, Layout, Part
from mailplat.mail.structure import Structure

LONGEST_LINE = 998  # octets of a line, its CRLF not counted (RFC 5322 section 2.1.1)
_HIGH = bytes(range(128, 256))


class Level(IntEnum):
    """What octets there may be (RFC 2045 sections 2.7 to 2.9)."""

    SEVEN = 0  # lines of ASCII without NUL
    EIGHT = 1  # lines of any octets but NUL
    BINARY = 2

    @property
    def label(self) -> bytes:
        """How a Content-Transfer-Encoding calls it."""
        return (b"7bit", b"8bit", b"binary")[self]


@attrs.frozen
class Traits:
    """Of which kind some octets are.

    ``high`` is how many of them are outside ASCII; ``has_lines`` says that all
    line ends are CRLF and that there is no NUL, however long the lines are.
    """

    level: Level = Level.SEVEN
    high: int = 0
    has_lines: bool = True


class Survey:
    """Looks at all octets of a message, in their order, and says of what kind they are."""

    def __init__(self, layout: Layout) -> None:
        self._pieces = layout.spans()
        self._piece = next(self._pieces, None)
        self._at = 0
        self._looked = [_Look() for _ in layout.parts]
        self._outside = _Look()  # headers, preambles, epilogues

    def feed(self, octets: bytes) -> None:
        """Look at the next octets."""
        at = 0
        while self._piece is not None and at < len(octets):
            stop = min(len(octets), at + self._piece.stop - self._at)
            look = self._outside
            if self._piece.what.name == "BODY":
                look = self._looked[self._piece.part]
            look.at(octets[at:stop])
            self._at += stop - at
            at = stop
            if self._at == self._piece.stop:
                self._piece = next(self._pieces, None)

    def finish(self) -> Surveyed:
        """Return what was seen: no more octets come."""
        return Surveyed(
            tuple(look.traits() for look in self._looked), self._outside.traits().level
        )


@attrs.frozen
class Surveyed:
    """The traits of each part's body, and the level of all that is in none."""

    parts: tuple[Traits, ...]
    outside: Level


@attrs.define
class _Look:
    _high: int = 0
    _line: int = 0  # octets of the line that has not yet ended
    _cr: bytes = b""  # a CR that came last
    _has_lines: bool = True
    _is_long: bool = False

    def at(self, octets: bytes) -> None:
        if not octets.isascii():
            self._high += len(octets) - len(octets.translate(None, _HIGH))
        if not self._has_lines:
            return
        text = self._cr + octets
        self._cr = b"\r" if text.endswith(b"\r") else b""
        ends = text.count(b"\r\n")
        first, *others = map(len, text.split(b"\n"))
        longest = max(self._line + first, *others, 0)
        self._line = (others[-1] if others else self._line + first) - len(self._cr)
        self._is_long = self._is_long or longest > LONGEST_LINE + 1  # with its CR
        self._has_lines = (
            ends == text.count(b"\n")
            and ends == text.count(b"\r") - len(self._cr)
            and b"\0" not in text
        )

    def traits(self) -> Traits:
        has_lines = self._has_lines and not self._cr
        if not has_lines or self._is_long or self._line > LONGEST_LINE:
            return Traits(Level.BINARY, self._high, has_lines)
        return Traits(Level.EIGHT if self._high else Level.SEVEN, self._high)


# Plans -----------------------------------------------------------------------


@attrs.frozen
class Change:
    """A part whose encoding is to be another; its body is written anew if ``is_encoded``."""

    part: int
    encoding: bytes
    is_encoded: bool


@attrs.frozen
class Plan:
    """What has to be done to a message, and what is lost with it.

    ``is_possible`` is False where something can't be changed, such as a header
    outside ASCII: the message has to be refused then (RFC 6152 section 3).
    ``breaks_signature`` says that a part inside of multipart/signed is among
    the changes.
    """

    changes: tuple[Change, ...] = ()
    is_possible: bool = True
    breaks_signature: bool = False


def plan(structure: Structure, surveyed: Surveyed, level: Level) -> Plan:
    """Return how a message may go to a host that takes octets of this level.

    What is text becomes quoted-printable, unless Base64 is shorter by far; all
    else becomes Base64.  What is labelled with more than it has is labelled
    anew, and multiparts get the label that suits what is in them.
    """
    changes: dict[int, Change] = {}
    is_possible = surveyed.outside <= level
    for number, (part, entity) in enumerate(
        zip(structure.layout.parts, structure.entities, strict=True)
    ):
        is_single = part.kind in (Kind.OTHER, Kind.TEXT)
        above = surveyed.parts[number].level > level
        if is_single and above:
            if not _may_be_encoded(entity) or part.start == part.body:
                is_possible = False
                continue
            encoding = _encoding(entity, part, surveyed.parts[number])
            changes[number] = Change(number, encoding, is_encoded=True)
        elif _labelled(entity) > level:
            changes[number] = Change(number, level.label, is_encoded=False)
    return Plan(
        tuple(changes.values()),
        is_possible,
        not changes.keys().isdisjoint(_signed(structure)),
    )


def _labelled(entity: Entity) -> Level:
    name = encoding_name(entity.encoding)
    return next((level for level in Level if level.label == name), Level.SEVEN)


def _may_be_encoded(entity: Entity) -> bool:
    """Whether RFC 2045 section 6.4 lets a part be encoded, and we know what is in it now."""
    return entity.media_type.type.lower() not in (b"multipart", b"message") and (
        decoder(entity.encoding) is not None
    )


def _encoding(entity: Entity, part: Part, traits: Traits) -> bytes:
    """Return the encoding that a part is to have; one that it claims to have, if any."""
    name = encoding_name(entity.encoding)
    if name not in IDENTITIES:
        return name if name in _ENCODERS else b"base64"
    is_short = traits.high * 6 <= part.end - part.body
    is_text = part.kind is Kind.TEXT and traits.has_lines
    return b"quoted-printable" if is_text and is_short else b"base64"


_ENCODERS: dict[bytes, Callable[[], Codec]] = {
    b"quoted-printable": QuotedPrintableEncoder,
    b"base64": Base64Encoder,
}


def _signed(structure: Structure) -> set[int]:
    """Return the parts that are in one that is signed (RFC 1847 section 2.1)."""
    signers: set[int] = set()
    signed: set[int] = set()
    for number, (part, entity) in enumerate(
        zip(structure.layout.parts, structure.entities, strict=True)
    ):
        if part.parent in signers or part.parent in signed:
            signed.add(number)
        if entity.media_type.name == "multipart/signed":
            signers.add(number)
    return signed


# Writing ---------------------------------------------------------------------


class Recoder:
    """Writes a message as a plan wants it, a chunk at a time."""

    def __init__(self, structure: Structure, changes: Sequence[Change]) -> None:
        self._spans = _spans(structure, changes)
        self._span = next(self._spans, None)
        self._at = 0  # offset in the message

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets of the message, and return what they become."""
        written: list[bytes] = []
        at = 0
        while at < len(octets):
            span = self._span
            if span is None or self._at < span.start:
                piece = octets[at:] if span is None else octets[at : at + span.start - self._at]
                written.append(piece)
            else:
                piece = octets[at : at + span.stop - self._at]
                written.append(span.codec.feed(piece))
            at += len(piece)
            self._at += len(piece)
            if span is not None and self._at == span.stop:
                written.append(span.codec.finish())
                self._span = next(self._spans, None)
        return b"".join(written)

    def finish(self) -> bytes:
        """Return the rest: no more octets come."""
        span, self._span = self._span, None
        return span.codec.finish() if span is not None and self._at > span.start else b""


@attrs.frozen
class _Span:
    """Some octets of the message, and what writes them anew."""

    start: int
    stop: int
    codec: Codec


def _spans(structure: Structure, changes: Sequence[Change]) -> Iterator[_Span]:
    for change in sorted(changes, key=lambda change: change.part):
        part = structure.layout.parts[change.part]
        around = structure.layout.parts[part.parent].kind if part.parent >= 0 else Kind.MESSAGE
        codec = _HeaderCodec(change, is_message=around is Kind.MESSAGE)
        yield _Span(part.start, part.body, codec)
        if change.is_encoded and part.body < part.end:
            was = decoder(structure.described[change.part].entity.encoding) or Identity()
            yield _Span(part.body, part.end, _Through(was, _ENCODERS[change.encoding]()))


@attrs.define
class _Through:
    """One codec behind another."""

    _first: Codec
    _second: Codec

    def feed(self, octets: bytes) -> bytes:
        return self._second.feed(self._first.feed(octets))

    def finish(self) -> bytes:
        return self._second.feed(self._first.finish()) + self._second.finish()


@attrs.define
class _HeaderCodec:
    """Takes a header in, and gives it out as `recoded_lines` has it."""

    _change: Change
    _is_message: bool
    _octets: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, octets: bytes) -> bytes:
        self._octets += octets
        return b""

    def finish(self) -> bytes:
        octets = bytes(self._octets)
        header = Header.parse(octets)
        lines = recoded_lines(list(header.lines), self._change, self._is_message)
        return b"".join([*lines, octets[len(header.octets) :]])


_ENCODING = b"content-transfer-encoding"


def recoded_lines(lines: list[bytes], change: Change, is_message: bool) -> list[bytes]:
    """Return a part's header with another Content-Transfer-Encoding, in the place of the old one.

    A text outside ASCII that didn't say what it was is said to be that now
    (RFC 1428 section 3).
    """
    names = {name_of(line).lower() for line in lines}
    if change.is_encoded and b"content-type" not in names:
        lines = [*ended(lines), b"Content-Type: text/plain; charset=unknown-8bit\r\n"]
    if is_message and b"mime-version" not in names:
        lines = [*ended(lines), b"MIME-Version: 1.0\r\n"]
    field = b"Content-Transfer-Encoding: " + change.encoding + b"\r\n"
    return Replace(_ENCODING, field)(lines)


def recoded_body(octets: bytes, encoding: bytes, change: Change) -> bytes:
    """Return the body of a part in the encoding that a change gives it."""
    was = decoder(encoding) or Identity()
    codec = _Through(was, _ENCODERS[change.encoding]())
    return codec.feed(octets) + codec.finish()
