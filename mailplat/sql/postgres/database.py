"""A database on a PostgreSQL server: one connection writes, several read."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import ClassVar

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from mailplat.sql.crews import CrewedDatabase
from mailplat.sql.postgres.connection import PostgresConnection
from mailplat.sql.postgres.copying import Moment
from mailplat.sql.postgres.group import Reader, Writer
from mailplat.sql.postgres.line import Line
from mailplat.sql.postgres.listener import Listener
from mailplat.sql.postgres.opening import open_reader, open_writer
from mailplat.sql.postgres.target import Target
from mailplat.workers import Crew

PATIENCE = 30.0  # seconds for which a server that went away is waited for


class PostgresDatabase(CrewedDatabase):
    """One database of a server, which nobody else of ours uses unless it is ``shared``.

    A server that goes away is waited for, and nobody hears of it who has the
    ``patience`` (seconds).  ``on_bad`` is called on the reactor, once, when another
    has taken the database meanwhile.
    """

    log = Logger()
    dialect: ClassVar[str] = "postgres"

    def __init__(
        self,
        target: Target,
        reactor: IReactorFromThreads,
        *,
        on_bad: Callable[[Exception], None] = lambda _error: None,
        shared: bool = False,
        readers: int = 3,
        waiting: int = 4096,
        group: int = 256,
        patience: float = PATIENCE,
        crew: type[Crew] = Crew,
    ) -> None:
        self.target = target
        self.name = secrets.token_hex(8)
        self._reactor = reactor
        self._tell_bad = on_bad
        self._shared = shared
        self._patience = patience
        self._is_bad = False
        self._make_crew = crew
        self._writer = crew(
            reactor,
            "write to PostgreSQL",
            threads=1,
            waiting=waiting,
            group=group,
            bench=self._make_writer,
        )
        self._readers = crew(
            reactor,
            "read from PostgreSQL",
            threads=readers,
            waiting=waiting,
            group=16,
            bench=self._make_reader,
        )
        self._hearers = crew(reactor, "hear of others", threads=1, waiting=1)
        self._listener: Listener | None = None

    @property
    def is_shared(self) -> bool:
        return self._shared

    def hear(self, heard: Callable[[str | None], None]) -> None:
        if not self._shared or self._listener:
            return
        reactor = self._reactor
        line = Line(self._open_reader, self._patience, False, time.monotonic, time.sleep)
        self._listener = Listener(
            line, self.name, lambda word: reactor.callFromThread(heard, word)
        )
        listening = self._hearers.ask(self._listener.run)
        listening.addErrback(lambda failure: self.log.failure("not heard any more", failure))

    def moment(self) -> Moment:
        """Return what shows the database as it is when that is opened."""
        crew = self._make_crew(self._reactor, "copy from PostgreSQL", threads=1, waiting=4)
        return Moment(self._open_reader, crew)

    async def close(self) -> None:
        if self._listener:
            self._listener.stop()
        await self._hearers.stop()
        await super().close()

    async def shrink(self) -> None:
        """Leave that to the server's own vacuum."""

    def _make_writer(self) -> Writer:
        line = Line(self._open_writer, self._patience, True, time.monotonic, time.sleep)
        return Writer(line, self.name, self._shared, self._turn_bad)

    def _make_reader(self) -> Reader:
        line = Line(self._open_reader, self._patience, False, time.monotonic, time.sleep)
        return Reader(line)

    def _open_writer(self) -> PostgresConnection:
        return open_writer(self.target, self.name, shared=self._shared)

    def _open_reader(self) -> PostgresConnection:
        return open_reader(self.target, f"{self.name} reads")

    def _turn_bad(self, error: Exception) -> None:
        if self._is_bad:
            return
        self._is_bad = True
        self.log.critical("{target}: {error}", target=str(self.target), error=str(error))
        self._reactor.callFromThread(self._tell_bad, error)
