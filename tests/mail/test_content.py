"""Contents that are made of others."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import AHEAD, CHUNK, Content, Octets, ReadAhead, chunks, whole
from mailplat.mail.errors import StoreFailed
from mailplat.mail.summary import SLICE, summary_of
from mailplat.testing.fakes import FakeContent

SIZE = 3 * AHEAD + 100
offsets = st.integers(-10, SIZE + 10)


@given(st.lists(st.tuples(offsets, st.sampled_from([0, 1, 50, AHEAD - 1, AHEAD, 2 * AHEAD]))))
async def test_a_content_read_ahead_is_the_same(ranges: list[tuple[int, int]]) -> None:
    octets = bytes(number * number // 7 % 251 for number in range(SIZE))
    content = ReadAhead(FakeContent(octets))
    for start, size in ranges:
        stop = max(start + size, 0)
        assert await content.read(start, stop) == octets[max(start, 0) : stop]


async def test_small_pieces_take_few_reads() -> None:
    whole = FakeContent(bytes(SIZE))
    content = ReadAhead(whole)
    for start in range(0, SIZE, 100):
        await content.read(start, start + 100)
    assert len(whole.reads) == 4
    content.close()
    assert whole.closed
    assert content.size == SIZE


@attrs.frozen
class Short:
    """A content that ends before its size."""

    size: int
    there: int

    async def read(self, start: int, stop: int) -> bytes:
        return bytes(self.there)[start:stop]

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
async def test_chunks_are_the_whole(size: int) -> None:
    octets = bytes(number % 251 for number in range(size))
    found = [chunk async for chunk in chunks(Octets(octets))]
    assert b"".join(found) == octets == await whole(Octets(octets))
    assert all(len(chunk) == CHUNK for chunk in found[:-1])


async def all_chunks(content: Content) -> list[bytes]:
    return [chunk async for chunk in chunks(content)]


@pytest.mark.parametrize("read", [all_chunks, whole, summary_of])
@pytest.mark.parametrize(
    ("size", "there"), [(5, 4), (SLICE + 1, SLICE), (CHUNK + 1, CHUNK), (3 * CHUNK, 5)]
)
async def test_what_ends_early_is_refused(read: Any, size: int, there: int) -> None:
    with pytest.raises(StoreFailed, match=f"a content of {size} octets ended after {there}"):
        await read(Short(size, there))
