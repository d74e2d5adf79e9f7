"""Shows how work grows with its input, whatever else the machine does meanwhile.

How fast something is stands in the benchmarks.  What a test says is that eight times
the input takes about eight times as long, and not sixty-four times: so it holds on any
machine, and on a busy one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S", bytes, str)

GROWTH = 8  # how many times as large the larger input is
ROUNDS = 8  # so often a ratio is found too large before it is believed
LEAST = 50e-6  # seconds; what takes less is taken for as long, since clocks aren't exact

LINEAR = GROWTH**1.5  # halfway from linear time to quadratic, as ratios go
BOUNDED = GROWTH**0.5  # halfway from constant time to linear


def in_linear_time(
    work: Callable[[T], object], given: Callable[[int], T], most: int = 65536
) -> None:
    """Fail if ``work`` takes more than linear time.

    It is called with ``given(most)`` and with ``given(most // 8)``, several times each:
    so it must not change what it is given, nor remember its answer.  ``most`` must be
    below the limits of what is called, else nothing grows; and so large that the square
    of it takes long.
    """
    _grow(work, given, most, LINEAR)


def in_bounded_time(
    work: Callable[[T], object], given: Callable[[int], T], most: int = 1 << 20
) -> None:
    """Fail if the time of ``work`` grows with its input.

    As `in_linear_time`, but an eighth of ``most`` must be above the limits.
    """
    _grow(work, given, most, BOUNDED)


def repeated(unit: S, before: S | None = None, behind: S | None = None) -> Callable[[int], S]:
    """Return what makes so many octets or characters of one unit, with something around.

    What is around isn't counted.
    """

    def given(size: int) -> S:
        empty = unit[:0]
        return (before or empty) + unit * (size // len(unit)) + (behind or empty)

    return given


def _grow(
    work: Callable[[T], object], given: Callable[[int], T], most: int, allowed: float
) -> None:
    small, large = given(most // GROWTH), given(most)
    work(small)  # caches are filled, modules imported
    least = inf
    for _ in range(ROUNDS):
        once = min(_seconds(work, small) for _ in range(3))
        least = min(least, _seconds(work, large) / max(once, LEAST))
        if least <= allowed:
            return
    raise AssertionError(f"{GROWTH} times as much took {least:.0f} times as long at least")


def _seconds(work: Callable[[T], object], given: T) -> float:
    """Return for how long this thread has worked, without the collector of garbage."""
    collects = gc.isenabled()
    gc.disable()
    try:
        began = time.thread_time()
        work(given)
        return time.thread_time() - began
    finally:
        if collects:
            gc.enable()
