"""Rounds: one call for what many ask at about the same time."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from mailplat.mail.errors import DiskFull, Overloaded, StoreFailed
from mailplat.workers import Rounds


class Calls:
    """A function that does many items, and the calls of it that are under way."""

    def __init__(self) -> None:
        self.items: list[list[int]] = []
        self.answers: list[Deferred[list[str | Exception]]] = []

    def __call__(self, items: list[int]) -> Deferred[list[str | Exception]]:
        self.items.append(list(items))
        self.answers.append(Deferred())
        return self.answers[-1]


def rounds_of(calls: Calls, **limits: int) -> Rounds[int, str]:
    return Rounds(calls, **limits)  # type: ignore[arg-type]


async def test_what_waits_goes_together() -> None:
    calls = Calls()
    rounds = rounds_of(calls, at_once=1, most=3)
    answers = [rounds.ask(number) for number in range(6)]
    assert calls.items == [[0]]
    calls.answers[0].callback(["0"])
    assert calls.items == [[0], [1, 2, 3]]
    full = DiskFull("no room")
    calls.answers[1].callback(["1", full, "3"])
    calls.answers[2].callback(["4", "5"])
    assert calls.items == [[0], [1, 2, 3], [4, 5]]
    assert [await answers[number] for number in (0, 1, 3, 4, 5)] == ["0", "1", "3", "4", "5"]
    with pytest.raises(DiskFull) as problem:
        await answers[2]
    assert problem.value is full


def test_rounds_under_way_share_what_waits() -> None:
    calls = Calls()
    rounds = rounds_of(calls, at_once=2, most=10)
    for number in range(7):
        rounds.ask(number)
    assert calls.items == [[0], [1]]
    calls.answers[0].callback(["0"])
    assert calls.items == [[0], [1], [2, 3, 4, 5, 6]]


async def test_a_call_that_fails_fails_its_items_and_no_others() -> None:
    calls = Calls()
    rounds = rounds_of(calls, at_once=1)
    answers = [rounds.ask(number) for number in range(4)]
    calls.answers[0].callback(["0"])
    calls.answers[1].errback(StoreFailed("bad"))
    for answer in answers[1:]:
        with pytest.raises(StoreFailed, match="bad"):
            await answer
    last = rounds.ask(4)
    calls.answers[2].callback(["4"])
    assert await last == "4"


async def test_who_has_left_is_not_done_or_not_told() -> None:
    calls = Calls()
    rounds = rounds_of(calls, at_once=1)
    answers = [rounds.ask(number) for number in range(3)]
    for answer in answers[:2]:
        answer.cancel()
        with pytest.raises(CancelledError):
            await answer
    calls.answers[0].callback(["0"])
    assert calls.items == [[0], [2]]
    calls.answers[1].callback(["2"])
    assert await answers[2] == "2"


async def test_the_line_is_bounded() -> None:
    calls = Calls()
    rounds = rounds_of(calls, at_once=1, waiting=1)
    first, second, third = (rounds.ask(number) for number in range(3))
    with pytest.raises(Overloaded):
        await third
    calls.answers[0].callback(["0"])
    calls.answers[1].callback(["1"])
    assert [await first, await second] == ["0", "1"]
