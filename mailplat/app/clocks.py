"""The two clocks: one that only goes on, for waiting, and one that tells the date."""

from __future__ import annotations

import time
from typing import Any

import attrs


@attrs.frozen
class SystemClock:
    """What this machine believes the date to be; see `mailplat.interfaces.WallClock`."""

    def seconds(self) -> float:
        """Return the seconds since 1970 (UTC)."""
        return time.time()


def go_by_the_steady_clock(reactor: Any) -> None:
    """Have a reactor measure time by what nobody can set.

    Twisted measures by the date.  Set back by an hour, that holds every timer for
    an hour, and with them the patience for silent peers; set forward, it lets all
    of them run out at once.  Call this before anything has been scheduled.
    """
    reactor.seconds = time.monotonic
