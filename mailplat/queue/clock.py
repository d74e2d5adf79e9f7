"""The queue's own time: it tells a date, and no setting of clocks makes it jump."""

from __future__ import annotations

from datetime import datetime

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailplat.interfaces import WallClock
from mailplat.queue.facts import moment

A_DAY = 86400.0  # seconds


class QueueClock:
    """The date when the process began, and what has gone by since on the steady clock.

    What the date was when the last process ended tells whether the date can be trusted.
    Where it can't, nothing expires for a day.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, wall: WallClock) -> None:
        self._clock = clock
        self._wall = wall
        self._offset = wall.seconds() - clock.seconds()
        self._trusted_at = clock.seconds()

    def now(self) -> float:
        """Return the seconds since 1970 that the queue goes by."""
        return self._clock.seconds() + self._offset

    def moment(self) -> datetime:
        """Return the same as a moment."""
        return moment(self.now())

    def of_wall(self, when: datetime) -> float:
        """Return a moment, told by the date as it is believed to be now, in our time."""
        return self.now() + when.timestamp() - self._wall.seconds()

    @property
    def is_trusted(self) -> bool:
        """Whether anything may expire."""
        return self._clock.seconds() >= self._trusted_at

    def compare(self, newest: float) -> None:
        """Look whether the date makes sense, where ``newest`` is the latest that was told."""
        gone = self.now() - newest
        if newest and not -A_DAY <= gone <= A_DAY:
            self._trusted_at = self._clock.seconds() + A_DAY
            self.log.warn(
                "the queue was last at work {gone:.1f} days {way}, by the date: nothing in it"
                " expires for a day",
                gone=abs(gone) / A_DAY,
                way="ago" if gone > 0 else "from now",
            )
