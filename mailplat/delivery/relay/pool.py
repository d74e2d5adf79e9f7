"""Connections that have nothing to do and may be used again, by host."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailplat.delivery.relay.line import Line

MOST_IDLE = 100  # connections
MOST_MESSAGES = 100  # on one connection


@attrs.define(eq=False)
class Pool:
    """Keeps idle lines, each for some seconds, the youngest for whoever asks next."""

    clock: IReactorTime
    seconds: float
    _idle: OrderedDict[Line, tuple[Hashable, IDelayedCall]] = attrs.field(
        factory=OrderedDict, init=False
    )

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, key: Hashable) -> Line | None:
        """Return a line of that key that seems to be good still."""
        for line in reversed(self._idle):
            if self._idle[line][0] == key:
                self._forget(line)
                return line
        return None

    def give(self, key: Hashable, line: Line) -> None:
        """Keep a line that has done its work, unless it has done enough."""
        most = line.engine.offered.limits.get("MAILMAX") or MOST_MESSAGES
        if line.is_over or line.engine.closing or line.sent >= most or not self.seconds:
            line.close()
            return
        line.when_over(self._forget)
        self._idle[line] = (key, self.clock.callLater(self.seconds, self._retire, line))
        while len(self._idle) > MOST_IDLE:
            self._retire(next(iter(self._idle)))

    def clear(self) -> None:
        """Say goodbye on all of them."""
        for line in list(self._idle):
            self._retire(line)

    def _retire(self, line: Line) -> None:
        self._forget(line)
        line.close()

    def _forget(self, line: Line) -> None:
        if known := self._idle.pop(line, None):
            call = known[1]
            if call.active():
                call.cancel()
