"""Answers kept at hand until something changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """The last answers to one kind of question, by key; the oldest go first.

    Found answers and those that found nothing are kept apart, so that a
    stranger who tries names can't push out the names that are there.
    """

    def __init__(self, most: int = 10000) -> None:
        self._most = most
        self._found: dict[str, T] = {}
        self._empty: dict[str, T] = {}
        self._age = 0  # how often everything was forgotten

    async def get(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer at hand, or ask for it and keep it."""
        for kept in (self._found, self._empty):
            if key in kept:
                return kept[key]
        age = self._age
        answer = await ask()
        if age == self._age:
            self._keep(self._found if answer else self._empty, key, answer)
        return answer

    def forget(self) -> None:
        """Drop everything; answers on their way here are not kept either."""
        self._age += 1
        self._found.clear()
        self._empty.clear()

    def _keep(self, kept: dict[str, T], key: str, answer: T) -> None:
        if len(kept) >= self._most:
            del kept[next(iter(kept))]
        kept[key] = answer
