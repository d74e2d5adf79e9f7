"""Keeps the record of each message for as long as the operator wants to ask about it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NewType

from pydantic import Field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mailplat.interfaces import IBus, WallClock
from mailplat.journal import queries
from mailplat.journal.records import (
    AttemptRow,
    Row,
    attempt_row_of,
    read,
    read_attempt,
    row_of,
)
from mailplat.mail.errors import StoreFailed
from mailplat.mail.events import Attempted, MessageSettled
from mailplat.mail.limits import MIB
from mailplat.mail.transit import MessageRecord
from mailplat.plugin import Duration, Settings, Size
from mailplat.sql import SqliteDatabase, UnusableDatabase, steps_of

PATIENCE = 0.5  # seconds for which records wait for others
GROUP = 512  # records that wait for no others
MOST_WAITING = 8 * MIB  # characters of records in memory; beyond, the oldest are forgotten
MOST_FOUND = 20
MOST_ATTEMPTS = 200  # that are told of one message
BETWEEN_EXPIRIES = 3600.0  # seconds


JournalFile = NewType("JournalFile", SqliteDatabase)
"""The journal's own file: never synced, opened by the journal and closed by its owner."""


class JournalSettings(Settings):
    """Keys of ``[journal]``: the record of what was decided about each message."""

    keep: Duration = Field(
        timedelta(days=30), description="How long the record of a message is kept."
    )
    size: Size = Field(
        1024 * MIB, description="How much room all records may take; the oldest go first."
    )


class Journal:
    """Hears of every message that was settled, and writes it down a little later.

    Its file is its own and is never synced: a crash of the machine may lose the
    last records, and nobody waits for the disk.  If the file can't be used the
    house goes on without it.
    """

    log = Logger()

    def __init__(
        self,
        settings: JournalSettings,
        database: JournalFile,
        bus: IBus,
        clock: IReactorTime,
        wall: WallClock,
    ) -> None:
        self._keep = settings.keep.total_seconds()
        self._most = settings.size
        self._database = database
        self._bus = bus
        self._clock = clock
        self._wall = wall
        self._waiting: deque[Row | AttemptRow] = deque()
        self._size = 0  # characters of what waits
        self._lost = 0
        self._writing: Deferred[None] = succeed(None)
        self._next_write: IDelayedCall | None = None
        self._next_expiry: IDelayedCall | None = None
        self._leave: Sequence[Callable[[], None]] = ()

    async def prepare(self) -> None:
        """Open the file, and begin to listen."""
        try:
            await self._database.open()
            await self._database.migrate("journal", steps_of("mailplat.journal"))
        except UnusableDatabase as error:
            self.log.error("there will be no journal: {error}", error=error)
            return
        self._leave = (
            self._bus.subscribe(MessageSettled, lambda event: self._hear(row_of(event.record))),
            self._bus.subscribe(Attempted, lambda event: self._hear(attempt_row_of(event))),
        )
        self._expire()

    async def finish(self) -> None:
        """Write what waits."""
        for leave in self._leave:
            leave()
        self._leave = ()
        for call in (self._next_write, self._next_expiry):
            if call and call.active():
                call.cancel()
        await self._write_all()

    async def find(self, text: str) -> Sequence[MessageRecord]:
        """Return the newest records of a message id, a Message-ID field or an address.

        Raises `StoreFailed` if there is no journal.
        """
        if not self._leave:
            raise StoreFailed("there is no journal")
        await self._write_all()
        found = await self._database.read(queries.find, text.strip(), MOST_FOUND)
        return [read(record) for record in found]

    async def attempts(self, message: str) -> Sequence[Attempted]:
        """Return what the queue tried with the message of that id, the newest last."""
        if not self._leave:
            return ()
        await self._write_all()
        found = await self._database.read(queries.attempts_at, message, MOST_ATTEMPTS)
        return [read_attempt(message, made, text) for made, text in found]

    # Writing behind.

    def _hear(self, row: Row | AttemptRow) -> None:
        self._waiting.append(row)
        self._size += len(row.record)
        while self._size > MOST_WAITING:
            self._take()
            self._lost += 1
        if len(self._waiting) >= GROUP:
            self._write()
        elif not self._next_write:
            self._next_write = self._clock.callLater(PATIENCE, self._write)

    def _write(self) -> None:
        """Write what waits, unless something is being written; then that goes on with it."""
        if self._next_write and self._next_write.active():
            self._next_write.cancel()
        self._next_write = None
        if self._writing.called and self._waiting:
            self._writing = Deferred.fromCoroutine(self._write_groups())

    def _take(self) -> Row | AttemptRow:
        row = self._waiting.popleft()
        self._size -= len(row.record)
        return row

    async def _write_groups(self) -> None:
        while self._waiting:
            group = [self._take() for _ in range(min(GROUP, len(self._waiting)))]
            try:
                records = [row for row in group if isinstance(row, Row)]
                attempts = [row for row in group if isinstance(row, AttemptRow)]
                if records:
                    await self._database.write(queries.write, records)
                if attempts:
                    await self._database.write(queries.write_attempts, attempts)
            except Exception as error:  # noqa: BLE001 - one bad record may not end the journal
                self._lost += len(group)
                self.log.warn("the journal was not written: {error}", error=error)
            await self._make_room()
        if self._lost:
            self.log.warn("the journal lost {count} records", count=self._lost)
            self._lost = 0

    async def _make_room(self) -> None:
        """Forget the oldest until the rest takes no more room than it may."""
        try:
            while await self._database.write(queries.make_room, self._most):
                pass
        except Exception as error:  # noqa: BLE001 - the next group tries again
            self.log.warn("the journal was not made smaller: {error}", error=error)

    async def _write_all(self) -> None:
        self._write()
        done: Deferred[None] = Deferred()
        self._writing.addBoth(_tell, done)
        await done

    def _expire(self) -> None:
        self._next_expiry = self._clock.callLater(BETWEEN_EXPIRIES, self._expire)
        work = Deferred.fromCoroutine(self._forget_old())
        work.addErrback(lambda failure: self.log.failure("nothing expired", failure))

    async def _forget_old(self) -> None:
        before = self._wall.seconds() - self._keep
        while await self._database.write(queries.expire, before) == queries.AT_ONCE:
            pass


def _tell(result: object, done: Deferred[None]) -> object:
    done.callback(None)
    return result
