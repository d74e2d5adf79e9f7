"""Feeds an engine the same stream in every way in which a network may cut it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def cuttings(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the stream whole, cut in two at each single place, and octet by octet."""
    yield [stream]
    for cut in range(1, len(stream)):
        yield [stream[:cut], stream[cut:]]
    if len(stream) > 2:
        yield [stream[at : at + 1] for at in range(len(stream))]


def same_however_cut(stream: bytes, outcome: Callable[[Sequence[bytes]], T]) -> T:
    """Return what ``outcome`` makes of the stream; fail if a cut changes it.

    ``outcome`` feeds the pieces to a new engine and returns everything that came
    out, in a form that can be compared.  Cuts at random places are not enough:
    a fault that shows at one place in a thousand slips through them.
    """
    whole = outcome([stream])
    for pieces in cuttings(stream):
        cut = outcome(pieces)
        assert cut == whole, f"cut as {pieces!r} it came out as {cut!r}, not {whole!r}"
    return whole
