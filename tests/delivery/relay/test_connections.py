"""Connections are used again, and as much as a host wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from mailplat.testing.peers import PeerConnection, RecordingPeer

from .conftest import Internet, nobody_is_left

Send = Callable[..., Any]


async def test_a_connection_is_used_again(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    relay = internet.relay()
    for _ in range(3):
        assert await send(relay) == ["2.0.0"]
    assert mx.connections == 1
    assert len(mx.received) == 3


async def test_a_connection_that_has_gone_meanwhile_is_made_anew(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    relay = internet.relay()
    mx.answers["RSET"] = lambda peer: peer.hang_up()
    assert await send(relay) == ["2.0.0"]
    for connection in list(mx._open):
        connection.say(b"421 4.4.2 idle\r\n")
    assert await send(relay) == ["2.0.0"]
    assert len(mx.received) == 2


async def test_connections_end_with_their_time(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    await send(internet.relay(keep=timedelta(milliseconds=50)))
    await nobody_is_left(internet)
    assert mx.commands[-1] == b"QUIT"


async def test_each_at_the_same_time_has_its_own(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    relay = internet.relay()
    sent = await gatherResults([Deferred.fromCoroutine(send(relay)) for _ in range(10)])
    assert sent == [["2.0.0"]] * 10
    assert 1 < mx.connections <= 10
    assert len(mx.received) == 10


async def test_no_more_messages_than_a_host_wants(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.extensions = ("PIPELINING", "LIMITS MAILMAX=2")
    relay = internet.relay()
    for _ in range(4):
        await send(relay)
    assert mx.connections == 2


async def test_no_more_recipients_than_a_host_wants(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.extensions = ("PIPELINING", "LIMITS RCPTMAX=2")
    to = [f"r{number}@example.org" for number in range(5)]
    assert await send(internet.relay(), *to) == ["2.0.0"] * 5
    assert [len(message.recipients) for message in mx.received] == [2, 2, 1]
    assert mx.connections == 1


async def test_no_more_domains_than_a_host_wants(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.extensions = ("PIPELINING", "LIMITS RCPTDOMAINMAX=1")
    internet.exchange("example.com", "mx.example.org")
    to = ["a@example.org", "b@example.com", "c@example.org"]
    assert await send(internet.relay(), *to) == ["2.0.0"] * 3
    assert [message.recipients for message in mx.received] == [
        (b"a@example.org", b"c@example.org"),
        (b"b@example.com",),
    ]


async def test_recipients_that_were_too_many_come_again_at_once(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    def at_most_two(peer: PeerConnection) -> None:
        full = len(peer._recipients) > 2
        if full:
            peer._recipients.pop()
        peer.say(b"452 4.5.3 too many\r\n" if full else b"250 ok\r\n")

    mx.answers["RCPT"] = at_most_two
    to = [f"r{number}@example.org" for number in range(5)]
    assert await send(internet.relay(), *to) == ["2.0.0"] * 5
    assert [len(message.recipients) for message in mx.received] == [2, 2, 1]


async def test_a_host_that_takes_none_at_once_is_not_asked_for_ever(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.answers["RCPT"] = b"452 4.5.3 too many\r\n"
    assert await send(internet.relay()) == ["4.5.3"]


async def test_a_hundred_recipients_at_once(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    to = [f"r{number}@example.org" for number in range(250)]
    assert await send(internet.relay(), *to) == ["2.0.0"] * 250
    assert [len(message.recipients) for message in mx.received] == [100, 100, 50]
    assert mx.connections == 1
