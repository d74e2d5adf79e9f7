"""The octets of one message at hand, wherever they lie."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import accumulate
from typing import Protocol

import attrs

from mailplat.mail.errors import StoreFailed
from mailplat.mail.limits import KIB

CHUNK = 256 * KIB  # octets of a large content that are read at once
FIRST_LOOK = 64 * KIB  # octets in which nearly every header ends


class Content(Protocol):
    """What `mailplat.interfaces.IContent` promises, for those below it."""

    @property
    def size(self) -> int:
        """How many octets there are."""

    def read(self, start: int, stop: int) -> Awaitable[bytes]:
        """Return the octets from ``start`` up to, not including, ``stop``."""

    def close(self) -> None:
        """Let go of what holds the octets, which nobody reads any more."""


@attrs.frozen
class Octets:
    """Content that is small enough to stay in memory."""

    octets: bytes

    @property
    def size(self) -> int:
        return len(self.octets)

    async def read(self, start: int, stop: int) -> bytes:
        return self.octets[start:stop]

    def close(self) -> None:
        """Nothing to let go of: they may be read as long as anybody holds them."""


@attrs.frozen
class Joined:
    """Contents one behind the other, read as if they were one.

    Trace fields are put before a message that way, without copying it.
    """

    pieces: tuple[Content, ...]
    _ends: tuple[int, ...] = attrs.field(init=False, eq=False, repr=False)

    @_ends.default
    def _added_up(self) -> tuple[int, ...]:
        return tuple(accumulate(piece.size for piece in self.pieces))

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = max(start, 0), min(stop, self.size)
        found: list[bytes] = []
        at = bisect_right(self._ends, start)
        while start < stop:
            end = self._ends[at]
            piece = self.pieces[at]
            before = end - piece.size
            found.append(await piece.read(start - before, min(stop, end) - before))
            start = end
            at += 1
        return b"".join(found)

    def close(self) -> None:
        for piece in self.pieces:
            piece.close()


@attrs.frozen
class Excerpt:
    """A part of another content, read without copying the rest."""

    whole: Content
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    async def read(self, start: int, stop: int) -> bytes:
        return await self.whole.read(
            self.start + max(start, 0), min(self.start + max(stop, 0), self.stop)
        )

    def close(self) -> None:
        self.whole.close()


AHEAD = 16 * KIB


@attrs.define
class ReadAhead:
    """Another content, for those who read it in small pieces from front to back."""

    whole: Content
    _start: int = 0
    _octets: bytes = b""  # from ``_start`` on

    @property
    def size(self) -> int:
        return self.whole.size

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = max(start, 0), min(stop, self.size)
        if not self._start <= start <= stop <= self._start + len(self._octets):
            if stop - start >= AHEAD:
                return await self.whole.read(start, stop)
            octets = await self.whole.read(start, min(start + AHEAD, self.size))
            self._start, self._octets = start, octets
        return self._octets[start - self._start : stop - self._start]

    def close(self) -> None:
        self.whole.close()


def join(*pieces: Content) -> Content:
    """Put contents behind one another, in one buffer where all are in memory."""
    octets = [piece.octets for piece in pieces if isinstance(piece, Octets)]
    if len(octets) == len(pieces):
        return Octets(b"".join(octets))
    return Joined(pieces)


Turn = Callable[[], Awaitable[object]]
"""Lets others go on while a large content is read, and comes back."""


async def at_once() -> None:
    """Take no turn: nobody else waits."""


async def chunks(content: Content, size: int = CHUNK) -> AsyncIterator[bytes]:
    """Yield a content's octets, so many of them at a time, the last fewer.

    Raises `StoreFailed` if it ends before its size.
    """
    for start in range(0, content.size, size):
        yield await _all_of(content, start, min(start + size, content.size))


async def whole(content: Content) -> bytes:
    """Return all octets of a content; raises `StoreFailed` if it ends before its size."""
    return await _all_of(content, 0, content.size)


async def _all_of(content: Content, start: int, stop: int) -> bytes:
    octets = await content.read(start, stop)
    if len(octets) != stop - start:
        there = start + len(octets)
        raise StoreFailed(f"a content of {content.size} octets ended after {there}")
    return octets
