"""POP3 sessions without a transport: accounts, maildrops, and a client to talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock

from mailplat.bus import Bus
from mailplat.interfaces import House, IAccount, IMailStore
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import INBOX
from mailplat.mail.people import AccountId
from mailplat.mail.transit import Peer
from mailplat.portals.connection import Connection, Secured
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.indexes import Indexes
from mailplat.portals.login import Logins, LoginSettings
from mailplat.portals.pop3.attendance import Attendance
from mailplat.portals.pop3.service import Pop3Portal, Pop3PortalSettings
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.store.memory import MemoryStore
from mailplat.testing.fakes import new_message
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.workers import database_at_once
from mailplat.wire.engine import After, TimedOut

ALICE = AccountId("id of alice")
TLS = Secured("TLSv1.3", "TLS_AES_256_GCM_SHA384")
DAY = 86400.0


class FakeConnection(Connection):
    """A connection that remembers what was written ahead, and in what pieces."""

    __slots__ = ("ended", "written")

    def __init__(self, secured: Secured | None = TLS, host: str = "127.0.0.1") -> None:
        super().__init__(Peer(host, 4711), Peer("192.0.2.2", 110), secured)
        self.written: list[bytes] = []
        self.ended: Exception | None = None

    async def write(self, octets: bytes) -> None:
        self.written.append(octets)

    def end(self, error: Exception) -> None:
        self.ended = error


class Client:
    """Talks to an engine and a session, and hears what a shell would send."""

    def __init__(self, portal: Pop3Portal, connection: FakeConnection) -> None:
        self.connection = connection
        self.engine, self.session = portal.connect(connection)

    async def say(self, *lines: str | bytes) -> bytes:
        """Say lines in one go; return everything that is answered."""
        octets = [line.encode() if isinstance(line, str) else line for line in lines]
        self.engine.receive(b"".join(line + b"\r\n" for line in octets))
        heard = []
        while (event := self.engine.next_event()) is not None:
            reply = await self.session.answer(event)
            heard += self.connection.written
            self.connection.written.clear()
            heard.append(self.engine.send(reply))
            if self.closed:
                break
        return b"".join(heard)

    async def log_in(self, name: str = "alice", password: str = "sesame") -> bytes:
        heard = await self.say(f"USER {name}", f"PASS {password}")
        return heard.splitlines(keepends=True)[-1]

    async def time_out(self) -> object:
        return await self.session.answer(TimedOut())

    @property
    def closed(self) -> bool:
        return self.engine.after is After.CLOSE

    def leave(self) -> None:
        self.session.lost()


@attrs.define
class Scene:
    """All that a POP3 portal stands on, and the portal itself."""

    clock: Clock
    people: Any
    logins: Logins
    store: IMailStore
    attendance: Attendance
    limits: Limits

    def portal(self, certificates: Any = None, **settings: Any) -> Pop3Portal:
        settings = {"listen": ["127.0.0.1:0"], "tls": "off", **settings}
        return Pop3Portal(
            Pop3PortalSettings(**settings),
            house=House("pop.example.org", None),  # type: ignore[arg-type]
            store=self.store,
            logins=self.logins,
            attendance=self.attendance,
            indexes=Indexes(),
            clock=self.clock,
            wall=self.clock,
            limits=self.limits,
            doorkeeper=Doorkeeper(self.limits, self.clock),
            certificates=certificates,
        )

    def client(self, portal: Pop3Portal | None = None, **settings: Any) -> Client:
        return Client(portal or self.portal(**settings), FakeConnection())

    async def alice(self) -> IAccount:
        return await self.store.open(ALICE)

    async def fill(self, *messages: bytes, flags: Sequence[str] = ()) -> None:
        """Put messages into Alice's INBOX."""
        account = await self.alice()
        await account.append(await self.inbox(), [new_message(m, *flags) for m in messages])

    async def inbox(self) -> Any:
        return next(b.id for b in await (await self.alice()).mailboxes() if b.name == INBOX)


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
    yield Scene(clock, people, logins, store, Attendance(clock), limits)
    await database.close()
