"""What happens again and again: the first few times it is told, then counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

MINUTE = 60.0  # seconds
KINDS = 10_000  # that are told apart in a minute; all further ones are one kind


@attrs.define
class _Kind(Generic[T]):
    last: T
    seen: int = 0


class Tally(Generic[K, T]):
    """Tells of the first ``few`` of a kind in a minute at once, and of the others at its end.

    ``tell`` gets one of them, and for how many it stands, itself included: 0 for one that
    is told at once.  So whoever writes down what strangers cause writes as many lines in a
    minute as there are kinds, however much they cause.
    """

    def __init__(
        self, clock: IReactorTime, tell: Callable[[T, int], None], *, few: int = 1
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._few = few
        self._kinds: dict[K | None, _Kind[T]] = {}
        self._until = 0.0  # when the minute is over
        self._end: IDelayedCall | None = None  # what then tells of what was counted

    def add(self, key: K, one: T) -> None:
        """Tell of one of this kind, or count it."""
        now = self._clock.seconds()
        if now >= self._until:
            self.finish()
            self._until = now + MINUTE
        place = key if key in self._kinds or len(self._kinds) < KINDS else None
        kind = self._kinds.setdefault(place, _Kind(one))
        kind.last = one
        kind.seen += 1
        if kind.seen <= self._few:
            self._tell(one, 0)
        elif not self._end:
            self._end = self._clock.callLater(self._until - now, self.finish)

    def finish(self) -> None:
        """End the minute now: tell of what was counted."""
        if self._end and self._end.active():
            self._end.cancel()
        self._end, self._until = None, 0.0
        kinds, self._kinds = self._kinds, {}
        for kind in kinds.values():
            if kind.seen > self._few:
                self._tell(kind.last, kind.seen - self._few)
