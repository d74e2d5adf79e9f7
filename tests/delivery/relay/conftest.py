"""A small internet on loopback: names, hosts, and an agent that sends to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailplat.delivery.relay.agents import (
    Lmtp,
    LmtpSettings,
    Relay,
    RelaySettings,
    Smarthost,
    SmarthostSettings,
)
from mailplat.interfaces import House
from mailplat.mail.dns import A, Mx
from mailplat.mail.mailbox import Outcome
from mailplat.testing.contracts.agents import new_job
from mailplat.testing.fakes import FakeResolver
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.peers import RecordingPeer
from mailplat.wire.smtp.sender import Awaited

SOON = dict.fromkeys(Awaited, 0.3)


@implementer(IOpenSSLServerConnectionCreator)
@attrs.frozen
class Server:
    """Begins TLS as a host that has this certificate."""

    context: SSL.Context

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self.context, None)


@attrs.define(eq=False)
class Internet:
    """Hosts that all listen on one port, each at an address of its own."""

    reactor: Any
    folder: Path
    authority: trustme.CA
    resolver: FakeResolver = attrs.field(factory=FakeResolver)
    peers: list[RecordingPeer] = attrs.field(factory=list)
    agents: list[Any] = attrs.field(factory=list)
    port: int = 0

    def address(self, number: int) -> str:
        return f"127.0.1.{number}"

    def host(self, name: str, **what: Any) -> RecordingPeer:
        """Add a host that listens, and its address."""
        peer = RecordingPeer(name, **what)
        address = self.absent(name)
        peer.start(self.reactor, address, self.port)
        self.port = peer.port
        self.peers.append(peer)
        return peer

    def absent(self, name: str) -> str:
        """Add a name that leads where nobody listens."""
        address = self.address(len(self.resolver.records) + 1)
        self.resolver.records[name, A] = [A(ip_address(address))]  # type: ignore[arg-type]
        return address

    def exchange(self, domain: str, *hosts: str) -> None:
        """Say who takes a domain's mail; ``10 name`` or just names, of equal preference."""
        records = []
        for host in hosts:
            preference, _, name = host.rpartition(" ")
            records.append(Mx(int(preference or 10), name))
        self.resolver.records[domain, Mx] = records

    def relay(
        self, *, patience: Any = None, policies: Any = None, wall: Any = None, **settings: Any
    ) -> Relay:
        settings.setdefault("port", self.port)
        settings.setdefault("own_networks", ("127.0.0.0/8", "::1/128"))
        settings.setdefault("trust", self.trust)
        agent = Relay(
            RelaySettings(**settings),
            House("out.example.net", self.folder),
            self.reactor,
            self.resolver,
            policies,
            wall,
            patience=patience or dict.fromkeys(Awaited, 30.0),
            shuffle=lambda exchanges: exchanges.sort(key=lambda one: one.name),
        )
        self.agents.append(agent)
        return agent

    def smarthost(self, *hosts: str, **settings: Any) -> Smarthost:
        settings.setdefault("trust", self.trust)
        agent = Smarthost(
            SmarthostSettings(hosts=hosts, **settings),
            House("out.example.net", self.folder),
            self.reactor,
            self.resolver,
        )
        self.agents.append(agent)
        return agent

    def lmtp(self, host: str, **settings: Any) -> Lmtp:
        agent = Lmtp(
            LmtpSettings(host=host, trust=self.trust, **settings),
            House("out.example.net", self.folder),
            self.reactor,
            self.resolver,
        )
        self.agents.append(agent)
        return agent

    @property
    def trust(self) -> Path:
        path = self.folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return path

    def tls(self, *names: str) -> Any:
        """Return what a host needs for TLS under these names."""
        file = self.folder / f"{names[0]}.pem"
        made = self.authority.issue_cert(*names)
        made.private_key_and_cert_chain_pem.write_to_path(str(file))
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate_chain_file(str(file))
        context.use_privatekey_file(str(file))
        return Server(context)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@async_yield_fixture
async def internet(
    reactor: Any, tmp_path: Path, authority: trustme.CA
) -> AsyncIterator[Internet]:
    internet = Internet(reactor, tmp_path, authority)
    yield internet
    for agent in internet.agents:
        await agent.finish()
    for peer in internet.peers:
        await peer.stop()


@pytest.fixture
def mx(internet: Internet) -> RecordingPeer:
    """The only host for example.org."""
    internet.exchange("example.org", "mx.example.org")
    return internet.host("mx.example.org")


@pytest.fixture
def send(internet: Internet) -> Callable[..., Any]:
    """Send a message by an agent, and return the statuses as text."""

    async def send(agent: Any, *to: str, **changes: Any) -> list[str]:
        outcomes = await agent.attempt(new_job(*(to or ("alice@example.org",)), **changes))
        assert all(isinstance(outcome, Outcome) for outcome in outcomes)
        return [str(outcome.status) for outcome in outcomes]

    return send


async def nobody_is_left(internet: Internet) -> None:
    for _ in range(100):
        if not any(peer.open for peer in internet.peers):
            return
        await deferLater(internet.reactor, 0.01)
    pytest.fail("a connection was left open")
