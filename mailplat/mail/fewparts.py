"""The short way to the parts of a message that is at hand as a whole, for nearly all messages.

It knows multiparts and parts that have none in them, a few of them, with
boundaries that nobody can mistake for each other.  Whatever else comes is left
to `mailplat.mail.structure`, which would find the same, and says how it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mailplat.mail.boundaries import LONGEST_COMPARED, next_line
from mailplat.mail.described import Described, describe_header
from mailplat.mail.header import EMPTY_LINE
from mailplat.mail.layout import Kind, Part

_MOST = 100  # parts
_DEEPEST = 8  # multiparts in one another
_LONGEST_HEADER = 65536  # octets of a part's
_DASHES = b"\n--"

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_CR = b"\r"[0]

Parts = tuple[tuple[Part, ...], tuple[Described, ...]]

_part: Callable[[tuple[int, ...]], Part] = partial(tuple.__new__, Part)  # quicker than Part()
_UNREAD = Part(-1, 0, 0, 0, 0, 0, 0, 0, _OTHER)


def few_parts(octets: bytes, body: int, whole: Described) -> Parts | None:
    """Return the parts of a message whose header has been read; None if it takes more."""
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

    def __init__(self, number: int, start: int, body: int, described: Described) -> None:
        self.number = number
        self.start = start
        self.body = body
        self.boundary = described.boundary or b""
        self.is_digest = described.is_digest


class _FewParts:
    """Goes from one line that is a boundary to the next."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._open: list[_Multipart] = []  # outermost first
        self._boundaries: tuple[bytes, ...] = ()  # of these, but for one that may be at its end
        self._parts: list[Part] = []
        self._described: list[Described] = []

    def read(self, body: int, whole: Described) -> Parts | None:
        """Read the parts of a message that is a multipart."""
        if not self._enter(0, body, whole):
            return None
        octets, floor, start = self._octets, body, -1  # where the part begins that is a leaf
        newline = self._next_boundary(body - 1)
        while newline >= 0:
            stop = newline - 1 if octets[newline - 1] == _CR else newline
            if stop < floor:  # the line end belongs to what is before
                stop = floor
            if start >= 0:
                self._add_leaf(start, floor, stop)
            around = self._divided(newline + 3, stop)
            line = newline + 3 + len(around.boundary)
            if octets.startswith(b"--", line):
                self._boundaries = self._boundaries[:-1]
                around.epilogue = floor = line + 2
                start, newline = -1, self._next_boundary(floor)
                continue
            end = octets.find(b"\n", line)
            if end < 0:  # nothing is behind the boundary, not even an empty part
                return self._finish(-1, floor)
            start = end + 1
            floor = self._read_header(start, around.is_digest)
            if floor < 0:
                return None
            if self._described[-1].kind is _MULTIPART:
                start = -1
            newline = self._next_boundary(floor - 1)
        return self._finish(start, floor)

    def _next_boundary(self, seek: int) -> int:
        """Return where a line end stands before the next boundary, or -1."""
        octets, boundaries = self._octets, self._boundaries
        if len(boundaries) == 1:
            return next_line(octets, _DASHES + boundaries[0], seek)
        while boundaries and (newline := next_line(octets, _DASHES, seek)) >= 0:
            seek = newline + 3
            if octets.startswith(boundaries, seek):
                return newline
        return -1

    def _divided(self, line: int, stop: int) -> _Multipart:
        """Return what the boundary at ``line`` divides; what is open inside of it ends."""
        open_ = self._open
        around = open_[-1]
        while not self._octets.startswith(around.boundary, line):
            self._close(stop)
            around = open_[-1]
            self._boundaries = self._boundaries[: len(open_)]
        if around.preamble < 0:
            around.preamble = stop
        return around

    def _read_header(self, start: int, in_digest: bool) -> int:
        """Return where the body of a part begins, -1 if that takes more than is known here."""
        octets = self._octets
        found = EMPTY_LINE.search(octets, start - 1)
        if not found or len(self._parts) == _MOST:
            return -1
        body = found.end()
        if body - start > _LONGEST_HEADER or octets.find(_DASHES, start - 1, body) >= 0:
            return -1
        described = describe_header(octets[start:body], in_digest)
        kind = described.kind
        if kind is _TEXT or kind is _OTHER:
            self._described.append(described)
            return body
        return body if kind is _MULTIPART and self._enter(start, body, described) else -1

    def _enter(self, start: int, body: int, described: Described) -> bool:
        """Go into a multipart, if its boundary is one that isn't mistaken for another."""
        boundary = described.boundary
        if not boundary or len(boundary) > LONGEST_COMPARED or boundary[-1:].isspace():
            return False
        for other in self._boundaries:
            if other.startswith(boundary) or boundary.startswith(other):
                return False
        if len(self._open) == _DEEPEST:
            return False
        self._open.append(_Multipart(len(self._parts), start, body, described))
        self._boundaries += (boundary,)
        self._parts.append(_UNREAD)
        self._described.append(described)
        return True

    def _add_leaf(self, start: int, body: int, stop: int) -> None:
        open_, kind = self._open, self._described[-1].kind
        lines = self._octets.count(b"\n", body, stop) if kind is _TEXT else 0
        parent, depth = open_[-1].number, len(open_)
        self._parts.append(_part((parent, depth, start, body, stop, lines, stop, stop, kind)))

    def _close(self, stop: int) -> None:
        """End the innermost multipart."""
        open_ = self._open
        one = open_.pop()
        parent = open_[-1].number if open_ else -1
        preamble = one.preamble if one.preamble >= 0 else stop
        epilogue = one.epilogue if one.epilogue >= 0 else stop
        numbers = (
            *(parent, len(open_), one.start, one.body, stop),
            *(0, preamble, epilogue, _MULTIPART),
        )
        self._parts[one.number] = _part(numbers)

    def _finish(self, start: int, body: int) -> Parts:
        """End all that is still open with the message."""
        stop = len(self._octets)
        if start >= 0:
            self._add_leaf(start, body, stop)
        while self._open:
            self._close(stop)
        return tuple(self._parts), tuple(self._described)
