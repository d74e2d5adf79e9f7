"""What the way to a host has to prove."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import attrs
import pytest
import trustme
from zope.interface import implementer

from mailplat.interfaces import IWayPolicies
from mailplat.mail.content import Octets
from mailplat.mail.hops import Exchange, Requirement, Shown
from mailplat.testing.contracts.agents import new_job
from mailplat.testing.peers import PeerConnection, RecordingPeer
from mailplat.testing.transits import HELLO

from .conftest import Internet

Send = Callable[..., Any]


def secured(internet: Internet, *names: str, **what: Any) -> RecordingPeer:
    internet.exchange("example.org", "mx.example.org")
    return internet.host(
        "mx.example.org", tls=internet.tls(*(names or ("mx.example.org",))), **what
    )


async def test_tls_where_it_is_offered(internet: Internet, send: Send) -> None:
    peer = secured(internet)
    relay = internet.relay()
    for _ in range(2):
        assert await send(relay) == ["2.0.0"]
    assert all(message.secured for message in peer.received)
    assert peer.connections == 1
    assert peer.commands.count(b"EHLO out.example.net") == 2


async def test_any_certificate_is_better_than_none(internet: Internet, send: Send) -> None:
    peer = secured(internet, "elsewhere.example.com")
    assert await send(internet.relay()) == ["2.0.0"]
    assert peer.received[0].secured


@pytest.mark.parametrize(
    "answer",
    [
        b"454 4.7.0 no certificate\r\n",
        lambda peer: peer.hang_up(),
        lambda peer: (peer.say(b"220 go on\r\n"), peer.hang_up()),
    ],
)
async def test_in_the_clear_where_tls_fails(
    internet: Internet, send: Send, answer: Any
) -> None:
    peer = secured(internet, answers={"STARTTLS": answer})
    status = await send(internet.relay())
    if peer.received:
        assert status == ["2.0.0"]
        assert not peer.received[0].secured
    else:
        assert status == ["4.4.2"]  # hung up before it said anything of TLS


async def test_words_behind_starttls_are_not_heard(internet: Internet, send: Send) -> None:
    def inject(peer: PeerConnection) -> None:
        peer.say(b"220 go on\r\n250 evil\r\n")

    peer = secured(internet, answers={"STARTTLS": inject})
    assert await send(internet.relay()) == ["4.5.0"]
    assert peer.received == []


async def test_never_in_the_clear_where_tls_is_a_must(internet: Internet, send: Send) -> None:
    internet.exchange("example.org", "mx.example.org")
    peer = internet.host("mx.example.org")  # which was stripped of STARTTLS
    assert await send(internet.relay(tls="must")) == ["4.7.5"]
    peer.tls = internet.tls("x.example")
    assert await send(internet.relay(tls="must")) == ["2.0.0"]
    assert peer.received[0].secured
    peer.answers["STARTTLS"] = b"454 4.7.0 no\r\n"
    assert await send(internet.relay(tls="must")) == ["4.7.5"]


async def test_never_under_tls_where_it_is_off(internet: Internet, send: Send) -> None:
    peer = secured(internet)
    assert await send(internet.relay(tls="off")) == ["2.0.0"]
    assert not peer.received[0].secured


@implementer(IWayPolicies)
@attrs.frozen
class Pinned:
    """Wants what was shown to be trusted, and tells what it was."""

    seen: list[Shown] = attrs.field(factory=list)
    objection: str = ""

    async def policy(self, domain: str) -> Hashable:
        return domain

    async def requirement(self, policy: Hashable, exchange: Exchange) -> Requirement:
        def judge(shown: Shown) -> str:
            self.seen.append(shown)
            return self.objection or ("" if shown.trusted else shown.problem)

        return Requirement(True, judge, source="a test")


async def test_a_policy_judges_what_was_shown(internet: Internet, send: Send) -> None:
    peer = secured(internet)
    policies = Pinned()
    assert await send(internet.relay(policies=policies)) == ["2.0.0"]
    [shown] = policies.seen
    assert shown.trusted
    assert shown.version == "TLSv1.3"
    assert len(shown.chain) >= 1
    refusing = Pinned(objection="not this one")
    [outcome] = await internet.relay(policies=refusing).attempt(new_job("alice@example.org"))
    assert str(outcome.status) == "4.7.5"
    assert "not this one" in outcome.detail
    assert len(peer.received) == 1


async def test_a_policy_refuses_a_host_in_the_clear(internet: Internet, send: Send) -> None:
    internet.exchange("example.org", "mx.example.org")
    peer = internet.host("mx.example.org")
    assert await send(internet.relay(policies=Pinned())) == ["4.7.5"]
    waived = Octets(b"TLS-Required: No\r\n" + HELLO)
    assert await send(internet.relay(policies=Pinned()), content=waived) == ["2.0.0"]
    assert len(peer.received) == 1


async def test_a_certificate_that_nobody_vouches_for(internet: Internet, send: Send) -> None:
    stranger = Internet(internet.reactor, internet.folder, trustme.CA())
    internet.exchange("example.org", "mx.example.org")
    peer = internet.host("mx.example.org", tls=stranger.tls("mx.example.org"))
    assert await send(internet.relay(policies=Pinned())) == ["4.7.5"]
    assert await send(internet.relay()) == ["2.0.0"]
    assert len(peer.received) == 1


async def test_domains_of_other_policies_do_not_share_a_transaction(
    internet: Internet, send: Send
) -> None:
    peer = secured(internet)
    internet.exchange("example.com", "mx.example.org")
    relay = internet.relay(policies=Pinned())
    assert await send(relay, "a@example.org", "b@example.com") == ["2.0.0", "2.0.0"]
    assert len(peer.received) == 2


async def test_what_requires_tls_to_its_end(internet: Internet, send: Send) -> None:
    """RFC 8689 section 4.2.1."""
    peer = secured(internet, extensions=("PIPELINING", "REQUIRETLS"))
    envelope = attrs.evolve(new_job("alice@example.org").envelope, requires_tls=True)
    assert await send(internet.relay(), envelope=envelope) == ["5.7.30"]
    internet.resolver.proven = {"example.org"}
    assert await send(internet.relay(), envelope=envelope) == ["2.0.0"]
    assert any(b" REQUIRETLS" in command for command in peer.commands)
    peer.extensions = ("PIPELINING",)
    assert await send(internet.relay(), envelope=envelope) == ["5.7.30"]
    assert len(peer.received) == 1
