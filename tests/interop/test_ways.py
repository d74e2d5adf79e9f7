"""DANE and MTA-STS against a real Postfix: who is right gets mail, and nobody else."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from twisted.internet import ssl
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from mailplat.delivery.relay.agents import Relay, RelaySettings
from mailplat.delivery.ways.fetching import Fetcher
from mailplat.delivery.ways.policies import StsPolicies
from mailplat.delivery.ways.settings import WaySettings
from mailplat.delivery.ways.ways import Ways
from mailplat.files import Disk
from mailplat.interfaces import House
from mailplat.resolver.resolver import Resolver
from mailplat.resolver.servers import ResolverSettings
from mailplat.testing.contracts.agents import new_job
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.issuing import NOW, Issued, issue
from mailplat.testing.nameserver import Nameserver
from mailplat.testing.programs import LOOPBACK, Postfix
from mailplat.testing.workers import workers_at_once
from mailplat.trust.dane import text_of

pytestmark = pytest.mark.interop

DAY = 86400
HOST, PEOPLE = "mx.example.org", ("alice",)
ROOT = issue("root", ca=True)
LEAF = issue("leaf", ROOT, hosts=[HOST])
OTHER = issue("other", ROOT, hosts=["other.example"])


@pytest.fixture(scope="module")
def postfix(
    real: Callable[[str, str], str], authority: trustme.CA
) -> Iterator[Callable[[str], Postfix]]:
    """Start a Postfix that shows a certificate of its own, a trusted one, or has no TLS."""
    real("postfix", "postfix")
    with tempfile.TemporaryDirectory(prefix="postfix.") as text:
        folder = Path(text)
        folder.chmod(0o755)
        trusted = authority.issue_cert(HOST).private_key_and_cert_chain_pem.bytes()
        shown = {"own": LEAF.secret + LEAF.pem + ROOT.pem, "trusted": trusted, "none": b""}
        running: dict[str, tuple[Postfix, Any]] = {}

        def start(kind: str) -> Postfix:
            if kind not in running:
                main = {}
                if shown[kind]:
                    file = folder / f"{kind}.pem"
                    file.write_bytes(shown[kind])
                    main = {
                        "smtpd_tls_chain_files": str(file),
                        "smtpd_tls_security_level": "may",
                    }
                made = Postfix(folder / kind, people=PEOPLE, main=main)
                running[kind] = made, made.start()
            return running[kind][0]

        yield start
        for _, program in running.values():
            program.stop()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@attrs.define(eq=False)
class World:
    """A name server, a web server with policies, and a relay that goes by them."""

    reactor: Any
    folder: Path
    nameserver: Nameserver
    root: Resource
    port: int
    trust: Path
    clock: Clock = attrs.field(factory=Clock)
    relays: list[Relay] = attrs.field(factory=list)

    def zone(self, *lines: str) -> None:
        self.nameserver.add(
            "example.org",
            "\n".join([f"@ MX 10 mx\nmx A {LOOPBACK}\nmta-sts A {LOOPBACK}", *lines]),
        )

    def policy(self, *lines: str, max_age: int = 7 * DAY) -> None:
        text = "\r\n".join(["version: STSv1", *lines, f"max_age: {max_age}", ""])
        folder = Resource()
        folder.putChild(b"mta-sts.txt", Data(text.encode(), "text/plain"))
        self.root.putChild(b".well-known", folder)

    async def sends(self, to: Postfix) -> str:
        """Send by a relay that has just started, and return the status."""
        where = ResolverSettings(servers=(f"{LOOPBACK}:{self.nameserver.port}",))
        resolver = Resolver(where, self.reactor)
        fetcher = Fetcher(self.reactor, resolver, self.trust, self.port)
        workers = workers_at_once()
        policies = StsPolicies(self.folder, resolver, fetcher, Disk(), workers, self.clock)
        ways = Ways(WaySettings(), resolver, policies, self.clock)
        await ways.prepare()
        settings = RelaySettings(port=to.port, own_networks=("127.0.0.0/8",), trust=self.trust)
        house = House("out.example.net", self.folder)
        relay = Relay(settings, house, self.reactor, resolver, ways)
        self.relays.append(relay)
        [outcome] = await relay.attempt(new_job("alice@example.org"))
        return str(outcome.status)


@async_yield_fixture
async def world(reactor: Any, tmp_path: Path, authority: trustme.CA) -> AsyncIterator[World]:
    nameserver = Nameserver({}, proven=["example.org"])
    nameserver.start(reactor)
    trust = tmp_path / "trust.pem"
    authority.cert_pem.write_to_path(str(trust))
    pem = authority.issue_cert("mta-sts.example.org").private_key_and_cert_chain_pem.bytes()
    root = Resource()
    options = ssl.PrivateCertificate.loadPEM(pem).options()
    listening = reactor.listenSSL(0, Site(root), options, interface=LOOPBACK)
    port = listening.getHost().port
    world = World(reactor, tmp_path, nameserver, root, port, trust)
    world.clock.advance(NOW.timestamp())
    yield world
    for relay in world.relays:
        await relay.finish()
    await listening.stopListening()
    await nameserver.stop()


def tlsa(issued: Issued, usage: int) -> str:
    return f"_25._tcp.mx TLSA {text_of(issued.record(usage))}"


@pytest.mark.parametrize("usage", [2, 3])
async def test_dane(world: World, postfix: Callable[[str], Postfix], usage: int) -> None:
    right = ROOT if usage == 2 else LEAF
    world.zone(tlsa(right, usage))
    assert await world.sends(postfix("own")) == "2.0.0"
    assert await world.sends(postfix("trusted")) == "4.7.5"
    assert await world.sends(postfix("none")) == "4.7.5"
    world.zone(tlsa(OTHER, usage))
    assert await world.sends(postfix("own")) == "4.7.5"
    world.zone(tlsa(OTHER, usage), tlsa(right, usage))
    assert await world.sends(postfix("own")) == "2.0.0"


async def test_without_proof(world: World, postfix: Callable[[str], Postfix]) -> None:
    world.nameserver.proven.clear()
    world.zone(tlsa(OTHER, 3))
    assert await world.sends(postfix("own")) == "2.0.0"
    assert await world.sends(postfix("none")) == "2.0.0"


async def test_mta_sts(world: World, postfix: Callable[[str], Postfix]) -> None:
    world.zone('_mta-sts TXT "v=STSv1; id=1"')
    world.policy("mode: enforce", "mx: *.example.org")
    assert await world.sends(postfix("trusted")) == "2.0.0"
    assert await world.sends(postfix("own")) == "4.7.5"
    assert await world.sends(postfix("none")) == "4.7.5"
    world.zone()  # nobody says any more that there is a policy
    assert await world.sends(postfix("own")) == "4.7.5"


async def test_a_policy_changes(world: World, postfix: Callable[[str], Postfix]) -> None:
    world.zone('_mta-sts TXT "v=STSv1; id=1"')
    world.policy("mode: enforce", "mx: elsewhere.example.org")
    assert await world.sends(postfix("trusted")) == "4.7.5"
    world.policy("mode: enforce", f"mx: {HOST}")
    assert await world.sends(postfix("trusted")) == "4.7.5"
    world.zone('_mta-sts TXT "v=STSv1; id=2"')
    assert await world.sends(postfix("trusted")) == "2.0.0"
    world.policy("mode: testing", "mx: elsewhere.example.org")
    world.zone('_mta-sts TXT "v=STSv1; id=3"')
    assert await world.sends(postfix("none")) == "2.0.0"


async def test_a_policy_expires(world: World, postfix: Callable[[str], Postfix]) -> None:
    world.zone('_mta-sts TXT "v=STSv1; id=1"')
    world.policy("mode: enforce", f"mx: {HOST}")
    assert await world.sends(postfix("none")) == "4.7.5"
    world.zone()
    world.clock.advance(6 * DAY)
    assert await world.sends(postfix("none")) == "4.7.5"
    world.clock.advance(2 * DAY)
    assert await world.sends(postfix("none")) == "2.0.0"
