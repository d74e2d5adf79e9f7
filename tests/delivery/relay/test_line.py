"""How long a host may take for each of its answers (RFC 5321 section 4.5.3.2)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailplat.delivery.relay.line import Line
from mailplat.mail.address import Address
from mailplat.mail.content import Octets
from mailplat.mail.envelope import Envelope, Recipient
from mailplat.testing.fakes import FakeContent
from mailplat.wire.smtp.sender import Carried, Failed, Sender
from mailplat.wire.smtp.transaction import Transaction

ENVELOPE = Envelope(None, (Recipient(Address("alice", "example.org")),))
SAID = (b"220 mx\r\n", b"250 mx\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n")


class Talk:
    """A line whose other end the test speaks for."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.transport = StringTransport()
        self.line = Line(Sender("out.example.net", "mx.example.org"), self.clock)
        self.line.factory = None  # type: ignore[assignment]
        self.line.makeConnection(self.transport)

    def begin(self, order: Coroutine[Any, Any, Any]) -> list[Any]:
        """Return where the result will be."""
        results: list[Any] = []
        Deferred.fromCoroutine(order).addBoth(results.append)
        return results

    def hear(self, *said: bytes) -> None:
        for octets in said:
            self.line.dataReceived(octets)

    def greeted(self) -> None:
        results = self.begin(self.line.ask(self.line.engine.greet))
        self.hear(*SAID[:2])
        assert results

    @property
    def is_gone(self) -> bool:
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def hang_up(self) -> None:
        self.line.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize(
    ("answers", "seconds"), [(0, 300), (1, 300), (2, 300), (3, 300), (4, 120), (5, 600)]
)
def test_patience(answers: int, seconds: int) -> None:
    talk = Talk()
    results = talk.begin(talk.line.ask(talk.line.engine.greet))
    for number, said in enumerate(SAID[:answers]):
        talk.clock.advance(30)
        talk.hear(said)
        if number == 1:
            transaction = Transaction(ENVELOPE, 7)
            results = talk.begin(talk.line.send(transaction, Octets(b"hello\r\n")))
    talk.clock.advance(seconds - 1)
    assert not talk.is_gone
    assert not results
    talk.clock.advance(2)
    assert talk.is_gone
    [result] = results
    outcome = result.outcome if isinstance(result, Failed) else result.outcomes[0]
    assert outcome.status.is_transient
    assert "too slow" in outcome.detail
    assert not talk.clock.getDelayedCalls()


def test_half_an_answer_gives_no_more_time() -> None:
    talk = Talk()
    results = talk.begin(talk.line.ask(talk.line.engine.greet))
    for _ in range(9):
        talk.clock.advance(30)
        talk.hear(b"2"[:1] if not _ else b"")
    talk.clock.advance(31)
    assert results
    assert talk.is_gone


def test_a_content_that_can_not_be_read_is_never_ended() -> None:
    talk = Talk()
    talk.greeted()
    content = FakeContent(b"hello\r\n", fails_at=0)
    results = talk.begin(talk.line.send(Transaction(ENVELOPE, 7), content))
    talk.hear(*SAID[2:])
    [result] = results
    assert isinstance(result, Carried)
    assert result.outcomes[0].status.is_transient
    assert "can't be read" in result.outcomes[0].detail
    assert not talk.transport.value().endswith(b".\r\n")
    assert talk.is_gone


def test_a_content_that_ends_early_is_never_ended() -> None:
    talk = Talk()
    talk.greeted()
    content = FakeContent(b"hello\r\n", promised=100)
    results = talk.begin(talk.line.send(Transaction(ENVELOPE, 100), content))
    talk.hear(*SAID[2:])
    assert results
    assert not talk.transport.value().endswith(b".\r\n")
    assert talk.is_gone


def test_what_the_transport_can_not_take_is_waited_for() -> None:
    talk = Talk()
    talk.greeted()
    content = FakeContent(b"x" * 300_000)
    results = talk.begin(talk.line.send(Transaction(ENVELOPE, 300_000), content))
    talk.hear(*SAID[2:4])
    talk.line.pauseProducing()
    talk.hear(SAID[4])
    assert content.reads == []
    talk.line.resumeProducing()
    assert content.reads[-1][1] == 300_000
    assert talk.transport.value().endswith(b"x\r\n.\r\n")
    talk.hear(b"250 kept\r\n")
    assert isinstance(results[0], Carried)
    assert results[0].outcomes[0].relayed
    assert not talk.is_gone
    assert talk.transport.producer is None


def test_goodbye_is_said_and_not_waited_for_long() -> None:
    talk = Talk()
    talk.greeted()
    talk.line.close()
    assert talk.transport.value().endswith(b"QUIT\r\n")
    talk.clock.advance(6)
    assert talk.transport.disconnected
    talk.hang_up()
    assert not talk.clock.getDelayedCalls()
