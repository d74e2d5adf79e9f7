"""A client that speaks over real sockets, for the tests of every portal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
from OpenSSL import SSL
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces import House, IDirectory
from mailplat.mail.address import Address
from mailplat.mail.limits import Limits
from mailplat.mail.people import Account, AccountId, Domain, Place
from mailplat.mail.transit import Peer
from mailplat.portals.connection import Connection
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.listen import Listener, open_listener
from mailplat.portals.service import LinePortal, PortalSettings
from mailplat.portals.tls import Certificates, TlsSettings, make_self_signed
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.wire.engine import After


@attrs.define
class Lines:
    """An engine: each line is an event; some replies ask for more than to be sent."""

    held: int = 0
    in_content: bool = False
    after: After = After.GO_ON
    complaint: str = ""
    _octets: bytes = b""

    def receive(self, octets: bytes) -> None:
        self._octets += octets
        self.held = len(self._octets)

    def next_event(self) -> object | None:
        line, end, rest = self._octets.partition(b"\n")
        if not end:
            return None
        self._octets, self.held = rest, len(rest)
        return line

    def send(self, reply: object) -> bytes:
        self.after = {b"quit": After.CLOSE, b"starttls": After.START_TLS}.get(
            bytes(reply),  # type: ignore[arg-type,call-overload]
            After.GO_ON,
        )
        return bytes(reply) + b"\n"  # type: ignore[arg-type,call-overload]


@attrs.define(eq=False)
class Session:
    connection: Connection
    portal: Toy
    patience: float = 30.0

    async def greet(self) -> object:
        return b"hello"

    async def answer(self, event: object) -> object:
        assert isinstance(event, bytes)
        if event == b"wait":
            wait: Deferred[bytes] = Deferred()
            self.portal.waits.append(wait)
            return await wait
        if event.startswith(b"send "):
            for _ in range(int(event[5:])):
                await self.connection.write(b"x" * 65535 + b"\n")
            return b"sent"
        if event.startswith(b"bind "):
            return self.connection.binding(event[5:].decode()).hex().encode()
        return event

    def lost(self) -> None:
        self.portal.ended.append(self.connection)


class Toy(LinePortal):
    def __init__(self, clock: Any, doorkeeper: Doorkeeper, **more: Any) -> None:
        settings = PortalSettings(
            listen=(more.pop("listen", "127.0.0.1:0"),), **more.pop("tls", {"tls": "off"})
        )
        limits = more.pop("limits", Limits())
        super().__init__(settings, clock=clock, limits=limits, doorkeeper=doorkeeper, **more)
        self.connections: list[Connection] = []
        self.ended: list[Connection] = []
        self.waits: list[Deferred[bytes]] = []

    def connect(self, connection: Connection) -> tuple[Lines, Session]:
        self.connections.append(connection)
        return Lines(), Session(connection, self)

    def refusal(self, error: Exception) -> bytes:
        return b"421 " + type(error).__name__.encode() + b"\r\n"


class Client(Protocol):
    """Keeps what it hears; `until` waits for it, `closed` for the end."""

    transport: Any

    def __init__(self) -> None:
        self._heard = bytearray()
        self.closed: Deferred[None] = Deferred()
        self._wanted: tuple[bytes, Deferred[bytes]] | None = None

    def connectionMade(self) -> None:
        self.port = getattr(self.transport.getHost(), "port", 0)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        self._look()

    @property
    def heard(self) -> bytes:
        return bytes(self._heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(None)

    def say(self, octets: bytes) -> None:
        self.transport.write(octets)

    def until(self, end: bytes) -> Deferred[bytes]:
        """Return what was heard up to and with ``end``."""
        answer: Deferred[bytes] = Deferred()
        self._wanted = (end, answer)
        self._look()
        return answer

    def _look(self) -> None:
        if self._wanted and self._wanted[0] in self._heard:
            (end, answer), self._wanted = self._wanted, None
            place = self._heard.index(end) + len(end)
            heard = bytes(self._heard[:place])
            del self._heard[:place]
            answer.callback(heard)

    def start_tls(self, **options: Any) -> SSL.Connection:
        self.transport.startTLS(Shaker(**options))
        handle: SSL.Connection = self.transport.getHandle()
        return handle


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class Shaker:
    """A TLS client that trusts everybody."""

    name: bytes = b""
    alpn: list[bytes] = attrs.Factory(list)
    highest: int = SSL.TLS1_3_VERSION
    ciphers: bytes = b"DEFAULT@SECLEVEL=0"

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(self.highest)
        context.set_cipher_list(self.ciphers)
        connection = SSL.Connection(context, None)
        if self.alpn:
            connection.set_alpn_protos(self.alpn)
        if self.name:
            connection.set_tlsext_host_name(self.name)
        return connection


@implementer(IDirectory, ICredentialsChecker)
class People:
    """A directory in memory whose passwords cost nothing."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.passwords: dict[str, bytes] = {}
        self.trouble: Exception | None = None

    def add(self, name: str, password: bytes, **facts: Any) -> Account:
        self.accounts[name] = Account(AccountId(f"id of {name}"), name, **facts)
        self.passwords[name] = password
        return self.accounts[name]

    async def account(self, name: str) -> Account | None:
        return self.accounts.get(name.lower())

    async def domain(self, name: str) -> Domain | None:
        return None

    async def places(self, address: Address) -> Sequence[Place]:
        return ()

    async def holder(self, account: AccountId) -> Account | None:
        raise NotImplementedError

    async def may_send_as(self, account: Account, address: Address) -> bool:
        return False

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[bytes]:
        if self.trouble:
            return fail(self.trouble)
        name = credentials.username.decode()
        if self.passwords.get(name) != credentials.password:
            return fail(UnauthorizedLogin())
        return succeed(name.encode())


@pytest.fixture
def people() -> People:
    """A directory in memory with three accounts."""
    people = People()
    people.add("alice", b"sesame")
    people.add("bob", b"open")
    people.add("zoë@example.org", "öffne dich".encode())
    return people


Call: TypeAlias = Callable[[Peer], Awaitable[Client]]
Serve: TypeAlias = Callable[[LinePortal], Listener]


@async_yield_fixture
async def call(reactor: Any) -> AsyncIterator[Call]:
    """Connects clients, and hangs up at the end."""
    clients: list[Client] = []

    async def connect(place: Peer) -> Client:
        endpoint = (
            UNIXClientEndpoint(reactor, place.path)
            if place.path
            else TCP4ClientEndpoint(reactor, "127.0.0.1", place.port)
        )
        client = await connectProtocol(endpoint, Client())
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.transport.abortConnection()
        await client.closed


@async_yield_fixture
async def serve(reactor: Any) -> AsyncIterator[Serve]:
    """Opens a door on loopback for a portal, and closes it at the end."""
    served: list[tuple[Listener, LinePortal]] = []

    def listen(portal: LinePortal) -> Listener:
        listener = open_listener(portal.addresses[0])
        listener.serve(reactor, portal)
        served.append((listener, portal))
        return listener

    yield listen
    for listener, portal in served:
        await listener.close()
        await portal.drain(0)


@pytest.fixture
def tls_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tls"
    folder.mkdir()
    pem = make_self_signed(["mx.example.org", "127.0.0.1"], datetime.now(UTC))
    (folder / "mx.pem").write_bytes(pem)
    return folder


@pytest.fixture
def certificates(tls_folder: Path, reactor: Any) -> Certificates:
    settings = TlsSettings(certificates=tls_folder)
    return Certificates(settings, House("mx.example.org", tls_folder), reactor)


@pytest.fixture
def doorkeeper(reactor: Any) -> Doorkeeper:
    return Doorkeeper(Limits(), reactor)


@pytest.fixture
def toy() -> type[Toy]:
    """A portal of a line protocol that says everything again."""
    return Toy


@pytest.fixture
def settled(reactor: Any) -> Callable[[], Awaitable[None]]:
    """Lets everything happen that needs no more than turns of the reactor."""

    async def turn() -> None:
        for _ in range(200):
            over: Deferred[None] = Deferred()
            reactor.callLater(0, over.callback, None)
            await over

    return turn
