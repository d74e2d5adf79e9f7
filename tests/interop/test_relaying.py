"""Our relay, by a name server of its own, to a real Postfix and to a house of ours."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from twisted.internet.task import deferLater

from mailplat.delivery.relay.agents import Lmtp, LmtpSettings, Relay, RelaySettings
from mailplat.interfaces import House as Self
from mailplat.mail.address import Address
from mailplat.mail.content import Octets
from mailplat.mail.envelope import Envelope, Recipient
from mailplat.mail.mailbox import Outcome
from mailplat.mail.transit import Job
from mailplat.resolver.resolver import Resolver
from mailplat.resolver.servers import ResolverSettings
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.nameserver import Nameserver
from mailplat.testing.programs import LOOPBACK, House, Postfix, Program
from mailplat.wire.smtp.sender import Awaited

pytestmark = pytest.mark.interop

ZONE = "@ MX 10 mx\nmx A 127.0.0.1\n"
PATIENCE = dict.fromkeys(Awaited, 20.0)
PEOPLE = ("alice", "bob", "eve")


@attrs.frozen
class Server:
    """A Postfix under way, with the folder that it keeps its mail in."""

    postfix: Postfix
    program: Program

    def received(self, name: str) -> list[bytes]:
        folder = self.postfix.maildirs / name / "new"
        return [path.read_bytes() for path in sorted(folder.glob("*"))]


@pytest.fixture(scope="module")
def servers(real: Callable[[str, str], str]) -> Iterator[Callable[..., Server]]:
    """Start a Postfix for example.org, one for each way in which it is set up."""
    real("postfix", "postfix")
    running: dict[tuple[tuple[str, str], ...], Server] = {}
    folders: list[tempfile.TemporaryDirectory[str]] = []

    def start(**main: str) -> Server:
        key = tuple(sorted(main.items()))
        if key not in running:
            # Not below pytest's own folder: Postfix's processes reach it as another user.
            folders.append(tempfile.TemporaryDirectory(prefix="postfix."))
            postfix = Postfix(Path(folders[-1].name), people=PEOPLE, main=main)
            running[key] = Server(postfix, postfix.start())
        return running[key]

    yield start
    for server in running.values():
        server.program.stop()
    for folder in folders:
        folder.cleanup()


@async_yield_fixture
async def nameserver(reactor: Any) -> AsyncIterator[Nameserver]:
    server = Nameserver({"example.org": ZONE})
    server.start(reactor)
    yield server
    await server.stop()


@async_yield_fixture
async def relay_to(
    reactor: Any, nameserver: Nameserver, tmp_path: Path
) -> AsyncIterator[Callable[..., Relay]]:
    made: list[Relay] = []

    def relay_to(port: int, **settings: Any) -> Relay:
        where = ResolverSettings(servers=(f"{LOOPBACK}:{nameserver.port}",))
        chosen = RelaySettings(port=port, own_networks=("127.0.0.0/8",), **settings)
        name = Self("out.example.net", tmp_path)
        resolver = Resolver(where, reactor)
        made.append(Relay(chosen, name, reactor, resolver, patience=PATIENCE))
        return made[-1]

    yield relay_to
    for relay in made:
        await relay.finish()


def new_job(content: bytes, *to: str) -> Job:
    recipients = tuple(Recipient(Address.parse(text)) for text in to)
    envelope = Envelope(Address.parse("carol@example.net"), recipients)
    return Job("4f2a", envelope, Octets(content), datetime.now(UTC))


async def arrivals(reactor: Any, server: Server, name: str, count: int = 1) -> list[bytes]:
    """Wait until so many messages lie in somebody's maildir."""
    for _ in range(3000):
        if len(found := server.received(name)) >= count:
            return found
        await deferLater(reactor, 0.01)
    raise TimeoutError(f"no {count} messages for {name}")


def statuses(outcomes: Any) -> list[str]:
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    return [str(outcome.status) for outcome in outcomes]


async def test_postfix_gets_what_was_sent(
    reactor: Any, servers: Any, relay_to: Any, message_file: Path
) -> None:
    server = servers()
    job = new_job(message_file.read_bytes(), "alice@example.org", "nobody@example.org")
    outcomes = await relay_to(server.postfix.port).attempt(job)
    assert statuses(outcomes) == ["2.0.0", "5.1.1"]
    assert "queued as" in outcomes[0].reply
    assert outcomes[0].remote == "mx.example.org"
    [message] = await arrivals(reactor, server, "alice")
    assert message.endswith(job.content.octets.replace(b"\r\n", b"\n"))


async def test_a_large_message_in_chunks(reactor: Any, servers: Any, relay_to: Any) -> None:
    server = servers()
    content = b"Subject: large\r\n\r\n" + b"." * 70 + b"\r\n.\r\n" + b".x\r\n" * 300_000
    outcomes = await relay_to(server.postfix.port).attempt(new_job(content, "eve@example.org"))
    assert statuses(outcomes) == ["2.0.0"], server.program.output()
    [message] = await arrivals(reactor, server, "eve")
    body = content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
    assert message.partition(b"\n\n")[2] == body


async def test_what_is_too_large_for_postfix_is_not_sent(servers: Any, relay_to: Any) -> None:
    server = servers(message_size_limit="1000")
    relay = relay_to(server.postfix.port)
    [outcome] = await relay.attempt(new_job(b"x" * 2000, "alice@example.org"))
    assert str(outcome.status) == "5.3.4"
    assert not outcome.reply  # nobody was asked


async def test_more_recipients_than_postfix_takes_at_once(
    reactor: Any, servers: Any, relay_to: Any
) -> None:
    server = servers(smtpd_recipient_limit="2", smtpd_recipient_overshoot_limit="1")
    to = [f"{name}@example.org" for name in PEOPLE]
    outcomes = await relay_to(server.postfix.port).attempt(new_job(b"A: b\r\n\r\nc\r\n", *to))
    assert statuses(outcomes) == ["2.0.0"] * 3, server.program.output()
    for name in PEOPLE:
        assert len(await arrivals(reactor, server, name)) == 1


async def test_many_messages_on_few_connections(
    reactor: Any, servers: Any, relay_to: Any
) -> None:
    server = servers(smtpd_hard_error_limit="1")
    relay = relay_to(server.postfix.port)
    for number in range(20):
        job = new_job(b"Subject: %d\r\n\r\nhello\r\n" % number, "bob@example.org")
        assert statuses(await relay.attempt(job)) == ["2.0.0"]
    assert len(await arrivals(reactor, server, "bob", 20)) == 20
    connections = server.program.output().count(": connect from")
    assert connections == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for mx.example.org with its key in one file, and the authority's."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    pem, root = folder / "mx.pem", folder / "root.pem"
    authority.issue_cert("mx.example.org").private_key_and_cert_chain_pem.write_to_path(
        str(pem)
    )
    authority.cert_pem.write_to_path(str(root))
    return pem, root


async def test_postfix_under_tls(
    reactor: Any, servers: Any, relay_to: Any, certificate: tuple[Path, Path]
) -> None:
    pem, root = certificate
    server = servers(
        smtpd_tls_chain_files=str(pem),
        smtpd_tls_security_level="encrypt",
        smtpd_tls_loglevel="1",
    )
    relay = relay_to(server.postfix.port, tls="must", trust=root)
    for number in range(2):
        job = new_job(b"Subject: %d\r\n\r\nhello\r\n" % number, "alice@example.org")
        assert statuses(await relay.attempt(job)) == ["2.0.0"]
    assert len(await arrivals(reactor, server, "alice", 2)) == 2
    assert server.program.output().count("TLS connection established") == 1


async def test_postfix_that_wants_tls_and_gets_none(
    servers: Any, relay_to: Any, certificate: tuple[Path, Path]
) -> None:
    server = servers(
        smtpd_tls_chain_files=str(certificate[0]),
        smtpd_tls_security_level="encrypt",
        smtpd_tls_loglevel="1",
    )
    relay = relay_to(server.postfix.port, tls="off")
    [outcome] = await relay.attempt(new_job(b"A: b\r\n\r\nc\r\n", "alice@example.org"))
    assert outcome.status.klass == 5
    assert outcome.reply.startswith("530 5.7.0 Must issue a STARTTLS")


async def test_postfix_that_greylists(servers: Any, relay_to: Any) -> None:
    server = servers(smtpd_recipient_restrictions="defer")
    relay = relay_to(server.postfix.port)
    [outcome] = await relay.attempt(new_job(b"A: b\r\n\r\nc\r\n", "alice@example.org"))
    assert outcome.status.is_transient


async def test_a_house_of_ours(
    relay_to: Any, house: House, person: Any, message_file: Path, assert_same: Any
) -> None:
    relay = relay_to(house.port("smtp"))
    job = new_job(message_file.read_bytes(), person.address, f"nobody@{house.domain}")
    outcomes = await relay.attempt(job)
    assert statuses(outcomes) == ["2.0.0", "5.1.1"]
    [message] = person.received()
    assert_same(message)
    assert b"with ESMTPS" in message.partition(b"\r\n\r\n")[0]


async def test_a_house_of_ours_by_lmtp(
    reactor: Any, house: House, person: Any, message_file: Path, tmp_path: Path
) -> None:
    settings = LmtpSettings(host=f"{LOOPBACK}:{house.port('lmtp')}")
    resolver = Resolver(ResolverSettings(servers=(LOOPBACK,)), reactor)
    agent = Lmtp(settings, Self("out.example.net", tmp_path), reactor, resolver)
    job = new_job(message_file.read_bytes(), person.address, f"nobody@{house.domain}")
    assert statuses(await agent.attempt(job)) == ["2.0.0", "5.1.1"]
    assert len(person.received()) == 1
    await agent.finish()
