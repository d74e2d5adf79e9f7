"""A whole house for tests: in memory without a socket, or on loopback's sockets.

``mailplat_house`` is for those who write components and for our own tests: mail
goes in by SMTP and comes out by POP3, engines, sessions and rooms are the real
ones, and there is neither a socket, nor a thread, nor a clock but the test's::

    def test_the_subject_is_tagged(mailplat_house):
        house = mailplat_house(
            '[filters.tag]\\nuse = "subject_tag:SubjectTag"',
            inbound=["recipients", "tag"],
        )
        house.add_account("alice@example.org")
        house.deliver(b"Subject: hello\\r\\n\\r\\nhello\\r\\n", to="alice@example.org")
        [message] = house.messages("alice@example.org")

``mailplat_server`` is the same house with real sockets and threads, for clients
of every kind.

Both are switched on in the ``conftest.py`` of your tests, and need pytest-twisted
installed::

    pytest_plugins = ["mailplat.pytest_plugin"]
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailplat.app.config import check
from mailplat.app.foundation import Foundation, the_reactor
from mailplat.app.lock import Lock
from mailplat.app.manual import toml_text
from mailplat.app.operations import OPERATIONS, Desk
from mailplat.app.operations.lasting import Lasting
from mailplat.app.registry import discover, importable_from
from mailplat.app.tree import Tree
from mailplat.app.wiring import build
from mailplat.bus import Bus
from mailplat.files import Disk
from mailplat.portals.listen import Listener, open_listener
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once, workers_at_once

T = TypeVar("T")

DOMAIN = "example.org"
PASSWORD = "correct horse"  # noqa: S105 - of every account of a house for tests
INBOUND = ("recipients", "relaying", "loops")
OUTBOUND = ("senders", "recipients", "relaying", "loops")
PORTALS = {
    "mx": 'use = "smtp"\npipeline = "inbound"',
    "submission": 'use = "smtp"\npipeline = "outbound"\nlogin = "required"',
    "lmtp": 'use = "lmtp"\npipeline = "inbound"',
    "imap": 'use = "imap"',
    "pop3": 'use = "pop3"',
}


def configuration_text(
    more: str, inbound: Sequence[str] = INBOUND, outbound: Sequence[str] = OUTBOUND
) -> str:
    """Return the configuration of a house for tests; ``more`` adds tables to it."""

    parts = {
        "login": '[login]\nlogin_without_tls = "loopback"',
        "store": '[store.main]\nuse = "memory"',
        "mime": '[mime]\nsystem = "/dev/null"',
    }
    tables = [f'hostname = "mail.{DOMAIN}"']
    tables += [text for name, text in parts.items() if f"[{name}" not in more]
    tables += [
        f'[portals.{name}]\nlisten = ["127.0.0.1:0"]\ntls = "off"\n{text}'
        for name, text in PORTALS.items()
        if f"[portals.{name}]" not in more
    ]
    chains = f"inbound = {toml_text(list(inbound))}\noutbound = {toml_text(list(outbound))}"
    return "\n\n".join([*tables, f"[pipelines]\n{chains}", more]) + "\n"


# In memory -------------------------------------------------------------------


@attrs.frozen(eq=False)
class Client:
    """A client of a portal, in memory."""

    protocol: Any
    transport: StringTransport
    clock: Clock

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed the connection."""
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def say(self, octets: bytes) -> bytes:
        """Send octets, and return what the server answers at once."""
        self.protocol.dataReceived(octets)
        return self.heard()

    def heard(self) -> bytes:
        """Return what the server has said since the last time."""
        self.clock.advance(0)
        said = bytes(self.transport.value())  # type: ignore[no-untyped-call]
        self.transport.clear()  # type: ignore[no-untyped-call]
        return said

    def hang_up(self) -> None:
        """End the connection from this side."""

        self.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]


class Unsaid(AssertionError):
    """The server said something else than was expected of it."""


@attrs.frozen(eq=False)
class MemoryHouse:
    """A house without sockets or threads; everything has happened when a call returns."""

    tree: Tree
    foundation: Foundation
    clock: Clock

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine of the house comes to, turning its clock as far as needed."""

        results: list[T | Failure] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        for _ in range(1000):
            if results:
                break
            self.clock.advance(0)
        if not results:
            raise Unsaid("it waits for something that doesn't come by itself")
        [result] = results
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def operate(self, operation: str, **arguments: Any) -> Any:
        """Do one of the operations of ``mailplat.app.operations``."""

        return self.do(
            _run(OPERATIONS[operation], Desk(self.tree, foundation=self.foundation), arguments)
        )

    def add_account(self, address: str, password: str = PASSWORD) -> None:
        """Make an account, and its domain if it is not there yet."""
        domain = address.partition("@")[2]
        if domain not in [row["name"] for row in self.operate("domain.list")]:
            self.operate("domain.add", name=domain, postmaster=address)
        self.operate("account.add", name=address, password=password)

    def connect(self, portal: str, host: str = "127.0.0.1") -> Client:
        """Return a new client of a portal; its greeting is there to be heard."""

        address = IPv4Address("TCP", host, 40000)
        protocol = self.tree.portals()[portal].buildProtocol(address)
        here = IPv4Address("TCP", "127.0.0.1", 25)
        transport = StringTransport(here, address)  # type: ignore[no-untyped-call]
        client = Client(protocol, transport, self.clock)
        assert protocol is not None
        protocol.makeConnection(transport)
        return client

    def deliver(
        self, message: bytes, to: str | Sequence[str], sender: str = "", portal: str = "mx"
    ) -> str:
        """Send a message, and return the server's last answer, whatever it is."""
        client = self.connect(portal)
        hello = b"LHLO" if portal == "lmtp" else b"EHLO"
        _expect(client.heard(), b"220")
        _expect(client.say(hello + b" client.example.org\r\n"), b"250")
        answer = client.say(b"MAIL FROM:<" + sender.encode() + b">\r\n")
        for recipient in [to] if isinstance(to, str) else to:
            if answer.startswith(b"250"):
                answer = client.say(b"RCPT TO:<" + recipient.encode() + b">\r\n")
        if answer.startswith(b"250"):
            _expect(client.say(b"DATA\r\n"), b"354")
            answer = client.say(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        client.say(b"QUIT\r\n")
        return answer.decode().rstrip("\r\n")

    def messages(self, address: str, password: str = PASSWORD) -> list[bytes]:
        """Return the messages of an account's INBOX, read by POP3."""
        client = self.connect("pop3")
        secret = base64.b64encode(f"\0{address}\0{password}".encode())
        _expect(client.heard(), b"+OK")
        _expect(client.say(b"AUTH PLAIN " + secret + b"\r\n"), b"+OK")
        count = int(client.say(b"STAT\r\n").split()[1])
        read = [_retrieved(client, number) for number in range(1, count + 1)]
        client.say(b"QUIT\r\n")
        return read

    def close(self) -> None:
        """End everything."""
        self.do(self.tree.finish())
        self.do(self.foundation.clear())


async def _run(function: Callable[..., Any], desk: object, arguments: dict[str, Any]) -> Any:
    result = await function(desk, **arguments)
    return await result.finished() if isinstance(result, Lasting) else result


def _expect(said: bytes, begins: bytes) -> None:
    if not said.startswith(begins):
        raise Unsaid(f"{said!r} does not begin with {begins!r}")


def _retrieved(client: Client, number: int) -> bytes:
    said = client.say(b"RETR %d\r\n" % number)
    _expect(said, b"+OK")
    body = said.partition(b"\r\n")[2]
    return re.sub(rb"(?m)^\.\.", b".", body.removesuffix(b".\r\n"))


@pytest.fixture
def mailplat_house(tmp_path: Path) -> Iterator[Callable[..., MemoryHouse]]:
    """Make a house in memory: ``mailplat_house(more_toml, inbound=[…], outbound=[…])``.

    ``before`` is called with its state folder, which is empty still.
    """
    houses: list[MemoryHouse] = []

    def make(
        more: str = "",
        *,
        before: Callable[[Path], object] = lambda _state: None,
        **chains: Sequence[str],
    ) -> MemoryHouse:

        clock: Any = Clock()
        folder = tmp_path / f"house{len(houses)}"
        state = folder / "state"
        state.mkdir(parents=True)
        before(state)
        foundation = Foundation(
            state=state,
            reactor=clock,
            lock=Lock.take(state),
            workers=workers_at_once(),
            disk=Disk(),
            database=database_at_once(state / "mail.db", durable=False),
            journal=database_at_once(state / "journal.db", durable=False),
            search=database_at_once(state / "search.db", durable=False),
            bus=Bus(clock),
            wall=clock,
        )
        tree = _tree(tmp_path, folder, foundation, configuration_text(more, **chains))
        house = MemoryHouse(tree, foundation, clock)
        house.do(foundation.open())
        house.do(tree.prepare())
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.close()


def _tree(modules: Path, folder: Path, foundation: Foundation, text: str) -> Tree:

    importable_from(modules)
    return build(check(text, folder / "mailplat.toml", discover()), foundation)


# On sockets ------------------------------------------------------------------


@attrs.frozen(eq=False)
class SocketHouse:
    """A house in this process that listens on loopback."""

    tree: Tree
    foundation: Foundation
    listeners: dict[str, Listener]

    def port(self, portal: str) -> int:
        """Return where a portal listens."""
        return self.listeners[portal].places[0].port

    async def operate(self, operation: str, **arguments: Any) -> Any:
        """Do one of the operations of ``mailplat.app.operations``."""

        return await OPERATIONS[operation](
            Desk(self.tree, foundation=self.foundation), **arguments
        )

    async def add_account(self, address: str, password: str = PASSWORD) -> None:
        """Make an account, and its domain if it is not there yet."""
        domain = address.partition("@")[2]
        if domain not in [row["name"] for row in await self.operate("domain.list")]:
            await self.operate("domain.add", name=domain, postmaster=address)
        await self.operate("account.add", name=address, password=password)

    async def close(self) -> None:
        """End everything; sessions are cut off."""
        for listener in self.listeners.values():
            await listener.close()
        for portal in self.tree.portals().values():
            await portal.drain(0)
        await self.tree.finish()
        await self.foundation.clear()


async def open_house(folder: Path, more: str = "", **chains: Sequence[str]) -> SocketHouse:
    """Open a house on loopback, at ports that were free."""

    configuration = check(
        configuration_text(more, **chains), folder / "mailplat.toml", discover()
    )
    configuration.house.state.mkdir(parents=True)
    lock = Lock.take(configuration.house.state)
    foundation = Foundation.lay(configuration, the_reactor(), lock)
    tree = build(configuration, foundation)
    await foundation.open()
    await tree.prepare()
    listeners = {}
    for name, portal in tree.portals().items():
        listeners[name] = open_listener(portal.addresses[0])
        listeners[name].serve(foundation.reactor, portal)
    return SocketHouse(tree, foundation, listeners)


@async_yield_fixture
async def mailplat_server(
    tmp_path: Path,
) -> AsyncIterator[Callable[..., Awaitable[SocketHouse]]]:
    """Open a house on loopback: ``await mailplat_server(more_toml, inbound=[…])``."""
    houses: list[SocketHouse] = []

    async def make(more: str = "", **chains: Sequence[str]) -> SocketHouse:
        houses.append(await open_house(tmp_path / f"server{len(houses)}", more, **chains))
        return houses[-1]

    yield make
    for house in houses:
        await house.close()
