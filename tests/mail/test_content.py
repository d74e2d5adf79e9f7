"""Contents that are made of others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.content import AHEAD, ReadAhead
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
