"""What happens again and again is told a few times and then counted."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from mailplat import tally
from mailplat.tally import MINUTE, Tally


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_first_few_are_told_and_the_others_counted(clock: Clock) -> None:
    told: list[tuple[str, int]] = []
    counts: Tally[str, str] = Tally(clock, lambda one, more: told.append((one, more)), few=2)
    for number in range(7):
        counts.add("a", f"a{number}")
    counts.add("b", "b0")
    assert told == [("a0", 0), ("a1", 0), ("b0", 0)]
    clock.advance(MINUTE)
    assert told[3:] == [("a6", 5)]
    counts.add("a", "again")
    assert told[4:] == [("again", 0)]
    clock.advance(MINUTE)
    assert len(told) == 5
    assert not clock.getDelayedCalls()


def test_the_end_tells_of_what_was_counted(clock: Clock) -> None:
    told: list[tuple[str, int]] = []
    counts: Tally[str, str] = Tally(clock, lambda one, more: told.append((one, more)))
    counts.finish()
    counts.add("a", "first")
    counts.add("a", "second")
    counts.finish()
    assert told == [("first", 0), ("second", 1)]
    assert not clock.getDelayedCalls()


def test_kinds_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "KINDS", 3)
    told: list[tuple[int, int]] = []
    counts: Tally[int, int] = Tally(clock, lambda one, more: told.append((one, more)))
    for number in range(100):
        counts.add(number, number)
    assert told == [(0, 0), (1, 0), (2, 0), (3, 0)]
    clock.advance(MINUTE)
    assert told[4:] == [(99, 96)]
