"""Hosts that are slow, broken or hostile: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from mailplat.mail.content import Octets
from mailplat.testing.contracts.agents import new_job
from mailplat.testing.peers import PeerConnection, RecordingPeer
from mailplat.testing.transits import HELLO

from .conftest import SOON, Internet, nobody_is_left

Send = Callable[..., Any]


def endless(peer: PeerConnection) -> None:
    peer.say(b"250-and more\r\n" * 2000)


@pytest.mark.parametrize(
    "answers",
    [
        {"GREETING": None},  # a tarpit
        {"GREETING": lambda peer: peer.say(b"2")},
        {"EHLO": None},
        {"END": None},
    ],
)
async def test_silent_peers(
    internet: Internet, mx: RecordingPeer, send: Send, answers: Any
) -> None:
    mx.answers.update(answers)
    assert await send(internet.relay(patience=SOON)) == ["4.4.2"]
    await nobody_is_left(internet)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"GREETING": b"220 mx\n"}, "4.5.0"),  # bare line ends
        ({"EHLO": b"250 mx\n"}, "4.5.0"),
        ({"EHLO": endless}, "4.5.0"),
        ({"GREETING": endless}, "4.5.0"),
        ({"EHLO": b"250 mx\r\n250 mx\r\n"}, "4.5.0"),
        ({"END": b"421 4.3.2 closing\r\n"}, "4.3.2"),
        ({"END": lambda peer: peer.hang_up()}, "4.4.2"),
        ({"END": b"451 4.7.1 later\r\n"}, "4.7.1"),
        ({"END": b"550 5.7.1 no\r\n"}, "5.7.1"),
        ({"END": b"250 kept\n"}, "4.5.0"),
        ({"DATA": b"250 ok\r\n"}, "4.5.0"),
        ({"DATA": lambda peer: peer.hang_up()}, "4.4.2"),
        ({"MAIL": b"421 4.3.2 closing\r\n"}, "4.3.2"),
        ({"MAIL": b"550 5.7.1 not you\r\n"}, "5.7.1"),
        ({"RCPT": b"450 4.2.0 greylisted\r\n"}, "4.2.0"),
        ({"RCPT": lambda peer: peer.hang_up()}, "4.5.0"),  # the 354 came in its place
        ({"RCPT": lambda peer: peer.transport.abortConnection()}, "4.4.2"),
        ({"GREETING": b"521 5.3.2 no mail\r\n"}, "5.3.2"),
        ({"GREETING": b"554 5.7.1 not you\r\n"}, "4.7.1"),
        ({"EHLO": b"550 5.7.1 not you\r\n", "HELO": b"550 5.7.1 no\r\n"}, "4.7.1"),
    ],
)
async def test_odd_peers(
    internet: Internet, mx: RecordingPeer, send: Send, answers: Any, status: str
) -> None:
    mx.answers.update(answers)
    assert await send(internet.relay(keep=timedelta(0))) == [status]
    await nobody_is_left(internet)


async def test_an_answer_that_comes_late_is_waited_for(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.answers["END"] = lambda peer: internet.reactor.callLater(
        0.2, peer.say, b"250 2.0.0 kept at last\r\n"
    )
    assert await send(internet.relay()) == ["2.0.0"]
    assert len(mx.received) == 1


async def test_a_slow_drip_does_not_hold_us(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    """A peer that says an octet now and then never says anything."""

    def drip(peer: PeerConnection, left: int = 600) -> None:
        if left and peer.transport and peer.transport.connected:
            peer.say(b"2")
            internet.reactor.callLater(0.05, drip, peer, left - 1)

    mx.answers["GREETING"] = drip
    before = internet.reactor.seconds()
    [status] = await send(internet.relay(patience=SOON))
    assert status.startswith("4.")
    assert internet.reactor.seconds() - before < 25


async def test_a_peer_that_does_not_read(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    def stop_reading(peer: PeerConnection) -> None:
        peer.say(b"354 go on\r\n")
        peer.transport.pauseProducing()

    mx.answers["DATA"] = stop_reading
    mx.extensions = ("PIPELINING",)
    content = Octets(HELLO + b"x" * 70 + b"\r\n" * 5_000_000)
    assert await send(internet.relay(patience=SOON), content=content) == ["4.4.2"]


async def test_a_job_that_is_given_up_hangs_up(internet: Internet, mx: RecordingPeer) -> None:
    mx.answers["EHLO"] = None
    attempt = Deferred.fromCoroutine(internet.relay().attempt(new_job("alice@example.org")))
    while not mx.commands:
        await deferLater(internet.reactor, 0.01)
    attempt.cancel()
    with pytest.raises(CancelledError):
        await attempt
    await nobody_is_left(internet)
