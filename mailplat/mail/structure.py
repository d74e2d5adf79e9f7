"""Finds the parts of a message in one pass over its octets (RFC 2045, 2046, 6532).

Nothing of a body is copied or cut into lines; boundaries are searched for with
``find``, and a line that may be one is compared with all that are open at once.
Octets come in chunks of any size, and how they are cut changes nothing; what is
held meanwhile is a header, or the line that may be a boundary.

Broken messages get a best reading, which is that of most programs:

- A line ends at LF, with or without a CR before it.
- A header ends at an empty line, at a boundary, or at the end.
- A line is a boundary if it begins with one (RFC 2046 section 5.1.1); of
  several that fit the longest counts, and of the same the innermost.
- A boundary ends all parts inside of its multipart; so does the end of the
  message.  What follows a last boundary is epilogue, further boundaries of the
  same multipart too.  A boundary whose line doesn't end begins no part.
- A multipart without a boundary has no parts.
- A message in base64 or quoted-printable is not looked into: it would have to
  be decoded for that.  Multiparts are, whatever encoding they claim to have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Self

from mailplat.mail.boundaries import Boundaries, Window, is_cut, next_line
from mailplat.mail.content import Content, Octets, chunks
from mailplat.mail.described import OPAQUE_PART, Described, describe_fields, describe_header
from mailplat.mail.entity import Entity
from mailplat.mail.fewparts import few_parts
from mailplat.mail.header import (
    EMPTY_LINE,
    HEADER_OF_FEW,
    Telling,
    body_begins,
    content_fields,
    telling_fields,
)
from mailplat.mail.layout import Kind, Layout, Part
from mailplat.mail.limits import MIB

DEPTH = 50  # how deep a part may lie; what would be deeper is not looked for
PARTS = 2_000  # of one message; the last of them is all the rest, whatever it is
HEADER = MIB  # octets of a header that are read; the rest belongs to it, unread

_EMPTY_OR_DASHES = re.compile(rb"\n(?:\r?\n|--)")

_OTHER, _TEXT, _MULTIPART, _MESSAGE = Kind
_CR, _LF = b"\r\n"


class Structure(NamedTuple):
    """The parts of a message: where they lie, and what their headers say.

    ``described`` belong to the parts of ``layout`` one by one.  ``envelopes``
    are what a scanner's ``envelope`` made of the headers of the message itself
    and of messages in it, by the numbers of the parts that have these headers.
    """

    layout: Layout
    described: tuple[Described, ...]
    envelopes: Mapping[int, bytes]

    def as_one_part(self) -> Self:
        """Return the same message as if nobody could look into it."""
        whole = self.layout.parts[0]._replace(kind=Kind.OTHER)
        envelopes = {0: self.envelopes[0]} if 0 in self.envelopes else {}
        return self._replace(
            layout=Layout((whole,)), described=(OPAQUE_PART,), envelopes=envelopes
        )

    @property
    def entities(self) -> tuple[Entity, ...]:
        """What the headers of the parts say, one by one."""
        return tuple(described.entity for described in self.described)


def scan(octets: bytes, envelope: Callable[[Telling], bytes] | None = None) -> Structure:
    """Return the structure of a message that is at hand as a whole."""
    body = body_begins(octets)
    if body > HEADER:
        return Scanner(envelope).finish(octets)
    telling = telling_fields(octets[:body])
    found = few_parts(octets, body, describe_fields(telling))
    if not found:
        return Scanner(envelope).finish(octets)
    envelopes = {0: envelope(telling)} if envelope else {}
    return Structure(Layout(found[0]), found[1], envelopes)


def scan_bodies(octets: bytes) -> Structure:
    """Return the same, for whoever asks nothing of the message's own header but its bodies.

    Of that header only Content-* is read, which is one of a few in most messages.
    """
    body = body_begins(octets)
    if body <= HEADER_OF_FEW:
        whole = describe_header(content_fields(octets[:body]))
        found = few_parts(octets, body, whole)
        if found:
            return Structure(Layout(found[0]), found[1], {})
    return scan(octets)


async def structure_of(content: Content) -> Structure:
    """Find the parts of a content; it is read once, in chunks."""
    if isinstance(content, Octets):
        return scan(content.octets)
    scanner = Scanner()
    async for chunk in chunks(content):
        scanner.feed(chunk)
    return scanner.finish()


class _Row:
    """A part while it is being read; offsets are those of the message."""

    body = -1
    preamble = -1
    epilogue = -1
    kind = Kind.OTHER
    is_digest = False
    lines_before = 0

    def __init__(self, parent: int, depth: int, start: int) -> None:
        self.parent = parent
        self.depth = depth
        self.start = start


class Scanner:
    """Reads a message in chunks and says in the end what its structure is.

    ``envelope`` is called with the `telling_fields` of the message and of each
    message in it.
    """

    def __init__(
        self,
        envelope: Callable[[Telling], bytes] | None = None,
        depth: int = DEPTH,
        parts: int = PARTS,
    ) -> None:
        self._envelope = envelope
        self._depth = depth
        self._most = parts
        self._rows: list[_Row] = []
        self._parts: list[Part] = []  # in place of a row that is still open its parent is there
        self._described: list[Described] = []
        self._envelopes: dict[int, bytes] = {}
        self._open: list[int] = []  # the parts around what is being read, outermost first
        self._boundaries = Boundaries()
        self._held = bytearray()
        self._base = 0  # offset in the message of the window that is being read
        self._at = 0  # offset in the window from which on it is needed
        self._seek = 0  # offset in the window from which on it is searched
        self._floor = 0  # offset in the message before which no boundary can begin
        self._long_header = b""  # the beginning of one that is too long to be held
        self._lines = 0  # line ends before the offset ``_counted``, if anybody needs them
        self._counted = 0
        self._counting = 0  # open parts whose lines are counted
        self._step: Callable[[Scanner, Window, bool], bool] = Scanner._begin

    def feed(self, octets: bytes) -> None:
        """Read the next octets."""
        held = self._held
        if held:
            held += octets
        window = held or octets
        while self._step(self, window, False):
            pass
        used = self._at
        self._count(window, self._base + used)
        if held:
            del held[:used]
        else:
            self._held = bytearray(octets[used:])
        self._base += used
        self._seek -= used
        self._at = 0

    def finish(self, octets: bytes = b"") -> Structure:
        """Read the last octets, and return the structure."""
        window = bytes(self._held) + octets if self._held else octets
        while self._step(self, window, True):
            pass
        self._close(window, -1, self._base + len(window))
        return Structure(Layout(tuple(self._parts)), tuple(self._described), self._envelopes)

    # What is being read: each returns whether there is something to go on with.

    def _begin(self, window: Window, last: bool) -> bool:
        if len(window) < 2 and not last:
            return False
        self._add(0)
        if window.startswith((b"\r\n", b"\n")):
            self._end_header(window, window.index(b"\n") + 1)
        return True

    def _read_header(self, window: Window, last: bool) -> bool:
        found = self._header_ends(window, last)
        if found is None:
            if last:
                self._end_header(window, len(window))
                return True
            return self._header_goes_on(window)
        end = found.end()
        if window[end - 1] == _LF:
            self._end_header(window, end)
            return True
        stop = self._line_end(window, end - 3)
        self._end_header(window, stop - self._base)
        self._end_at_boundary(window, end, stop)
        return True

    def _header_ends(self, window: Window, last: bool) -> re.Match[bytes] | None:
        """Return the empty line that ends a header, or the dashes of a boundary that does.

        If there is none, or not yet, return None and remember how far was searched.
        """
        begins = self._boundaries.begins
        pattern = _EMPTY_OR_DASHES if self._boundaries.octets else EMPTY_LINE
        seek = self._seek
        while found := pattern.search(window, seek):
            seek = found.end()
            if window[seek - 1] == _LF:
                return found
            if not last and is_cut(window, seek):
                self._seek = found.start()
                return None
            if begins(window, seek):
                return found
        self._seek = max(seek, len(window) - 2)
        return None

    def _header_goes_on(self, window: Window) -> bool:
        start = self._rows[-1].start - self._base
        if not self._long_header and len(window) - start > HEADER:
            self._long_header = bytes(window[start : start + HEADER])
        self._at = max(self._seek if self._long_header else start, 1) - 1
        return False

    def _read_body(self, window: Window, last: bool) -> bool:
        if not self._boundaries.octets:
            self._at = self._seek = len(window)
            return False
        line = self._next_boundary(window, self._seek, last)
        if line < 0:
            return False
        self._divide(window, line, self._line_end(window, line - 3))
        return True

    def _next_boundary(self, window: Window, seek: int, last: bool) -> int:
        """Return where behind its dashes the next line begins that is a boundary.

        If there is none, or not yet, return -1 and remember how far was searched.
        """
        boundaries = self._boundaries
        needle = boundaries.needle
        while (newline := next_line(window, needle, seek)) >= 0:
            seek = newline + 3
            if not last and is_cut(window, seek):
                self._seek = newline
                self._at = max(newline - 1, 0)
                return -1
            if boundaries.begins(window, seek):
                return seek
        self._seek = max(seek, len(window) - len(needle) + 1)
        self._at = max(self._seek - 1, 0)
        return -1

    def _end_delimiter(self, window: Window, last: bool) -> bool:
        """Go to the end of a boundary's line; a part begins behind it."""
        newline = window.find(b"\n", self._seek)
        if newline < 0:
            self._at = self._seek = len(window)
            return False
        newline = self._read_leaves(window, newline, last)
        if newline < 0:
            return True
        self._at = self._seek = newline
        if len(self._rows) < self._most - 1:
            self._read_part(window, newline + 1, last)
        else:
            self._add(self._base + newline + 1)
            self._begin_body(window, OPAQUE_PART, newline + 1)
            self._boundaries = Boundaries()
        return True

    def _read_leaves(self, window: Window, newline: int, last: bool) -> int:
        """Read parts that are at hand as a whole and have none in them: nearly all are so.

        ``newline`` ends a boundary's line.  Returned is where the line ends behind which
        a part's header takes steps, or -1 if all is done up to a last boundary or a part
        whose body takes steps.
        """
        boundaries, rows = self._boundaries, self._rows
        parent = self._open[-1]
        around = rows[parent]
        for _ in range(self._most - 1 - len(rows)):
            header = _EMPTY_OR_DASHES.search(window, newline)
            start = newline + 1
            if not header or window[(body := header.end()) - 1] != _LF or body - start > HEADER:
                break
            described = describe_header(bytes(window[start:body]), around.is_digest)
            kind = described.kind
            line = -1
            if kind is _TEXT or kind is _OTHER:
                line = self._next_boundary(window, body - 1, last)
            if line < 0:
                self._add(self._base + start)
                self._begin_body(window, described, body)
                return -1
            stop = self._add_leaf(window, described, start, body, line)
            boundary = boundaries.find(window, line)
            end = line + len(boundary.octets)
            newline = window.find(b"\n", end)
            if newline < 0 or boundary.part != parent or window.startswith(b"--", end):
                self._divide(window, line, stop)
                return -1
        return newline

    def _begin_message(self, window: Window, last: bool) -> bool:
        """Begin the message in a part, whose body has just begun."""
        self._at = self._seek
        self._read_part(window, self._rows[self._open[-1]].body - self._base, last)
        return True

    def _read_part(self, window: Window, start: int, last: bool) -> None:
        """Read the header of a part in another, if it is at hand, and begin its body.

        Such as have none in them, and are not read by `_read_leaves`, are read whole.
        """
        found = self._header_ends(window, last)
        if not found or found.end() - start > HEADER:
            self._seek = self._at
            self._add(self._base + start)
            return
        stop = line = found.end()
        is_cut_short = window[line - 1] != _LF  # by a boundary
        if is_cut_short:
            self._floor = self._base + start
            stop = self._line_end(window, line - 3) - self._base
        around = self._rows[self._open[-1]]
        described = self._describe(bytes(window[start:stop]), len(self._rows), around)
        is_leaf = described.kind is _TEXT or described.kind is _OTHER
        if is_leaf and around.kind is _MESSAGE and not is_cut_short:
            line = self._next_boundary(window, stop - 1, last)
        if is_leaf and (is_cut_short or (around.kind is _MESSAGE and line >= 0)):
            self._divide(window, line, self._add_leaf(window, described, start, stop, line))
            return
        self._add(self._base + start)
        self._begin_body(window, described, stop)
        if is_cut_short:
            self._end_at_boundary(window, line, self._base + stop)

    def _add_leaf(
        self, window: Window, described: Described, start: int, body: int, line: int
    ) -> int:
        """Add a part that has none in it, up to the boundary at ``line``; return where it ends.

        What is given are offsets in the window, what is returned is one in the message.
        """
        base = self._base
        self._floor = base + body
        stop = self._line_end(window, line - 3)
        kind = described.kind
        lines = window.count(b"\n", body, stop - base) if kind is _TEXT else 0
        parent, depth = self._open[-1], len(self._open)
        numbers = (parent, depth, base + start, base + body, stop, lines, stop, stop, kind)
        self._parts.append(_part(numbers))
        self._rows.append(self._rows[parent])  # only to keep the others' numbers
        self._described.append(described)
        return stop

    # What was found.

    def _add(self, start: int) -> None:
        """Begin a part at an offset in the message; its header comes next."""
        open_, rows = self._open, self._rows
        row = _Row(open_[-1] if open_ else -1, len(open_), start)
        open_.append(len(rows))
        rows.append(row)
        self._parts.append(_UNREAD)
        self._floor = start
        self._step = Scanner._read_header

    def _end_header(self, window: Window, stop: int) -> None:
        """End the header of the innermost part at an offset in the window."""
        row = self._rows[-1]
        start = row.start - self._base
        if self._long_header:
            header, self._long_header = self._long_header, b""
        else:
            header = bytes(window[start : min(stop, start + HEADER)])
        around = self._rows[row.parent]
        self._begin_body(window, self._describe(header, self._open[-1], around), stop)

    def _describe(self, header: bytes, number: int, around: _Row) -> Described:
        """Return what a part's header says, and note the envelope if it is a message's."""
        if number and around.kind is not _MESSAGE:
            return describe_header(header, around.is_digest)
        telling = telling_fields(header)
        if self._envelope:
            self._envelopes[number] = self._envelope(telling)
        return describe_fields(telling)

    def _end_at_boundary(self, window: Window, line: int, stop: int) -> None:
        """End a part whose header a boundary has ended; a message in it has nothing at all."""
        if self._rows[-1].kind is _MESSAGE:
            self._add(stop)
            self._end_header(window, stop - self._base)
        self._divide(window, line, stop)

    def _begin_body(self, window: Window, described: Described, stop: int) -> None:
        """Begin the body of the innermost part at an offset in the window."""
        row = self._rows[-1]
        row.body = self._floor = self._base + stop
        self._at = self._seek = stop - 1 if stop else 0
        self._described.append(described)
        self._step = Scanner._read_body
        if described.kind is _TEXT:
            row.kind = _TEXT
            self._begin_counting(window, row)
        elif described.kind is not _OTHER and row.depth < self._depth:
            self._enter(window, row, described)

    def _enter(self, window: Window, row: _Row, described: Described) -> None:
        """Go into a part that has others in it."""
        if described.kind is _MULTIPART:
            row.kind = _MULTIPART
            row.is_digest = described.is_digest
            if described.boundary is not None:
                self._boundaries.add(described.boundary, self._open[-1])
        elif len(self._rows) < self._most - 1:
            row.kind = _MESSAGE
            self._begin_counting(window, row)
            self._step = Scanner._begin_message

    def _divide(self, window: Window, line: int, stop: int) -> None:
        """End what a boundary ends that begins at an offset in the window.

        ``stop`` is the offset in the message where its line end begins.
        """
        boundaries = self._boundaries
        boundary = boundaries.find(window, line)
        if self._open[-1] != boundary.part:
            self._close(window, boundary.part, stop)
        row = self._rows[boundary.part]
        if row.preamble < 0:
            row.preamble = stop
        end = line + len(boundary.octets)
        self._at = self._seek = end
        if window[end : end + 2] == b"--":
            boundaries.close(boundary, itself=True)
            self._seek += 2
            row.epilogue = self._floor = self._base + self._seek
            self._step = Scanner._read_body
        else:
            if boundaries.innermost is not boundary:
                boundaries.close(boundary, itself=False)
            self._step = Scanner._end_delimiter

    def _close(self, window: Window, around: int, stop: int) -> None:
        """End all parts that lie inside of ``around`` at an offset in the message."""
        open_ = self._open
        while open_ and (number := open_[-1]) != around:
            open_.pop()
            row = self._rows[number]
            lines = 0
            if row.kind is _TEXT or row.kind is _MESSAGE:
                self._count(window, stop)
                self._counting -= 1
                lines = self._lines - row.lines_before
            self._parts[number] = _part(
                (
                    row.parent,
                    row.depth,
                    row.start,
                    row.body,
                    stop,
                    lines,
                    row.preamble if row.preamble >= 0 else stop,
                    row.epilogue if row.epilogue >= 0 else stop,
                    row.kind,
                )
            )

    def _line_end(self, window: Window, newline: int) -> int:
        """Return where in the message a line end begins that may belong to a boundary."""
        stop = self._base + newline
        if stop <= self._floor:
            return self._floor
        return stop - 1 if window[newline - 1] == _CR else stop

    def _begin_counting(self, window: Window, row: _Row) -> None:
        self._count(window, row.body)
        self._counting += 1
        row.lines_before = self._lines

    def _count(self, window: Window, stop: int) -> None:
        """Count line ends up to an offset in the message, if anybody needs them."""
        if stop > self._counted:
            if self._counting:
                base = self._base
                self._lines += window.count(b"\n", self._counted - base, stop - base)
            self._counted = stop


_part: Callable[[tuple[int, ...]], Part] = partial(tuple.__new__, Part)  # quicker than Part()
_UNREAD = Part(-1, 0, 0, 0, 0, 0, 0, 0, Kind.OTHER)
