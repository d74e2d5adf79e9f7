"""A portal of a toy protocol on real sockets: TLS, limits, the end."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from mailplat.interfaces import IPortal
from mailplat.mail.limits import Limits
from mailplat.mail.transit import Peer
from mailplat.plugin import ConfigError
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.service import LinePortal, PortalSettings
from mailplat.portals.tls import Certificates

STARTTLS = {"tls": "starttls"}
IMPLICIT = {"tls": "implicit"}


async def test_a_session(
    reactor: Any, toy: Any, doorkeeper: Doorkeeper, serve: Any, call: Any
) -> None:
    portal = toy(reactor, doorkeeper)
    assert verifyObject(IPortal, portal)
    [place] = serve(portal).places
    client = await call(place)
    client.say(b"a\nb\nquit\nc\n")
    await client.closed
    assert client.heard == b"hello\na\nb\nquit\n"
    [connection] = portal.connections
    assert connection.peer == Peer("127.0.0.1", client.port)
    assert connection.local == place
    assert connection.secured is None
    assert portal.ended == portal.connections
    assert portal.sessions == 0


async def test_unix_sockets(
    reactor: Any, toy: Any, doorkeeper: Doorkeeper, serve: Any, call: Any, tmp_path: Any
) -> None:
    portal = toy(reactor, doorkeeper, listen=f"unix:{tmp_path}/door:mode=600")
    [place] = serve(portal).places
    assert (tmp_path / "door").stat().st_mode & 0o777 == 0o600
    client = await call(place)
    client.say(b"a\n")
    await client.until(b"a\n")
    [connection] = portal.connections
    assert connection.peer == connection.local == Peer(path=f"{tmp_path}/door")


# Octets out.


@pytest.mark.parametrize("tls", [{"tls": "off"}, IMPLICIT])
async def test_a_great_answer_arrives_whole(
    reactor: Any,
    toy: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
    tls: Any,
) -> None:
    portal = toy(reactor, doorkeeper, certificates=certificates, tls=tls)
    client = await call(serve(portal).places[0])
    if tls is IMPLICIT:
        client.start_tls()
    await client.until(b"hello\n")
    client.transport.pauseProducing()
    client.say(b"a\nsend 100\nb\nquit\n")
    reactor.callLater(0.1, client.transport.resumeProducing)
    await client.closed
    assert re.fullmatch(rb"a\n(x{65535}\n){100}sent\nb\nquit\n", client.heard)


class Fast(Clock):
    """A clock that tests turn, for deadlines of connections that are real; turns go on."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def callLater(self, delay: float, call: Any, *args: object, **words: object) -> Any:
        if not delay:
            self._reactor.callLater(0, self.advance, 0)
        return super().callLater(delay, call, *args, **words)


@pytest.mark.parametrize("tls", [{"tls": "off"}, IMPLICIT])
async def test_a_peer_that_does_not_read(
    toy: Any,
    settled: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
    tls: Any,
    reactor: Any,
) -> None:
    clock = Fast(reactor)
    portal = toy(clock, doorkeeper, certificates=certificates, tls=tls)
    client = await call(serve(portal).places[0])
    if tls is IMPLICIT:
        client.start_tls()
    await client.until(b"hello\n")
    client.say(b"send 400\n")
    await client.until(b"\n")
    client.transport.pauseProducing()
    await settled()
    assert portal.sessions == 1
    clock.advance(60)
    await settled()
    assert portal.sessions == 0


# STARTTLS.


async def test_starttls(
    reactor: Any,
    toy: Any,
    settled: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
) -> None:
    portal = toy(reactor, doorkeeper, certificates=certificates, tls=STARTTLS)
    client = await call(serve(portal).places[0])
    client.say(b"a\nstarttls\n")
    assert await client.until(b"starttls\n") == b"hello\na\nstarttls\n"
    client.start_tls(name=b"mx.example.org")
    client.say(b"b\nquit\n")
    await client.closed
    assert client.heard == b"b\nquit\n"
    await settled()
    plain, secured = portal.connections
    assert portal.ended == [plain, secured]
    assert secured.secured
    assert secured.secured.version == "TLSv1.3"
    assert secured.secured.name == "mx.example.org"
    assert plain.secured is None
    assert doorkeeper.inside == 0


async def test_words_behind_starttls_end_the_connection(
    reactor: Any,
    toy: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
) -> None:
    portal = toy(reactor, doorkeeper, certificates=certificates, tls=STARTTLS)
    client = await call(serve(portal).places[0])
    client.say(b"starttls\nevil\n")
    await client.closed
    assert len(portal.connections) == 1
    assert portal.sessions == 0


@pytest.mark.parametrize("tls", [STARTTLS, IMPLICIT])
async def test_who_does_not_shake_hands_is_dropped(
    reactor: Any,
    settled: Any,
    toy: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
    tls: Any,
) -> None:
    clock = Fast(reactor)
    portal = toy(clock, doorkeeper, certificates=certificates, tls=tls)
    client = await call(serve(portal).places[0])
    if tls is STARTTLS:
        client.say(b"starttls\n")
        await client.until(b"starttls\n")
    await settled()
    clock.advance(14.9)
    await settled()
    assert portal.sessions == 1
    clock.advance(0.1)
    await client.closed
    assert portal.sessions == 0


async def test_nonsense_instead_of_a_handshake(
    reactor: Any,
    toy: Any,
    doorkeeper: Doorkeeper,
    certificates: Certificates,
    serve: Any,
    call: Any,
) -> None:
    portal = toy(reactor, doorkeeper, certificates=certificates, tls=IMPLICIT)
    client = await call(serve(portal).places[0])
    client.say(b"GET / HTTP/1.1\r\n\r\n")
    await client.closed
    assert portal.sessions == 0
    assert not portal.connections


# Who may come in.


async def test_too_many(reactor: Any, toy: Any, serve: Any, call: Any) -> None:
    limits = Limits(connections=30, connections_per_address=2, uncounted_networks=())
    doorkeeper = Doorkeeper(limits, reactor)
    portal = toy(reactor, doorkeeper)
    [place] = serve(portal).places
    clients = [await call(place) for _ in range(2)]
    for client in clients:
        await client.until(b"hello\n")
    with capturedLogs() as events:
        third = await call(place)
        await third.closed
        for _ in range(4):
            last = await call(place)
            await last.closed
        portal.finish()
    assert third.heard == b"421 TooManyConnections\r\n"
    why = "was turned away: 2 connections from 127.0.0.1"
    assert [text for event in events if why in (text := formatEvent(event))] == [
        f"127.0.0.1:{third.port} {why}",
        f"127.0.0.1:{last.port} {why}, and 3 more of that network",
    ]
    clients[0].say(b"quit\n")
    await clients[0].closed
    fourth = await call(place)
    assert await fourth.until(b"hello\n")


async def test_too_many_for_tls_hear_nothing(
    reactor: Any, toy: Any, certificates: Certificates, serve: Any, call: Any
) -> None:
    doorkeeper = Doorkeeper(Limits(connections=0), reactor)
    portal = toy(reactor, doorkeeper, certificates=certificates, tls=IMPLICIT)
    client = await call(serve(portal).places[0])
    await client.closed
    assert client.heard == b""


async def test_too_many_handshakes(
    reactor: Any, toy: Any, certificates: Certificates, serve: Any, call: Any
) -> None:
    limits = Limits(handshakes_per_address=1, uncounted_networks=())
    portal = toy(reactor, Doorkeeper(limits, reactor), certificates=certificates, tls=STARTTLS)
    [place] = serve(portal).places
    for number in range(2):
        client = await call(place)
        client.say(b"starttls\n")
        await client.until(b"starttls\n")
        if number:
            await client.closed
        else:
            client.start_tls()
            client.say(b"a\n")
            await client.until(b"a\n")


# The end.


async def test_the_idle_are_told_and_the_busy_may_finish(
    reactor: Any, toy: Any, settled: Any, doorkeeper: Doorkeeper, serve: Any, call: Any
) -> None:
    portal = toy(reactor, doorkeeper)
    [place] = serve(portal).places
    idle, busy = await call(place), await call(place)
    await idle.until(b"hello\n")
    busy.say(b"wait\n")
    await busy.until(b"hello\n")
    await settled()
    drained = Deferred.fromCoroutine(portal.drain(30))
    await idle.closed
    assert idle.heard == b"421 ShuttingDown\r\n"
    late = await call(place)
    await late.closed
    assert late.heard == b"421 ShuttingDown\r\n"
    assert not drained.called
    portal.waits[0].callback(b"done")
    await busy.closed
    await drained
    assert busy.heard == b"done\n421 ShuttingDown\r\n"


async def test_what_takes_too_long_is_cut_off(
    reactor: Any, toy: Any, settled: Any, doorkeeper: Doorkeeper, serve: Any, call: Any
) -> None:
    clock = Fast(reactor)
    portal = toy(clock, doorkeeper)
    client = await call(serve(portal).places[0])
    client.say(b"wait\n")
    await client.until(b"hello\n")
    await settled()
    drained = Deferred.fromCoroutine(portal.drain(30))
    clock.advance(30)
    await drained
    assert portal.waits[0].called
    assert portal.sessions == 0


# Settings.


@pytest.mark.parametrize("keys", [{}, {"port": 25, "listen": ("26",)}, {"port": 65536}])
def test_settings_that_make_no_sense(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PortalSettings(**keys)


def test_tls_needs_certificates(toy: Any, doorkeeper: Doorkeeper) -> None:
    with pytest.raises(ConfigError, match="certificates"):
        toy(Clock(), doorkeeper, tls=STARTTLS)


def test_a_port_is_of_both_families(doorkeeper: Doorkeeper) -> None:
    settings = PortalSettings(port=25, tls="off")
    clock: IReactorTime = Clock()
    portal = LinePortal(settings, clock=clock, limits=Limits(), doorkeeper=doorkeeper)
    assert portal.addresses == ("tcp:25",)
