"""What every `IBus` promises, as tests that an implementation inherits."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from zope.interface.verify import verifyObject

from mailplat.interfaces import IBus


@attrs.frozen
class Rang:
    """A bell rang."""

    times: int


@attrs.frozen
class Knocked:
    """Somebody knocked."""


class BusContract:
    """Inherit, and say in fixtures how to make a bus and how to let the reactor turn."""

    @pytest.fixture
    def bus(self) -> IBus:
        raise NotImplementedError("an implementation returns its bus here")

    @pytest.fixture
    def turn(self) -> Callable[[], None]:
        raise NotImplementedError("return what makes the bus's reactor turn once")

    def test_it_provides_its_interface(self, bus: IBus) -> None:
        verifyObject(IBus, bus)

    def test_events_are_told_on_the_next_turn(
        self, bus: IBus, turn: Callable[[], None]
    ) -> None:
        heard: list[Rang] = []
        bus.subscribe(Rang, heard.append)
        bus.publish([Rang(1), Knocked()])
        bus.publish([Rang(2)])
        assert heard == []
        turn()
        assert heard == [Rang(1), Rang(2)]
        turn()
        assert heard == [Rang(1), Rang(2)]

    def test_each_class_has_its_hearers(self, bus: IBus, turn: Callable[[], None]) -> None:
        first: list[object] = []
        second: list[object] = []
        bus.subscribe(Rang, first.append)
        bus.subscribe(Rang, second.append)
        bus.subscribe(Knocked, second.append)
        bus.publish([Rang(1), Knocked()])
        turn()
        assert first == [Rang(1)]
        assert second == [Rang(1), Knocked()]

    def test_who_has_left_hears_nothing(self, bus: IBus, turn: Callable[[], None]) -> None:
        heard: list[Rang] = []
        leave = bus.subscribe(Rang, heard.append)
        bus.subscribe(Rang, heard.append)
        leave()
        leave()
        bus.publish([Rang(1)])
        turn()
        assert heard == [Rang(1)]

    def test_one_who_raises_harms_nobody(self, bus: IBus, turn: Callable[[], None]) -> None:
        def fail(_event: Rang) -> None:
            raise ValueError("a bug")

        heard: list[Rang] = []
        bus.subscribe(Rang, fail)
        bus.subscribe(Rang, heard.append)
        bus.publish([Rang(1), Rang(2)])
        turn()
        assert heard == [Rang(1), Rang(2)]

    def test_what_a_hearer_publishes_is_told_once_it_is_done(
        self, bus: IBus, turn: Callable[[], None]
    ) -> None:
        told: list[str] = []

        def hear(event: Rang) -> None:
            if event.times < 3:
                bus.publish([Rang(event.times + 1)])
            told.append(f"{event.times}")

        bus.subscribe(Rang, hear)
        bus.publish([Rang(1)])
        for _ in range(3):
            turn()
        assert told == ["1", "2", "3"]
