"""Where the parts of a message lie: a table of octet ranges that is kept beside it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple, Self

import attrs

VERSION = 1
_FRONT = struct.Struct("<BBI")  # version, octets of a number, number of parts
_ROW = 8  # numbers of one part
_SECTION = re.compile(
    r"(?:([1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*)(?:\.|\Z))?(HEADER|TEXT|MIME)?"
)


class Kind(IntEnum):
    """What there is to know of a part's body to find one's way through it."""

    OTHER = 0
    TEXT = 1  # text/*
    MULTIPART = 2  # multipart/*; the parts in it are its children
    MESSAGE = 3  # message/rfc822 or message/global; the message in it is its only child


class Range(NamedTuple):
    """Some octets of a message, from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int


class SpanKind(IntEnum):
    """What the octets of a range are."""

    HEADER = 0  # with the empty line behind it
    BODY = 1  # of a part that has none in it
    PREAMBLE = 2
    DELIMITER = 3  # with the line end before it, and the one behind it unless it is the last
    EPILOGUE = 4  # with the end of the last delimiter's line


class Span(NamedTuple):
    """One range of a message, what it is, and whose."""

    what: SpanKind
    part: int
    start: int
    stop: int


class Part(NamedTuple):
    """One part, by the octets of the message that it takes up.

    ``parent`` is the number of the part around it in the table, -1 for the
    message itself.  The header, with the empty line that ends it, is from
    ``start`` to ``body``, the body from there to ``end``.  ``lines`` are the
    line ends in the body, counted of texts and messages only.  The children of
    a multipart lie between the octets ``preamble`` and ``epilogue``.
    """

    parent: int
    depth: int
    start: int
    body: int
    end: int
    lines: int
    preamble: int
    epilogue: int
    kind: Kind

    @property
    def header(self) -> Range:
        return Range(self.start, self.body)

    @property
    def content(self) -> Range:
        return Range(self.body, self.end)


@attrs.frozen
class Layout:
    """The parts of a message in the order in which they begin, the message itself first.

    A message inside of a part is a part of its own, the only child of the one
    that holds it: it has the inner message's header and body.
    """

    parts: tuple[Part, ...]

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Of each part, the parts directly in it."""
        found: list[list[int]] = [[] for _ in self.parts]
        for number, part in enumerate(self.parts):
            if part.parent >= 0:
                found[part.parent].append(number)
        return tuple(map(tuple, found))

    # Sections (RFC 9051 section 6.4.5) ---------------------------------------

    def find(self, numbers: Sequence[int]) -> int | None:
        """Return the part with this number, such as (1, 2); None if there is none."""
        at, entity = 0, True  # an entity is a whole message, the outer or an inner one
        for number in numbers:
            if self.parts[at].kind == Kind.MESSAGE and not entity:
                at, entity = self.children[at][0], True
            if self.parts[at].kind == Kind.MULTIPART:
                if number > len(self.children[at]):
                    return None
                at = self.children[at][number - 1]
            elif not entity or number != 1:
                return None
            entity = False
        return at

    def number(self, part: int) -> tuple[int, ...]:
        """Return the number by which `find` finds a part.

        The message itself and a message in a part have none of their own
        unless they are no multipart; that is then 1.
        """
        numbers: list[int] = []
        if self._is_entity(part) and self.parts[part].kind != Kind.MULTIPART:
            numbers.append(1)
        while (parent := self.parts[part].parent) >= 0:
            if self.parts[parent].kind == Kind.MULTIPART:
                numbers.append(self.children[parent].index(part) + 1)
            elif self._is_entity(parent):
                numbers.append(1)
            part = parent
        return tuple(reversed(numbers))

    def _is_entity(self, part: int) -> bool:
        parent = self.parts[part].parent
        return parent < 0 or self.parts[parent].kind == Kind.MESSAGE

    def section(self, name: str) -> Range | None:
        """Return the octets that IMAP calls so, such as ``1.2``, ``HEADER``, ``3.MIME``.

        None if the message has no such part.  A multipart without a part is
        shown as one that has an empty one.
        """
        found = _SECTION.fullmatch(name.upper())
        if not found or (name.endswith(".")):
            return None
        numbers = [int(number) for number in found[1].split(".")] if found[1] else []
        return self.octets(numbers, found[2] or "")

    def octets(self, numbers: Sequence[int], text: str = "") -> Range | None:
        """Return a section by a part's number, and HEADER, TEXT, MIME or nothing."""
        if not numbers:
            return self._of_message(0, text)
        part = self.find(numbers)
        if part is None:
            around = self.find(numbers[:-1])
            return self._in_empty(around) if around is not None and numbers[-1] == 1 else None
        if text == "MIME":
            return self.parts[part].header
        if not text:
            return self.parts[part].content
        if self.parts[part].kind != Kind.MESSAGE:
            return None
        return self._of_message(self.children[part][0], text)

    def _of_message(self, part: int, text: str) -> Range | None:
        row = self.parts[part]
        if text == "HEADER":
            return row.header
        if text == "TEXT":
            return row.content
        return None if text else Range(row.start, row.end)

    def _in_empty(self, part: int) -> Range | None:
        if self.parts[part].kind == Kind.MESSAGE:
            part = self.children[part][0]
        row = self.parts[part]
        if row.kind != Kind.MULTIPART or self.children[part]:
            return None
        return Range(row.end, row.end)

    # All octets --------------------------------------------------------------

    def spans(self) -> Iterator[Span]:
        """Yield ranges that together are the message, in order, none of them empty."""
        at = 0
        for span in self._edges():
            if span.stop > at:
                yield span._replace(start=at)
                at = span.stop

    def _edges(self) -> Iterator[Span]:
        """Yield the same without regard to where a span begins, empty ones too."""
        open_: list[int] = []
        for number, part in enumerate(self.parts):
            while open_ and open_[-1] != part.parent:
                yield from self._ends(open_.pop())
            if open_ and self.parts[part.parent].kind == Kind.MULTIPART:
                yield Span(SpanKind.PREAMBLE, part.parent, 0, self.parts[part.parent].preamble)
                yield Span(SpanKind.DELIMITER, part.parent, 0, part.start)
            yield Span(SpanKind.HEADER, number, 0, part.body)
            open_.append(number)
        while open_:
            yield from self._ends(open_.pop())

    def _ends(self, number: int) -> Iterator[Span]:
        part = self.parts[number]
        if part.kind == Kind.MULTIPART:
            yield Span(SpanKind.PREAMBLE, number, 0, part.preamble)
            yield Span(SpanKind.DELIMITER, number, 0, part.epilogue)
            yield Span(SpanKind.EPILOGUE, number, 0, part.end)
        else:
            yield Span(SpanKind.BODY, number, 0, part.end)

    # Keeping -----------------------------------------------------------------

    def pack(self, behind: int = 0) -> bytes:
        """Return the table in a few octets, its version first.

        ``behind`` octets of header are taken to stand before the message, as trace
        fields do once it has been delivered.
        """
        numbers: list[int] = []
        for part in self.parts:
            parent, _, start, body, end, lines, preamble, epilogue, kind = part
            numbers += (
                parent + 1,
                start + behind if parent >= 0 else start,
                body + behind,
                end + behind,
                lines,
                preamble + behind,
                epilogue + behind,
                kind,
            )
        size, code = (4, "I") if self.parts[0].end + behind < 2**32 else (8, "Q")
        return _FRONT.pack(VERSION, size, len(self.parts)) + struct.pack(
            f"<{len(numbers)}{code}", *numbers
        )

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Read what `pack` wrote; raises `ValueError` for anything else."""
        if octets[:1] != bytes((VERSION,)):
            raise ValueError(f"no table of parts of version {VERSION}: {octets[:1]!r}")
        try:
            _, size, count = _FRONT.unpack_from(octets)
            numbers = struct.unpack(
                f"<{count * _ROW}{'I' if size == 4 else 'Q'}", octets[_FRONT.size :]
            )
        except struct.error as failure:
            raise ValueError("a table of parts that is damaged") from failure
        parts: list[Part] = []
        for row in zip(*[iter(numbers)] * _ROW, strict=True):
            parts.append(_part(row, parts))
        return cls(tuple(parts))


def _part(row: Sequence[int], before: Sequence[Part]) -> Part:
    parent, start, body, end, lines, preamble, epilogue, kind = row
    if parent > len(before):
        raise ValueError("a table of parts that is damaged")
    depth = before[parent - 1].depth + 1 if parent else 0
    return Part(parent - 1, depth, start, body, end, lines, preamble, epilogue, Kind(kind))
