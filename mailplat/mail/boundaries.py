"""Which of the boundaries that are open a line is (RFC 2046 section 5.1.1)."""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import NamedTuple

LONGEST_COMPARED = 998  # octets that are compared; RFC 2046 allows 70
_LONGEST_LINE = LONGEST_COMPARED + 4  # octets that decide whether a line is a boundary
_STRIDE = 8192
_DASHES = b"\n--"

Window = bytes | bytearray


def is_cut(window: Window, start: int) -> bool:
    """Whether too little of a line is there to say whether it is a boundary."""
    return start + _LONGEST_LINE > len(window) and window.find(b"\n", start) < 0


def next_line(window: Window, needle: bytes, start: int) -> int:
    """Return where the next ``needle`` is, a line end and two dashes or more, or -1.

    Base64 has no dashes, and a single octet is searched for much faster than several.
    """
    while len(window) - start > _STRIDE:
        dash = window.find(b"-", start)
        if dash < 0:
            return -1
        start = max(dash - 1, start)
        found = window.find(needle, start, start + _STRIDE)
        if found >= 0:
            return found
        start += _STRIDE - len(needle) + 1
    return window.find(needle, start)


class Boundary(NamedTuple):
    """One boundary, without the dashes in front."""

    octets: bytes
    part: int  # the multipart that it divides


class Boundaries:
    """The boundaries of the multiparts around what is being read."""

    def __init__(self) -> None:
        self.octets: tuple[bytes, ...] = ()
        self.innermost: Boundary | None = None
        self.needle = _DASHES  # what to search for: begins every line that may be one
        self._open: list[Boundary] = []  # outermost first
        self._named: dict[bytes, list[Boundary]] = {}
        self._lengths: list[int] = []  # ascending, each once

    def add(self, octets: bytes, part: int) -> None:
        """Open a boundary; white space at its end is lost in transport, so it doesn't count."""
        octets = octets[:LONGEST_COMPARED].rstrip()
        self.innermost = boundary = Boundary(octets, part)
        self._open.append(boundary)
        self.octets += (octets,)
        self.needle = _DASHES if len(self.octets) > 1 else _DASHES + octets
        self._named.setdefault(octets, []).append(boundary)
        if len(octets) not in self._lengths:
            insort(self._lengths, len(octets))

    def close(self, boundary: Boundary, itself: bool) -> None:
        """Close all boundaries that were opened behind one, and that ``itself`` if wanted."""
        open_ = self._open
        while open_[-1] is not boundary:
            self._forget(open_.pop())
        if itself:
            self._forget(open_.pop())
        self.octets = self.octets[: len(open_)]
        self.innermost = open_[-1] if open_ else None
        self.needle = _DASHES if len(open_) != 1 else _DASHES + open_[0].octets

    def _forget(self, boundary: Boundary) -> None:
        named = self._named[boundary.octets]
        named.pop()
        if not named:
            del self._named[boundary.octets]
            length = len(boundary.octets)
            if length not in map(len, self._named):
                self._lengths.remove(length)

    def begins(self, window: Window, start: int) -> bool:
        """Whether a line begins with a boundary, its dashes not counted."""
        return window.startswith(self.octets, start)

    def find(self, window: Window, start: int) -> Boundary:
        """Return the boundary with which a line `begins`."""
        last = self._open[-1]
        octets = last.octets
        if len(self._open) == 1 or (
            len(octets) == self._lengths[-1]
            and octets[-2:] != b"--"
            and window.startswith(octets, start)
        ):
            return last
        line = _line(window, start)
        found = self._longest(line)
        if found is None:
            raise LookupError(f"no boundary: {line!r:.80}")
        return self._or_last(line, found) if found.octets[-2:] == b"--" else found

    def _longest(self, line: bytes) -> Boundary | None:
        """Return the longest that fits, and of the same the innermost.

        The time that takes grows with the line only: there are no more lengths
        to compare than it has octets.
        """
        lengths = self._lengths
        for at in range(bisect_right(lengths, len(line)) - 1, -1, -1):
            if same := self._named.get(line[: lengths[at]]):
                return same[-1]
        return None

    def _or_last(self, line: bytes, found: Boundary) -> Boundary:
        """Return a boundary inside of ``found`` that ends here, if that looks just the same."""
        line = line.rstrip()
        same = self._named.get(line[:-2]) if line.endswith(b"--") else None
        return same[-1] if same and same[-1].part > found.part else found


def _line(window: Window, start: int) -> bytes:
    """Return as much of a line as decides which boundary it is."""
    stop = window.find(b"\n", start, start + _LONGEST_LINE)
    return bytes(window[start : stop if stop >= 0 else start + _LONGEST_LINE])
