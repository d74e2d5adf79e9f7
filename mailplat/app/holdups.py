"""Names what holds the reactor: nothing else is served while one function runs."""

from __future__ import annotations

import signal
import traceback
from types import FrameType

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

TICK = 0.025  # seconds
LONGEST = 0.05  # seconds that a function may run before it is named
FRAMES = 3


@attrs.define
class HoldUps:
    """Sets an alarm that every turn of the reactor puts off.

    When it rings, the frame that is running is the one to name.  The signal reaches
    Python code, and sleeping, at once; code in C when it returns.
    """

    log = Logger()

    clock: IReactorTime
    _ticking: LoopingCall | None = attrs.field(default=None, init=False)
    _last: float = attrs.field(default=0.0, init=False)
    _where: str = attrs.field(default="", init=False)

    def start(self) -> None:
        """Begin to watch; call it in the main thread."""
        signal.signal(signal.SIGALRM, self._ring)
        signal.siginterrupt(signal.SIGALRM, False)
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = self.clock
        self._ticking.start(TICK)

    def stop(self) -> None:
        """Watch no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._ticking:
            self._ticking.stop()
            self._ticking = None

    def _tick(self) -> None:
        now = self.clock.seconds()
        if self._where:
            milliseconds = round((now - self._last) * 1000)
            self.log.warn(
                "the reactor was held for about {milliseconds} ms: {where}",
                milliseconds=milliseconds,
                where=self._where,
            )
            self._where = ""
        self._last = now
        signal.setitimer(signal.ITIMER_REAL, TICK + LONGEST)

    def _ring(self, _signal: int, frame: FrameType | None) -> None:
        stack = traceback.extract_stack(frame, FRAMES)
        self._where = " < ".join(f"{f.name} ({f.filename}:{f.lineno})" for f in reversed(stack))
