"""IMAP sessions without a transport: accounts, mailboxes, and clients to talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock

from mailplat.bus import Bus
from mailplat.files import Disk, Spool
from mailplat.interfaces import House, IAccount, IMailStore
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Mailbox, Role, proper_name
from mailplat.mail.people import AccountId
from mailplat.mail.transit import Peer
from mailplat.portals.connection import Connection, Secured
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.imap.service import ImapPortal, ImapPortalSettings
from mailplat.portals.indexes import Indexes
from mailplat.portals.login import Logins, LoginSettings
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.memory import MemoryStore
from mailplat.testing.fakes import new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import at_once, database_at_once
from mailplat.wire.engine import After, TimedOut, Woken

ALICE = AccountId("id of alice")
TLS = Secured("TLSv1.3", "TLS_AES_256_GCM_SHA384")
DAY = 86400.0


class FakeConnection(Connection):
    """A connection that remembers what was written ahead, and whether it was woken."""

    __slots__ = ("ended", "woken", "written")

    def __init__(self, secured: Secured | None = TLS, host: str = "127.0.0.1") -> None:
        super().__init__(Peer(host, 4711), Peer("192.0.2.2", 143), secured)
        self.written: list[bytes] = []
        self.ended: Exception | None = None
        self.woken = False

    async def write(self, octets: bytes) -> None:
        self.written.append(octets)

    async def turn(self) -> None:
        """Nobody else waits."""

    def wake(self) -> None:
        self.woken = True

    def end(self, error: Exception) -> None:
        self.ended = error


class Client:
    """Talks to an engine and a session, and hears what a shell would send."""

    def __init__(self, portal: ImapPortal, connection: FakeConnection) -> None:
        self.connection = connection
        self.engine, self.session = portal.connect(connection)

    async def send(self, octets: bytes) -> bytes:
        """Send octets; return everything that is answered."""
        self.engine.receive(octets)
        heard = []
        while not self.closed and (event := self.engine.next_event()) is not None:
            heard.append(await self._answer(event))
        return b"".join(heard)

    async def _answer(self, event: object) -> bytes:
        reply = await self.session.answer(event)
        heard = b"".join(self.connection.written)
        self.connection.written.clear()
        return heard if reply is None else heard + self.engine.send(reply)

    async def say(self, *lines: str) -> bytes:
        """Say lines in one go; return everything that is answered."""
        return await self.send("".join(line + "\r\n" for line in lines).encode())

    async def ask(self, line: str) -> list[str]:
        """Say one command without its tag; return the lines of its answer, the tag left out."""
        heard = (await self.say(f"t {line}")).decode()
        assert heard.endswith("\r\n")
        return [one.removeprefix("t ") for one in heard.removesuffix("\r\n").split("\r\n")]

    async def log_in(self, mailbox: str = "", name: str = "alice", key: str = "sesame") -> None:
        """Log in, and select a mailbox if one is named."""
        assert b"x OK" in await self.say(f"x LOGIN {name} {key}")
        if mailbox:
            assert b"x OK" in await self.say(f'x SELECT "{mailbox}"')

    async def hear(self) -> bytes:
        """Return what an idle session says once it has been woken."""
        if not self.connection.woken:
            return b""
        self.connection.woken = False
        return await self._answer(Woken())

    async def time_out(self) -> bytes:
        return await self._answer(TimedOut())

    @property
    def closed(self) -> bool:
        return self.engine.after is After.CLOSE

    def leave(self) -> None:
        self.session.lost()


@attrs.define
class Scene:
    """All that an IMAP portal stands on, and the portal itself."""

    clock: Clock
    bus: Bus
    people: Any
    logins: Logins
    store: IMailStore
    indexes: Indexes
    spool: Spool
    limits: Limits
    _portal: ImapPortal | None = None

    def portal(self, certificates: Any = None, **settings: Any) -> ImapPortal:
        settings = {"listen": ["127.0.0.1:0"], "tls": "off", "mailboxes": {}, **settings}
        return ImapPortal(
            ImapPortalSettings(**settings),
            house=House("imap.example.org", None),  # type: ignore[arg-type]
            store=self.store,
            logins=self.logins,
            indexes=self.indexes,
            bus=self.bus,
            spool=self.spool,
            clock=self.clock,
            wall=self.clock,
            limits=self.limits,
            doorkeeper=Doorkeeper(self.limits, self.clock),
            certificates=certificates,
        )

    def client(self, portal: ImapPortal | None = None) -> Client:
        """Return a client of one portal, the same for all that don't name another."""
        if portal is None:
            portal = self._portal = self._portal or self.portal()
        return Client(portal, FakeConnection())

    async def alice(self) -> IAccount:
        return await self.store.open(ALICE)

    async def box(self, name: str = "INBOX", role: Role = Role.NONE) -> Mailbox:
        """Return one of Alice's mailboxes, made if it isn't there."""
        account = await self.alice()
        for box in await account.mailboxes():
            if box.name == proper_name(name):
                return box
        return await account.create(name, role)

    async def fill(
        self, *messages: bytes, flags: tuple[str, ...] = (), into: str = "INBOX"
    ) -> None:
        """Put messages into one of Alice's mailboxes."""
        account, box = await self.alice(), await self.box(into)
        await account.append(box.id, [new_message(one, *flags) for one in messages])

    def tell(self) -> None:
        """Let the bus tell what has happened."""
        self.clock.advance(0)


@async_yield_fixture
async def scene(request: Any, tmp_path: Path, people: Any) -> AsyncIterator[Scene]:
    """A portal's surroundings; with ``store = "sqlite"`` as a parameter over a database."""
    clock = Clock()
    clock.advance(1000 * DAY)
    bus, limits = Bus(clock), Limits()
    logins = Logins(LoginSettings(), people, bus, clock, Doorkeeper(limits, clock))
    database = database_at_once(tmp_path / "mail.db")
    await database.open()
    indexed = IndexedStore(IndexedStoreSettings(), database, bus, clock, clock)
    await indexed.prepare()
    memory = MemoryStore(bus, clock)
    store = indexed if getattr(request, "param", "memory") == "sqlite" else memory
    spool = Spool(tmp_path / "spool", at_once, Disk())
    spool.prepare()
    yield Scene(clock, bus, people, logins, store, Indexes(), spool, limits)
    await database.close()
