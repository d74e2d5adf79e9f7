"""The short way to the parts of a message that is at hand as a whole, for nearly all messages.

It knows multiparts and parts that have none in them, a few of them, with
boundaries that nobody can mistake for each other.  Whatever else comes is left
to `mailplat.mail.structure`, which would find the same, and says how it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from mailplat.mail.boundaries import LONGEST_BOUNDARY, next_line
from mailplat.mail.described import Described, describe_header
from mailplat.mail.layout import Kind, Part

_MOST = 100  # parts
_DEEPEST = 8  # multiparts in one another
_LONGEST_HEADER = 65536  # octets of a part's
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_DASHES = b"\n--"

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_CR = b"\r"[0]

Parts = tuple[tuple[Part, ...], tuple[Described, ...]]

_part: Callable[[tuple[int, ...]], Part] = partial(tuple.__new__, Part)  # quicker than Part()
_UNREAD = Part(-1, 0, 0, 0, 0, 0, 0, 0, _OTHER)


def few_parts(octets: bytes, body: int, whole: Described) -> Parts | None:
    """Return the parts of a message, of which the header has been read; None if it takes more."""
    kind = whole.kind
    if kind is _MULTIPART:
        return _FewParts(octets).read(body, whole)
    if kind is _MESSAGE:
        return None
    end = len(octets)
    lines = octets.count(b"\n", body) if kind is _TEXT else 0
    return (_part((-1, 0, 0, body, end, lines, end, end, kind)),), (whole,)


class _Multipart:
    """A multipart that has not ended; offsets are those of the message."""

    preamble = -1
    epilogue = -1

    def __init__(self, number: int, start: int, body: int, boundary: bytes) -> None:
        self.number = number
        self.start = start
        self.body = body
        self.boundary = boundary


class _FewParts:
    """Goes from one line that is a boundary to the next."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._open: list[_Multipart] = []  # outermost first
        self._boundaries: tuple[bytes, ...] = ()  # of these, but for one that may be at its end
        self._leaf: tuple[int, int] | None = (
            None  # where header and body begin of the part at hand
        )
        self._parts: list[Part] = []
        self._described: list[Described] = []

    def read(self, body: int, whole: Described) -> Parts | None:
        """Read the parts of a message that is a multipart."""
        if not self._enter(0, body, whole):
            return None
        octets, floor, seek = self._octets, body, body - 1
        while (newline := self._next_boundary(seek)) >= 0:
            stop = self._line_end(newline, floor)
            around = self._end_parts(newline + len(_DASHES), stop)
            line = newline + len(_DASHES) + len(around.boundary)
            if octets.startswith(b"--", line):
                self._boundaries = self._boundaries[:-1]
                around.epilogue = floor = seek = line + 2
                continue
            newline = octets.find(b"\n", line)
            if newline < 0:
                break
            floor = self._begin_part(newline, self._described[around.number].is_digest)
            if floor < 0:
                return None
            seek = floor - 1
        self._end_leaf(len(octets))
        self._close(-1, len(octets))
        return tuple(self._parts), tuple(self._described)

    def _next_boundary(self, seek: int) -> int:
        """Return where a line end stands before the next boundary, or -1."""
        octets, boundaries = self._octets, self._boundaries
        if len(boundaries) == 1:
            return next_line(octets, _DASHES + boundaries[0], seek)
        while boundaries and (newline := next_line(octets, _DASHES, seek)) >= 0:
            seek = newline + len(_DASHES)
            if octets.startswith(boundaries, seek):
                return newline
        return -1

    def _line_end(self, newline: int, floor: int) -> int:
        """Return where a line end begins that belongs to a boundary, unless to what is before."""
        if newline <= floor:
            return floor
        return newline - 1 if self._octets[newline - 1] == _CR else newline

    def _end_parts(self, line: int, stop: int) -> _Multipart:
        """End what a boundary ends that begins at ``line``; return what it divides."""
        self._end_leaf(stop)
        open_ = self._open
        at = len(open_) - 1
        while not self._octets.startswith(open_[at].boundary, line):
            at -= 1
        around = open_[at]
        self._close(around.number, stop)
        if around.preamble < 0:
            around.preamble = stop
        self._boundaries = self._boundaries[: at + 1]
        return around

    def _begin_part(self, newline: int, in_digest: bool) -> int:
        """Return where the body of a part begins, -1 if that takes more than is known here."""
        octets = self._octets
        found = _EMPTY_LINE.search(octets, newline)
        start, body = newline + 1, found.end() if found else -1
        if body - start > _LONGEST_HEADER or octets.find(_DASHES, newline, body) >= 0:
            return -1
        described = describe_header(octets[start:body], in_digest)
        kind = described.kind
        if kind is _MULTIPART:
            return body if self._enter(start, body, described) else -1
        if kind is _MESSAGE or len(self._parts) == _MOST:
            return -1
        self._leaf = start, body
        self._described.append(described)
        return body

    def _enter(self, start: int, body: int, described: Described) -> bool:
        """Go into a multipart, if its boundary is one that isn't mistaken for another."""
        boundary = described.boundary
        if not boundary or len(boundary) > LONGEST_BOUNDARY or boundary[-1:].isspace():
            return False
        for other in self._boundaries:
            if other.startswith(boundary) or boundary.startswith(other):
                return False
        number = len(self._parts)
        if number == _MOST or len(self._open) == _DEEPEST:
            return False
        self._open.append(_Multipart(number, start, body, boundary))
        self._boundaries += (boundary,)
        self._parts.append(_UNREAD)
        self._described.append(described)
        return True

    def _end_leaf(self, stop: int) -> None:
        if self._leaf:
            start, body = self._leaf
            kind = self._described[-1].kind
            lines = self._octets.count(b"\n", body, stop) if kind is _TEXT else 0
            parent, depth = self._open[-1].number, len(self._open)
            self._parts.append(
                _part((parent, depth, start, body, stop, lines, stop, stop, kind))
            )
            self._leaf = None

    def _close(self, around: int, stop: int) -> None:
        """End the multiparts inside of one."""
        open_ = self._open
        while open_ and open_[-1].number != around:
            one = open_.pop()
            self._parts[one.number] = _part(
                (
                    open_[-1].number if open_ else -1,
                    len(open_),
                    one.start,
                    one.body,
                    stop,
                    0,
                    one.preamble if one.preamble >= 0 else stop,
                    one.epilogue if one.epilogue >= 0 else stop,
                    _MULTIPART,
                )
            )
