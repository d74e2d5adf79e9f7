"""Tells everyone what happened, after the commit, on the reactor's next turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces import IBus

E = TypeVar("E")
Hear = Callable[[Any], None]


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
        self._hearers: dict[type, tuple[Hear, ...]] = {}
        self._untold: list[object] = []

    def publish(self, events: Iterable[object]) -> None:
        asleep = not self._untold
        self._untold.extend(events)
        if asleep and self._untold:
            self._clock.callLater(0, self._tell)

    def subscribe(self, kind: type[E], hear: Callable[[E], None]) -> Callable[[], None]:
        self._hearers[kind] = (*self._hearers.get(kind, ()), hear)

        def leave() -> None:
            hearers = list(self._hearers[kind])
            if hear in hearers:
                hearers.remove(hear)
            self._hearers[kind] = tuple(hearers)

        return leave

    def _tell(self) -> None:
        events, self._untold = self._untold, []
        for event in events:
            for hear in self._hearers.get(type(event), ()):
                try:
                    hear(event)
                except Exception:  # noqa: BLE001 - one who fails may not keep it from the others
                    self.log.failure("{hear} failed at {event}", hear=hear, event=event)
