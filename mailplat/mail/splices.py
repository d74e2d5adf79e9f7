"""Octets put between the pieces of a content, which stay where they lie."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from itertools import groupby
from typing import NamedTuple

from mailplat.mail.content import CHUNK, Content, Excerpt, Octets, chunks, join, whole
from mailplat.mail.header import Header


class Splice(NamedTuple):
    """Octets to put in the place of those from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int
    new: Content


def with_header(content: Content, old: Header, new: Header) -> Content:
    """Return ``content``, whose header is ``old``, with the header ``new``; nothing is copied.

    Only what lies in memory as a whole is put together anew.
    """
    if old.octets == new.octets:
        return content
    return spliced(content, [Splice(0, len(old.octets), Octets(new.octets))])


def spliced(content: Content, splices: Iterable[Splice]) -> Content:
    """Return a content with these changes, in the order of the octets that they change.

    Nothing is copied of one that doesn't lie in memory as a whole; without any
    change it is returned itself.
    """
    pieces: list[Content] = []
    at = 0
    for start, stop, new in splices:
        pieces += (excerpt_of(content, at, start), new)
        at = stop
    if not pieces:
        return content
    pieces.append(excerpt_of(content, at, content.size))
    return join(*_fused(piece for piece in pieces if piece.size))


async def changed(
    content: Content, splices: AsyncIterable[Splice] | None, size: int = CHUNK
) -> AsyncIterator[bytes]:
    """Yield the octets of a content with these changes, which are made as they are read.

    No more than ``size`` octets of the content are read at once.
    """
    at = 0
    if splices:
        async for start, stop, new in splices:
            async for octets in chunks(excerpt_of(content, at, start), size):
                yield octets
            yield await whole(new)
            at = stop
    async for octets in chunks(excerpt_of(content, at, content.size), size):
        yield octets


def excerpt_of(content: Content, start: int, stop: int) -> Content:
    """Return some octets of a content, copied only if they lie in memory."""
    if isinstance(content, Octets):
        return Octets(content.octets[start:stop])
    return Excerpt(content, start, max(start, stop))


def _fused(pieces: Iterable[Content]) -> list[Content]:
    """Return the pieces with neighbours that lie in memory put into one."""
    fused: list[Content] = []
    for in_memory, group in groupby(pieces, key=lambda piece: isinstance(piece, Octets)):
        neighbours = tuple(group)
        fused += (join(*neighbours),) if in_memory else neighbours
    return fused
