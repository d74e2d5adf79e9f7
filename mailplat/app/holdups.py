"""Names what holds the reactor: nothing else is served while one function runs."""

from __future__ import annotations

import resource
import signal
import traceback
from collections.abc import Callable
from types import FrameType

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

TICK = 0.025  # seconds
SELDOM = 0.5  # seconds; the same where there is nothing to do
LONGEST = 0.05  # seconds that a function may run before it is named
FRAMES = 3

QUIET = 40  # ticks without work before they become seldom
WORK = 0.002  # seconds of this thread's time that are work
WAKES = 3  # times that this thread woke up, beyond which there was work


def usage() -> tuple[float, int]:
    """Return the seconds for which this thread has run, and how often it has slept."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime, used.ru_nvcsw


@attrs.define
class HoldUps:
    """Sets an alarm that every turn of the reactor puts off.

    When it rings, the frame that is running is the one to name.  The signal reaches
    Python code, and sleeping, at once; code in C when it returns.

    A server with nothing to do is left to sleep: its first function that runs for
    too long may do so for half a second more before it is named.
    """

    log = Logger()

    clock: IReactorTime
    usage: Callable[[], tuple[float, int]] = usage
    _next: IDelayedCall | None = attrs.field(default=None, init=False)
    _last: float = attrs.field(default=0.0, init=False)
    _where: str = attrs.field(default="", init=False)
    _used: tuple[float, int] = attrs.field(default=(0.0, 0), init=False)
    _quiet: int = attrs.field(default=0, init=False)  # ticks since there was work

    def start(self) -> None:
        """Begin to watch; call it in the main thread."""
        signal.signal(signal.SIGALRM, self._ring)
        signal.siginterrupt(signal.SIGALRM, False)
        self._tick()

    def stop(self) -> None:
        """Watch no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._next:
            self._next.cancel()
            self._next = None

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
        self._quiet = 0 if self._has_worked() else self._quiet + 1
        pause = TICK if self._quiet < QUIET else SELDOM
        signal.setitimer(signal.ITIMER_REAL, pause + LONGEST)
        self._next = self.clock.callLater(pause, self._tick)

    def _has_worked(self) -> bool:
        """Say whether this thread has done more since the last tick than to tick."""
        (ran, slept), self._used = self._used, self.usage()
        return self._used[0] - ran > WORK or self._used[1] - slept > WAKES

    def _ring(self, _signal: int, frame: FrameType | None) -> None:
        stack = traceback.extract_stack(frame, FRAMES)
        self._where = " < ".join(f"{f.name} ({f.filename}:{f.lineno})" for f in reversed(stack))
