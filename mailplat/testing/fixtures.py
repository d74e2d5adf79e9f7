"""Fixtures and waiting for tests that speak to the reactor, with their types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest_twisted
from greenlet import greenlet
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def async_fixture(function: F) -> F:
    """Make an ``async def`` a fixture, of a module or of a class that others inherit."""
    made: F = pytest_twisted.async_fixture(function)
    return made


def async_yield_fixture(function: F) -> F:
    """Make an ``async def`` with one ``yield`` a fixture; what follows tidies up."""
    made: F = pytest_twisted.async_yield_fixture(function)
    return made


async def plainly(function: Callable[[], T]) -> T:
    """Call a plain function that may in turn `wait_for` answers of the reactor.

    Hypothesis calls only plain functions, and state machines are made of them.
    """
    from twisted.internet import reactor  # noqa: TID251 - pytest-twisted has installed it

    outcome: Deferred[T] = Deferred()

    def run() -> None:
        # Whoever waits goes on in the reactor's greenlet: in this one it would be stopped
        # at the end of the test, in the middle of a callback.
        later = cast("IReactorTime", reactor).callLater
        try:
            later(0, outcome.callback, function())
        except BaseException:  # noqa: BLE001 - whoever waits gets it
            later(0, outcome.errback, Failure())  # type: ignore[no-untyped-call]

    greenlet(run).switch()
    return await outcome


def wait_for(awaitable: Awaitable[T]) -> T:
    """Run the reactor until the answer is there; only inside of `plainly`."""
    answer: T = pytest_twisted.blockon(Deferred.fromCoroutine(_answer_of(awaitable)))
    return answer


async def _answer_of(awaitable: Awaitable[T]) -> T:
    return await awaitable
