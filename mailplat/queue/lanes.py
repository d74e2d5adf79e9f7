"""How many attempts at once, and how many a minute, each destination bears."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mailplat.mail.mailbox import Outcome
from mailplat.queue.schedule import Kind
from mailplat.queue.settings import DestinationSettings, QueueSettings

MOST_REMEMBERED = 1024  # lanes in memory with nothing on the way
UNKNOWN = 1.0  # attempts at once at a destination of which nothing is known
ROUNDING = 1e-6  # of an attempt, that adding up may have lost
BURST = 1.0  # attempts that a rate allows ahead


@attrs.define
class Lane:
    """What is known of one lane: attempts on the way, how many it bears, and its rate.

    ``window`` grows by one with each round of successes, is halved when there is too
    much, and closes the lane when nothing is left of it.
    """

    at_once: int  # the ceiling
    a_second: float  # 0: no bound
    on_the_way: int = 0
    window: float = UNKNOWN
    failures: int = 0  # of the host, one after the other
    allowed: float = BURST  # attempts, by the rate
    counted_at: float = 0.0

    def room(self, now: float) -> int:
        """Return how many attempts may begin now."""
        room = int(self.window) - self.on_the_way
        if self.a_second:
            self._count(now)
            room = min(room, int(self.allowed + ROUNDING))
        return max(room, 0)

    def begin(self, now: float) -> None:
        """Note that an attempt begins."""
        self.on_the_way += 1
        if self.a_second:
            self._count(now)
            self.allowed -= 1

    def wait(self) -> float | None:
        """Return after how many seconds the rate allows one more, if that is what is missing."""
        if self.a_second and self.allowed < 1 - ROUNDING and int(self.window) > self.on_the_way:
            return (1 - self.allowed) / self.a_second
        return None

    def end(self, kinds: frozenset[Kind]) -> bool:
        """Note what came of an attempt; return whether the destination is found dead."""
        self.on_the_way -= 1
        if kinds == {Kind.HOST}:
            self.failures += 1
            self.window = self.window / 2 if self.window > 1 else 0.0
            if self.window < 1:
                self.window = UNKNOWN
                return True
            return False
        self.failures = 0
        if Kind.BUSY in kinds:
            self.window = max(UNKNOWN, self.window / 2)
        else:
            step = 1.0 if self.window < 4 else 1 / self.window
            self.window = min(self.window + step, float(self.at_once))
        return False

    def slow_down(self) -> None:
        """Note that an attempt takes long: no more than it are begun here meanwhile."""
        self.window = max(UNKNOWN, self.window / 2)

    def _count(self, now: float) -> None:
        since = now - self.counted_at
        self.allowed = min(self.allowed + since * self.a_second, BURST)
        self.counted_at = now


class Lanes:
    """All lanes that are known, by number; those in which nothing happens are forgotten."""

    def __init__(self, settings: QueueSettings) -> None:
        self._settings = settings
        self._lanes: dict[int, Lane] = {}

    def lane(self, number: int, destination: str) -> Lane:
        """Return what is known of a lane."""
        lane = self._lanes.get(number)
        if lane is None:
            self._forget()
            lane = self._lanes[number] = self._new(destination)
        return lane

    def rooms(self, now: float) -> Mapping[int, int]:
        """Return how many attempts may begin now in each lane that is known."""
        return {number: lane.room(now) for number, lane in self._lanes.items()}

    def wait(self) -> float | None:
        """Return after how many seconds a rate allows more somewhere."""
        waits = [wait for lane in self._lanes.values() if (wait := lane.wait()) is not None]
        return min(waits, default=None)

    def _new(self, destination: str) -> Lane:
        own = self._settings.destinations.get(destination, DestinationSettings())
        a_minute = own.a_minute or self._settings.destination_a_minute or 0
        return Lane(own.at_once or self._settings.destination_at_once, a_minute / 60)

    def _forget(self) -> None:
        if len(self._lanes) < 2 * MOST_REMEMBERED:
            return
        idle = [number for number, lane in self._lanes.items() if not lane.on_the_way]
        for number in idle[:MOST_REMEMBERED]:
            del self._lanes[number]


def kinds_of(outcomes: list[Outcome]) -> frozenset[Kind]:
    """Return what kept recipients from being served; `Kind.NOTHING` if anyone was."""
    return frozenset(Kind.of(outcome.status) for outcome in outcomes)
