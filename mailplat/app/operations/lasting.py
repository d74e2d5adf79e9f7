"""Work that takes long: whoever asks for it sees how far it has come, and may end it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailplat.app.asking import Said
from mailplat.mail.errors import BadParameter

EACH = 0.2  # seconds after which it is told how far it has come


@attrs.define
class Lasting:
    """A conversation that answers ``go on`` with how far it has come, and in the end with its result.

    When the asker has gone the work is cancelled; what it has done by then stays.
    """

    _reactor: IReactorTime
    _work: Coroutine[Any, Any, dict[str, Any]]
    _progress: Callable[[], dict[str, Any]]
    _running: Deferred[None] | None = None
    _result: Any = None  # a `Failure` where it has failed
    _waiting: Deferred[None] | None = None

    async def answer(self, said: dict[str, Any], octets: bytes) -> Said:
        if said.get("do") != "go on":
            raise BadParameter(f"nothing is known here of {said.get('do')}")
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._work).addBoth(self._done)
        if self._result is None:
            await self._wait()
        if self._result is None:
            return {"done": False, **self._progress()}, b""
        return {"done": True, "result": self._outcome()}, b""

    async def finished(self) -> dict[str, Any]:
        """Return the result, for those who need not be told how far it has come."""
        return await self._work

    def end(self) -> None:
        if self._running is None:
            self._work.close()
        elif self._result is None:
            self._running.cancel()

    async def _wait(self) -> None:
        waiting = self._waiting = Deferred()
        call = self._reactor.callLater(EACH, waiting.callback, None)
        try:
            await waiting
        finally:
            self._waiting = None
            if call.active():
                call.cancel()

    def _done(self, result: Any) -> None:
        self._result = result
        if self._waiting:
            self._waiting.callback(None)

    def _outcome(self) -> dict[str, Any]:
        if isinstance(self._result, Failure):
            self._result.raiseException()
        result: dict[str, Any] = self._result
        return result
