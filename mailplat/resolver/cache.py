"""Keeps what is known for as long as it may be known, and not too much of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


@attrs.define
class Cache(Generic[T]):
    """At most ``most`` things, each until its time is over; what was used last stays longest."""

    clock: IReactorTime
    most: int
    _kept: OrderedDict[Hashable, tuple[T, float]] = attrs.field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Hashable) -> tuple[T, float] | None:
        """Return what is kept, and for how many seconds more it may be."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        thing, until = kept
        left = until - self.clock.seconds()
        if left <= 0:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return thing, left

    def keep(self, key: Hashable, thing: T, seconds: float) -> None:
        """Keep something for so long, not at all if that is no time."""
        if seconds <= 0:
            self._kept.pop(key, None)
            return
        self._kept[key] = (thing, self.clock.seconds() + seconds)
        self._kept.move_to_end(key)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
