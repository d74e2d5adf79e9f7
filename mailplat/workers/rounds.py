"""Rounds: one call for what many ask at about the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from mailplat.mail.errors import Overloaded

AT_ONCE = 4  # rounds
MOST = 32  # items in one
WAITING = 1024  # items

A = TypeVar("A")
T = TypeVar("T")


class Rounds(Generic[A, T]):
    """Gives items to a function that does many in one call, so that they share its cost.

    An item that comes alone is done at once.  As long as ``at_once`` calls are under way
    others wait, and go together into those that follow.  The function answers with what
    came of each item, in their order: a value, or the exception that whoever asked gets.
    """

    def __init__(
        self,
        call: Callable[[Sequence[A]], Deferred[list[T | Exception]]],
        *,
        at_once: int = AT_ONCE,
        most: int = MOST,
        waiting: int = WAITING,
    ) -> None:
        self._call = call
        self._free = at_once
        self._most = most
        self._longest = waiting
        self._waiting: deque[tuple[A, Deferred[T]]] = deque()

    def ask(self, item: A) -> Deferred[T]:
        """Have an item done; fails as the function does, or with `Overloaded`.

        Cancelling takes it out of the line if its round has not begun.
        """
        if len(self._waiting) >= self._longest:
            return fail(Overloaded(f"{len(self._waiting)} wait to be done together"))
        answer: Deferred[T] = Deferred(self._withdraw)
        self._waiting.append((item, answer))
        self._begin()
        return answer

    def _begin(self) -> None:
        """Begin rounds, each with a fair share of what waits."""
        while self._free and self._waiting:
            share = min(self._most, -(-len(self._waiting) // self._free))
            some = [self._waiting.popleft() for _ in range(share)]
            self._free -= 1
            self._call([item for item, _ in some]).addBoth(self._finish, some)

    def _finish(self, outcome: Any, some: Sequence[tuple[A, Deferred[T]]]) -> None:
        self._free += 1
        outcomes = [outcome] * len(some) if isinstance(outcome, Failure) else outcome
        for (_, answer), one in zip(some, outcomes, strict=True):
            if answer.called:  # nobody waits any more
                continue
            if isinstance(one, Exception):
                answer.errback(Failure(one))  # type: ignore[no-untyped-call]
            elif isinstance(one, Failure):
                answer.errback(one)
            else:
                answer.callback(one)
        self._begin()

    def _withdraw(self, answer: Deferred[T]) -> None:
        self._waiting = deque(one for one in self._waiting if one[1] is not answer)
