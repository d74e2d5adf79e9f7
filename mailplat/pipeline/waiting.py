"""Waiting for others: at no cost where nothing waits, not for ever, and not to be undone."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailplat.mail.errors import OutOfTime

T = TypeVar("T")


class Withdrawn(Exception):
    """What we waited for was cancelled by itself, and not by us."""


class Escaped(Exception):
    """What we waited for raised what is no `Exception`, as generators are closed by."""


NO_ACCIDENT = (Exception, SystemExit, KeyboardInterrupt)
"""What may be raised by anybody, unlike what must not pass through our own coroutines."""


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Deferred[T]:
    """Run a coroutine up to where it waits; return its result, if it got so far.

    Most answers are there at once, and a Deferred for each would cost more than
    the answer.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    return Deferred.fromCoroutine(_go_on(coroutine, waiting))


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, T], waiting: object) -> Generator[Any, Any, T]:
    try:
        while True:
            try:
                yield waiting
            except Exception as error:  # noqa: BLE001 - it is the coroutine's
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)


def within(work: Deferred[T], seconds: float, clock: IReactorTime) -> Deferred[T]:
    """Return what becomes of ``work``, or `OutOfTime` after so many seconds.

    Out of time it is cancelled, and if it goes on none the less nobody waits for
    it.  A cancelling that comes from within is `Withdrawn`, so that `CancelledError`
    always means that whoever waits has been cancelled; and `GeneratorExit` and the
    like are `Escaped`.
    """
    cancelled = False

    def cancel(_answer: Deferred[T]) -> None:
        nonlocal cancelled
        cancelled = True
        timer.cancel()
        work.cancel()

    answer: Deferred[T] = Deferred(cancel)

    def expire() -> None:
        answer.errback(OutOfTime(f"no answer within {seconds:g} s"))
        work.cancel()

    timer = clock.callLater(seconds, expire)

    def tell(result: T | Failure) -> None:
        if timer.active():
            timer.cancel()
        if answer.called:
            return  # too late, or nobody wants it any more
        if not isinstance(result, Failure):
            answer.callback(result)
        elif isinstance(result.value, CancelledError) and not cancelled:
            answer.errback(Withdrawn("what it waited for was cancelled"))
        elif not isinstance(result.value, NO_ACCIDENT):
            answer.errback(Escaped(repr(result.value)))
        else:
            answer.errback(result)

    work.addBoth(tell)
    return answer


def begin_for_good(coroutine: Coroutine[Any, Any, T]) -> T | Deferred[T]:
    """Begin a coroutine that goes on to its end though its answer is cancelled."""
    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    return _Errand(coroutine, waiting).answer


class _Errand(Generic[T]):
    """A coroutine under way that nobody calls back, and the answer it will give."""

    __slots__ = ("_coroutine", "answer")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waiting: Deferred[Any]) -> None:
        self._coroutine = coroutine
        self.answer: Deferred[T] = Deferred()
        waiting.addBoth(self._go_on)

    def _go_on(self, outcome: object) -> None:
        """Go on where it waited; a result it takes out of the Deferred itself."""
        try:
            if isinstance(outcome, Failure) and outcome.value:
                waiting = self._coroutine.throw(outcome.value)
            else:
                waiting = self._coroutine.send(None)
        except StopIteration as end:
            self.answer.callback(end.value)
        except BaseException:  # noqa: BLE001 - whatever it is belongs to who waits
            self.answer.errback()
        else:
            waiting.addBoth(self._go_on)
