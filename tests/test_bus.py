"""The bus of one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from mailplat.bus import Bus
from mailplat.interfaces import IBus
from mailplat.testing.contracts.bus import BusContract, Knocked, Rang


class TestBus(BusContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def bus(self, clock: Clock) -> IBus:
        return Bus(clock)

    @pytest.fixture
    def turn(self, clock: Clock) -> Callable[[], None]:
        return lambda: clock.advance(0)

    def test_many_events_cost_one_turn(self, bus: IBus, clock: Clock) -> None:
        bus.publish([])
        assert not clock.getDelayedCalls()
        for times in range(1000):
            bus.publish([Rang(times), Knocked()])
        assert len(clock.getDelayedCalls()) == 1
