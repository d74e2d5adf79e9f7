"""Who may come in."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from mailplat.mail.errors import TooManyConnections
from mailplat.mail.limits import Limits
from mailplat.mail.transit import Peer, network_of
from mailplat.portals.doorkeeper import REMEMBERED, Doorkeeper


def test_networks() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::"
    assert network_of("fe80::1%eth0") == "fe80::"
    assert network_of("") == ""


def test_connections_of_one_address() -> None:
    door = Doorkeeper(Limits(connections_per_address=2), Clock())
    one, other = Peer("2001:db8::1"), Peer("2001:db8::ffff")
    door.enter(one)
    door.enter(other)
    with pytest.raises(TooManyConnections):
        door.enter(one)
    door.enter(Peer("2001:db8:0:1::1"))
    door.leave(other)
    door.enter(one)
    assert door.inside == 3


def test_uncounted_networks() -> None:
    door = Doorkeeper(Limits(connections_per_address=1, connections=50), Clock())
    for _ in range(10):
        door.enter(Peer("127.0.0.1"))
        door.enter(Peer("::1"))
        door.enter(Peer(path="/run/door"))
    assert door.inside == 30
    strict = Doorkeeper(Limits(connections_per_address=1, uncounted_networks=()), Clock())
    strict.enter(Peer("127.0.0.1"))
    with pytest.raises(TooManyConnections):
        strict.enter(Peer("127.0.0.1"))
    strict.enter(Peer(path="/run/door"))
    strict.enter(Peer(path="/run/door"))


def test_the_last_tenth_is_for_friends() -> None:
    door = Doorkeeper(Limits(connections=100), Clock())
    friend = Peer("198.51.100.1")
    door.know(friend)
    for number in range(90):
        assert door.crowded == (number > 80)
        door.enter(Peer(f"192.0.2.{number}"))
    with pytest.raises(TooManyConnections):
        door.enter(Peer("192.0.2.200"))
    door.enter(friend)
    for _ in range(9):
        door.enter(Peer("127.0.0.1"))
    for peer in (friend, Peer("127.0.0.1"), Peer("192.0.2.200")):
        with pytest.raises(TooManyConnections):
            door.enter(peer)
    assert door.inside == 100


def test_what_is_known_is_bounded() -> None:
    door = Doorkeeper(Limits(connections=0), Clock())
    for number in range(REMEMBERED + 10):
        door.know(Peer(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(door._known) == REMEMBERED
    assert "10.0.0.0" not in door._known


def test_handshakes_in_a_minute() -> None:
    clock = Clock()
    door = Doorkeeper(Limits(handshakes_per_address=2), clock)
    peer = Peer("192.0.2.1")
    door.shake_hands(peer)
    door.shake_hands(peer)
    with pytest.raises(TooManyConnections):
        door.shake_hands(peer)
    door.shake_hands(Peer("192.0.2.2"))
    for _ in range(10):
        door.shake_hands(Peer("127.0.0.1"))
    clock.advance(60)
    door.shake_hands(peer)


def test_arrivals_in_a_minute() -> None:
    clock = Clock()
    door = Doorkeeper(Limits(arrivals_per_address=2, connections_per_address=1), clock)
    peer = Peer("192.0.2.1")
    for _ in range(2):
        door.enter(peer)
        for _ in range(100):
            with pytest.raises(TooManyConnections, match="1 connections"):
                door.enter(peer)  # who isn't let in hasn't arrived
        door.leave(peer)
    for _ in range(2000):
        with pytest.raises(TooManyConnections, match="2 arrivals a minute"):
            door.enter(peer)
    door.enter(Peer("192.0.2.2"))
    clock.advance(60)
    door.enter(peer)
    assert door.inside == 2
