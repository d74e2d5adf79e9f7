"""Fixtures and waiting for tests that speak to the reactor, with their types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest_twisted
from greenlet import greenlet
from twisted.internet.defer import Deferred

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
    outcome: Deferred[T] = Deferred()

    def run() -> None:
        try:
            outcome.callback(function())
        except BaseException:  # noqa: BLE001 - whoever waits gets it
            outcome.errback()

    greenlet(run).switch()
    return await outcome


def wait_for(awaitable: Awaitable[T]) -> T:
    """Run the reactor until the answer is there; only inside of `plainly`."""
    answer: T = pytest_twisted.blockon(Deferred.fromCoroutine(_answer_of(awaitable)))
    return answer


async def _answer_of(awaitable: Awaitable[T]) -> T:
    return await awaitable
