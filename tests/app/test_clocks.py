"""Timers go by the clock that nobody can set, and dates by the one that is set."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from twisted.internet.selectreactor import SelectReactor

from mailplat.app.clocks import SystemClock, go_by_the_steady_clock
from mailplat.app.wiring import build
from mailplat.pytest_plugin import MemoryHouse


def test_a_reactor_goes_by_the_steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to happen in a minute happens then, wherever the date jumps meanwhile."""
    reactor: Any = SelectReactor()
    try:
        go_by_the_steady_clock(reactor)
        now = time.time()
        for jump in (-86400, 86400):
            call = reactor.callLater(60, lambda: None)
            monkeypatch.setattr(time, "time", lambda there=now + jump: there)
            assert 59 < call.getTime() - reactor.seconds() <= 60
            assert 59 < reactor.timeout() <= 60
            call.cancel()
    finally:
        reactor.disconnectAll()
        for reader in reactor.removeAll():
            reader.connectionLost(None)


def test_dates_go_by_the_date() -> None:
    assert (
        abs(datetime.fromtimestamp(SystemClock().seconds(), UTC) - datetime.now(UTC)).seconds
        < 5
    )


@attrs.frozen
class Fixed:
    """A date that stays."""

    def seconds(self) -> float:
        return datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp()


def test_dates_of_messages_are_not_those_of_timers(mailplat_house: Any) -> None:
    """The clock that timers go by stands at a few seconds; no date is read from it."""
    house: MemoryHouse = mailplat_house()
    house.add_account("alice@example.org")
    foundation = attrs.evolve(house.foundation, wall=Fixed())
    tree = build(house.tree.configuration, foundation)
    later = MemoryHouse(tree, foundation, house.clock)
    assert later.deliver(b"Subject: hello\r\n\r\n", to="alice@example.org").startswith("250")
    [message] = later.messages("alice@example.org")
    assert b"Mon, 23 Nov 2026 10:00:00 +0000" in message
