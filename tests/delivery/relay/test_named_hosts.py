"""Smarthosts and LMTP: hosts that the operator names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from mailplat.mail.content import Octets
from mailplat.mail.envelope import DeliverBy
from mailplat.testing.contracts.agents import AgentContract, new_job
from mailplat.testing.peers import RecordingPeer
from mailplat.testing.transits import HELLO

from .conftest import Internet

Send = Callable[..., Any]


class TestSmarthost(AgentContract):
    @pytest.fixture
    def agent(self, internet: Internet) -> Any:
        internet.host("out.example.com")
        return internet.smarthost(f"out.example.com:{internet.port}", tls="off")


class TestLmtp(AgentContract):
    @pytest.fixture
    def agent(self, internet: Internet) -> Any:
        internet.host("mail.example.com", lmtp=True)
        return internet.lmtp(f"mail.example.com:{internet.port}")


async def test_a_smarthost_with_a_login(internet: Internet, send: Send) -> None:
    peer = internet.host(
        "out.example.com",
        tls=internet.tls("out.example.com"),
        extensions=("PIPELINING", "AUTH PLAIN LOGIN"),
    )
    agent = internet.smarthost(
        f"out.example.com:{internet.port}", login="carol", password="secret"
    )
    assert await send(agent, "anybody@anywhere.example") == ["2.0.0"]
    assert peer.received[0].secured
    assert b"AUTH PLAIN AGNhcm9sAHNlY3JldA==" in peer.commands


async def test_a_smarthost_under_implicit_tls(internet: Internet, send: Send) -> None:
    peer = internet.host("out.example.com", tls=internet.tls("out.example.com"), implicit=True)
    agent = internet.smarthost(f"out.example.com:{internet.port}", tls="implicit")
    assert await send(agent) == ["2.0.0"]
    assert peer.received[0].secured


@pytest.mark.parametrize("name", ["evil.example.com", ""])
async def test_no_password_for_a_host_that_is_another(
    internet: Internet, send: Send, name: str
) -> None:
    tls = internet.tls(name) if name else None
    peer = internet.host("out.example.com", tls=tls, extensions=("AUTH PLAIN",))
    agent = internet.smarthost(
        f"out.example.com:{internet.port}", login="carol", password="secret"
    )
    waived = Octets(b"TLS-Required: No\r\n" + HELLO)
    assert await send(agent, content=waived) == ["4.7.5"]
    assert not any(command.startswith(b"AUTH") for command in peer.commands)


async def test_a_refused_login_is_tried_at_the_next_host_and_then_later(
    internet: Internet, send: Send
) -> None:
    names = ("one.example.com", "two.example.com")
    refusing = {"AUTH": b"535 5.7.8 wrong\r\n"}
    one, two = (
        internet.host(
            name, tls=internet.tls(name), extensions=("AUTH PLAIN",), answers=refusing
        )
        for name in names
    )
    hosts = [f"{name}:{internet.port}" for name in names]
    agent = internet.smarthost(*hosts, login="carol", password="secret")
    assert await send(agent) == ["4.7.8"]
    two.answers = {}
    assert await send(agent) == ["2.0.0"]
    assert (len(one.received), len(two.received)) == (0, 1)


async def test_lmtp_answers_for_each(internet: Internet, send: Send) -> None:
    internet.host(
        "mail.example.com",
        lmtp=True,
        answers={"END": b"250 2.0.0 kept\r\n452 4.2.2 full\r\n"},
        refused={b"eve@example.org": b"550 5.1.1 no"},
    )
    agent = internet.lmtp(f"mail.example.com:{internet.port}")
    to = ["alice@example.org", "eve@example.org", "bob@example.org"]
    assert await send(agent, *to) == ["2.0.0", "5.1.1", "4.2.2"]


async def test_the_last_hop_need_promise_nothing(internet: Internet, send: Send) -> None:
    peer = internet.host("mail.example.com", lmtp=True)
    envelope = attrs.evolve(
        new_job("alice@example.org").envelope,
        requires_tls=True,
        deliver_by=DeliverBy(datetime.fromtimestamp(1, UTC), returns=True),
    )
    agent = internet.lmtp(f"mail.example.com:{internet.port}")
    assert await send(agent, envelope=envelope) == ["2.0.0"]
    assert len(peer.received) == 1


async def test_lmtp_on_a_unix_socket(internet: Internet, send: Send) -> None:
    path = str(internet.folder / "lmtp")
    agent = internet.lmtp(f"unix:{path}")
    assert await send(agent) == ["4.4.1"]
    peer = RecordingPeer("mail", lmtp=True)
    peer.start_at(internet.reactor, path)
    internet.peers.append(peer)
    for _ in range(2):
        assert await send(agent, "alice@example.org", "bob@example.org") == ["2.0.0", "2.0.0"]
    assert peer.connections == 1
    assert len(peer.received) == 2
    assert not peer.received[0].secured


@pytest.mark.parametrize("answers", [{"GREETING": b"421 busy\r\n"}, {"LHLO": b"500 no\r\n"}])
async def test_a_unix_socket_in_trouble(internet: Internet, send: Send, answers: Any) -> None:
    path = str(internet.folder / "lmtp")
    peer = RecordingPeer("mail", lmtp=True, answers=answers)
    peer.start_at(internet.reactor, path)
    internet.peers.append(peer)
    [status] = await send(internet.lmtp(f"unix:{path}"))
    assert status.startswith("4.")
