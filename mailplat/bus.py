"""Tells everyone what happened, after the commit, on the reactor's next turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces import IBus

E = TypeVar("E")


@attrs.frozen(eq=False)
class Subscription:
    """One who wants to be told."""

    hear: Callable[[Any], None]


@implementer(IBus)
class Bus:
    """The `IBus` of one process.

    Whoever publishes goes on at once; those who subscribed are told on the next
    turn, all that was published meanwhile in one turn.  What they publish in
    turn is told on the turn after.  One who raises is logged, and the others
    are told none the less.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._hearers: dict[type, tuple[Subscription, ...]] = {}
        self._untold: list[object] = []

    def publish(self, events: Iterable[object]) -> None:
        asleep = not self._untold
        self._untold.extend(events)
        if asleep and self._untold:
            self._clock.callLater(0, self._tell)

    def subscribe(self, kind: type[E], hear: Callable[[E], None]) -> Callable[[], None]:
        subscription = Subscription(hear)
        self._hearers[kind] = (*self._hearers.get(kind, ()), subscription)

        def leave() -> None:
            others = (one for one in self._hearers[kind] if one is not subscription)
            self._hearers[kind] = tuple(others)

        return leave

    def _tell(self) -> None:
        events, self._untold = self._untold, []
        for event in events:
            for subscription in self._hearers.get(type(event), ()):
                try:
                    subscription.hear(event)
                except Exception:  # noqa: BLE001 - one who fails may not keep it from the others
                    self.log.failure(
                        "{hear} failed at {event}", hear=subscription.hear, event=event
                    )
