"""Where mail goes, and how it is said there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from mailplat.mail.address import Address
from mailplat.mail.content import Octets
from mailplat.mail.dns import A, Aaaa, Cname, Mx
from mailplat.mail.envelope import Body, DeliverBy, Envelope, Notify, Recipient
from mailplat.mail.errors import LookupFailed
from mailplat.testing.contracts.agents import AgentContract, new_job
from mailplat.testing.peers import RecordingPeer
from mailplat.testing.transits import HELLO

from .conftest import Internet

Send = Callable[..., Any]


class TestRelay(AgentContract):
    @pytest.fixture
    def agent(self, internet: Internet) -> Any:
        internet.exchange("example.org", "mx.example.org")
        internet.exchange("example.net", "mx.example.org")
        internet.host("mx.example.org", refused={b"nobody@example.org": b"550 5.1.1 no"})
        return internet.relay()


# Routes.


async def test_a_message_arrives_as_it_is(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    assert await send(internet.relay(), "alice@example.org", "bob@example.org") == [
        "2.0.0",
        "2.0.0",
    ]
    [message] = mx.received
    assert message.octets == HELLO
    assert message.sender == b"carol@example.net"
    assert message.recipients == (b"alice@example.org", b"bob@example.org")
    assert mx.commands[0] == b"EHLO out.example.net"


async def test_what_is_said_of_an_outcome(internet: Internet, mx: RecordingPeer) -> None:
    mx.refused = {b"bob@example.org": b"550 5.1.1 no such"}
    job = new_job("alice@example.org", "bob@example.org")
    alice, bob = await internet.relay().attempt(job)
    assert alice.relayed
    assert alice.reports
    assert alice.remote == bob.remote == "mx.example.org"
    assert alice.reply == "250 2.0.0 kept"
    assert not bob.relayed
    assert bob.reply == "550 5.1.1 no such"
    assert "mx.example.org[127.0.1." in bob.detail


async def test_better_hosts_first(internet: Internet, send: Send) -> None:
    internet.exchange("example.org", "20 b.example.org", "10 a.example.org")
    first, second = internet.host("a.example.org"), internet.host("b.example.org")
    await send(internet.relay())
    assert (len(first.received), len(second.received)) == (1, 0)


@pytest.mark.parametrize(
    "trouble",
    [
        b"554 not you\r\n",
        b"421 4.3.2 busy\r\n",
        lambda peer: peer.hang_up(),
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
async def test_the_next_host_where_one_is_in_trouble(
    internet: Internet, send: Send, trouble: Any
) -> None:
    internet.exchange("example.org", "10 a.example.org", "20 b.example.org", "5 c.example.org")
    internet.host("a.example.org", answers={"GREETING": trouble})
    second = internet.host("b.example.org")
    internet.absent("c.example.org")
    assert await send(internet.relay()) == ["2.0.0"]
    assert len(second.received) == 1


async def test_a_domain_without_exchangers(internet: Internet, send: Send) -> None:
    peer = internet.host("example.org")
    assert await send(internet.relay()) == ["2.0.0"]
    assert len(peer.received) == 1


async def test_a_domain_that_is_an_alias(internet: Internet, send: Send) -> None:
    internet.resolver.records["www.example.org", Cname] = [Cname("example.org")]
    peer = internet.host("example.org")
    assert await send(internet.relay(), "alice@www.example.org") == ["2.0.0"]
    assert peer.received[0].recipients == (b"alice@www.example.org",)


async def test_an_address_literal(internet: Internet, send: Send) -> None:
    peer = internet.host("mx.example.org")
    [record] = internet.resolver.records["mx.example.org", A]  # type: ignore[misc]
    assert await send(internet.relay(), f"alice@[{record.address}]") == ["2.0.0"]
    assert len(peer.received) == 1
    assert internet.resolver.asked == []


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ({}, "5.1.2"),
        ({("example.org", Mx): [Mx(0, "")]}, "5.1.10"),
        ({("example.org", Mx): LookupFailed("made to fail")}, "4.4.3"),
        ({("example.org", Mx): [Mx(1, "gone.example.org")]}, "4.4.1"),
        ({("example.org", Cname): [Cname("x.org")], ("x.org", Cname): []}, "5.1.2"),
        ({("example.org", Mx): [Mx(1, "out.example.net")]}, "5.4.6"),
        ({("example.org", Mx): [Mx(1, "OUT.example.net".lower()), Mx(2, "b")]}, "5.4.6"),
        (
            {
                ("example.org", Mx): [Mx(1, "mx.example.org")],
                ("mx.example.org", A): LookupFailed("made to fail"),
            },
            "4.4.3",
        ),
    ],
)
async def test_domains_without_a_way(
    internet: Internet, send: Send, records: Any, status: str
) -> None:
    internet.resolver.records = records
    assert await send(internet.relay(port=9)) == [status]


async def test_each_domain_has_its_own_fate(internet: Internet, send: Send) -> None:
    internet.exchange("example.org", "mx.example.org")
    internet.exchange("example.com", "mx.example.org")
    internet.resolver.records["null.example", Mx] = [Mx(0, "")]
    peer = internet.host("mx.example.org")
    statuses = await send(
        internet.relay(), "a@null.example", "b@example.org", "c@gone.example", "d@example.com"
    )
    assert statuses == ["5.1.10", "2.0.0", "5.1.2", "2.0.0"]
    [message] = peer.received  # who has the same hosts shares a transaction
    assert message.recipients == (b"b@example.org", b"d@example.com")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1"])
async def test_nobody_s_name_leads_to_ourselves(
    internet: Internet, send: Send, address: str
) -> None:
    internet.exchange("example.org", "mx.example.org")
    internet.resolver.records["mx.example.org", A] = [A(ip_address(address))]  # type: ignore[arg-type]
    assert await send(internet.relay(own_networks=(), port=9)) == ["5.4.6"]


async def test_a_host_that_calls_itself_by_our_name(internet: Internet, send: Send) -> None:
    internet.exchange("example.org", "mx.example.org")
    peer = internet.host("mx.example.org")
    peer.name = "out.example.net"
    assert await send(internet.relay()) == ["5.4.6"]
    assert peer.received == []


async def test_six_and_four(internet: Internet, send: Send) -> None:
    """An address where nobody is costs a moment and not a time-out (RFC 8305)."""
    internet.exchange("example.org", "mx.example.org")
    peer = internet.host("mx.example.org")
    internet.resolver.records["mx.example.org", Aaaa] = [Aaaa(IPv6Address("::1"))]
    assert await send(internet.relay()) == ["2.0.0"]
    assert len(peer.received) == 1


# Contents.

UMLAUTS = HELLO.replace(b"hello\r\n", b"h\xc3\xa4llo\r\n").replace(
    b"Subject: h\xc3\xa4llo\r\n",
    b"Subject: hello\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
)


async def test_eight_bits_where_they_are_taken(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    assert await send(internet.relay(), content=Octets(UMLAUTS)) == ["2.0.0"]
    assert mx.received[0].octets == UMLAUTS
    assert b" BODY=8BITMIME" in mx.commands[1]


async def test_eight_bits_where_they_are_not(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.extensions = ("PIPELINING", "SIZE")
    assert await send(internet.relay(), content=Octets(UMLAUTS)) == ["2.0.0"]
    octets = mx.received[0].octets
    assert octets.isascii()
    assert b"aMOkbGxv" in octets
    assert b"BODY" not in mx.commands[1]
    assert f"SIZE={len(octets)}".encode() in mx.commands[1]


async def test_a_header_in_utf8_is_never_downgraded(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    content = Octets(HELLO.replace(b"Subject: hello", b"Subject: h\xc3\xa4llo"))
    envelope = Envelope(
        Address.parse("carol@example.net"),
        (Recipient(Address.parse("alice@example.org")),),
        body=Body.EIGHT_BIT,
        smtputf8=True,
    )
    relay = internet.relay(keep=timedelta(0))
    assert await send(relay, envelope=envelope, content=content) == ["2.0.0"]
    assert b" SMTPUTF8" in mx.commands[1]
    mx.extensions = ("PIPELINING", "8BITMIME")
    assert await send(relay, envelope=envelope, content=content) == ["5.6.7"]
    assert len(mx.received) == 1


async def test_what_needs_no_utf8_goes_without(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.extensions = ("PIPELINING", "8BITMIME")
    envelope = attrs.evolve(new_job("alice@example.org").envelope, smtputf8=True)
    assert await send(internet.relay(), envelope=envelope, content=Octets(UMLAUTS)) == ["2.0.0"]
    assert b"SMTPUTF8" not in mx.commands[1]


async def test_a_domain_of_other_letters_is_said_in_ascii(
    internet: Internet, send: Send
) -> None:
    internet.exchange("xn--mller-kva.example", "mx.example.org")
    peer = internet.host("mx.example.org", extensions=("PIPELINING",))
    assert await send(internet.relay(), "alice@müller.example") == ["2.0.0"]
    assert peer.received[0].recipients == (b"alice@xn--mller-kva.example",)


async def test_what_the_sender_wants_to_hear_is_passed_on(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    recipient = Recipient(Address.parse("alice@example.org"), notify=Notify.NEVER)
    envelope = attrs.evolve(new_job().envelope, recipients=(recipient,), envelope_id="abc")
    await send(internet.relay(), envelope=envelope)
    assert b" ENVID=abc" in mx.commands[1]
    assert b" NOTIFY=NEVER" in mx.commands[2]


async def test_by_when_it_is_to_be_there(
    internet: Internet, mx: RecordingPeer, send: Send
) -> None:
    mx.extensions = ("DELIVERBY",)
    at = datetime.fromtimestamp(1090, UTC)
    envelope = attrs.evolve(new_job("alice@example.org").envelope, deliver_by=DeliverBy(at))
    clock = Clock()
    clock.advance(1000)
    assert await send(internet.relay(wall=clock), envelope=envelope) == ["2.0.0"]
    assert b" BY=90;N" in mx.commands[1]
