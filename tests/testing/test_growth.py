"""What is quadratic is found out, and what a busy machine does is not taken for it."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from mailplat.testing import growth
from mailplat.testing.growth import in_bounded_time, in_linear_time, repeated


class Steps:
    """A clock that goes on by the steps of work, a microsecond each."""

    def __init__(self) -> None:
        self.taken = 0

    def thread_time(self) -> float:
        return self.taken * 1e-6

    def bounded(self, octets: bytes) -> None:
        self.linear(octets[:2000])

    def linear(self, octets: bytes) -> None:
        self.taken += len(octets)

    def sorting(self, octets: bytes) -> None:
        self.taken += len(octets) * len(octets).bit_length()

    def quadratic(self, octets: bytes) -> None:
        for at in range(len(octets)):
            self.linear(octets[at:])

    def partly_quadratic(self, octets: bytes) -> None:
        for at in range(0, len(octets), 100):
            self.linear(octets[at:])
        self.linear(octets)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()
    monkeypatch.setattr(time, "thread_time", steps.thread_time)
    return steps


def test_quadratic_work_fails(steps: Steps) -> None:
    with pytest.raises(AssertionError, match="8 times as much took 64 times as long"):
        in_linear_time(steps.quadratic, repeated(b"a"), 4096)
    with pytest.raises(AssertionError, match=r"8 times as much took 5\d times as long"):
        in_linear_time(steps.partly_quadratic, repeated(b"a"), 16384)


def test_linear_work_passes(steps: Steps) -> None:
    for work in (steps.bounded, steps.linear, steps.sorting):
        in_linear_time(work, repeated(b"a"))


def test_linear_work_fails_where_a_bound_was_promised(steps: Steps) -> None:
    in_bounded_time(steps.bounded, repeated(b"a"))
    with pytest.raises(AssertionError, match="8 times as much took 8 times as long"):
        in_bounded_time(steps.linear, repeated(b"a"))


def test_what_goes_back_and_back_again_fails_by_any_clock() -> None:
    with pytest.raises(AssertionError, match="8 times as much took"):
        in_linear_time(partial(re.search, rb"a*a*b"), repeated(b"a"), 512)
    in_linear_time(partial(re.match, rb"a*+b"), repeated(b"a"))


class Busy:
    """A clock of a machine on which every call takes as long as ``spent`` says."""

    def __init__(self, spent: Callable[[int], float]) -> None:
        self._calls = count()
        self._spent, self._now, self._running = spent, 0.0, False

    def thread_time(self) -> float:
        self._running = not self._running
        if not self._running:
            self._now += self._spent(next(self._calls))
        return self._now


def test_one_quiet_round_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each round is three calls of the small input and one of the large.
    def spent(call: int) -> float:
        return 0.001 if call % 4 < 3 else 0.008 if call == 4 * growth.ROUNDS - 1 else 0.5

    monkeypatch.setattr(time, "thread_time", Busy(spent).thread_time)
    in_linear_time(len, repeated(b"a"))


def test_a_slow_call_of_the_small_input_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def spent(call: int) -> float:
        return 0.064 if call % 4 else 0.001

    monkeypatch.setattr(time, "thread_time", Busy(spent).thread_time)
    with pytest.raises(AssertionError, match="took 64 times as long at least"):
        in_linear_time(len, repeated(b"a"))


def test_garbage_is_collected_afterwards() -> None:
    seen = []
    in_linear_time(lambda _: seen.append(gc.isenabled()), repeated(b"a"))
    assert seen[1:] == [False] * 4
    assert gc.isenabled()


def test_what_is_repeated() -> None:
    assert repeated(b"ab")(5) == b"abab"
    assert repeated("ab", "<", ">")(4) == "<abab>"
