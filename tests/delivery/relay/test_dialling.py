"""The first address that answers, and nobody else is kept waiting (RFC 8305)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from mailplat.delivery.relay.dialling import NEXT_AFTER, Dialling, Source
from mailplat.mail.errors import HostUnreachable

ANY = Source()
SIX, FOUR, OTHER = (ip_address(text) for text in ("2001:db8::1", "192.0.2.1", "192.0.2.2"))


class Telling(Protocol):
    def connectionMade(self) -> None:
        self.factory.connected(self)


class Race:
    """A race under way on a network that does what the test says."""

    def __init__(self, *addresses: Any, source: Source = ANY) -> None:
        self.network = MemoryReactorClock()
        self.made: list[Any] = []

        def make(address: Any) -> Protocol:
            self.made.append(address)
            return Telling()

        dialling = Dialling(self.network, 25, source, 30.0, make)
        self.result: Deferred[Protocol] = Deferred.fromCoroutine(dialling.connect(addresses))
        self.result.addErrback(lambda failure: self.failures.append(failure.value))
        self.failures: list[BaseException] = []

    @property
    def tried(self) -> list[str]:
        return [client[0] for client in self.network.tcpClients]

    @property
    def given_up(self) -> list[int]:
        return [n for n, one in enumerate(self.network.connectors) if one.stoppedConnecting]

    def refuse(self, number: int) -> None:
        factory, connector = self.network.tcpClients[number][2], self.network.connectors[number]
        factory.clientConnectionFailed(connector, Failure(error.ConnectionRefusedError()))

    def answer(self, number: int) -> None:
        factory = self.network.tcpClients[number][2]
        factory.buildProtocol(None).makeConnection(StringTransport())


def test_the_next_is_tried_after_a_moment_and_the_first_to_answer_wins() -> None:
    race = Race(SIX, FOUR, OTHER)
    assert race.tried == [str(SIX)]
    race.network.advance(NEXT_AFTER)
    assert race.tried == [str(SIX), str(FOUR)]
    race.answer(1)
    assert race.made == [FOUR]
    assert isinstance(race.result.result, Telling)
    race.network.advance(10)
    assert race.tried == [str(SIX), str(FOUR)]
    assert race.given_up == [0]


def test_a_refusal_means_the_next_at_once() -> None:
    race = Race(SIX, FOUR)
    race.refuse(0)
    assert race.tried == [str(SIX), str(FOUR)]
    race.answer(1)
    assert race.made == [FOUR]
    assert not race.network.getDelayedCalls()


def test_one_that_answers_late_still_wins() -> None:
    race = Race(SIX, FOUR)
    race.network.advance(NEXT_AFTER)
    race.refuse(1)
    race.answer(0)
    assert race.made == [SIX]


def test_nobody_answers() -> None:
    race = Race(SIX, FOUR)
    race.refuse(0)
    race.refuse(1)
    [failure] = race.failures
    assert isinstance(failure, HostUnreachable)
    assert str(SIX) in str(failure)
    assert str(FOUR) in str(failure)


def test_whoever_gives_up_leaves_nothing() -> None:
    race = Race(SIX, FOUR, OTHER)
    race.network.advance(NEXT_AFTER)
    race.result.cancel()
    assert isinstance(race.failures[0], CancelledError)
    assert race.given_up == [0, 1]
    assert not race.network.getDelayedCalls()


@pytest.mark.parametrize(
    ("source", "bound"),
    [
        (Source(), [None, None]),
        (Source("192.0.2.9"), [None, ("192.0.2.9", 0)]),
        (Source("192.0.2.9", "2001:db8::9"), [("2001:db8::9", 0), ("192.0.2.9", 0)]),
    ],
)
def test_each_family_has_its_own_source(source: Source, bound: list[Any]) -> None:
    race = Race(SIX, FOUR, source=source)
    race.network.advance(NEXT_AFTER)
    assert [client[4] for client in race.network.tcpClients] == bound
