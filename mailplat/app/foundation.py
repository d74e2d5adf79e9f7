"""What a house stands on, and what outlives its every reload: lock, threads, database, bus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import attrs
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorSocket,
)

from mailplat.app.clocks import SystemClock
from mailplat.app.config import Configuration
from mailplat.app.databases import make_database
from mailplat.app.lock import Lock
from mailplat.bus import Bus
from mailplat.files import Disk
from mailplat.interfaces import IBus, INetwork, WallClock
from mailplat.sql import Database, SqliteDatabase
from mailplat.workers import IReactorOfWorkers, Workers


class IReactor(IReactorCore, IReactorOfWorkers, IReactorSocket, INetwork):
    """What the application asks of the reactor."""


def the_reactor() -> IReactor:
    """Return this process's reactor; importing it installs it, so nobody asks sooner."""
    from twisted.internet import reactor

    return cast("IReactor", reactor)


def _nobody(_error: Exception) -> None:
    pass


@attrs.frozen(kw_only=True)
class Foundation:
    """Laid once for a process; trees are built on it."""

    state: Path
    reactor: IReactor
    lock: Lock
    workers: Workers
    disk: Disk
    database: Database
    journal: SqliteDatabase
    search: SqliteDatabase
    bus: IBus
    wall: WallClock = SystemClock()
    is_of_then: bool = False

    @classmethod
    def lay(
        cls,
        configuration: Configuration,
        reactor: IReactor,
        lock: Lock,
        on_bad: Callable[[Exception], None] = _nobody,
    ) -> Foundation:
        """Make everything, and open nothing yet.

        ``on_bad`` is called once when the disk has failed and nothing more is written.
        Raises `BadConfiguration` where what the database takes is missing.
        """
        state = configuration.house.state
        disk = Disk(lambda error: reactor.callFromThread(on_bad, error))
        return cls(
            state=state,
            reactor=reactor,
            lock=lock,
            workers=Workers(reactor),
            disk=disk,
            database=make_database(configuration, reactor, disk, on_bad),
            journal=SqliteDatabase(state / "journal.db", reactor, durable=False, readers=1),
            search=SqliteDatabase(state / "search.db", reactor, readers=2),
            bus=Bus(reactor),
        )

    async def open(self) -> None:
        """Open the database; raises `UnusableDatabase`.

        The journal and the index for search open their own, and if they can't the house
        goes on without them.
        """
        await self.database.open()

    async def clear(self) -> None:
        """Finish what waits, close the databases, end the threads, and let go of the lock."""
        await self.workers.stop()
        await self.journal.close()
        await self.search.close()
        await self.database.close()
        self.lock.release()
